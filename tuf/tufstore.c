/* SPDX-License-Identifier: Apache-2.0 */
/* tuf/tufstore.c - trusted metadata on disk, and how the first root gets there. */
#include "tuf/tufstore.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "tuf/tuf.h"
#include "tuf/tuftext.h"

#define PINNED_NAME "pinned-root"

char *sf_tufstore_path(const char *directory, const char *role)
{
        _cleanup_free_ char *encoded = sf_tuftext_encode(role);

        return encoded ? sf_format("%s/%s.json", directory, encoded) : NULL;
}

int sf_tufstore_read(const char *directory, const struct sf_tuf_role *role, struct sf_buffer *ret_bytes,
                     struct sf_tufmeta *ret, struct sf_error *err)
{
        _cleanup_free_ char *path = sf_tufstore_path(directory, role->name);
        _cleanup_tufmeta_ struct sf_tufmeta meta = SF_TUFMETA_INIT;
        struct sf_error problem = SF_ERROR_INIT;
        int r = path ? sf_fs_read(path, role->max, ret_bytes, &problem)
                     : sf_error_set(&problem, SF_ERR_NOMEM, "no memory");

        if (r < 0 && r != SF_ERR_NOT_FOUND && r != SF_ERR_LIMIT)
                return sf_error_set(err, r, "%s", problem.text);
        if (r == 0)
                r = sf_tufmeta_parse(role->name, role->type, ret_bytes->data, ret_bytes->len, &meta, NULL);
        if (r == 0)
                r = sf_tufmeta_verify(&meta, role->name, role->keys, role->spec, NULL);
        if (r < 0)
                return 0;
        *ret = meta;
        meta = (struct sf_tufmeta)SF_TUFMETA_INIT;
        return 1;
}

int sf_tufstore_write(const char *directory, const char *role, const struct sf_buffer *bytes, struct sf_error *err)
{
        _cleanup_free_ char *path = sf_tufstore_path(directory, role);

        if (!path)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for %s", role);
        return sf_fs_write(path, bytes->data, bytes->len, 0644, err);
}

int sf_tufstore_remove(const char *directory, const char *role, struct sf_error *err)
{
        _cleanup_free_ char *path = sf_tufstore_path(directory, role);

        if (!path)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for %s", role);
        if (unlink(path) < 0 && errno != ENOENT)
                return sf_error_errno(err, "cannot remove %s", path);
        return 0;
}

/* --- pinning --------------------------------------------------------------------------------------------------- */

static bool holds(const char *path, const void *bytes, size_t len)
{
        _cleanup_(sf_buffer_free) struct sf_buffer there = SF_BUFFER_INIT;

        return sf_fs_read(path, SF_TUF_ROOT_MAX, &there, NULL) == 0 && there.len == len &&
               memcmp(there.data, bytes, len) == 0;
}

/* Everything that was trusted under another root. */
static int drop_metadata(const char *directory, struct sf_error *err)
{
        DIR *dir = opendir(directory);
        const struct dirent *entry;
        int r = 0;

        if (!dir)
                return sf_error_errno(err, "cannot read %s", directory);
        while (r == 0 && (entry = readdir(dir))) {
                const char *dot = strrchr(entry->d_name, '.');
                if (dot && strcmp(dot, ".json") == 0 && unlinkat(dirfd(dir), entry->d_name, 0) < 0)
                        r = sf_error_errno(err, "cannot remove %s/%s", directory, entry->d_name);
        }
        closedir(dir);
        return r;
}

int sf_tuf_pin(const char *directory, const void *root, size_t len, bool force, struct sf_error *err)
{
        _cleanup_free_ char *path = sf_tufstore_path(directory, "root"), *pinned = sf_fs_join(directory, PINNED_NAME);
        _cleanup_tufmeta_ struct sf_tufmeta meta = SF_TUFMETA_INIT;
        int r;

        if (!path || !pinned)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for trusted metadata");
        if (len > SF_TUF_ROOT_MAX)
                return sf_error_set(err, SF_ERR_LIMIT, "root: %zu bytes, at most %u are read", len, SF_TUF_ROOT_MAX);
        if ((r = sf_tufmeta_parse("root", "root", root, len, &meta, err)) < 0 ||
            (r = sf_tufmeta_verify_top(&meta, &meta, "root", err)) < 0)
                return r;
        if (sf_fs_exists(path)) {
                if (holds(pinned, root, len) || holds(path, root, len))
                        return 0;
                if (!force)
                        return sf_error_set(err, SF_ERR_EXISTS, "another root is pinned in %s", directory);
                if ((r = drop_metadata(directory, err)) < 0)
                        return r;
        }
        if ((r = sf_fs_write(pinned, root, len, 0644, err)) < 0)
                return r;
        return sf_fs_write(path, root, len, 0644, err);
}
