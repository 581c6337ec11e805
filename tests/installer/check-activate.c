/* SPDX-License-Identifier: Apache-2.0 */
/* The switch: one atomic rename, a hand-made install adopted instead of destroyed, and modules that a real Lmod
 * reads. */
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/proc.h"
#include "installer/activate.h"

struct node {
        char root[64];
        struct sf_store store;
};

static int set_up(void **state)
{
        struct node *n = calloc(1, sizeof *n);

        strcpy(n->root, "/tmp/check-activate-XXXXXX");
        assert_non_null(mkdtemp(n->root));
        /* No --root: the modules must name directories that exist, for Lmod to be asked. */
        assert_int_equal(sf_store_open("", n->root, &n->store, NULL), 0);
        *state = n;
        return 0;
}

static int tear_down(void **state)
{
        struct node *n = *state;

        assert_int_equal(sf_fs_remove_tree(n->root, NULL), 0);
        sf_store_close(&n->store);
        free(n);
        return 0;
}

static char *below(const struct node *n, const char *path)
{
        char *full = sf_fs_join(n->store.base, path);

        assert_non_null(full);
        return full;
}

static void put(const struct node *n, const char *path, const char *text)
{
        _cleanup_free_ char *full = below(n, path);
        _cleanup_free_ char *directory = strndup(full, (size_t)(strrchr(full, '/') - full));

        assert_int_equal(sf_fs_mkdirs(directory, 0755, NULL), 0);
        assert_int_equal(sf_fs_write(full, text, strlen(text), 0755, NULL), 0);
}

/* What the store takes for a complete release. */
static void put_release(const struct node *n, const char *directory, const char *name)
{
        _cleanup_free_ char *record = sf_format("releases/%s/.sf-release/release.json", directory);
        _cleanup_free_ char *program = sf_format("releases/%s/bin/sinfo", directory);
        _cleanup_free_ char *scontrol = sf_format("releases/%s/bin/scontrol", directory);
        _cleanup_free_ char *text = sf_format("{\"release\":\"%s\",\"tree\":\"%064d\",\"unit\":\"notify\"}", name, 0);
        _cleanup_free_ char *script = sf_format("#!/bin/sh\necho %s\n", name);

        put(n, record, text);
        put(n, program, script);
        put(n, scontrol, script);
}

static void assert_view(const struct node *n, const char *target)
{
        _cleanup_free_ char *view = below(n, "view"), *found = NULL;

        assert_int_equal(sf_fs_readlink(view, &found, NULL), 0);
        assert_string_equal(found, target);
}

static void test_switch(void **state)
{
        struct node *n = *state;
        struct sf_error err = SF_ERROR_INIT;
        char current[128] = "x";

        put_release(n, "24.11.5-bookworm", "24.11.5-bookworm-amd64");
        put_release(n, "25.05.1-bookworm", "25.05.1-bookworm-amd64");
        assert_int_equal(sf_activate_current(&n->store, current, &err), 0);
        assert_string_equal(current, "");
        assert_int_equal(sf_activate_switch(&n->store, "24.11.5-bookworm", &err), 0);
        assert_view(n, "releases/24.11.5-bookworm");
        assert_int_equal(sf_activate_switch(&n->store, "25.05.1-bookworm", &err), 0);
        assert_view(n, "releases/25.05.1-bookworm");
        assert_int_equal(sf_activate_current(&n->store, current, &err), 0);
        assert_string_equal(current, "25.05.1-bookworm");
        assert_int_equal(sf_activate_switch(&n->store, "24.11.9-bookworm", &err), SF_ERR_NOT_FOUND);
        assert_int_equal(sf_activate_switch(&n->store, "../releases/24.11.5-bookworm", &err), SF_ERR_USAGE);
        assert_view(n, "releases/25.05.1-bookworm");
        /* What a crash between making and renaming the link leaves behind is no hindrance; another node's is its
         * own. */
        _cleanup_free_ char *leftover = below(n, ".view-new-1-2"), *fresh = below(n, ".view-new-3-4");
        const struct timespec old[2] = { { 1000000000, 0 }, { 1000000000, 0 } };
        assert_int_equal(symlink("releases/nothing", leftover), 0);
        assert_int_equal(utimensat(AT_FDCWD, leftover, old, AT_SYMLINK_NOFOLLOW), 0);
        assert_int_equal(symlink("releases/nothing", fresh), 0);
        assert_int_equal(sf_activate_switch(&n->store, "24.11.5-bookworm", &err), 0);
        assert_view(n, "releases/24.11.5-bookworm");
        assert_false(sf_fs_exists(leftover));
        assert_true(sf_fs_exists(fresh));
}

/* At no moment of many switches is there no view: a reader never fails. */
static void test_switch_is_atomic(void **state)
{
        struct node *n = *state;
        _cleanup_free_ char *program = below(n, "view/bin/sinfo");
        int status;

        put_release(n, "a-1", "24.11.5-bookworm-amd64");
        put_release(n, "b-1", "25.05.1-bookworm-amd64");
        assert_int_equal(sf_activate_switch(&n->store, "a-1", NULL), 0);
        pid_t reader = fork();
        assert_true(reader >= 0);
        if (reader == 0) {
                for (int i = 0; i < 20000; i++)
                        if (access(program, X_OK) < 0)
                                _exit(1);
                _exit(0);
        }
        for (int i = 0; waitpid(reader, &status, WNOHANG) == 0; i++)
                assert_int_equal(sf_activate_switch(&n->store, i % 2 ? "a-1" : "b-1", NULL), 0);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_foreign_links(void **state)
{
        static const char *const targets[] = { "/opt/other", "releases/a/b", "releases/..", "releases/", "elsewhere" };
        struct node *n = *state;
        struct sf_error err = SF_ERROR_INIT;
        char current[128];
        _cleanup_free_ char *view = below(n, "view");

        for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
                assert_int_equal(symlink(targets[i], view), 0);
                assert_int_equal(sf_activate_current(&n->store, current, &err), SF_ERR_EXISTS);
                assert_int_equal(unlink(view), 0);
        }
}

static void test_adopt(void **state)
{
        struct node *n = *state;
        struct sf_error err = SF_ERROR_INIT;
        char directory[128], current[128];
        _cleanup_free_ struct sf_store_release *releases = NULL;
        size_t count;

        put_release(n, "24.11.5-bookworm", "24.11.5-bookworm-amd64");
        put(n, "view/bin/sinfo", "by hand");
        assert_int_equal(sf_activate_current(&n->store, current, &err), SF_ERR_EXISTS);
        assert_int_equal(sf_activate_switch(&n->store, "24.11.5-bookworm", &err), SF_ERR_EXISTS);
        assert_int_equal(sf_activate_adopt(&n->store, "20261123", directory, &err), 0);
        assert_string_equal(directory, "foreign-20261123");
        assert_view(n, "releases/foreign-20261123");
        _cleanup_free_ char *kept = below(n, "releases/foreign-20261123/bin/sinfo");
        assert_true(sf_fs_exists(kept));
        assert_int_equal(sf_activate_adopt(&n->store, "20261123", directory, &err), SF_ERR_EXISTS);
        assert_int_equal(sf_activate_switch(&n->store, "24.11.5-bookworm", &err), 0);
        assert_int_equal(sf_activate_switch(&n->store, "foreign-20261123", &err), 0);
        /* A second hand-made install on the same day gets a name of its own. */
        _cleanup_free_ char *view = below(n, "view");
        assert_int_equal(unlink(view), 0);
        put(n, "view/bin/sinfo", "by hand again");
        assert_int_equal(sf_activate_adopt(&n->store, "20261123", directory, &err), 0);
        assert_string_equal(directory, "foreign-20261123-2");
        assert_int_equal(sf_store_list(&n->store, &releases, &count, &err), 0);
        assert_int_equal(count, 3);
        assert_false(releases[0].foreign);
        assert_true(releases[1].foreign && releases[2].foreign);
}

/* In a mount namespace of its own: 0 = as it should be, 77 = no mounts here. */
static int adopt_on_overlay(const struct node *n)
{
        struct sf_error err = SF_ERROR_INIT;
        char directory[128], options[512];
        const char *base = n->store.base;

        _cleanup_free_ char *command = sf_format(
                "mkdir -p %s/t/l/view/bin %s/t/u %s/t/w && echo x >%s/t/l/view/bin/sinfo", base, base, base, base);
        _cleanup_free_ char *kept = below(n, "view/bin/sinfo"), *place = below(n, "t"),
                            *left = below(n, "releases/foreign-20261123");
        if (unshare(CLONE_NEWNS) < 0 || mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || mkdir(place, 0700) < 0 ||
            mount("tmpfs", place, "tmpfs", 0, NULL) < 0 || system(command) != 0)
                return 77;
        snprintf(options, sizeof options, "lowerdir=%s/l,upperdir=%s/u,workdir=%s/w,redirect_dir=off", place, place,
                 place);
        if (mount("overlay", base, "overlay", 0, options) < 0)
                return 77;
        if (sf_activate_adopt(&n->store, "20261123", directory, &err) != SF_ERR_FAILED)
                return 1;
        if (!strstr(err.text, "lower layer of an overlay"))
                return 2;
        return !sf_fs_exists(kept) ? 3 : access(left, F_OK) == 0 ? 4 : 0;
}

/* A real overlay: directories of its lower layer cannot be renamed. Nothing is changed, and what helps is named. */
static void test_adopt_on_overlay(void **state)
{
        int status;
        pid_t pid = fork();

        if (pid == 0)
                _exit(adopt_on_overlay(*state));
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        if (WEXITSTATUS(status) == 77)
                skip();
        assert_int_equal(WEXITSTATUS(status), 0);
}

/* --- modules --------------------------------------------------------------------------------------------------- */

static void put_modules(struct node *n)
{
        put_release(n, "24.11.5-bookworm", "24.11.5-bookworm-amd64");
        put_release(n, "24.11.10-bookworm", "24.11.10-bookworm-amd64");
        put_release(n, "25.05.1-bookworm", "25.05.1-bookworm-amd64");
        put_release(n, "25.05.1-bookworm-debug", "25.05.1-bookworm-amd64-debug");
        put(n, "modules/slurm/site.lua", "-- ours\n");
        put(n, "modules/slurm/site", "#%Module1.0\n# ours\n");
        put(n, "modules/slurm/23.02.1-bookworm.lua", "-- written by sf-node; changes will be lost\n");
        put(n, "modules/slurm/23.02.1-bookworm", "#%Module1.0\n# written by sf-node; changes will be lost\n");
        assert_int_equal(sf_lmod_write(&n->store, "24.11.5-bookworm", NULL), 0);
}

static void assert_text(const struct node *n, const char *path, const char *wanted)
{
        _cleanup_free_ char *full = below(n, path);
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;

        assert_int_equal(sf_fs_read(full, 1 << 16, &text, NULL), 0);
        if (!strstr(sf_buffer_text(&text), wanted))
                fail_msg("%s lacks %s: %s", path, wanted, sf_buffer_text(&text));
}

static void test_modules(void **state)
{
        struct node *n = *state;
        _cleanup_free_ char *stale = below(n, "modules/slurm/23.02.1-bookworm.lua");
        _cleanup_free_ char *stale_tcl = below(n, "modules/slurm/23.02.1-bookworm");

        put_modules(n);
        assert_false(sf_fs_exists(stale));
        assert_false(sf_fs_exists(stale_tcl));
        assert_text(n, "modules/slurm/site", "# ours");
        assert_text(n, "modules/slurm/site.lua", "-- ours");
        assert_text(n, "modules/slurm/24.11.5-bookworm.lua", "prepend_path(\"PATH\", pathJoin(root, \"bin\"))");
        assert_text(n, "modules/slurm/24.11.5-bookworm", "prepend-path PATH $root/bin\n");
        assert_text(n, "modules/slurm/.modulerc", "{slurm/24.11.5-bookworm} {default}");
        assert_text(n, "modules/slurm/.modulerc", "{slurm/24.11.10-bookworm} {24.11-bookworm}");
        assert_text(n, "modules/slurm/.modulerc.lua", "(\"slurm/24.11.5-bookworm\", \"default\")");
        assert_text(n, "modules/slurm/.modulerc.lua", "(\"slurm/24.11.10-bookworm\", \"24.11-bookworm\")");
}

/* Runs Lmod and a program that the loaded module brings; returns its output. */
static void assert_module_runs(const struct node *n, const char *lmod, const char *load, const char *expected)
{
        _cleanup_free_ char *script = sf_format(
                "eval \"$(%s bash use %s/modules)\" && eval \"$(%s bash load %s)\" && sinfo", lmod, n->store.base, lmod,
                load);
        const char *argv[] = { "/bin/bash", "-c", script, NULL };
        const char *env[] = { "PATH=/usr/bin:/bin", "HOME=/nonexistent", "LC_ALL=C.UTF-8", "LMOD_IGNORE_CACHE=yes",
                              NULL };
        _cleanup_(sf_buffer_free) struct sf_buffer output = SF_BUFFER_INIT;
        struct sf_proc proc = { .argv = argv, .env = env, .output = &output, .timeout_seconds = 60 };
        struct sf_error err = SF_ERROR_INIT;

        int r = sf_proc_run(&proc, &err);
        if (r != 0 || !strstr(sf_buffer_text(&output), expected))
                fail_msg("module load %s: status %d, %s: %s", load, r, err.text, sf_buffer_text(&output));
}

static void test_real_lmod(void **state)
{
        static const char lmod[] = "/usr/share/lmod/lmod/libexec/lmod";
        struct node *n = *state;

        if (access(lmod, X_OK) < 0) {
                print_message("SKIPPED: no Lmod in %s (Debian: apt-get install lmod)\n", lmod);
                skip();
        }
        put_modules(n);
        assert_module_runs(n, lmod, "slurm", "24.11.5-bookworm-amd64");
        assert_module_runs(n, lmod, "slurm/24.11-bookworm", "24.11.10-bookworm-amd64");
        assert_module_runs(n, lmod, "slurm/25.05.1-bookworm-debug", "25.05.1-bookworm-amd64-debug");
        assert_int_equal(sf_lmod_write(&n->store, "25.05.1-bookworm", NULL), 0);
        assert_module_runs(n, lmod, "slurm", "25.05.1-bookworm-amd64");
}

/* The whole session of tests/kit/module-session.sh, under each module system that is here. environment-modules may lie
 * in a directory of its own, for Debian's package conflicts with Lmod's: tests/kit/setup.sh. */
static void test_sessions(void **state)
{
        static const char lmod[] = "/usr/share/lmod/lmod/libexec/lmod";
        struct node *n = *state;
        const char *source = getenv("top_srcdir"), *cache = getenv("SF_TEST_CACHE");
        _cleanup_free_ char *unpacked = sf_format("%s/environment-modules/usr/lib/modulecmd.tcl",
                                                  cache ? cache : "tests/cache");
        _cleanup_free_ char *absolute = realpath(unpacked, NULL); /* the session changes its directory */
        const char *tcl = access("/usr/lib/modulecmd.tcl", R_OK) == 0 ? "/usr/lib/modulecmd.tcl" : absolute;
        _cleanup_free_ char *tclsh = sf_format("tclsh %s", tcl ? tcl : "");
        const char *const commands[] = { access(lmod, X_OK) == 0 ? lmod : NULL, tcl ? tclsh : NULL };
        _cleanup_free_ char *script = sf_format("%s/tests/kit/module-session.sh", source ? source : ".");
        _cleanup_free_ char *without = below(n, "releases/23.11.1-bookworm/bin/scontrol");

        put_modules(n);
        put_release(n, "23.11.1-bookworm", "23.11.1-bookworm-amd64");
        put(n, "releases/24.11.5-bookworm/include/slurm/slurm.h", "");
        put(n, "releases/25.05.1-bookworm/include/hwloc.h", "");
        put(n, "releases/25.05.1-bookworm/lib/pkgconfig/hwloc.pc", "");
        put(n, "releases/25.05.1-bookworm/share/slurm/devel/include/slurm/slurm.h", "#define SLURM_VERSION_NUMBER 1\n");
        put(n, "releases/25.05.1-bookworm/share/slurm/devel/lib/pkgconfig/slurm.pc",
            "Name: slurm\nDescription: Slurm\nVersion: 25.05.1\n");
        put(n, "releases/25.05.1-bookworm/mpi/bin/mpicc", "#!/bin/sh\necho mpicc\n");
        put(n, "releases/25.05.1-bookworm/mpi/modulefiles/.modulerc", "#%Module1.0\n");
        assert_int_equal(unlink(without), 0);
        sf_store_forget(&n->store);
        assert_int_equal(sf_lmod_write(&n->store, "24.11.5-bookworm", NULL), 0);
        for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
                const char *argv[] = { "/bin/bash", script, commands[i], n->store.prefix, NULL };
                const char *env[] = { "PATH=/usr/bin:/bin", "HOME=/nonexistent", "LC_ALL=C.UTF-8",
                                      "LMOD_IGNORE_CACHE=yes", NULL };
                _cleanup_(sf_buffer_free) struct sf_buffer output = SF_BUFFER_INIT;
                struct sf_proc proc = { .argv = argv, .env = env, .output = &output, .timeout_seconds = 120 };
                struct sf_error err = SF_ERROR_INIT;

                if (!commands[i]) {
                        print_message("SKIPPED: no %s here\n", i ? "environment-modules" : "Lmod");
                        continue;
                }
                int r = sf_proc_run(&proc, &err);
                if (r != 0)
                        fail_msg("%s: status %d, %s: %s", commands[i], r, err.text, sf_buffer_text(&output));
        }
}

#define NODE_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
        const struct CMUnitTest tests[] = {
                NODE_TEST(test_switch),    NODE_TEST(test_switch_is_atomic), NODE_TEST(test_foreign_links),
                NODE_TEST(test_adopt),     NODE_TEST(test_adopt_on_overlay), NODE_TEST(test_modules),
                NODE_TEST(test_real_lmod), NODE_TEST(test_sessions),
        };
        return cmocka_run_group_tests_name("activate", tests, NULL, NULL);
}
