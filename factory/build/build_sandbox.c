/* SPDX-License-Identifier: Apache-2.0 */
/* factory/build/build_sandbox.c - see build_sandbox.h. */
#include "factory/build/build_sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"

/* A directory of the file hierarchy standard that is on every system and that no build looks into: hidden below an
 * empty file system for this process only. */
#define HIDDEN     "/media"
#define BUILD_NAME "sf-build"

static int write_map(const char *path, const char *text, struct sf_error *err)
{
        _cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

        if (fd < 0)
                return sf_error_errno(err, "%s", path);
        return sf_fs_write_all(fd, text, strlen(text), path, err);
}

/* Without root: root inside a user namespace, which is this user outside. */
static int enter_user_namespace(struct sf_error *err)
{
        _cleanup_free_ char *users = sf_format("0 %ld 1\n", (long)geteuid());
        _cleanup_free_ char *groups = sf_format("0 %ld 1\n", (long)getegid());
        int r;

        if (!users || !groups)
                return sf_error_set(err, SF_ERR_NOMEM, "user namespace");
        if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
                return sf_error_errno(err, "user namespace");
        if ((r = write_map("/proc/self/setgroups", "deny", err)) < 0 ||
            (r = write_map("/proc/self/uid_map", users, err)) < 0)
                return r;
        return write_map("/proc/self/gid_map", groups, err);
}

/* Install steps that reach beyond the prefix shall fail, not change this machine. What cannot be made read-only (a file
 * system that a user namespace may not touch, the one the cache lies on) stays as it is. */
static void protect_system(const char *cache)
{
        static const char *const directories[] = { "/etc", "/usr", "/var", "/opt" };

        for (size_t i = 0; i < sizeof directories / sizeof *directories; i++) {
                const char *d = directories[i];
                bool holds_cache = strncmp(cache, d, strlen(d)) == 0 && cache[strlen(d)] == '/';

                if (!holds_cache && mount(d, d, NULL, MS_BIND | MS_REC, NULL) == 0)
                        mount(NULL, d, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL);
        }
}

static int enter_namespace(const char *cache, struct sf_error *err)
{
        int r;

        if (strncmp(cache, HIDDEN "/", strlen(HIDDEN "/")) == 0)
                return sf_error_set(err, SF_ERR_UNSUPPORTED, "the cache lies below %s", HIDDEN);
        if (access(HIDDEN, X_OK) < 0)
                return sf_error_errno(err, "%s", HIDDEN);
        if (geteuid() == 0 && unshare(CLONE_NEWNS) < 0)
                return sf_error_errno(err, "mount namespace");
        if (geteuid() != 0 && (r = enter_user_namespace(err)) < 0)
                return r;
        if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
                return sf_error_errno(err, "private mounts");
        if (mount("slurm-factory", HIDDEN, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=1m") < 0)
                return sf_error_errno(err, "%s", HIDDEN);
        protect_system(cache);
        return 0;
}

int sf_build_sandbox_open(const struct sf_cache *cache, const struct sf_toolchain *toolchain,
                          struct sf_build_sandbox *ret, struct sf_error *err)
{
        _cleanup_(sf_build_sandbox_close) struct sf_build_sandbox w = { NULL, NULL, true, NULL };
        _cleanup_free_ char *base = NULL;
        struct sf_error why = SF_ERROR_INIT;
        int r;

        if (enter_namespace(cache->root, &why) < 0) {
                w.is_private = false;
                w.refusal = strdup(why.text);
        }
        base = w.is_private ? strdup(HIDDEN) : sf_fs_join(cache->root, "work");
        w.build = base ? sf_fs_join(base, BUILD_NAME) : NULL;
        if (!w.build || (!w.is_private && !w.refusal))
                return sf_error_set(err, SF_ERR_NOMEM, "workshop");
        if ((r = sf_toolchain_placeholder(toolchain, base, &w.prefix, err)) < 0)
                return r;
        *ret = w;
        w = (struct sf_build_sandbox){ NULL, NULL, true, NULL };
        return 0;
}

void sf_build_sandbox_close(struct sf_build_sandbox *workshop)
{
        free(workshop->prefix);
        free(workshop->build);
        free(workshop->refusal);
        *workshop = (struct sf_build_sandbox){ NULL, NULL, true, NULL };
}

static int place(const struct sf_build_sandbox *w, const char *directory, const char *path, struct sf_error *err)
{
        int r;

        /* What a killed build left at the shared path; in a namespace there is never anything. */
        if (!w->is_private && (r = sf_fs_remove_tree(path, err)) < 0)
                return r;
        if ((r = sf_fs_mkdirs(path, 0755, err)) < 0)
                return r;
        if (w->is_private && mount(directory, path, NULL, MS_BIND, NULL) < 0)
                return sf_error_errno(err, "cannot mount %s", directory);
        if (!w->is_private && rename(directory, path) < 0)
                return sf_error_errno(err, "cannot move %s to the prefix", directory);
        return 0;
}

static int take_back(const struct sf_build_sandbox *w, const char *directory, const char *path, struct sf_error *err)
{
        if (w->is_private && umount2(path, MNT_DETACH) < 0)
                return sf_error_errno(err, "cannot unmount %s", path);
        if (!w->is_private && rename(path, directory) < 0)
                return sf_error_errno(err, "cannot move the prefix to %s", directory);
        return 0;
}

int sf_build_sandbox_enter(const struct sf_build_sandbox *workshop, const char *prefix_dir, const char *build_dir,
                           struct sf_error *err)
{
        int r = place(workshop, prefix_dir, workshop->prefix, err);

        if (r == 0 && (r = place(workshop, build_dir, workshop->build, err)) < 0)
                take_back(workshop, prefix_dir, workshop->prefix, NULL);
        return r;
}

int sf_build_sandbox_leave(const struct sf_build_sandbox *workshop, const char *prefix_dir, const char *build_dir,
                           struct sf_error *err)
{
        int r = take_back(workshop, prefix_dir, workshop->prefix, err);
        int r2 = take_back(workshop, build_dir, workshop->build, r < 0 ? NULL : err);

        return r < 0 ? r : r2;
}
