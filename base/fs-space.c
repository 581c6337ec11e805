/* SPDX-License-Identifier: Apache-2.0 */
/* base/fs-space.c - the part of fs.h about how much room there is, and what it is made of. */
#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"

#define MEMINFO_MAX    (64u << 10)
#define MEMORY_RESERVE (64u << 20) /* bytes that are left to whoever runs here */

enum sf_fs_storage sf_fs_storage_at(int fd)
{
        struct statfs fs;

        if (fstatfs(fd, &fs) < 0)
                return SF_FS_DISK;
        return fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC ? SF_FS_MEMORY
               : fs.f_type == OVERLAYFS_SUPER_MAGIC                 ? SF_FS_OVERLAY
                                                                    : SF_FS_DISK;
}

enum sf_fs_storage sf_fs_storage(const char *path)
{
        _cleanup_free_ char *part = strdup(path);
        _cleanup_close_ int fd = -1;

        while (part && (fd = open(*part ? part : "/", O_PATH | O_CLOEXEC)) < 0 && errno == ENOENT && *part)
                *strrchr(part, '/') = '\0';
        return fd < 0 ? SF_FS_DISK : sf_fs_storage_at(fd);
}

/* A new file on an overlay is the upper layer's, and one in memory has no extents to tell of. */
static bool is_memory(int fd)
{
        enum sf_fs_storage storage = sf_fs_storage_at(fd);
        struct fiemap map = { .fm_length = 1 };

        if (storage != SF_FS_OVERLAY)
                return storage == SF_FS_MEMORY;
        _cleanup_close_ int probe = openat(fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        return probe >= 0 && ioctl(probe, FS_IOC_FIEMAP, &map) < 0 && errno == EOPNOTSUPP;
}

/* Bytes that can be had without swapping, less a reserve; UINT64_MAX where the kernel does not say. */
static uint64_t free_memory(void)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        static const char key[] = "MemAvailable:";
        /* It says nothing of its length beforehand. */
        _cleanup_close_ int fd = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
        int r = fd < 0 ? -1 : sf_buffer_reserve(&text, MEMINFO_MAX, NULL);
        ssize_t n = r < 0 ? -1 : read(fd, text.data, MEMINFO_MAX - 1);

        if (n <= 0)
                return UINT64_MAX;
        text.data[n] = '\0';
        const char *at = strstr((const char *)text.data, key);
        uint64_t bytes = at ? strtoull(at + strlen(key), NULL, 10) * 1024 : UINT64_MAX;
        return !at ? bytes : bytes > MEMORY_RESERVE ? bytes - MEMORY_RESERVE : 0;
}

bool sf_fs_is_read_only(const char *path)
{
        struct statvfs fs;

        return statvfs(path, &fs) == 0 && (fs.f_flag & ST_RDONLY);
}

int sf_fs_free_space(const char *path, uint64_t *ret_bytes, uint64_t *ret_inodes, struct sf_error *err)
{
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
        int r = fd >= 0 ? sf_fs_free_space_at(fd, ret_bytes, ret_inodes, err) : sf_error_errno(err, "cannot open it");

        return r < 0 ? sf_error_prefix(err, "%s", path) : 0;
}

int sf_fs_free_space_at(int fd, uint64_t *ret_bytes, uint64_t *ret_inodes, struct sf_error *err)
{
        struct statvfs fs;

        if (fstatvfs(fd, &fs) < 0)
                return sf_error_errno(err, "cannot ask for free space");
        *ret_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
        if (is_memory(fd)) {
                uint64_t memory = free_memory();
                *ret_bytes = *ret_bytes < memory ? *ret_bytes : memory;
        }
        *ret_inodes = fs.f_files ? (uint64_t)fs.f_favail : UINT64_MAX;
        return 0;
}
