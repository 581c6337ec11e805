/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/state_copy.c - see state_copy.h. Putting a copy back is the same work with the sides exchanged. */
#include "agent/switch/state_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fs.h"

#define NEW_SUFFIX ".sf-new"
#define SPARE      (64u << 20) /* bytes that are left free beside a copy */
#define FILE_MAX   (1u << 30)  /* of files that are compared */

struct sum {
        uint64_t bytes, entries;
};

static int add(void *ctx, int dirfd, const char *name, const char *path, const struct stat *st, struct sf_error *err)
{
        struct sum *sum = ctx;

        (void)dirfd, (void)name, (void)path, (void)err;
        sum->bytes += (uint64_t)st->st_blocks * 512;
        sum->entries++;
        return 0;
}

int sf_state_copy_measure(const char *source, uint64_t *ret_bytes, uint64_t *ret_entries, struct sf_error *err)
{
        int r = SF_ERR_NOT_FOUND;
        struct sum sum;

        /* A walk ends where a directory vanishes under it: a job's, whose controller removes it. */
        for (int tries = 0; r == SF_ERR_NOT_FOUND && tries < 5; tries++) {
                sum = (struct sum){ 0 };
                r = sf_fs_walk(source, add, &sum, err);
        }
        if (r < 0)
                return r;
        if (err)
                sf_error_clear(err);
        *ret_bytes = sum.bytes;
        *ret_entries = sum.entries;
        return 0;
}

int sf_state_copy_check_space(const char *source, const char *copy, struct sf_error *err)
{
        _cleanup_free_ char *place = strdup(copy);
        uint64_t need, entries, bytes, inodes;
        int r = place ? sf_state_copy_measure(source, &need, &entries, err)
                      : sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");

        while (r == 0 && *place && !sf_fs_exists(place))
                *strrchr(place, '/') = '\0';
        if (r == 0)
                r = sf_fs_free_space(*place ? place : "/", &bytes, &inodes, err);
        if (r < 0)
                return r;
        if (bytes < need + SPARE || inodes < entries)
                return sf_error_set(err, SF_ERR_NO_SPACE,
                                    "a copy of %s needs %llu bytes and %llu inodes in %s, which has %llu and %llu",
                                    source, (unsigned long long)need + SPARE, (unsigned long long)entries, copy,
                                    (unsigned long long)bytes, (unsigned long long)inodes);
        return 0;
}

/* One pass over the source. */
struct pass {
        const char *source, *copy;
        const char *prefix; /* of names at the top that are worth keeping; NULL = none are */
        bool first;         /* only those, and what vanishes meanwhile is no failure */
};

static bool has_prefix(const struct pass *p, const char *path)
{
        return p->prefix && strncmp(path, p->prefix, strlen(p->prefix)) == 0;
}

static int move_bytes(int from, int to, const char *path, struct sf_error *err)
{
        static _Thread_local char block[1 << 18];
        ssize_t n;

        if (ioctl(to, FICLONE, from) == 0)
                return 0;
        while ((n = read(from, block, sizeof block)) > 0) {
                int r = sf_fs_write_all(to, block, (size_t)n, path, err);
                if (r < 0)
                        return r;
        }
        return n < 0 ? sf_error_errno(err, "reading %s", path) : 0;
}

static int set_marks(int fd, const char *path, const struct stat *st, struct sf_error *err)
{
        const struct timespec times[2] = { st->st_atim, st->st_mtim };

        if (fchown(fd, st->st_uid, st->st_gid) < 0 || fchmod(fd, st->st_mode & 07777) < 0 || futimens(fd, times) < 0)
                return sf_error_errno(err, "%s", path);
        return 0;
}

static int copy_file(int dirfd, const char *name, const char *target, const struct stat *st, struct sf_error *err)
{
        _cleanup_free_ char *fresh = sf_format("%s" NEW_SUFFIX, target);
        _cleanup_close_ int from = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        _cleanup_close_ int to = -1;
        int r;

        if (!fresh)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        if (from < 0)
                return sf_error_errno(err, "%s", name);
        /* An interrupted run's; or SlurmUser's, whose directory it may be: a link to a file that is not his. */
        unlink(fresh);
        to = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (to < 0)
                return sf_error_errno(err, "%s", fresh);
        r = move_bytes(from, to, fresh, err);
        if (r == 0)
                r = set_marks(to, fresh, st, err);
        if (r == 0 && fsync(to) < 0)
                r = sf_error_errno(err, "%s", fresh);
        if (r == 0 && rename(fresh, target) < 0)
                r = sf_error_errno(err, "%s", target);
        if (r < 0)
                unlink(fresh);
        return r;
}

static int copy_link(int dirfd, const char *name, const char *target, struct sf_error *err)
{
        char text[4096];
        ssize_t len = readlinkat(dirfd, name, text, sizeof text - 1);

        if (len < 0)
                return sf_error_errno(err, "%s", name);
        text[len] = '\0';
        if (unlink(target) < 0 && errno != ENOENT)
                return sf_error_errno(err, "%s", target);
        return symlink(text, target) < 0 ? sf_error_errno(err, "%s", target) : 0;
}

static int copy_directory(const char *target, const struct stat *st, struct sf_error *err)
{
        struct stat there;

        if (lstat(target, &there) == 0 && !S_ISDIR(there.st_mode) && unlink(target) < 0)
                return sf_error_errno(err, "%s", target);
        if (mkdir(target, 0700) < 0 && errno != EEXIST)
                return sf_error_errno(err, "%s", target);
        _cleanup_close_ int fd = open(target, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0 || fchown(fd, st->st_uid, st->st_gid) < 0 || fchmod(fd, st->st_mode & 07777) < 0)
                return sf_error_errno(err, "%s", target);
        return 0;
}

static bool is_there_already(const struct pass *p, const char *path, const char *target, const struct stat *st)
{
        struct stat there;

        return has_prefix(p, path) && lstat(target, &there) == 0 && S_ISREG(there.st_mode) &&
               there.st_size == st->st_size && there.st_mtim.tv_sec == st->st_mtim.tv_sec &&
               there.st_mtim.tv_nsec == st->st_mtim.tv_nsec && there.st_uid == st->st_uid &&
               there.st_gid == st->st_gid && there.st_mode == st->st_mode;
}

static int copy_entry(void *ctx, int dirfd, const char *name, const char *path, const struct stat *st,
                      struct sf_error *err)
{
        const struct pass *p = ctx;
        _cleanup_free_ char *target = sf_fs_join(p->copy, path);
        struct stat there;
        int r = 0;

        if (!target)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        if (p->first && !has_prefix(p, path))
                return 0;
        if (S_ISDIR(st->st_mode))
                return copy_directory(target, st, err);
        if (!S_ISREG(st->st_mode) && !S_ISLNK(st->st_mode))
                return 0;
        /* A file where a directory was before. */
        if (lstat(target, &there) == 0 && S_ISDIR(there.st_mode))
                r = sf_fs_remove_tree(target, err);
        if (r == 0 && S_ISLNK(st->st_mode))
                r = copy_link(dirfd, name, target, err);
        else if (r == 0 && !is_there_already(p, path, target, st))
                r = copy_file(dirfd, name, target, st, err);
        if (r == SF_ERR_NOT_FOUND && p->first) {
                if (err)
                        sf_error_clear(err);
                return 0;
        }
        return r < 0 ? sf_error_prefix(err, "copying %s/%s", p->source, path) : 0;
}

/* What the source no longer has, as one text of NUL-terminated paths: removed after the walk, not under it. */
struct extras {
        const char *source;
        struct sf_buffer paths;
};

static int find_extra(void *ctx, int dirfd, const char *name, const char *path, const struct stat *st,
                      struct sf_error *err)
{
        struct extras *e = ctx;
        _cleanup_free_ char *origin = sf_fs_join(e->source, path);

        (void)dirfd, (void)name, (void)st;
        if (!origin)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        return sf_fs_exists(origin) ? 0 : sf_buffer_append(&e->paths, path, strlen(path) + 1, err);
}

static int remove_extras(const char *source, const char *copy, struct sf_error *err)
{
        struct extras e = { .source = source };
        int r = sf_fs_walk(copy, find_extra, &e, err);

        for (size_t at = 0; r == 0 && at < e.paths.len; at += strlen((char *)e.paths.data + at) + 1) {
                _cleanup_free_ char *path = sf_fs_join(copy, (char *)e.paths.data + at);
                r = path ? sf_fs_remove_tree(path, err) : sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        }
        sf_buffer_free(&e.paths);
        return r;
}

static int sync_directory(void *ctx, int dirfd, const char *name, const char *path, const struct stat *st,
                          struct sf_error *err)
{
        (void)ctx;
        if (!S_ISDIR(st->st_mode))
                return 0;
        _cleanup_close_ int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        return fd < 0 || fsync(fd) < 0 ? sf_error_errno(err, "%s", path) : 0;
}

int sf_state_copy_begin(const char *source, const char *copy, const char *prefix, struct sf_error *err)
{
        struct pass pass = { .source = source, .copy = copy, .prefix = prefix, .first = true };
        int r = sf_fs_mkdirs(copy, 0700, err);

        if (r == 0)
                r = sf_fs_walk(source, copy_entry, &pass, err);
        if (r != SF_ERR_NOT_FOUND || !sf_fs_exists(source))
                return r;
        /* A job's directory vanished under the walk: the second pass sees to the rest. */
        if (err)
                sf_error_clear(err);
        return 0;
}

int sf_state_copy_finish(const char *source, const char *copy, const char *prefix, struct sf_error *err)
{
        struct pass pass = { .source = source, .copy = copy, .prefix = prefix };
        struct stat st;
        int r = sf_fs_mkdirs(copy, 0700, err);

        if (r == 0 && stat(source, &st) < 0)
                r = sf_error_errno(err, "%s", source);
        if (r == 0)
                r = sf_fs_walk(source, copy_entry, &pass, err);
        if (r == 0)
                r = remove_extras(source, copy, err);
        if (r == 0)
                r = copy_directory(copy, &st, err);
        if (r == 0)
                r = sf_fs_walk(copy, sync_directory, NULL, err);
        return r < 0 ? r : sf_fs_sync_dir(copy, err);
}

int sf_state_copy_same(const char *a, const char *b, int *ret, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer left = SF_BUFFER_INIT, right = SF_BUFFER_INIT;

        if (!sf_fs_exists(a) || !sf_fs_exists(b)) {
                *ret = sf_fs_exists(a) == sf_fs_exists(b);
                return 0;
        }
        int r = sf_fs_read(a, FILE_MAX, &left, err);
        if (r == 0)
                r = sf_fs_read(b, FILE_MAX, &right, err);
        if (r == 0)
                *ret = left.len == right.len && (left.len == 0 || memcmp(left.data, right.data, left.len) == 0);
        return r;
}
