/* SPDX-License-Identifier: Apache-2.0 */
/* factory/build/prefix.c - see prefix.h. */
#include "factory/build/prefix.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/proc.h"

/* --- adding ---------------------------------------------------------------------------------------------------- */

static int copy_content(int dirfd, const char *name, const char *to, const struct stat *st, struct sf_error *err)
{
        const struct timespec times[2] = { st->st_atim, st->st_mtim };
        _cleanup_close_ int in = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        _cleanup_close_ int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        char chunk[65536];
        ssize_t n;

        if (out < 0 && errno == EEXIST)
                return sf_error_set(err, SF_ERR_EXISTS, "%s is installed by two packages", to);
        if (in < 0 || out < 0)
                return sf_error_errno(err, "cannot copy to %s", to);
        while ((n = read(in, chunk, sizeof chunk)) > 0) {
                int r = sf_fs_write_all(out, chunk, (size_t)n, to, err);
                if (r < 0)
                        return r;
        }
        if (n < 0 || fchmod(out, st->st_mode & 07777) < 0 || futimens(out, times) < 0)
                return sf_error_errno(err, "cannot copy to %s", to);
        return 0;
}

static int copy_link(int dirfd, const char *name, const char *to, struct sf_error *err)
{
        char target[PATH_MAX];
        ssize_t n = readlinkat(dirfd, name, target, sizeof target - 1);

        if (n < 0)
                return sf_error_errno(err, "cannot read link %s", name);
        target[n] = '\0';
        if (symlink(target, to) < 0)
                return errno == EEXIST ? sf_error_set(err, SF_ERR_EXISTS, "%s is installed by two packages", to)
                                       : sf_error_errno(err, "cannot make link %s", to);
        return 0;
}

static int add_entry(void *ctx, int dirfd, const char *name, const char *path, const struct stat *st,
                     struct sf_error *err)
{
        _cleanup_free_ char *to = sf_fs_join(ctx, path);

        if (!to)
                return sf_error_set(err, SF_ERR_NOMEM, "layer");
        if (S_ISDIR(st->st_mode))
                return sf_fs_mkdirs(to, 0755, err);
        if (S_ISREG(st->st_mode))
                return copy_content(dirfd, name, to, st, err);
        if (S_ISLNK(st->st_mode))
                return copy_link(dirfd, name, to, err);
        return sf_error_set(err, SF_ERR_UNSUPPORTED, "%s is neither file, directory nor link", path);
}

int sf_prefix_add(const char *from, const char *to, struct sf_error *err)
{
        return sf_fs_walk(from, add_entry, (void *)(uintptr_t)to, err);
}

/* --- taking out ------------------------------------------------------------------------------------------------ */

static bool same_link(const char *a, const char *b)
{
        _cleanup_free_ char *target_a = NULL, *target_b = NULL;

        return sf_fs_readlink(a, &target_a, NULL) == 0 && sf_fs_readlink(b, &target_b, NULL) == 0 &&
               strcmp(target_a, target_b) == 0;
}

static int subtract_entry(void *ctx, int dirfd, const char *name, const char *path, const struct stat *st,
                          struct sf_error *err)
{
        _cleanup_free_ char *ours = sf_fs_join(ctx, path);
        struct stat is;
        bool same;

        if (!ours)
                return sf_error_set(err, SF_ERR_NOMEM, "layer");
        if (S_ISDIR(st->st_mode))
                return 0;
        if (lstat(ours, &is) < 0)
                return errno == ENOENT ? sf_error_set(err, SF_ERR_CORRUPT, "%s of a dependency was deleted", path)
                                       : sf_error_errno(err, "%s", ours);
        if (S_ISLNK(st->st_mode)) {
                _cleanup_free_ char *theirs = sf_format("/proc/self/fd/%d/%s", dirfd, name);
                same = theirs && S_ISLNK(is.st_mode) && same_link(theirs, ours);
        } else {
                same = S_ISREG(is.st_mode) && is.st_size == st->st_size && is.st_mtim.tv_sec == st->st_mtim.tv_sec &&
                       is.st_mtim.tv_nsec == st->st_mtim.tv_nsec;
        }
        if (!same)
                return sf_error_set(err, SF_ERR_CORRUPT, "%s of a dependency was changed", path);
        if (unlink(ours) < 0)
                return sf_error_errno(err, "cannot remove %s", ours);
        return 0;
}

/* Paths of directories, parents first. */
static int note_directory(void *ctx, int dirfd, const char *name, const char *path, const struct stat *st,
                          struct sf_error *err)
{
        (void)dirfd, (void)name;
        return S_ISDIR(st->st_mode) ? sf_words_append(ctx, path, err) : 0;
}

int sf_prefix_subtract(const char *tree, const char *base, struct sf_error *err)
{
        _cleanup_(sf_words_free) struct sf_words directories = SF_WORDS_INIT;
        int r;

        if ((r = sf_fs_walk(base, subtract_entry, (void *)(uintptr_t)tree, err)) < 0 ||
            (r = sf_fs_walk(base, note_directory, &directories, err)) < 0)
                return r;
        for (size_t i = directories.count; i-- > 0;) {
                _cleanup_free_ char *directory = sf_fs_join(tree, directories.items[i]);

                if (!directory)
                        return sf_error_set(err, SF_ERR_NOMEM, "layer");
                if (rmdir(directory) < 0 && errno != ENOTEMPTY && errno != ENOENT)
                        return sf_error_errno(err, "cannot remove %s", directory);
        }
        return 0;
}

/* --- finishing ------------------------------------------------------------------------------------------------- */

static int remove_entry(void *ctx, int dirfd, const char *name, const char *path, const struct stat *st,
                        struct sf_error *err)
{
        const struct sf_words *patterns = ctx;

        for (size_t i = 0; i < patterns->count && !S_ISDIR(st->st_mode); i++)
                if (fnmatch(patterns->items[i], path, 0) == 0)
                        return unlinkat(dirfd, name, 0) < 0 ? sf_error_errno(err, "cannot remove %s", path) : 0;
        return 0;
}

int sf_prefix_remove(const char *tree, const struct sf_words *patterns, struct sf_error *err)
{
        return sf_fs_walk(tree, remove_entry, (void *)(uintptr_t)patterns, err);
}

static int note_elf(void *ctx, int dirfd, const char *name, const char *path, const struct stat *st,
                    struct sf_error *err)
{
        struct sf_words *argv = ctx;
        char magic[SELFMAG];

        if (!S_ISREG(st->st_mode))
                return 0;
        _cleanup_close_ int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return sf_error_errno(err, "cannot open %s", path);
        if (pread(fd, magic, sizeof magic, 0) != sizeof magic || memcmp(magic, ELFMAG, SELFMAG) != 0)
                return 0;
        return sf_words_append(argv, path, err);
}

int sf_prefix_strip(const char *tree, const char *root, const char *at, struct sf_error *err)
{
        _cleanup_(sf_words_free) struct sf_words argv = SF_WORDS_INIT;
        int r;

        if ((r = sf_words_split(&argv, "strip --strip-unneeded --", err)) < 0)
                return r;
        size_t words = argv.count;
        if ((r = sf_fs_walk(tree, note_elf, &argv, err)) < 0 || argv.count == words)
                return r;
        const struct sf_proc proc = { .argv = sf_words_argv(&argv), .root = root, .directory = at };
        return sf_proc_check(&proc, err);
}
