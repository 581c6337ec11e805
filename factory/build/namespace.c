/* SPDX-License-Identifier: Apache-2.0 */
/* factory/build/namespace.c - see namespace.h. */
#include "factory/build/namespace.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fs.h"

#define MAP_MAX 65536

static int write_map(const char *path, const char *text, struct sf_error *err)
{
        _cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

        if (fd < 0)
                return sf_error_errno(err, "%s", path);
        return sf_fs_write_all(fd, text, strlen(text), path, err);
}

static int enter_as_user(int others, struct sf_error *err)
{
        _cleanup_free_ char *users = sf_format("0 %ld 1\n", (long)geteuid());
        _cleanup_free_ char *groups = sf_format("0 %ld 1\n", (long)getegid());
        int r;

        if (!users || !groups)
                return sf_error_set(err, SF_ERR_NOMEM, "user namespace");
        if (unshare(CLONE_NEWUSER | others) < 0)
                return sf_error_errno(err, "user namespace");
        if ((r = write_map("/proc/self/setgroups", "deny", err)) < 0 ||
            (r = write_map("/proc/self/uid_map", users, err)) < 0)
                return r;
        return write_map("/proc/self/gid_map", groups, err);
}

/* What is mapped here, each id to itself: "0 0 4294967295" unless this is a user namespace already. */
static int make_identity(const char *path, struct sf_buffer *ret, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer now = SF_BUFFER_INIT;
        unsigned long inside, outside, count;
        int used, r = sf_fs_read(path, MAP_MAX, &now, err);

        for (const char *at = sf_buffer_text(&now);
             r == 0 && sscanf(at, "%lu %lu %lu%n", &inside, &outside, &count, &used) == 3; at += used)
                r = sf_buffer_printf(ret, err, "%lu %lu %lu\n", inside, inside, count);
        return r;
}

/* Maps of more than one id are written from outside: by this child, when the other has moved. */
static void write_from_outside(pid_t whom, int moved, const struct sf_buffer *users, const struct sf_buffer *groups)
{
        _cleanup_free_ char *uid_map = sf_format("/proc/%ld/uid_map", (long)whom);
        _cleanup_free_ char *gid_map = sf_format("/proc/%ld/gid_map", (long)whom);
        struct sf_error err = SF_ERROR_INIT;
        char byte;

        if (read(moved, &byte, 1) != 1)
                _exit(0);
        _exit(!uid_map || !gid_map || write_map(uid_map, sf_buffer_text(users), &err) < 0 ||
              write_map(gid_map, sf_buffer_text(groups), &err) < 0);
}

static int enter_as_root(int others, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer users = SF_BUFFER_INIT, groups = SF_BUFFER_INIT;
        int ends[2], status, r;
        pid_t self = getpid();

        if ((r = make_identity("/proc/self/uid_map", &users, err)) < 0 ||
            (r = make_identity("/proc/self/gid_map", &groups, err)) < 0)
                return r;
        if (pipe2(ends, O_CLOEXEC) < 0)
                return sf_error_errno(err, "user namespace");
        pid_t helper = fork();
        if (helper == 0) {
                close(ends[1]);
                write_from_outside(self, ends[0], &users, &groups);
        }
        close(ends[0]);
        if (helper < 0)
                r = sf_error_errno(err, "user namespace");
        else if (unshare(CLONE_NEWUSER | others) < 0)
                r = sf_error_errno(err, "user namespace");
        else if (write(ends[1], "", 1) != 1)
                r = sf_error_errno(err, "user namespace");
        close(ends[1]);
        if (helper > 0 && waitpid(helper, &status, 0) == helper && status != 0 && r == 0)
                r = sf_error_set(err, SF_ERR_UNSUPPORTED, "user namespace: its maps of ids cannot be written");
        return r;
}

int sf_namespace_enter(int others, struct sf_error *err)
{
        return geteuid() == 0 ? enter_as_root(others, err) : enter_as_user(others, err);
}
