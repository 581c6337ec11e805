/* SPDX-License-Identifier: Apache-2.0 */
/* factory/build/root.c - see root.h. Everything is made in a hidden directory, which gets its name when it is
 * checked. */
#include "factory/build/root.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/proc.h"
#include "base/stop.h"
#include "factory/build/toolchain.h"
#include "release/host.h"

/* skopeo's transport for registries. */
#define DOCKER "docker://"

/* Where a root is made. */
struct making {
        const struct sf_root *root;
        const char *arch; /* NULL = this machine's */
        char *work;       /* CACHE/roots/.NAME.new */
        char *tree;       /* in it */
        char *log;
        char *from;          /* directory, tarball or image */
        char *digest;        /* of the image; NULL where it is none */
        char *origin;        /* what the root says of itself: `from`, an image's digest, the packages asked for */
        struct sf_conf conf; /* the toolchain's file */
};

static void making_free(struct making *m)
{
        free(m->work);
        free(m->tree);
        free(m->log);
        free(m->from);
        free(m->digest);
        free(m->origin);
        sf_conf_free(&m->conf);
}

/* CACHE/roots/NAME-ARCH/tree, of this machine's own toolchain where name is NULL. */
static int find_foreign(const struct sf_cache *cache, const char *name, const char *arch, char **ret,
                        struct sf_error *err)
{
        _cleanup_free_ char *host = NULL, *tree = NULL;
        int r = name ? 0 : sf_host_toolchain(NULL, &host, err);

        if (r < 0)
                return r;
        name = name ? name : host;
        tree = sf_format("%s/roots/%s-%s/tree", cache->root, name, arch);
        if (!tree)
                return sf_error_set(err, SF_ERR_NOMEM, "root");
        if (strchr(name, '/') || !sf_fs_exists(tree))
                return sf_error_set(err, SF_ERR_NOT_FOUND,
                                    "toolchain %s for %s needs a root here: slurm-factory root %s --arch %s", name,
                                    arch, name, arch);
        *ret = sf_steal_pointer(tree);
        return 0;
}

int sf_root_find(const struct sf_cache *cache, const char *name, const char *arch, char **ret, struct sf_error *err)
{
        const struct sf_emulator emulator = { .arch = arch };
        int foreign = sf_emulator_is_needed(&emulator, err);

        if (foreign != 0)
                return foreign < 0 ? foreign : find_foreign(cache, name, arch, ret, err);
        char *tree = name && !strchr(name, '/') ? sf_format("%s/roots/%s/tree", cache->root, name) : strdup("");

        if (tree && *tree && !sf_fs_exists(tree)) {
                free(tree);
                tree = strdup("");
        }
        *ret = tree;
        return tree ? 0 : sf_error_set(err, SF_ERR_NOMEM, "root");
}

/* Runs a program of this machine with its output in the log. */
static int run(const struct making *m, const char *const *argv, struct sf_error *err)
{
        static const char *const env[] = { "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                                           "HOME=/root", "LC_ALL=C.UTF-8", NULL };
        const struct sf_proc proc = { .argv = argv, .env = env, .log = m->log, .stop = &sf_stop_requested };

        sf_log_status("root of %s: %s", m->root->name, argv[0]);
        return sf_proc_check(&proc, err);
}

/* --- where it comes from --------------------------------------------------------------------------------------- */

static int copy_directory(const struct making *m, const char *from, struct sf_error *err)
{
        _cleanup_free_ char *contents = sf_format("%s/.", from);
        const char *const argv[] = { "cp", "-a", "--one-file-system", contents, m->tree, NULL };

        return contents ? run(m, argv, err) : sf_error_set(err, SF_ERR_NOMEM, "root");
}

static int unpack_tarball(const struct making *m, const char *from, struct sf_error *err)
{
        const char *const argv[] = { "tar", "-x", "--numeric-owner", "--exclude=./dev/*", "-C", m->tree, "-f",
                                     from,  NULL };

        return run(m, argv, err);
}

/* What image lists call it; Debian's names are the same for amd64 and arm64. */
static const char *image_arch(const struct making *m)
{
        return m->arch ? m->arch : sf_host_arch();
}

static bool is_image(const char *from)
{
        return !sf_fs_exists(from) && strchr(from, ':');
}

/* The digest that the image's name stands for now; *ret is owned. */
static int image_digest(const struct making *m, char **ret, struct sf_error *err)
{
        const char *const argv[] = { "skopeo",   "--override-arch", image_arch(m), "inspect", "--no-tags",
                                     "--format", "{{.Digest}}",     m->from,       NULL };
        _cleanup_(sf_buffer_free) struct sf_buffer out = SF_BUFFER_INIT, errors = SF_BUFFER_INIT;
        const struct sf_proc proc = { .argv = argv, .output = &out, .errors = &errors, .timeout_seconds = 60 };
        int r = sf_proc_check(&proc, err);

        if (r < 0)
                return sf_error_prefix(err, "image %s", m->from);
        *ret = sf_format("%.*s", (int)strcspn(sf_buffer_text(&out), "\r\n"), sf_buffer_text(&out));
        return *ret ? 0 : sf_error_set(err, SF_ERR_NOMEM, "root");
}

/* docker://NAME@DIGEST, where a registry is asked: a tag may be moved at any time, and skopeo takes no digest beside
 * one. Other transports know no digests. */
static char *pinned_image(const struct making *m)
{
        const char *name = strrchr(m->from, '/');

        if (strncmp(m->from, DOCKER, strlen(DOCKER)) != 0 || strchr(m->from, '@'))
                return strdup(m->from);
        return sf_format("%.*s@%s", (int)(name - m->from) + (int)strcspn(name, ":"), m->from, m->digest);
}

/* What was copied must be what is recorded, also where it could not be asked for by its digest. */
static int check_same_image(const struct making *m, struct sf_error *err)
{
        _cleanup_free_ char *digest = NULL;
        int r = image_digest(m, &digest, err);

        if (r < 0 || strcmp(digest, m->digest) == 0)
                return r;
        return sf_error_set(err, SF_ERR_CORRUPT, "image %s was %s and became %s while it was copied: try again",
                            m->from, m->digest, digest);
}

/* The image as a layout of its own, in the work directory. */
static int copy_image(const struct making *m, const char *layout, struct sf_error *err)
{
        _cleanup_free_ char *from = pinned_image(m);
        const char *const copy[] = {
                "skopeo", "--insecure-policy", "--override-arch", image_arch(m), "copy", from, layout, NULL
        };
        int r = from ? run(m, copy, err) : sf_error_set(err, SF_ERR_NOMEM, "root");

        return r < 0 || strncmp(m->from, DOCKER, strlen(DOCKER)) == 0 ? r : check_same_image(m, err);
}

static int unpack_image(const struct making *m, struct sf_error *err)
{
        _cleanup_free_ char *image = sf_fs_join(m->work, "image"), *bundle = sf_fs_join(m->work, "bundle");
        _cleanup_free_ char *layout = sf_format("oci:%s/image:root", m->work);
        _cleanup_free_ char *tagged = sf_format("%s/image:root", m->work),
                            *rootfs = sf_format("%s/bundle/rootfs", m->work);
        int r;

        if (!image || !bundle || !layout || !tagged || !rootfs)
                return sf_error_set(err, SF_ERR_NOMEM, "root");
        const char *const unpack[] = { "umoci", "unpack", "--image", tagged, bundle, NULL };
        if ((r = copy_image(m, layout, err)) < 0 || (r = run(m, unpack, err)) < 0)
                return r;
        if (rmdir(m->tree) < 0 || rename(rootfs, m->tree) < 0)
                return sf_error_errno(err, "cannot move %s to %s", rootfs, m->tree);
        if ((r = sf_fs_remove_tree(bundle, err)) < 0)
                return r;
        return sf_fs_remove_tree(image, err);
}

/* The reference that the toolchain's file and the configuration make together. */
static int choose_source(struct making *m, struct sf_error *err)
{
        const char *image = sf_conf_get(&m->conf, "root", "image");

        if (m->root->from)
                m->from = strdup(m->root->from);
        else if (image && m->root->registry)
                m->from = sf_format("%s%s", m->root->registry, image);
        else
                return sf_error_set(
                        err, SF_ERR_USAGE,
                        "say what the root of %s is made from: --from a directory, a tarball or an image, or "
                        "[factory] registry in the configuration%s%s",
                        m->root->name, image ? " for the image " : "", image ? image : "");
        return m->from ? 0 : sf_error_set(err, SF_ERR_NOMEM, "root");
}

static int describe_origin(struct making *m, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer packages = SF_BUFFER_INIT;
        int r = is_image(m->from) ? image_digest(m, &m->digest, err) : 0;

        for (const struct sf_conf_entry *e = NULL; r == 0 && (e = sf_conf_next(&m->conf, "root", "packages", e));)
                if ((r = sf_buffer_append(&packages, " ", 1, err)) == 0)
                        r = sf_buffer_append(&packages, e->value, strlen(e->value), err);
        if (r < 0)
                return r;
        if (m->digest)
                sf_log_info("image %s is %s", m->from, m->digest);
        m->origin = sf_format("%s%s%s\npackages%s\n", m->from, m->digest ? " " : "", m->digest ? m->digest : "",
                              m->root->bare ? " none" : sf_buffer_text(&packages));
        return m->origin ? 0 : sf_error_set(err, SF_ERR_NOMEM, "root");
}

/* An image of the same digest with the same packages is not fetched and unpacked again. */
static bool is_made_already(const struct making *m, const char *final)
{
        _cleanup_(sf_buffer_free) struct sf_buffer was = SF_BUFFER_INIT;
        _cleanup_free_ char *path = sf_fs_join(final, "origin");

        return is_image(m->from) && path && sf_fs_exists(path) && sf_fs_read(path, 65536, &was, NULL) == 0 &&
               strcmp(sf_buffer_text(&was), m->origin) == 0;
}

static int obtain(struct making *m, struct sf_error *err)
{
        _cleanup_free_ char *origin = sf_fs_join(m->work, "origin");
        struct stat st;
        int r;

        if (!origin)
                return sf_error_set(err, SF_ERR_NOMEM, "root");
        if ((r = sf_fs_write(origin, m->origin, strlen(m->origin), 0644, err)) < 0)
                return r;
        if (is_image(m->from))
                return unpack_image(m, err);
        if (stat(m->from, &st) < 0)
                return sf_error_errno(err, "%s", m->from);
        return S_ISDIR(st.st_mode) ? copy_directory(m, m->from, err) : unpack_tarball(m, m->from, err);
}

/* Before anything is installed into it: is it the distribution that the name stands for? */
static int check_name(const struct making *m, struct sf_error *err)
{
        _cleanup_free_ char *name = NULL;
        int r = sf_host_toolchain(m->tree, &name, err);

        if (r < 0)
                return sf_error_prefix(err, "%s", m->from);
        if (strcmp(name, m->root->name) != 0)
                return sf_error_set(err, SF_ERR_INCOMPATIBLE, "%s is %s, not %s", m->from, name, m->root->name);
        return sf_emulator_check_root(m->tree, image_arch(m), err);
}

/* --- packages -------------------------------------------------------------------------------------------------- */

static int run_inside(const struct making *m, const struct sf_words *argv, struct sf_error *err)
{
        static const char *const env[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8",
                                           "DEBIAN_FRONTEND=noninteractive", NULL };
        const struct sf_proc proc = {
                .argv = sf_words_argv(argv), .env = env, .root = m->tree, .log = m->log, .stop = &sf_stop_requested
        };

        sf_log_status("root of %s: %s", m->root->name, argv->items[0]);
        return sf_proc_check(&proc, err);
}

/* Lasts as long as the process. A package's service must not start: policy-rc.d says so for Debian's. */
static int dress(const struct making *m, struct sf_error *err)
{
        static const char *const shared[] = { "/proc", "/dev", "/sys", "/etc/resolv.conf" };
        static const char policy[] = "#!/bin/sh\nexit 101\n";
        _cleanup_free_ char *rc = sf_format("%s/usr/sbin/policy-rc.d", m->tree);

        if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
                return sf_error_errno(err, "mount namespace");
        for (size_t i = 0; i < sizeof shared / sizeof *shared; i++) {
                _cleanup_free_ char *to = sf_format("%s%s", m->tree, shared[i]);
                bool is_file = i == 3;

                if (!to)
                        return sf_error_set(err, SF_ERR_NOMEM, "root");
                if (is_file && (!sf_fs_exists(shared[i]) || (unlink(to) < 0 && errno != ENOENT) ||
                                sf_fs_write(to, "", 0, 0644, err) < 0))
                        continue;
                if (mount(shared[i], to, NULL, MS_BIND | MS_REC, NULL) < 0)
                        return sf_error_errno(err, "cannot mount %s", to);
        }
        if (!rc)
                return sf_error_set(err, SF_ERR_NOMEM, "root");
        return sf_fs_exists(rc) ? 0 : sf_fs_write(rc, policy, strlen(policy), 0755, err);
}

static int install(struct making *m, struct sf_error *err)
{
        const char *manager = sf_conf_get(&m->conf, "root", "manager");
        const char *command = manager ? sf_toolchain_installer(manager) : NULL;
        _cleanup_(sf_words_free) struct sf_words argv = SF_WORDS_INIT, update = SF_WORDS_INIT;
        const struct sf_conf_entry *entry = NULL;
        int r;

        if (!command)
                return sf_error_set(err, SF_ERR_USAGE, "toolchain %s: manager = %s is neither apt nor dnf",
                                    m->root->name, manager ? manager : "(nothing)");
        r = sf_words_split(&argv, command, err);
        while (r == 0 && (entry = sf_conf_next(&m->conf, "root", "packages", entry)))
                r = sf_words_split(&argv, entry->value, err);
        if (r == 0 && (r = dress(m, err)) == 0 && strcmp(manager, "apt") == 0 &&
            (r = sf_words_split(&update, "apt-get update", err)) == 0)
                r = run_inside(m, &update, err);
        return r < 0 ? r : run_inside(m, &argv, err);
}

static int record_packages(struct making *m, struct sf_error *err)
{
        const char *manager = sf_conf_get(&m->conf, "root", "manager");
        bool rpm = manager && strcmp(manager, "dnf") == 0;
        const char *const dpkg_argv[] = { "dpkg-query", "-W", "-f", "${Package} ${Version}\n", NULL };
        const char *const rpm_argv[] = { "rpm", "-qa", "--qf", "%{NAME} %{VERSION}-%{RELEASE}\n", NULL };
        _cleanup_(sf_buffer_free) struct sf_buffer out = SF_BUFFER_INIT, errors = SF_BUFFER_INIT;
        _cleanup_free_ char *path = sf_fs_join(m->work, "packages");
        const struct sf_proc proc = { .argv = rpm ? rpm_argv : dpkg_argv,
                                      .root = m->tree,
                                      .output = &out,
                                      .errors = &errors,
                                      .timeout_seconds = 120 };
        int r = path ? sf_proc_check(&proc, err) : sf_error_set(err, SF_ERR_NOMEM, "root");

        return r < 0 ? r : sf_fs_write(path, out.data, out.len, 0644, err);
}

/* In a process of its own, whose mounts end with it. */
static int in_child(struct making *m, int (*work)(struct making *m, struct sf_error *err), struct sf_error *err)
{
        struct sf_error said = SF_ERROR_INIT;
        int ends[2], status;

        if (pipe(ends) < 0)
                return sf_error_errno(err, "root");
        pid_t pid = fork();
        if (pid == 0) {
                bool failed = work(m, &said) < 0;
                if (failed && write(ends[1], &said, sizeof said) != sizeof said)
                        sf_log_error("root of %s: %s", m->root->name, said.text);
                _exit(failed);
        }
        close(ends[1]);
        ssize_t n = pid < 0 ? -1 : read(ends[0], &said, sizeof said);
        close(ends[0]);
        if (pid < 0 || waitpid(pid, &status, 0) < 0)
                return sf_error_errno(err, "root");
        if (n == sizeof said)
                return sf_error_set(err, said.code, "%s", said.text);
        return status == 0 ? 0 : sf_error_set(err, SF_ERR_FAILED, "root of %s: status %d", m->root->name, status);
}

/* --- the whole ------------------------------------------------------------------------------------------------- */

/* What the sandbox mounts over must be there: the root is read-only then. */
static int make_places(const struct making *m, struct sf_error *err)
{
        static const char *const places[] = { "media", "proc", "dev", "sys", "tmp" };
        int r = 0;

        for (size_t i = 0; i < sizeof places / sizeof *places && r == 0; i++) {
                _cleanup_free_ char *path = sf_fs_join(m->tree, places[i]);
                r = path ? sf_fs_mkdirs(path, 0755, err) : sf_error_set(err, SF_ERR_NOMEM, "root");
        }
        return r;
}

/* What is asked of the whole process: from now on it can run the root's programs. */
static int enter_emulator(struct making *m, struct sf_error *err)
{
        return m->arch ? sf_emulator_enter(&m->root->emulator, m->tree, CLONE_NEWNS, err) : 0;
}

static int fill(struct making *m, struct sf_error *err)
{
        const struct sf_toolchain_place place = { .root = m->tree, .arch = m->arch };
        struct sf_toolchain toolchain;
        int r;

        if ((r = obtain(m, err)) < 0 || (r = check_name(m, err)) < 0 || (r = make_places(m, err)) < 0 ||
            (r = enter_emulator(m, err)) < 0 || (!m->root->bare && (r = in_child(m, install, err)) < 0) ||
            (r = sf_toolchain_load(m->root->toolchains, m->root->name, &place, &toolchain, err)) < 0)
                return r;
        sf_log_info("root of %s %s: %s, %s", toolchain.name, toolchain.arch, toolchain.compiler, toolchain.libc);
        sf_toolchain_free(&toolchain);
        return record_packages(m, err);
}

static int put_in_place(const struct making *m, const char *final, struct sf_error *err)
{
        _cleanup_free_ char *old = sf_format("%s.old", m->work);
        int r;

        if (!old)
                return sf_error_set(err, SF_ERR_NOMEM, "root");
        if ((r = sf_fs_remove_tree(old, err)) < 0)
                return r;
        if (rename(final, old) < 0 && errno != ENOENT)
                return sf_error_errno(err, "cannot move %s", final);
        if (rename(m->work, final) < 0)
                return sf_error_errno(err, "cannot move %s to %s", m->work, final);
        return sf_fs_remove_tree(old, err);
}

/* Everything that can be refused before a byte is copied. */
static int prepare(struct making *m, struct sf_error *err)
{
        const struct sf_root *root = m->root;
        _cleanup_free_ char *file = sf_format("%s/%s.ini", root->toolchains, root->name);
        int r;

        if (!file)
                return sf_error_set(err, SF_ERR_NOMEM, "root");
        if (strchr(root->name, '/') || root->name[0] == '.')
                return sf_error_set(err, SF_ERR_USAGE, "\"%s\" is not the name of a toolchain", root->name);
        if (!sf_fs_exists(file))
                return sf_error_set(err, SF_ERR_USAGE, "there is no toolchain %s: %s is missing", root->name, file);
        if (geteuid() != 0)
                return sf_error_set(err, SF_ERR_UNSUPPORTED, "a root with the right owners can only be made as root");
        if ((r = sf_toolchain_load_conf(root->toolchains, root->name, &m->conf, err)) < 0 ||
            (r = choose_source(m, err)) < 0)
                return r;
        if (!is_image(m->from) && access(m->from, R_OK) < 0)
                return sf_error_errno(err, "%s", m->from);
        return describe_origin(m, err);
}

static int make(struct making *m, const char *final, struct sf_error *err)
{
        int r;

        if ((r = sf_fs_remove_tree(m->work, err)) < 0 || (r = sf_fs_mkdirs(m->tree, 0755, err)) < 0)
                return r;
        if ((r = fill(m, err)) == 0)
                return put_in_place(m, final, err);
        /* The log stays, the unfinished tree does not. */
        sf_fs_remove_tree(m->work, NULL);
        return r;
}

/* The places of a making; `id` is the toolchain's name, and the architecture where it is another. */
static int name_places(struct making *m, const char *id, struct sf_error *err)
{
        const struct sf_cache *cache = m->root->cache;

        m->work = sf_format("%s/roots/.%s.new", cache->root, id);
        m->tree = m->work ? sf_fs_join(m->work, "tree") : NULL;
        m->log = sf_format("%s/logs/root-%s.log", cache->root, id);
        return m->tree && m->log ? 0 : sf_error_set(err, SF_ERR_NOMEM, "root");
}

int sf_root_prepare(const struct sf_root *root, char **ret_path, struct sf_error *err)
{
        _cleanup_(making_free) struct making m = { .root = root, .conf = SF_CONF_INIT };
        int r = sf_emulator_is_needed(&root->emulator, err);

        if (r < 0)
                return r;
        m.arch = r ? root->emulator.arch : NULL;
        _cleanup_free_ char *id = sf_format("%s%s%s", root->name, m.arch ? "-" : "", m.arch ? m.arch : "");
        _cleanup_free_ char *final = id ? sf_format("%s/roots/%s", root->cache->root, id) : NULL;
        _cleanup_free_ char *path = final ? sf_fs_join(final, "tree") : NULL;
        _cleanup_free_ char *name = id ? sf_format("root-%s", id) : NULL;
        _cleanup_close_ int lock = -1;

        if (!path || !name)
                return sf_error_set(err, SF_ERR_NOMEM, "root");
        if ((r = name_places(&m, id, err)) < 0)
                return r;
        if ((r = prepare(&m, err)) < 0 || (r = sf_cache_lock(root->cache, name, true, &lock, err)) < 0)
                return sf_error_prefix(err, "root of %s", root->name);
        if (is_made_already(&m, final)) {
                sf_log_info("root of %s: made from this image already", root->name);
        } else {
                r = make(&m, final, err);
                sf_log_progress_end();
                if (r < 0)
                        return sf_error_prefix(err, "root of %s", root->name);
        }
        *ret_path = sf_steal_pointer(path);
        return 0;
}
