/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/lock.c - see lock.h. The pid in the file is a courtesy to people; the lock itself is the kernel's. */
#include "agent/node/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fs.h"

int sf_lock_take(const char *state_directory, struct sf_error *err)
{
        _cleanup_free_ char *path = sf_fs_join(state_directory, "lock");
        char pid[32] = "";

        if (!path)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        int r = sf_fs_mkdirs(state_directory, 0755, err);
        if (r < 0)
                return r;
        _cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
        if (fd < 0)
                return sf_error_errno(err, "cannot open %s", path);
        if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
                if (errno != EWOULDBLOCK)
                        return sf_error_errno(err, "cannot lock %s", path);
                ssize_t n = pread(fd, pid, sizeof pid - 1, 0);
                long holder = n > 0 ? strtol(pid, NULL, 10) : 0;
                return sf_error_set(err, SF_ERR_BUSY, "another sf-node (pid %ld) is at work", holder);
        }
        int len = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
        if (ftruncate(fd, 0) < 0 || pwrite(fd, pid, (size_t)len, 0) != len)
                return sf_error_errno(err, "cannot write %s", path);
        return sf_steal_fd(&fd);
}
