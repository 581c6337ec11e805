/* SPDX-License-Identifier: Apache-2.0 */
/* factory/pack/export-layers.c - see export-layers.h. Layer and list are walked in lock-step. */
#include "factory/pack/export-layers.h"

#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "factory/archive/member.h"
#include "release/layout.h"

#define READ_SIZE ((size_t)1 << 20)

struct walk {
        const struct sf_build *build;
        const struct sf_filelist *list;
        size_t next; /* entry of the list */
        sf_export_member_fn *put;
        void *ctx;
};

static int read_content(struct archive *tar, const struct sf_entry *entry, struct sf_buffer *ret, struct sf_error *err)
{
        struct sf_digest digest;
        int r = sf_buffer_reserve(ret, entry->size + 1, err);

        if (r < 0)
                return r;
        la_ssize_t got = archive_read_data(tar, ret->data, entry->size);
        if (got < 0 || (uint64_t)got != entry->size)
                return sf_error_set(err, SF_ERR_CORRUPT, "%s: %s", entry->path,
                                    got < 0 ? archive_error_string(tar) : "too short");
        ret->len = entry->size;
        sf_digest_of(ret->data, ret->len, &digest);
        return sf_digest_equal(&digest, &entry->digest)
                       ? 0
                       : sf_error_set(err, SF_ERR_CORRUPT, "%s: not the content of the list", entry->path);
}

/* A directory of an earlier layer again. */
static bool is_repeated(const struct walk *w, const struct sf_entry *entry)
{
        return entry->type == SF_ENTRY_DIRECTORY && sf_filelist_find(w->list, entry->path) != entry;
}

/* `path` is the member's, below the layers' common root. */
static int take_member(struct walk *w, struct archive *tar, struct archive_entry *member, const char *path,
                       struct sf_error *err)
{
        static const mode_t types[] = {
                [SF_ENTRY_DIRECTORY] = AE_IFDIR,
                [SF_ENTRY_FILE] = AE_IFREG,
                [SF_ENTRY_SYMLINK] = AE_IFLNK,
        };
        _cleanup_(sf_buffer_free) struct sf_buffer content = SF_BUFFER_INIT;
        const struct sf_entry *entry = w->next < w->list->entry_count ? &w->list->entries[w->next] : NULL;
        size_t len = entry ? strlen(entry->path) : 0;
        int r = 0;

        if (!entry || strncmp(path, entry->path, len) != 0 || strcmp(path + len, path[len] == '/' ? "/" : "") != 0 ||
            archive_entry_filetype(member) != types[entry->type] || archive_entry_hardlink(member) ||
            (uint64_t)archive_entry_size(member) != entry->size)
                return sf_error_set(err, SF_ERR_CORRUPT, "member %s is not the next one of the file list", path);
        w->next++;
        if (is_repeated(w, entry))
                return 0;
        if (entry->type == SF_ENTRY_FILE)
                r = read_content(tar, entry, &content, err);
        return r < 0 ? r : w->put(w->ctx, entry, content.len ? content.data : NULL, err);
}

static int walk_tar(struct walk *w, struct archive *tar, struct sf_error *err)
{
        static const char root[] = SF_LAYOUT_MEMBER_ROOT;
        struct archive_entry *member;
        int r;

        while ((r = archive_read_next_header(tar, &member)) == ARCHIVE_OK) {
                const char *name = archive_entry_pathname(member);
                if (strncmp(root, name, strlen(name)) == 0)
                        continue; /* the directories that lead to the root */
                if (strncmp(name, root, sizeof root - 1) != 0)
                        return sf_error_set(err, SF_ERR_CORRUPT, "member %s lies outside of " SF_LAYOUT_MEMBER_ROOT,
                                            name);
                r = take_member(w, tar, member, name + sizeof root - 1, err);
                if (r < 0)
                        return r;
        }
        return r == ARCHIVE_EOF ? 0 : sf_error_set(err, SF_ERR_CORRUPT, "%s", archive_error_string(tar));
}

int sf_export_members(const struct sf_build *build, const struct sf_filelist *list, sf_export_member_fn *put, void *ctx,
                      struct sf_error *err)
{
        struct walk w = { build, list, 0, put, ctx };
        int r = 0;

        for (size_t i = 0; i < list->layer_count && r == 0; i++) {
                _cleanup_(sf_archive_close_reader) struct archive *tar = archive_read_new();
                char hex[SF_DIGEST_HEX + 1];
                _cleanup_free_ char *path = sf_fs_join(build->blobs, sf_digest_hex(&list->layers[i].digest, hex));

                if (!tar || !path)
                        return sf_error_set(err, SF_ERR_NOMEM, "%s: out of memory", build->directory);
                archive_read_support_format_tar(tar);
                archive_read_support_filter_zstd(tar);
                if (archive_read_open_filename(tar, path, READ_SIZE) != ARCHIVE_OK)
                        r = sf_error_set(err, SF_ERR_CORRUPT, "%s", archive_error_string(tar));
                if (r == 0)
                        r = walk_tar(&w, tar, err);
                if (r < 0)
                        sf_error_prefix(err, "%s", path);
        }
        if (r == 0 && w.next != list->entry_count)
                r = sf_error_set(err, SF_ERR_CORRUPT, "%s: the layers end before %s", build->directory,
                                 list->entries[w.next].path);
        return r;
}
