/* SPDX-License-Identifier: Apache-2.0 */
/* base/fs.h - files and directories: whole-file reads, durable replacement, safe descent, tree walks.
 *
 * "Durable" means: the data is on the disk before the name changes, and the directory is synced after.
 */
#ifndef SF_BASE_FS_H
#define SF_BASE_FS_H

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/buffer.h"
#include "base/error.h"

/* The whole regular file, appended to ret; more than max bytes is SF_ERR_LIMIT. After an error ret may hold a part. */
int sf_fs_read(const char *path, size_t max, struct sf_buffer *ret, struct sf_error *err);
int sf_fs_read_at(int dirfd, const char *name, size_t max, struct sf_buffer *ret, struct sf_error *err);

/* Replaces `path` atomically and durably: temporary name beside it, write, fsync, rename, fsync of the directory. */
int sf_fs_write(const char *path, const void *data, size_t len, mode_t mode, struct sf_error *err);
int sf_fs_write_at(int dirfd, const char *name, const void *data, size_t len, mode_t mode, struct sf_error *err);

/* write(2) until everything is written. `name` is for the error text. */
int sf_fs_write_all(int fd, const void *data, size_t len, const char *name, struct sf_error *err);
int sf_fs_pwrite_all(int fd, const void *data, size_t len, uint64_t offset, const char *name, struct sf_error *err);

/* mkdir -p; existing directories are left as they are. */
int sf_fs_mkdirs(const char *path, mode_t mode, struct sf_error *err);
/* rm -rf, never following a symbolic link; a missing path is success. */
int sf_fs_remove_tree(const char *path, struct sf_error *err);
int sf_fs_remove_tree_at(int dirfd, const char *name, struct sf_error *err);
/* fsync of a directory, so that names made in it survive a power cut. */
int sf_fs_sync_dir(const char *path, struct sf_error *err);
/* The same of the directory that the last name of `path` lies in. */
int sf_fs_sync_parent(const char *path, struct sf_error *err);

/* Opens below dirfd without ever leaving it: no "..", absolute path or symbolic link is followed in any component
 * (openat2 RESOLVE_BENEATH|RESOLVE_NO_SYMLINKS, with a component-wise walk where the kernel lacks it).
 * Returns the descriptor or an error. O_CLOEXEC is added. */
int sf_fs_open_beneath(int dirfd, const char *path, int flags, mode_t mode, struct sf_error *err);

/* Where a symbolic link points, as it is written. Owned by the caller. */
int sf_fs_readlink(const char *path, char **ret, struct sf_error *err);
bool sf_fs_exists(const char *path); /* lstat; true for a dangling link */
const char *sf_fs_kind(mode_t mode); /* "a file", "a directory", "a link", "a FIFO", ...: what lstat says, in words */

/* What a file system keeps its files in, as far as its type says: an overlay may be of either kind. */
enum sf_fs_storage { SF_FS_DISK, SF_FS_MEMORY, SF_FS_OVERLAY };
enum sf_fs_storage sf_fs_storage(const char *path); /* of as much of an absolute path as there is */
enum sf_fs_storage sf_fs_storage_at(int fd);

/* Free bytes and inodes on the file system that holds `path`. What is set aside for root is left alone, also as
 * root. A file system that does not count inodes reports UINT64_MAX. One in memory, also as the upper layer of an
 * overlay, has no more bytes than the memory that is available, less 64 MiB. */
int sf_fs_free_space(const char *path, uint64_t *ret_bytes, uint64_t *ret_inodes, struct sf_error *err);
int sf_fs_free_space_at(int fd, uint64_t *ret_bytes, uint64_t *ret_inodes, struct sf_error *err);

/* Can nobody write there, since the file system or its mount is read-only? False for a path that is not there. */
bool sf_fs_is_read_only(const char *path);

/* Called once per entry below the root, parents first, names in strcmp order. `path` is relative to the root without a
 * leading "./"; st is lstat's. A non-zero return ends the walk and is returned. */
typedef int sf_fs_visit_fn(void *ctx, int dirfd, const char *name, const char *path, const struct stat *st,
                           struct sf_error *err);
int sf_fs_walk(const char *root, sf_fs_visit_fn *visit, void *ctx, struct sf_error *err);
int sf_fs_walk_at(int dirfd, sf_fs_visit_fn *visit, void *ctx, struct sf_error *err); /* dirfd stays the caller's */

/* Where `path` (absolute) lies for this process when `root` ("" = /) will be / elsewhere: links among its directories
 * are followed as they would be there, so that an absolute link of an image does not lead out of it. The last component
 * is not followed and, like its directories, need not exist. Owned by the caller; SF_ERR_LIMIT: a circle of links. */
int sf_fs_in_root(const char *root, const char *path, char **ret, struct sf_error *err);

/* A path made of two parts with exactly one slash between; either may be "". Owned by the caller, NULL = no memory. */
char *sf_fs_join(const char *a, const char *b);
/* True for a relative path of plain components: not empty, no "", ".", "..", no byte below 0x20 or 0x7f,
 * at most 4,095 bytes, components at most 255. */
bool sf_fs_path_is_plain(const char *path);

/* scandirat(3) of the directory itself, which musl lacks: the entries that `wanted` (NULL = all) takes, sorted. Each
 * entry and *ret are the caller's to free. -1 with errno. */
int sf_fs_scan(int dirfd, struct dirent ***ret, int (*wanted)(const struct dirent *),
               int (*compare)(const struct dirent **, const struct dirent **));

#endif
