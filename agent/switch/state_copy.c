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
        const char *source;
        int copy;           /* the directory that is written */
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

/* Where an entry of the copy is made. SlurmUser may write into the directories of a restore: none of them is reached
 * by a link. */
struct place {
        int parent;
        const char *name, *path;
};

static int open_place(int copy, const char *path, struct place *ret, struct sf_error *err)
{
        const char *slash = strrchr(path, '/');
        _cleanup_free_ char *parent = slash ? strndup(path, (size_t)(slash - path)) : strdup(".");
        int fd = parent ? sf_fs_open_beneath(copy, parent, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, err)
                        : sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");

        *ret = (struct place){ fd, slash ? slash + 1 : path, path };
        return fd < 0 ? fd : 0;
}

static int copy_file(int dirfd, const char *name, const struct place *to, const struct stat *st, struct sf_error *err)
{
        _cleanup_free_ char *fresh = sf_format("%s" NEW_SUFFIX, to->name);
        _cleanup_close_ int from = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
        _cleanup_close_ int fd = -1;
        int r;

        if (!fresh)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        if (from < 0)
                return sf_error_errno(err, "%s", name);
        /* An interrupted run's; or SlurmUser's, whose directory it may be: a link to a file that is not his. */
        unlinkat(to->parent, fresh, 0);
        fd = openat(to->parent, fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
                return sf_error_errno(err, "%s", to->path);
        r = move_bytes(from, fd, to->path, err);
        if (r == 0)
                r = set_marks(fd, to->path, st, err);
        if (r == 0 && fsync(fd) < 0)
                r = sf_error_errno(err, "%s", to->path);
        if (r == 0 && renameat(to->parent, fresh, to->parent, to->name) < 0)
                r = sf_error_errno(err, "%s", to->path);
        if (r < 0)
                unlinkat(to->parent, fresh, 0);
        return r;
}

static int copy_link(int dirfd, const char *name, const struct place *to, struct sf_error *err)
{
        char text[4096];
        ssize_t len = readlinkat(dirfd, name, text, sizeof text - 1);

        if (len < 0)
                return sf_error_errno(err, "%s", name);
        text[len] = '\0';
        if (unlinkat(to->parent, to->name, 0) < 0 && errno != ENOENT)
                return sf_error_errno(err, "%s", to->path);
        return symlinkat(text, to->parent, to->name) < 0 ? sf_error_errno(err, "%s", to->path) : 0;
}

static int mark_directory(int fd, const char *path, const struct stat *st, struct sf_error *err)
{
        return fchown(fd, st->st_uid, st->st_gid) < 0 || fchmod(fd, st->st_mode & 07777) < 0
                       ? sf_error_errno(err, "%s", path)
                       : 0;
}

static int copy_directory(const struct place *to, const struct stat *st, struct sf_error *err)
{
        struct stat there;

        if (fstatat(to->parent, to->name, &there, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(there.st_mode) &&
            unlinkat(to->parent, to->name, 0) < 0)
                return sf_error_errno(err, "%s", to->path);
        if (mkdirat(to->parent, to->name, 0700) < 0 && errno != EEXIST)
                return sf_error_errno(err, "%s", to->path);
        _cleanup_close_ int fd = openat(to->parent, to->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        return fd < 0 ? sf_error_errno(err, "%s", to->path) : mark_directory(fd, to->path, st, err);
}

static bool is_there_already(const struct pass *p, const struct stat *there, const char *path, const struct stat *st)
{
        return has_prefix(p, path) && S_ISREG(there->st_mode) && there->st_size == st->st_size &&
               there->st_mtim.tv_sec == st->st_mtim.tv_sec && there->st_mtim.tv_nsec == st->st_mtim.tv_nsec &&
               there->st_uid == st->st_uid && there->st_gid == st->st_gid && there->st_mode == st->st_mode;
}

static int copy_to(const struct pass *p, int dirfd, const char *name, const struct place *to, const struct stat *st,
                   struct sf_error *err)
{
        struct stat there;
        int r = 0;

        if (S_ISDIR(st->st_mode))
                return copy_directory(to, st, err);
        bool exists = fstatat(to->parent, to->name, &there, AT_SYMLINK_NOFOLLOW) == 0;
        /* A file where a directory was before. */
        if (exists && S_ISDIR(there.st_mode))
                r = sf_fs_remove_tree_at(to->parent, to->name, err);
        if (r == 0 && S_ISLNK(st->st_mode))
                return copy_link(dirfd, name, to, err);
        if (r == 0 && !(exists && is_there_already(p, &there, to->path, st)))
                r = copy_file(dirfd, name, to, st, err);
        return r;
}

static int copy_entry(void *ctx, int dirfd, const char *name, const char *path, const struct stat *st,
                      struct sf_error *err)
{
        const struct pass *p = ctx;
        struct place to;

        if ((p->first && !has_prefix(p, path)) ||
            (!S_ISDIR(st->st_mode) && !S_ISREG(st->st_mode) && !S_ISLNK(st->st_mode)))
                return 0;
        int r = open_place(p->copy, path, &to, err);
        if (r == 0) {
                r = copy_to(p, dirfd, name, &to, st, err);
                close(to.parent);
        }
        if (r == SF_ERR_NOT_FOUND && p->first && !S_ISDIR(st->st_mode)) {
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

static int remove_extras(const char *source, int copy, struct sf_error *err)
{
        struct extras e = { .source = source };
        int r = sf_fs_walk_at(copy, find_extra, &e, err);

        for (size_t at = 0; r == 0 && at < e.paths.len; at += strlen((char *)e.paths.data + at) + 1) {
                struct place place;
                r = open_place(copy, (char *)e.paths.data + at, &place, err);
                /* It went with the directory above it. */
                if (r == SF_ERR_NOT_FOUND) {
                        r = 0;
                } else if (r == 0) {
                        r = sf_fs_remove_tree_at(place.parent, place.name, err);
                        close(place.parent);
                }
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

static int open_copy(const char *copy, struct sf_error *err)
{
        int r = sf_fs_mkdirs(copy, 0700, err);
        int fd = r == 0 ? open(copy, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : r;

        return r == 0 && fd < 0 ? sf_error_errno(err, "%s", copy) : fd;
}

int sf_state_copy_begin(const char *source, const char *copy, const char *prefix, struct sf_error *err)
{
        _cleanup_close_ int fd = open_copy(copy, err);
        struct pass pass = { .source = source, .copy = fd, .prefix = prefix, .first = true };
        int r = fd < 0 ? fd : sf_fs_walk(source, copy_entry, &pass, err);

        if (r != SF_ERR_NOT_FOUND || !sf_fs_exists(source))
                return r;
        /* A job's directory vanished under the walk: the second pass sees to the rest. */
        if (err)
                sf_error_clear(err);
        return 0;
}

int sf_state_copy_finish(const char *source, const char *copy, const char *prefix, struct sf_error *err)
{
        _cleanup_close_ int fd = open_copy(copy, err);
        struct pass pass = { .source = source, .copy = fd, .prefix = prefix };
        struct stat st;
        int r = fd < 0 ? fd : 0;

        if (r == 0 && stat(source, &st) < 0)
                r = sf_error_errno(err, "%s", source);
        if (r == 0)
                r = sf_fs_walk(source, copy_entry, &pass, err);
        if (r == 0)
                r = remove_extras(source, fd, err);
        if (r == 0)
                r = mark_directory(fd, copy, &st, err);
        if (r == 0)
                r = sf_fs_walk_at(fd, sync_directory, NULL, err);
        return r == 0 && fsync(fd) < 0 ? sf_error_errno(err, "%s", copy) : r;
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
