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
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "factory/build/namespace.h"

/* A directory of the file hierarchy standard that is on every system and that no build looks into: hidden below an
 * empty file system for this process only. */
#define HIDDEN      "/media"
#define BUILD_NAME  "sf-build"
#define CCACHE_NAME "sf-ccache"
#define HOST_NAME   "slurm-factory"
#define NAMESPACES  (CLONE_NEWNS | CLONE_NEWUTS)

/* Binds a directory to itself, read-only. What the file system forbids (nosuid, nodev, noexec) a user namespace may not
 * take away: it is said again. */
static int make_read_only(const char *directory)
{
        struct statvfs fs;

        if (mount(directory, directory, NULL, MS_BIND | MS_REC, NULL) < 0 || statvfs(directory, &fs) < 0)
                return -1;
        return mount(NULL, directory, NULL,
                     MS_BIND | MS_REMOUNT | MS_RDONLY | (fs.f_flag & (MS_NOSUID | MS_NODEV | MS_NOEXEC)), NULL);
}

/* Install steps that reach beyond the prefix shall fail, not change this machine. What cannot be made read-only (a file
 * system that a user namespace may not touch, the one the cache lies on) stays as it is. */
static void protect_system(const char *cache)
{
        static const char *const directories[] = { "/etc", "/usr", "/var", "/opt" };

        for (size_t i = 0; i < sizeof directories / sizeof *directories; i++) {
                const char *d = directories[i];
                bool holds_cache = strncmp(cache, d, strlen(d)) == 0 && cache[strlen(d)] == '/';

                if (!holds_cache)
                        (void)make_read_only(d);
        }
}

/* Root needs no user namespace, unless programs of another architecture shall run in it. */
static int enter_namespaces(const struct sf_build_system *system, bool foreign, struct sf_error *err)
{
        if (foreign)
                return sf_emulator_enter(&system->emulator, system->root, NAMESPACES, err);
        if (geteuid() != 0)
                return sf_namespace_enter(NAMESPACES, err);
        return unshare(NAMESPACES) < 0 ? sf_error_errno(err, "mount namespace") : 0;
}

static int unshare_place(const char *cache, const struct sf_build_system *system, bool foreign, struct sf_error *err)
{
        int r;

        if (strncmp(cache, HIDDEN "/", strlen(HIDDEN "/")) == 0)
                return sf_error_set(err, SF_ERR_UNSUPPORTED, "the cache lies below %s", HIDDEN);
        if ((r = enter_namespaces(system, foreign, err)) < 0)
                return r;
        if (sethostname(HOST_NAME, strlen(HOST_NAME)) < 0)
                return sf_error_errno(err, "host name");
        if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
                return sf_error_errno(err, "private mounts");
        return 0;
}

static int mount_below(const char *root, const char *path, const char *from, struct sf_error *err)
{
        _cleanup_free_ char *to = sf_format("%s%s", root, path);
        int r;

        if (!to)
                return sf_error_set(err, SF_ERR_NOMEM, "%s", path);
        r = from ? mount(from, to, NULL, MS_BIND | MS_REC, NULL)
                 : mount("slurm-factory", to, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755");
        return r < 0 ? sf_error_errno(err, "cannot mount %s", to) : 0;
}

/* Another root: its own files cannot be written, devices and processes are this machine's. */
static int dress_root(const char *root, struct sf_error *err)
{
        static const char *const shared[] = { "/proc", "/dev", "/sys" };
        int r;

        if (make_read_only(root) < 0)
                return sf_error_errno(err, "%s", root);
        for (size_t i = 0; i < sizeof shared / sizeof *shared; i++)
                if ((r = mount_below(root, shared[i], shared[i], err)) < 0)
                        return r;
        return mount_below(root, "/tmp", NULL, err);
}

static int enter_place(const char *cache, const struct sf_build_system *system, bool foreign, struct sf_error *err)
{
        const char *root = system->root;
        int r;

        if (!*root && access(HIDDEN, X_OK) < 0)
                return sf_error_errno(err, "%s", HIDDEN);
        if ((r = unshare_place(cache, system, foreign, err)) < 0 || (*root && (r = dress_root(root, err)) < 0) ||
            (r = mount_below(root, HIDDEN, NULL, err)) < 0)
                return r;
        if (!*root)
                protect_system(cache);
        return 0;
}

int sf_build_sandbox_open(const struct sf_cache *cache, const struct sf_build_system *system,
                          struct sf_build_sandbox *ret, struct sf_error *err)
{
        _cleanup_(sf_build_sandbox_close) struct sf_build_sandbox w = { .is_private = true };
        struct sf_error why = SF_ERROR_INIT;
        int foreign = sf_emulator_is_needed(&system->emulator, err);

        if (foreign < 0)
                return foreign;
        if (!(w.root = strdup(system->root)))
                return sf_error_set(err, SF_ERR_NOMEM, "build sandbox");
        if (enter_place(cache->root, system, foreign, &why) < 0) {
                if (*w.root)
                        return sf_error_set(err, SF_ERR_UNSUPPORTED, "root %s cannot be entered: %s", w.root, why.text);
                w.is_private = false;
                if (!(w.refusal = strdup(why.text)))
                        return sf_error_set(err, SF_ERR_NOMEM, "build sandbox");
        }
        *ret = w;
        w = (struct sf_build_sandbox){ 0 };
        return 0;
}

/* Distributions lay links named after the compilers where PATH can put them in front. */
static int find_ccache(const struct sf_cache *cache, const struct sf_toolchain *toolchain, const char *base,
                       struct sf_build_sandbox *w, struct sf_error *err)
{
        static const char *const places[] = { "/usr/lib/ccache", "/usr/lib64/ccache" };
        _cleanup_free_ char *kept = sf_format("%s/ccache/%s-%s", cache->root, toolchain->name, toolchain->arch);
        int r;

        if (!kept)
                return sf_error_set(err, SF_ERR_NOMEM, "ccache");
        for (size_t i = 0; i < sizeof places / sizeof *places && !w->compilers; i++) {
                _cleanup_free_ char *link = sf_format("%s%s/%s", w->root, places[i], toolchain->cc);

                /* Links are absolute in the root: what they say cannot be followed from here. */
                if (link && faccessat(AT_FDCWD, link, F_OK, AT_SYMLINK_NOFOLLOW) == 0 &&
                    !(w->compilers = strdup(places[i])))
                        return sf_error_set(err, SF_ERR_NOMEM, "ccache");
        }
        if (!w->compilers)
                return 0;
        if ((r = sf_fs_mkdirs(kept, 0755, err)) < 0)
                return r;
        if (!(w->ccache = w->is_private ? sf_fs_join(base, CCACHE_NAME) : strdup(kept)))
                return sf_error_set(err, SF_ERR_NOMEM, "ccache");
        if (!w->is_private)
                return 0;
        _cleanup_free_ char *at = sf_format("%s%s", w->root, w->ccache);
        if (!at)
                return sf_error_set(err, SF_ERR_NOMEM, "ccache");
        r = sf_fs_mkdirs(at, 0755, err);
        return r < 0 ? r : mount_below(w->root, w->ccache, kept, err);
}

int sf_build_sandbox_prepare(const struct sf_cache *cache, const struct sf_toolchain *toolchain,
                             struct sf_build_sandbox *sandbox, struct sf_error *err)
{
        _cleanup_free_ char *base = sandbox->is_private ? strdup(HIDDEN) : sf_fs_join(cache->root, "work");
        int r;

        sandbox->build = base ? sf_fs_join(base, BUILD_NAME) : NULL;
        if (!sandbox->build)
                return sf_error_set(err, SF_ERR_NOMEM, "build sandbox");
        if ((r = sf_toolchain_placeholder(toolchain, base, &sandbox->prefix, err)) < 0)
                return r;
        return find_ccache(cache, toolchain, base, sandbox, err);
}

void sf_build_sandbox_close(struct sf_build_sandbox *sandbox)
{
        free(sandbox->root);
        free(sandbox->prefix);
        free(sandbox->build);
        free(sandbox->ccache);
        free(sandbox->compilers);
        free(sandbox->refusal);
        *sandbox = (struct sf_build_sandbox){ 0 };
}

static int place(const struct sf_build_sandbox *w, const char *directory, const char *path, struct sf_error *err)
{
        _cleanup_free_ char *at = sf_format("%s%s", w->root, path);
        int r;

        if (!at)
                return sf_error_set(err, SF_ERR_NOMEM, "build sandbox");
        /* What a killed build left at the shared path; in a namespace there is never anything. */
        if (!w->is_private && (r = sf_fs_remove_tree(at, err)) < 0)
                return r;
        if ((r = sf_fs_mkdirs(at, 0755, err)) < 0)
                return r;
        if (w->is_private && mount(directory, at, NULL, MS_BIND, NULL) < 0)
                return sf_error_errno(err, "cannot mount %s", directory);
        if (!w->is_private && rename(directory, at) < 0)
                return sf_error_errno(err, "cannot move %s to the prefix", directory);
        return 0;
}

static int take_back(const struct sf_build_sandbox *w, const char *directory, const char *path, struct sf_error *err)
{
        _cleanup_free_ char *at = sf_format("%s%s", w->root, path);

        if (!at)
                return sf_error_set(err, SF_ERR_NOMEM, "build sandbox");
        if (w->is_private && umount2(at, MNT_DETACH) < 0)
                return sf_error_errno(err, "cannot unmount %s", at);
        if (!w->is_private && rename(at, directory) < 0)
                return sf_error_errno(err, "cannot move the prefix to %s", directory);
        return 0;
}

int sf_build_sandbox_enter(const struct sf_build_sandbox *sandbox, const char *prefix_dir, const char *build_dir,
                           struct sf_error *err)
{
        int r = place(sandbox, prefix_dir, sandbox->prefix, err);

        if (r == 0 && build_dir && (r = place(sandbox, build_dir, sandbox->build, err)) < 0)
                take_back(sandbox, prefix_dir, sandbox->prefix, NULL);
        return r;
}

int sf_build_sandbox_leave(const struct sf_build_sandbox *sandbox, const char *prefix_dir, const char *build_dir,
                           struct sf_error *err)
{
        int r = take_back(sandbox, prefix_dir, sandbox->prefix, err);
        int r2 = build_dir ? take_back(sandbox, build_dir, sandbox->build, r < 0 ? NULL : err) : 0;

        return r < 0 ? r : r2;
}

int sf_build_sandbox_split(const struct sf_build_sandbox *sandbox, struct sf_error *err)
{
        if (sandbox->is_private && unshare(CLONE_NEWNS) < 0)
                return sf_error_errno(err, "mount namespace");
        return 0;
}
