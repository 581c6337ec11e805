/* SPDX-License-Identifier: Apache-2.0 */
/* installer/resume.c - see resume.h. Nothing here is believed because it has the right name: the run that wrote it
 * may have been killed, or the power failed before its bytes were on the disk. */
#include "installer/resume.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/parallel.h"

struct inventory {
        const struct sf_tree *tree;
        struct sf_buffer unwanted; /* paths, each ended by a NUL; nothing below one of them is in here */
        size_t last;               /* where the last of them starts */
        uint8_t *found;            /* per entry: may be whole */
        uint8_t *missing;
};

static bool may_be_whole(const struct sf_entry *entry, const struct stat *st)
{
        bool root = geteuid() == 0;

        /* The mode comes before the bytes: what is in it, only the digest says. A second name would be an installed
         * release's. */
        return S_ISREG(st->st_mode) && st->st_nlink == 1 && (st->st_mode & 07777) == entry->mode &&
               (!root || (st->st_uid == 0 && st->st_gid == 0));
}

/* True where the path lies in the last directory that is to go. */
static bool is_below_last(const struct inventory *in, const char *path)
{
        const char *last = sf_buffer_text(&in->unwanted) + in->last;
        size_t len = strlen(last);

        return len && strncmp(path, last, len) == 0 && path[len] == '/';
}

static int visit(void *ctx, int dirfd, const char *name, const char *path, const struct stat *st, struct sf_error *err)
{
        struct inventory *in = ctx;
        const struct sf_entry *entry = sf_filelist_find(in->tree->list, path);

        (void)dirfd;
        (void)name;
        if (is_below_last(in, path) || (entry && entry->type == SF_ENTRY_DIRECTORY && S_ISDIR(st->st_mode)))
                return 0;
        if (entry && entry->type == SF_ENTRY_FILE && may_be_whole(entry, st)) {
                in->found[entry - in->tree->list->entries] = 1;
                return 0;
        }
        in->last = in->unwanted.len;
        return sf_buffer_append(&in->unwanted, path, strlen(path) + 1, err);
}

static int check_one(void *ctx, size_t i, struct sf_error *err)
{
        struct inventory *in = ctx;
        const struct sf_entry *entry = &in->tree->list->entries[i];

        if (!in->found[i])
                return 0;
        if (sf_tree_check(in->tree, entry, NULL) == 0) {
                in->missing[i] = 0;
                return 0;
        }
        in->found[i] = 0;
        return sf_fs_remove_tree_at(in->tree->dirfd, entry->path, err);
}

static int remove_unwanted(const struct inventory *in, struct sf_error *err)
{
        const char *text = sf_buffer_text(&in->unwanted);

        for (size_t at = 0; at < in->unwanted.len; at += strlen(text + at) + 1) {
                int r = sf_fs_remove_tree_at(in->tree->dirfd, text + at, err);
                if (r < 0)
                        return r;
        }
        return 0;
}

int sf_resume_tree(const struct sf_tree *tree, uint8_t *missing, size_t *ret_kept, struct sf_error *err)
{
        size_t count = tree->list->entry_count, kept = 0;
        _cleanup_free_ uint8_t *found = calloc(count + 1, 1);
        struct inventory in = { .tree = tree, .found = found, .missing = missing };

        if (!found)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory to look through %zu entries", count);
        int r = sf_fs_walk_at(tree->dirfd, visit, &in, err);
        if (r == 0)
                r = remove_unwanted(&in, err);
        if (r == 0)
                r = sf_parallel_each(count, 0, check_one, &in, err);
        sf_buffer_free(&in.unwanted);
        if (r < 0)
                return sf_error_prefix(err, "what an interrupted run left");
        for (size_t i = 0; i < count; i++)
                kept += found[i];
        *ret_kept = kept;
        return 0;
}
