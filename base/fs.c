/* SPDX-License-Identifier: Apache-2.0 */
/* base/fs.c - see fs.h. Everything that replaces a file does it durably, in one place. */
#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

const char *sf_fs_kind(mode_t mode)
{
        switch (mode & S_IFMT) {
        case S_IFREG:
                return "a file";
        case S_IFDIR:
                return "a directory";
        case S_IFLNK:
                return "a link";
        case S_IFIFO:
                return "a FIFO";
        case S_IFSOCK:
                return "a socket";
        default:
                return "a device";
        }
}

static int read_fd(int fd, const char *name, size_t max, struct sf_buffer *ret, struct sf_error *err)
{
        size_t start = ret->len;
        struct stat st;

        if (fstat(fd, &st) < 0)
                return sf_error_errno(err, "cannot stat %s", name);
        if (!S_ISREG(st.st_mode))
                return sf_error_set(err, SF_ERR_IO, "%s is not a regular file, but %s", name, sf_fs_kind(st.st_mode));
        if ((uint64_t)st.st_size > max)
                return sf_error_set(err, SF_ERR_LIMIT, "%s is longer than %zu bytes", name, max);
        for (;;) {
                /* One spare byte tells "exactly as large as stat said" from "still growing". */
                size_t left = (size_t)st.st_size > ret->len - start ? (size_t)st.st_size - (ret->len - start) : 0;
                int r = sf_buffer_reserve(ret, left + 1, err);
                if (r < 0)
                        return r;
                ssize_t n = read(fd, ret->data + ret->len, ret->room - 1 - ret->len);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return sf_error_errno(err, "cannot read %s", name);
                ret->len += (size_t)n;
                ret->data[ret->len] = 0;
                if (ret->len - start > max)
                        return sf_error_set(err, SF_ERR_LIMIT, "%s is longer than %zu bytes", name, max);
                if (n == 0)
                        return 0;
        }
}

int sf_fs_read_at(int dirfd, const char *name, size_t max, struct sf_buffer *ret, struct sf_error *err)
{
        _cleanup_close_ int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

        if (fd < 0)
                return sf_error_errno(err, "cannot open %s", name);
        return read_fd(fd, name, max, ret, err);
}

int sf_fs_read(const char *path, size_t max, struct sf_buffer *ret, struct sf_error *err)
{
        return sf_fs_read_at(AT_FDCWD, path, max, ret, err);
}

int sf_fs_write_all(int fd, const void *data, size_t len, const char *name, struct sf_error *err)
{
        const uint8_t *at = data;

        while (len) {
                ssize_t n = write(fd, at, len);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return sf_error_errno(err, "cannot write %s", name);
                at += n;
                len -= (size_t)n;
        }
        return 0;
}

int sf_fs_pwrite_all(int fd, const void *data, size_t len, uint64_t offset, const char *name, struct sf_error *err)
{
        const uint8_t *at = data;

        while (len) {
                ssize_t n = pwrite(fd, at, len, (off_t)offset);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return sf_error_errno(err, "cannot write %s", name);
                at += n;
                offset += (uint64_t)n;
                len -= (size_t)n;
        }
        return 0;
}

/* fsync of the directory that holds `name`, seen from dirfd. */
static int sync_parent(int dirfd, const char *name, struct sf_error *err)
{
        const char *slash = strrchr(name, '/');
        _cleanup_free_ char *parent = slash ? strndup(name, slash == name ? 1 : (size_t)(slash - name)) : strdup(".");

        if (!parent)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        _cleanup_close_ int fd = openat(dirfd, parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return sf_error_errno(err, "cannot open the directory of %s", name);
        if (fsync(fd) < 0 && errno != EINVAL)
                return sf_error_errno(err, "cannot sync the directory of %s", name);
        return 0;
}

static int write_temporary(int dirfd, const char *temporary, const void *data, size_t len, mode_t mode,
                           struct sf_error *err)
{
        _cleanup_close_ int fd = openat(dirfd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                                        mode & 0777);

        if (fd < 0)
                return sf_error_errno(err, "cannot create %s", temporary);
        int r = sf_fs_write_all(fd, data, len, temporary, err);
        if (r == 0 && fchmod(fd, mode) < 0)
                r = sf_error_errno(err, "cannot set the mode of %s", temporary);
        if (r == 0 && fsync(fd) < 0)
                r = sf_error_errno(err, "cannot sync %s", temporary);
        return r;
}

int sf_fs_write_at(int dirfd, const char *name, const void *data, size_t len, mode_t mode, struct sf_error *err)
{
        const char *slash = strrchr(name, '/');
        int head = slash ? (int)(slash - name + 1) : 0;
        _cleanup_free_ char *temporary = sf_format("%.*s.%s.%ld.tmp", head, name, name + head, (long)getpid());

        if (!temporary)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        /* A process of the same number may have been killed here before. */
        unlinkat(dirfd, temporary, 0);
        int r = write_temporary(dirfd, temporary, data, len, mode, err);
        if (r == 0 && renameat(dirfd, temporary, dirfd, name) < 0)
                r = sf_error_errno(err, "cannot replace %s", name);
        if (r < 0) {
                unlinkat(dirfd, temporary, 0);
                return r;
        }
        return sync_parent(dirfd, name, err);
}

int sf_fs_write(const char *path, const void *data, size_t len, mode_t mode, struct sf_error *err)
{
        return sf_fs_write_at(AT_FDCWD, path, data, len, mode, err);
}

int sf_fs_mkdirs(const char *path, mode_t mode, struct sf_error *err)
{
        _cleanup_free_ char *copy = strdup(path);

        if (!copy)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        for (char *at = copy + 1;; at++) {
                if (*at != '/' && *at != '\0')
                        continue;
                char kept = *at;
                *at = '\0';
                if (mkdir(copy, mode) < 0 && errno != EEXIST)
                        return sf_error_errno(err, "cannot create directory %s", copy);
                *at = kept;
                if (kept == '\0')
                        break;
        }
        struct stat st;
        if (stat(path, &st) < 0)
                return sf_error_errno(err, "cannot use directory %s", path);
        if (!S_ISDIR(st.st_mode))
                return sf_error_set(err, SF_ERR_IO, "%s is not a directory", path);
        return 0;
}

/* Empties the directory behind fd, which is closed. */
static int empty_directory(int fd, const char *name, struct sf_error *err)
{
        DIR *dir = fdopendir(fd);
        int r = 0;

        if (!dir) {
                r = sf_error_errno(err, "cannot read directory %s", name);
                close(fd);
                return r;
        }
        struct dirent *entry;
        while (r == 0 && (errno = 0, entry = readdir(dir))) {
                if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
                        continue;
                r = sf_fs_remove_tree_at(fd, entry->d_name, err);
        }
        if (r == 0 && errno)
                r = sf_error_errno(err, "cannot read directory %s", name);
        closedir(dir);
        return r;
}

int sf_fs_remove_tree_at(int dirfd, const char *name, struct sf_error *err)
{
        if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
                return 0;
        if (errno != EISDIR && errno != EPERM)
                return sf_error_errno(err, "cannot remove %s", name);
        int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
                return sf_error_errno(err, "cannot open directory %s", name);
        int r = empty_directory(fd, name, err);
        if (r < 0)
                return r;
        if (unlinkat(dirfd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
                return sf_error_errno(err, "cannot remove directory %s", name);
        return 0;
}

int sf_fs_remove_tree(const char *path, struct sf_error *err)
{
        return sf_fs_remove_tree_at(AT_FDCWD, path, err);
}

int sf_fs_sync_dir(const char *path, struct sf_error *err)
{
        _cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (fd < 0)
                return sf_error_errno(err, "cannot open directory %s", path);
        if (fsync(fd) < 0 && errno != EINVAL)
                return sf_error_errno(err, "cannot sync directory %s", path);
        return 0;
}

int sf_fs_sync_parent(const char *path, struct sf_error *err)
{
        return sync_parent(AT_FDCWD, path, err);
}

/* What openat2 does, one component at a time, for kernels before 5.6 and sandboxes that refuse the call. */
static int open_by_component(int dirfd, const char *path, int flags, mode_t mode)
{
        _cleanup_free_ char *copy = strdup(path);
        _cleanup_close_ int at = fcntl(dirfd, F_DUPFD_CLOEXEC, 0);
        char *rest = copy, *component;

        if (!copy || at < 0)
                return -1;
        while ((component = strsep(&rest, "/"))) {
                if (!*component || strcmp(component, ".") == 0 || strcmp(component, "..") == 0) {
                        errno = EXDEV;
                        return -1;
                }
                int how = rest ? O_PATH | O_DIRECTORY : flags;
                int next = openat(at, component, how | O_NOFOLLOW | O_CLOEXEC, rest ? 0 : mode);
                if (next < 0)
                        return -1;
                close(at);
                at = next;
        }
        return sf_steal_fd(&at);
}

int sf_fs_open_beneath(int dirfd, const char *path, int flags, mode_t mode, struct sf_error *err)
{
        struct open_how how = {
                .flags = (unsigned)(flags | O_CLOEXEC),
                .mode = flags & O_CREAT ? mode : 0,
                .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
        };
        int fd = (int)syscall(SYS_openat2, dirfd, path, &how, sizeof how);

        if (fd < 0 && (errno == ENOSYS || errno == EPERM))
                fd = open_by_component(dirfd, path, flags, mode);
        return fd < 0 ? sf_error_errno(err, "cannot open %s", path) : fd;
}

int sf_fs_readlink(const char *path, char **ret, struct sf_error *err)
{
        char target[4096];
        ssize_t n = readlink(path, target, sizeof target - 1);

        if (n < 0)
                return sf_error_errno(err, "cannot read link %s", path);
        target[n] = '\0';
        char *copy = strdup(target);
        if (!copy)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        *ret = copy;
        return 0;
}

#define LINKS_MAX 40 /* as the kernel has it */

/* Puts a link's target in front of what is still to be walked. */
static int follow(char **rest, const char *tail, const char *target, size_t *len, char out[])
{
        char *longer = sf_format("%s/%s", target, tail);

        if (*target == '/')
                *len = 0;
        out[*len] = '\0';
        free(*rest);
        *rest = longer;
        return longer ? 0 : -1;
}

int sf_fs_in_root(const char *root, const char *path, char **ret, struct sf_error *err)
{
        char out[4096] = "", target[4096];
        _cleanup_free_ char *rest = strdup(path);
        size_t len = 0;
        int links = 0;

        for (char *at = rest; at && *(at += strspn(at, "/"));) {
                size_t part = strcspn(at, "/"), before = len;
                const char *tail = at + part + strspn(at + part, "/");
                if (part == 2 && strncmp(at, "..", 2) == 0) {
                        while (len && out[--len] != '/')
                                ;
                } else if (!(part == 1 && *at == '.')) {
                        if (len + part + 2 > sizeof out)
                                return sf_error_set(err, SF_ERR_LIMIT, "%s%s is too long", root, path);
                        out[len++] = '/';
                        memcpy(out + len, at, part);
                        len += part;
                }
                out[len] = '\0';
                _cleanup_free_ char *full = sf_format("%s%s", root, out);
                ssize_t n = full && *tail && len > before ? readlink(full, target, sizeof target - 1) : -1;
                at += part;
                if (n < 0)
                        continue;
                target[n] = '\0';
                if (++links > LINKS_MAX)
                        return sf_error_set(err, SF_ERR_LIMIT, "%s%s: a circle of links", root, path);
                len = before;
                if (follow(&rest, tail, target, &len, out) < 0)
                        break;
                at = rest;
        }
        *ret = rest ? sf_format("%s%s", root, out) : NULL;
        return *ret ? 0 : sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
}

bool sf_fs_exists(const char *path)
{
        struct stat st;

        return lstat(path, &st) == 0;
}

char *sf_fs_join(const char *a, const char *b)
{
        size_t len = strlen(a);

        while (len > 1 && a[len - 1] == '/')
                len--;
        if (len == 0 || !*b)
                return sf_format("%.*s%s", (int)len, a, b);
        while (*b == '/')
                b++;
        return sf_format("%.*s%s%s", (int)len, a, len == 1 && *a == '/' ? "" : "/", b);
}

bool sf_fs_path_is_plain(const char *path)
{
        size_t total = strlen(path), length = 0;

        if (total == 0 || total > 4095)
                return false;
        for (size_t i = 0; i <= total; i++) {
                unsigned char c = (unsigned char)path[i];
                if (c == '/' || c == '\0') {
                        const char *start = path + i - length;
                        if (length == 0 || length > 255 || (length == 1 && start[0] == '.') ||
                            (length == 2 && start[0] == '.' && start[1] == '.'))
                                return false;
                        length = 0;
                } else if (c < 0x20 || c == 0x7f) {
                        return false;
                } else {
                        length++;
                }
        }
        return true;
}
