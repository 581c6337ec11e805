/* SPDX-License-Identifier: Apache-2.0 */
/* factory/rebuild/tree_diff.c - see tree_diff.h. */
#include "factory/rebuild/tree_diff.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "factory/rebuild/file_diff.h"

#define FILE_MAX ((size_t)1 << 30)

struct walk {
        const char *first, *second;
        struct sf_tree_diff *diff;
};

static int no_memory(struct sf_error *err)
{
        return sf_error_set(err, SF_ERR_NOMEM, "compare");
}

/* Takes `where`, also on failure. */
static int add(struct sf_tree_diff *diff, const char *path, char *where, struct sf_error *err)
{
        _cleanup_free_ char *owned = where;
        struct sf_tree_difference *grown = where ? realloc(diff->list, (diff->count + 1) * sizeof *grown) : NULL;
        char *copy;

        if (!grown)
                return no_memory(err);
        diff->list = grown;
        if (!(copy = strdup(path)))
                return no_memory(err);
        diff->list[diff->count++] = (struct sf_tree_difference){ copy, sf_steal_pointer(owned) };
        return 0;
}

static int compare_links(const struct walk *w, const char *path, const char *a, const char *b, struct sf_error *err)
{
        _cleanup_free_ char *to_a = NULL, *to_b = NULL;
        int r;

        if ((r = sf_fs_readlink(a, &to_a, err)) < 0 || (r = sf_fs_readlink(b, &to_b, err)) < 0)
                return r;
        return strcmp(to_a, to_b) == 0
                       ? 0
                       : add(w->diff, path, sf_format("link to \"%s\" instead of \"%s\"", to_b, to_a), err);
}

static int compare_files(const struct walk *w, const char *path, const char *a, const char *b, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer in_a = SF_BUFFER_INIT, in_b = SF_BUFFER_INIT;
        _cleanup_(sf_buffer_free) struct sf_buffer where = SF_BUFFER_INIT;
        int r;

        if ((r = sf_fs_read(a, FILE_MAX, &in_a, err)) < 0 || (r = sf_fs_read(b, FILE_MAX, &in_b, err)) < 0 ||
            (r = sf_file_diff(in_a.data, in_a.len, in_b.data, in_b.len, &where, err)) < 0)
                return r;
        return where.len ? add(w->diff, path, strdup(sf_buffer_text(&where)), err) : 0;
}

static int compare_entry(void *ctx, int dirfd, const char *name, const char *path, const struct stat *st,
                         struct sf_error *err)
{
        const struct walk *w = ctx;
        _cleanup_free_ char *a = sf_fs_join(w->first, path), *b = sf_fs_join(w->second, path);
        struct stat other;

        (void)dirfd, (void)name;
        if (!a || !b)
                return no_memory(err);
        if (lstat(b, &other) < 0)
                return errno == ENOENT ? add(w->diff, path, strdup("only in the first build"), err)
                                       : sf_error_errno(err, "%s", b);
        w->diff->compared += !S_ISDIR(st->st_mode);
        if ((st->st_mode & S_IFMT) != (other.st_mode & S_IFMT))
                return add(w->diff, path, strdup("another type of file"), err);
        if (S_ISLNK(st->st_mode))
                return compare_links(w, path, a, b, err);
        if ((st->st_mode & 07777) != (other.st_mode & 07777)) {
                int r = add(w->diff, path,
                            sf_format("mode %04o instead of %04o", other.st_mode & 07777, st->st_mode & 07777), err);
                if (r < 0)
                        return r;
        }
        return S_ISREG(st->st_mode) ? compare_files(w, path, a, b, err) : 0;
}

static int find_missing(void *ctx, int dirfd, const char *name, const char *path, const struct stat *st,
                        struct sf_error *err)
{
        const struct walk *w = ctx;
        _cleanup_free_ char *a = sf_fs_join(w->first, path);

        (void)dirfd, (void)name, (void)st;
        if (!a)
                return no_memory(err);
        return sf_fs_exists(a) ? 0 : add(w->diff, path, strdup("only in the second build"), err);
}

int sf_tree_diff(const char *first, const char *second, struct sf_tree_diff *ret, struct sf_error *err)
{
        struct walk w = { .first = first, .second = second, .diff = ret };
        int r = sf_fs_walk(first, compare_entry, &w, err);

        return r < 0 ? r : sf_fs_walk(second, find_missing, &w, err);
}

void sf_tree_diff_free(struct sf_tree_diff *diff)
{
        for (size_t i = 0; i < diff->count; i++) {
                free(diff->list[i].path);
                free(diff->list[i].where);
        }
        free(diff->list);
        *diff = (struct sf_tree_diff){ NULL, 0, 0 };
}
