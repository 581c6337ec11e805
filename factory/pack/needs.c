/* SPDX-License-Identifier: Apache-2.0 */
/* factory/pack/needs.c - see needs.h. */
#include "factory/pack/needs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/words.h"
#include "rpath/elf.h"

#define VERSION_PREFIX "GLIBC_"

struct collecting {
        const struct sf_compose *tree;
        struct sf_words libraries;
        unsigned major, minor; /* of the newest version of glibc's symbols */
};

/* Libraries of the release are found by their run paths, which the lint has checked. */
static bool is_in_tree(const struct sf_compose *tree, const char *library)
{
        for (size_t i = 0; i < tree->count; i++) {
                const char *slash = strrchr(tree->nodes[i]->entry.path, '/');
                if (strcmp(slash ? slash + 1 : tree->nodes[i]->entry.path, library) == 0)
                        return true;
        }
        return false;
}

static int note_library(struct collecting *c, const char *name, struct sf_error *err)
{
        for (size_t i = 0; i < c->libraries.count; i++)
                if (strcmp(c->libraries.items[i], name) == 0)
                        return 0;
        return is_in_tree(c->tree, name) ? 0 : sf_words_append(&c->libraries, name, err);
}

/* The names of the versions that a file needs (DT_VERNEED) stand in its dynamic string table. */
static void note_versions(struct collecting *c, const struct sf_elf *elf)
{
        for (uint64_t at = 0; at < elf->dynstr_size;) {
                const char *text = sf_elf_dynstr(elf, at);
                unsigned major, minor;

                if (!text)
                        return;
                if (sscanf(text, VERSION_PREFIX "%u.%u", &major, &minor) == 2 &&
                    (major > c->major || (major == c->major && minor > c->minor))) {
                        c->major = major;
                        c->minor = minor;
                }
                at += strlen(text) + 1;
        }
}

static int note_file(struct collecting *c, const char *path, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer content = SF_BUFFER_INIT;
        _cleanup_free_ char *staged = sf_fs_join(c->tree->stage, path);
        struct sf_elf elf;
        int r = staged ? sf_fs_read(staged, 4ull << 30, &content, err) : sf_error_set(err, SF_ERR_NOMEM, "%s", path);

        if (r < 0 || !sf_elf_is(content.data, content.len) ||
            sf_elf_open(content.data, content.len, path, &elf, NULL) < 0)
                return r;
        for (uint64_t i = 0; i < elf.dynamic_count && r == 0; i++) {
                Elf64_Dyn entry = sf_elf_dynamic(&elf, i);
                const char *name = entry.d_tag == DT_NEEDED ? sf_elf_dynstr(&elf, entry.d_un.d_val) : NULL;
                if (name)
                        r = note_library(c, name, err);
        }
        note_versions(c, &elf);
        return r;
}

static int by_text(const void *a, const void *b)
{
        return strcmp(*(char *const *)a, *(char *const *)b);
}

int sf_needs_collect(const struct sf_compose *tree, struct sf_index_requires *ret, struct sf_error *err)
{
        struct collecting c = { .tree = tree };
        size_t length = 0;
        int r = 0;

        for (size_t i = 0; i < tree->count && r == 0; i++)
                if (tree->nodes[i]->entry.type == SF_ENTRY_FILE)
                        r = note_file(&c, tree->nodes[i]->entry.path, err);
        if (c.libraries.count)
                qsort(c.libraries.items, c.libraries.count, sizeof *c.libraries.items, by_text);
        if (c.major)
                snprintf(ret->libc, sizeof ret->libc, "%u.%u", c.major, c.minor);
        for (size_t i = 0; i < c.libraries.count && r == 0; i++) {
                const char *name = c.libraries.items[i];

                if (length + strlen(name) + 2 > sizeof ret->libraries)
                        r = sf_error_set(
                                err, SF_ERR_LIMIT,
                                "more libraries of the system are needed (%zu) than %zu bytes of names can list",
                                c.libraries.count, sizeof ret->libraries);
                else
                        length += (size_t)sprintf(ret->libraries + length, "%s%s", length ? " " : "", name);
        }
        sf_words_free(&c.libraries);
        return r;
}
