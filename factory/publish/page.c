/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/page.c - see page.h. */
#include "factory/publish/page.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"
#include "release/layout.h"

#define PAGE     "index.html"
#define PAGE_MAX (16u << 20)
#define ROOT_MAX (1u << 20)

static const char head[] =
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
        "<meta name=\"color-scheme\" content=\"light dark\">\n<title>Slurm releases</title>\n<style>\n"
        ":root{--line:#ccc;--soft:#f3f3f3;--text:#1a1a1a;--page:#fff;--link:#0550ae;--bad:#a40e26}\n"
        "@media (prefers-color-scheme:dark){:root{--line:#444;--soft:#222;--text:#e6e6e6;--page:#121212;--link:#79b8ff;"
        "--bad:#ff8a8a}}\n"
        "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:1rem;color:var(--text);"
        "background:var(--page)}\n"
        "pre,code{font:14px/1.45 ui-monospace,monospace;background:var(--soft)}\n"
        "pre{padding:.75rem;overflow-x:auto;border:1px solid var(--line);border-radius:4px}\n"
        "code{overflow-wrap:anywhere}\n.wide{overflow-x:auto}\n"
        "table{border-collapse:collapse;width:100%}\nth,td{text-align:left;vertical-align:top;padding:.35rem .75rem "
        ".35rem 0;border-bottom:1px solid var(--line)}\n"
        "td.number{white-space:nowrap}\na{color:var(--link)}\n.withdrawn{color:var(--bad)}\n</style>\n</head>\n<body>\n"
        "<h1>Slurm releases</h1>\n";

static int put_text(struct sf_buffer *page, const char *text, struct sf_error *err)
{
        int r = 0;

        for (; *text && r == 0; text++) {
                const char *entity = *text == '&'   ? "&amp;"
                                     : *text == '<' ? "&lt;"
                                     : *text == '>' ? "&gt;"
                                     : *text == '"' ? "&quot;"
                                                    : NULL;
                r = entity ? sf_buffer_puts(page, entity, err) : sf_buffer_append(page, text, 1, err);
        }
        return r;
}

static int put_commands(struct sf_buffer *page, const char *root_sha256, const char *newest, struct sf_error *err)
{
        return sf_buffer_printf(
                page, err,
                "<h2>Install</h2>\n<p>URL is the address of this page without <code>index.html</code>.</p>\n"
                "<pre>curl -O URL/metadata/1.root.json\nsf-node trust 1.root.json\nsf-node install %s --repo "
                "URL</pre>\n"
                "<p>Compare the root with a copy of this number that reached you by another way:<br>\n"
                "SHA-256 <code>%s</code></p>\n",
                newest ? newest : "VERSION", root_sha256 ? root_sha256 : "(no root yet)");
}

/* The name of the release with this content; NULL where it is not offered any more. */
static const char *name_of_tree(const struct sf_index *index, const struct sf_digest *tree)
{
        for (size_t i = 0; i < index->release_count; i++)
                if (sf_digest_equal(&index->releases[i].tree, tree))
                        return index->releases[i].name.text;
        return NULL;
}

static int put_deltas(struct sf_buffer *page, const struct sf_index *index, const struct sf_index_release *release,
                      struct sf_error *err)
{
        char size[32];
        int r = 0;

        for (size_t i = 0; i < release->delta_count && r == 0; i++) {
                const struct sf_index_delta *delta = &release->deltas[i];
                const char *from = name_of_tree(index, &delta->from);
                r = sf_buffer_printf(page, err, "%s%s from ", i ? "<br>" : "",
                                     sf_log_size(delta->content.size + delta->filelist.size, size));
                if (r == 0)
                        r = put_text(page, from ? from : "earlier content", err);
        }
        return r;
}

static int put_release(struct sf_buffer *page, const struct sf_catalog *catalog, const struct sf_index *index,
                       const struct sf_index_release *release, struct sf_error *err)
{
        const struct sf_withdrawal *withdrawn = sf_rollout_withdrawn(&catalog->rollout, release->name.text);
        char download[32], installed[32];
        int r = sf_buffer_printf(page, err, "<tr><td>%s", withdrawn ? "<del>" : "");

        if (r == 0)
                r = put_text(page, release->name.text, err);
        if (r == 0 && withdrawn)
                r = sf_buffer_puts(page, "</del><br><span class=\"withdrawn\">withdrawn: ", err);
        if (r == 0 && withdrawn)
                r = put_text(page, *withdrawn->reason ? withdrawn->reason : "no reason given", err);
        if (r == 0)
                r = sf_buffer_printf(page, err,
                                     "%s</td><td class=\"number\">%.10s</td><td class=\"number\">%s</td>"
                                     "<td class=\"number\">%s</td><td>",
                                     withdrawn ? "</span>" : "", release->created,
                                     sf_log_size(release->download, download),
                                     sf_log_size(release->installed, installed));
        if (r == 0)
                r = put_deltas(page, index, release, err);
        return r < 0 ? r : sf_buffer_puts(page, "</td></tr>\n", err);
}

static int put_index(struct sf_buffer *page, const struct sf_catalog *catalog, const struct sf_index *index,
                     struct sf_error *err)
{
        int r = sf_buffer_puts(page, "<h2>", err);

        if (r == 0)
                r = put_text(page, index->toolchain, err);
        if (r == 0)
                r = sf_buffer_puts(page, ", ", err);
        if (r == 0)
                r = put_text(page, index->arch, err);
        if (r == 0)
                r = sf_buffer_puts(
                        page,
                        "</h2>\n<div class=\"wide\"><table>\n<tr><th>Release</th><th>Date</th><th>Download</th>"
                        "<th>Installed</th><th>Upgrades</th></tr>\n",
                        err);
        for (size_t i = 0; i < index->release_count && r == 0; i++)
                r = put_release(page, catalog, index, &index->releases[i], err);
        return r < 0 ? r : sf_buffer_puts(page, "</table></div>\n", err);
}

/* The newest release that is offered, for the example. */
static const char *newest_of(const struct sf_catalog *catalog)
{
        const struct sf_index_release *newest = NULL;

        for (size_t i = 0; i < catalog->count; i++)
                for (size_t k = 0; k < catalog->indexes[i].index.release_count; k++) {
                        const struct sf_index_release *release = &catalog->indexes[i].index.releases[k];
                        if (!sf_rollout_withdrawn(&catalog->rollout, release->name.text) &&
                            (!newest || sf_release_name_compare(&release->name, &newest->name) < 0))
                                newest = release;
                }
        return newest ? newest->name.version : NULL;
}

int sf_page_make(const struct sf_catalog *catalog, const char *root_sha256, struct sf_buffer *ret, struct sf_error *err)
{
        int r = sf_buffer_puts(ret, head, err);

        if (r == 0)
                r = put_commands(ret, root_sha256, newest_of(catalog), err);
        for (size_t i = 0; i < catalog->count && r == 0; i++)
                if (catalog->indexes[i].index.release_count)
                        r = put_index(ret, catalog, &catalog->indexes[i].index, err);
        return r < 0 ? r : sf_buffer_puts(ret, "</body>\n</html>\n", err);
}

int sf_page_store(const struct sf_catalog *catalog, const char *repository, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer page = SF_BUFFER_INIT, before = SF_BUFFER_INIT,
                                                   root = SF_BUFFER_INIT;
        _cleanup_free_ char *path = sf_fs_join(repository, PAGE);
        _cleanup_free_ char *first = sf_fs_join(repository, SF_LAYOUT_METADATA "/1.root.json");
        char hex[SF_DIGEST_HEX + 1];
        struct sf_digest digest;
        int r;

        if (!path || !first)
                return sf_error_set(err, SF_ERR_NOMEM, "out of memory for " PAGE);
        bool pinned = sf_fs_read(first, ROOT_MAX, &root, NULL) == 0;
        sf_digest_of(root.data, root.len, &digest);
        if ((r = sf_page_make(catalog, pinned ? sf_digest_hex(&digest, hex) : NULL, &page, err)) < 0)
                return r;
        if (sf_fs_read(path, PAGE_MAX, &before, NULL) == 0 && before.len == page.len &&
            memcmp(before.data, page.data, page.len) == 0)
                return 0;
        return sf_fs_write(path, page.data, page.len, 0644, err);
}
