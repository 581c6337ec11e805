/* SPDX-License-Identifier: Apache-2.0 */
/* base/fs-walk.c - reading directories, in an order that does not depend on the file system. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"

static int by_name(const struct dirent **a, const struct dirent **b)
{
        return strcmp((*a)->d_name, (*b)->d_name);
}

static int not_dots(const struct dirent *entry)
{
        return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

static int walk_below(int dirfd, const char *path, sf_fs_visit_fn *visit, void *ctx, struct sf_error *err);

static int visit_one(int dirfd, const char *parent, const char *name, sf_fs_visit_fn *visit, void *ctx,
                     struct sf_error *err)
{
        _cleanup_free_ char *path = sf_fs_join(parent, name);
        struct stat st;

        if (!path)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return sf_error_errno(err, "cannot stat %s", path);
        int r = visit(ctx, dirfd, name, path, &st, err);
        if (r != 0 || !S_ISDIR(st.st_mode))
                return r;
        _cleanup_close_ int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
                return sf_error_errno(err, "cannot open directory %s", path);
        return walk_below(fd, path, visit, ctx, err);
}

static void free_names(struct dirent **names, size_t count)
{
        for (size_t i = 0; i < count; i++)
                free(names[i]);
        free(names);
}

/* qsort's comparison takes what lies in the array: pointers to entries, as scandir(3)'s does. */
static int read_names(DIR *directory, struct dirent ***ret, size_t *ret_count, int (*wanted)(const struct dirent *))
{
        struct dirent *entry;
        size_t room = 0;

        while ((errno = 0, entry = readdir(directory))) {
                if (wanted && !wanted(entry))
                        continue;
                if (*ret_count == room) {
                        struct dirent **more = reallocarray(*ret, room ? room * 2 : 16, sizeof **ret);
                        if (!more)
                                return -1;
                        *ret = more;
                        room = room ? room * 2 : 16;
                }
                struct dirent *copy = malloc(entry->d_reclen);
                if (!copy)
                        return -1;
                (*ret)[(*ret_count)++] = memcpy(copy, entry, entry->d_reclen);
        }
        return errno ? -1 : 0;
}

int sf_fs_scan(int dirfd, struct dirent ***ret, int (*wanted)(const struct dirent *),
               int (*compare)(const struct dirent **, const struct dirent **))
{
        int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *directory = fd >= 0 ? fdopendir(fd) : NULL;
        size_t count = 0;

        *ret = NULL;
        if (!directory) {
                if (fd >= 0)
                        close(fd);
                return -1;
        }
        int r = read_names(directory, ret, &count, wanted), saved = errno;
        closedir(directory);
        if (r < 0) {
                free_names(*ret, count);
                errno = saved;
                return -1;
        }
        if (count)
                qsort(*ret, count, sizeof **ret, (int (*)(const void *, const void *))(uintptr_t)compare);
        return (int)count;
}

static int walk_below(int dirfd, const char *path, sf_fs_visit_fn *visit, void *ctx, struct sf_error *err)
{
        struct dirent **names;
        int count = sf_fs_scan(dirfd, &names, not_dots, by_name);
        int r = 0;

        if (count < 0)
                return sf_error_errno(err, "cannot read directory %s", path);
        for (int i = 0; i < count; i++) {
                if (r == 0)
                        r = visit_one(dirfd, path, names[i]->d_name, visit, ctx, err);
                free(names[i]);
        }
        free(names);
        return r;
}

int sf_fs_walk(const char *root, sf_fs_visit_fn *visit, void *ctx, struct sf_error *err)
{
        _cleanup_close_ int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (fd < 0)
                return sf_error_errno(err, "cannot open directory %s", root);
        return walk_below(fd, "", visit, ctx, err);
}

int sf_fs_walk_at(int dirfd, sf_fs_visit_fn *visit, void *ctx, struct sf_error *err)
{
        return walk_below(dirfd, "", visit, ctx, err);
}
