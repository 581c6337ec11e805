/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/lock.c - see lock.h. Who holds it is written into the file as a courtesy to people; the lock itself is
 * the kernel's. */
#include "agent/node/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buffer.h"
#include "agent/node/places.h"
#include "base/cleanup.h"
#include "base/fs.h"

#define PAUSE_MS 200

/* The file, which nobody else can open. What an earlier agent made was open to everybody, and may be held for ever. */
static int open_private(const char *path, struct sf_error *err)
{
        struct stat st;
        int r = sf_places_check_lock(path, err);

        if (r < 0)
                return r;
        /* What else has the name nobody needs, and opening it may fail. */
        if (lstat(path, &st) == 0 && !S_ISREG(st.st_mode) && unlink(path) < 0)
                return sf_error_errno(err, "cannot replace %s", path);
        for (int i = 0; i < 2; i++) {
                _cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
                if (fd < 0 || fstat(fd, &st) < 0)
                        return sf_error_errno(err, "cannot open %s", path);
                if (S_ISREG(st.st_mode) && !(st.st_mode & 077) && st.st_uid == geteuid())
                        return sf_steal_fd(&fd);
                if (unlink(path) < 0)
                        return sf_error_errno(err, "cannot replace %s, which others can open", path);
        }
        return sf_error_set(err, SF_ERR_BUSY, "%s: others make this file again and again", path);
}

/* 1 = taken, 0 = somebody else has it. A file that was replaced meanwhile locks nothing. */
static int try_lock(const char *path, int *ret_fd, struct sf_error *err)
{
        struct stat ours, there;
        _cleanup_close_ int fd = open_private(path, err);

        if (fd < 0)
                return fd;
        if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
                if (errno != EWOULDBLOCK)
                        return sf_error_errno(err, "cannot lock %s", path);
                *ret_fd = sf_steal_fd(&fd);
                return 0;
        }
        if (fstat(fd, &ours) < 0 || stat(path, &there) < 0 || ours.st_dev != there.st_dev ||
            ours.st_ino != there.st_ino)
                return try_lock(path, ret_fd, err);
        *ret_fd = sf_steal_fd(&fd);
        return 1;
}

static void read_holder(int fd, char *out, size_t room)
{
        ssize_t n = pread(fd, out, room - 1, 0);

        out[n > 0 ? n : 0] = '\0';
        out[strcspn(out, "\n")] = '\0';
        for (char *c = out; *c; c++)
                if ((unsigned char)*c < 0x20 || (unsigned char)*c >= 0x7f)
                        *c = '?';
}

static int write_holder(int fd, const char *path, struct sf_error *err)
{
        char host[256] = "", text[300];

        gethostname(host, sizeof host - 1);
        int len = snprintf(text, sizeof text, "%ld on %s\n", (long)getpid(), host);
        if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)len, 0) != len)
                return sf_error_errno(err, "cannot write %s", path);
        return 0;
}

int sf_lock_take(const char *state_directory, struct sf_error *err)
{
        _cleanup_free_ char *path = sf_fs_join(state_directory, "lock");
        _cleanup_close_ int fd = -1;
        char holder[300];

        if (!path)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        int r = sf_fs_mkdirs(state_directory, 0755, err);
        if (r == 0)
                r = try_lock(path, &fd, err);
        if (r < 0)
                return r;
        if (r == 0) {
                read_holder(fd, holder, sizeof holder);
                return sf_error_set(err, SF_ERR_BUSY, "another sf-node (pid %ld) is at work", strtol(holder, NULL, 10));
        }
        r = write_holder(fd, path, err);
        return r < 0 ? r : sf_steal_fd(&fd);
}

void sf_lock_adopt(int lock)
{
        (void)write_holder(lock, "lock", NULL);
}

int sf_lock_take_shared(const char *directory, const struct sf_lock_wait *wait, int *ret_waited, struct sf_error *err)
{
        _cleanup_free_ char *path = sf_fs_join(directory, ".lock");
        const struct timespec pause = { 0, PAUSE_MS * 1000000L };
        int r = path ? sf_fs_mkdirs(directory, 0755, err) : sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");

        for (unsigned long tries = 0; r == 0; tries++) {
                _cleanup_close_ int fd = -1;
                char holder[300];
                r = try_lock(path, &fd, err);
                if (r < 0)
                        return r;
                if (r > 0) {
                        *ret_waited = tries > 0;
                        r = write_holder(fd, path, err);
                        return r < 0 ? r : sf_steal_fd(&fd);
                }
                read_holder(fd, holder, sizeof holder);
                if (tries == 0 && wait->waiting)
                        wait->waiting(wait->ctx, holder);
                if (wait->stop && *wait->stop)
                        return sf_error_set(err, SF_ERR_INTERRUPTED, "interrupted");
                if (tries >= (unsigned long)wait->seconds * 1000 / PAUSE_MS)
                        return sf_error_set(err, SF_ERR_BUSY, "%s is being written by sf-node %s", directory, holder);
                nanosleep(&pause, NULL);
        }
        return r;
}
