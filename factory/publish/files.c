/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/files.c - see files.h. */
#include "factory/publish/files.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/stop.h"

static int no_memory(struct sf_error *err)
{
        return sf_error_set(err, SF_ERR_NOMEM, "out of memory");
}

struct visit {
        const char *under;
        sf_files_visit_fn *visit;
        void *ctx;
};

static int visit_entry(void *ctx, int dirfd, const char *name, const char *path, const struct stat *st,
                       struct sf_error *err)
{
        const struct visit *v = ctx;
        _cleanup_free_ char *full = sf_fs_join(v->under, path);

        (void)dirfd, (void)name;
        if (!full)
                return no_memory(err);
        return S_ISREG(st->st_mode) ? v->visit(v->ctx, full, (uint64_t)st->st_size, (int64_t)st->st_mtime, err) : 0;
}

static int walk(void *place, const char *under, sf_files_visit_fn *visit, void *ctx, struct sf_error *err)
{
        struct visit v = { under, visit, ctx };
        _cleanup_free_ char *root = sf_fs_join(place, under);

        if (!root)
                return no_memory(err);
        return sf_fs_exists(root) ? sf_fs_walk(root, visit_entry, &v, err) : 0;
}

static int read_file(void *place, const char *path, size_t max, struct sf_buffer *ret, struct sf_error *err)
{
        _cleanup_free_ char *full = sf_fs_join(place, path);

        return full ? sf_fs_read(full, max, ret, err) : no_memory(err);
}

static int remove_files(void *place, const char *const *paths, size_t count, struct sf_error *err)
{
        for (size_t i = 0; i < count; i++) {
                _cleanup_free_ char *full = sf_fs_join(place, paths[i]);
                if (!full)
                        return no_memory(err);
                if (sf_stop_requested)
                        return sf_error_set(err, SF_ERR_INTERRUPTED, "interrupted");
                if (unlink(full) < 0)
                        return sf_error_errno(err, "cannot delete %s", full);
        }
        return 0;
}

void sf_files_of_directory(const char *repository, struct sf_files *ret)
{
        *ret = (struct sf_files){ walk, read_file, remove_files, (void *)(uintptr_t)repository };
}
