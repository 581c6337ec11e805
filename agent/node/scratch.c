/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/scratch.c - see scratch.h. */
#include "agent/node/scratch.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fs.h"

#define STEM  "sf-node-"
#define TRIES 10

int sf_scratch_make(const char *directory, const char *what, char **ret, struct sf_error *err)
{
        for (int i = 0; i < TRIES; i++) {
                _cleanup_free_ char *path = sf_format("%s/" STEM "%s.XXXXXX", directory, what);
                struct stat st;

                if (!path)
                        return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
                if (!mkdtemp(path))
                        return sf_error_errno(err, "cannot make a directory in %s", directory);
                _cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
                /* Before it was locked, another run may have taken it for a leftover. */
                if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0 || fstat(fd, &st) < 0 || !st.st_nlink)
                        continue;
                *ret = sf_steal_pointer(path);
                return sf_steal_fd(&fd);
        }
        return sf_error_set(err, SF_ERR_BUSY, "directories in %s are removed as soon as they are made", directory);
}

static int is_ours(const struct dirent *e)
{
        const char *dot = strrchr(e->d_name, '.');

        return strncmp(e->d_name, STEM, strlen(STEM)) == 0 && dot && strlen(dot) == 7;
}

void sf_scratch_clear(const char *directory)
{
        _cleanup_close_ int dir = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        struct dirent **names = NULL;
        struct stat st;
        int count = dir < 0 ? 0 : sf_fs_scan(dir, &names, is_ours, alphasort);

        for (int i = 0; i < count; i++) {
                _cleanup_close_ int fd = openat(dir, names[i]->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
                if (fd >= 0 && fstat(fd, &st) == 0 && st.st_uid == geteuid() && flock(fd, LOCK_EX | LOCK_NB) == 0)
                        sf_fs_remove_tree_at(dir, names[i]->d_name, NULL);
                free(names[i]);
        }
        free(names);
}
