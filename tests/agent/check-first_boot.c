/* SPDX-License-Identifier: Apache-2.0 */
/* tests/agent/check-first_boot.c - what a slurm.conf may say to "install --init", and where --root may lead. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/switch/first_boot.h"
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fs.h"

static char root[64];

static void put(const char *name, const char *text)
{
        _cleanup_free_ char *path = sf_fs_join(root, name), *parent = strdup(path);

        *strrchr(parent, '/') = '\0';
        assert_int_equal(sf_fs_mkdirs(parent, 0755, NULL), 0);
        assert_int_equal(sf_fs_write(path, text, strlen(text), 0644, NULL), 0);
}

/* SlurmdSpoolDir=/aaa…a/%n with so many letters. */
static int plan(size_t letters, struct sf_error *err)
{
        struct sf_config config = { .root = root,
                                    .prefix = (char[]){ "/opt/slurm" },
                                    .arch = (char[]){ "amd64" },
                                    .slurm_conf = "/etc/slurm/slurm.conf",
                                    .init = { .wanted = true,
                                              .slurm_uid = SF_INIT_UNSET,
                                              .slurm_gid = SF_INIT_UNSET,
                                              .munge_uid = SF_INIT_UNSET,
                                              .munge_gid = SF_INIT_UNSET } };
        _cleanup_free_ char *name = malloc(letters + 1);
        struct sf_first_boot boot;

        memset(name, 'a', letters);
        name[letters] = '\0';
        _cleanup_free_ char *text = sf_format("ClusterName=c\nSlurmdSpoolDir=/%s/%%n\n", name);
        put("etc/slurm/slurm.conf", text);
        put("etc/passwd", "root:x:0:0::/:/bin/sh\nslurm:x:64030:64030::/:/bin/false\n");
        int r = sf_first_boot_plan(&config, &boot, err);
        if (r == 0)
                sf_first_boot_free(&boot);
        return r;
}

static void long_spool(void **state)
{
        struct sf_error err = SF_ERROR_INIT;

        (void)state;
        assert_int_equal(plan(200, &err), 0);
        static const size_t lengths[] = { 1021, 1100, 2000, 70000 };
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
                assert_int_equal(plan(lengths[i], &err), SF_ERR_USAGE);
                assert_non_null(strstr(err.text, "SlurmdSpoolDir"));
        }
}

static int check(const char *prefix)
{
        _cleanup_free_ char *state = sf_format("%s/var/lib/sf-node", root);
        const struct sf_config config = { .root = root, .prefix = (char *)(uintptr_t)prefix, .state = state };

        return sf_config_check_places(&config, NULL);
}

static void make_link(const char *target, const char *name)
{
        _cleanup_free_ char *path = sf_fs_join(root, name);

        assert_int_equal(symlink(target, path), 0);
}

static void root_keeps_to_itself(void **state)
{
        (void)state;
        put("srv/x", "");
        assert_int_equal(check("/opt/slurm"), 0);
        make_link("srv", "relative");
        make_link("/srv", "absolute");
        make_link("/nowhere-at-all", "dangling");
        make_link("../../..", "up");
        assert_int_equal(check("/relative/slurm"), 0);
        assert_int_equal(check("/relative"), 0);
        assert_int_equal(check("/absolute/slurm"), SF_ERR_USAGE);
        assert_int_equal(check("/dangling/slurm"), SF_ERR_USAGE);
        assert_int_equal(check("/up/slurm"), SF_ERR_USAGE);
        make_link("/var", "var");
        assert_int_equal(check("/opt/slurm"), SF_ERR_USAGE);
        /* One that will be made. */
        strcat(root, "/not/yet");
        assert_int_equal(check("/opt/slurm"), 0);
        root[strlen(root) - strlen("/not/yet")] = '\0';
}

static int make_root(void **state)
{
        (void)state;
        strcpy(root, "/tmp/check-first_boot-XXXXXX");
        return mkdtemp(root) ? 0 : -1;
}

static int drop_root(void **state)
{
        (void)state;
        return sf_fs_remove_tree(root, NULL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(long_spool, make_root, drop_root),
                cmocka_unit_test_setup_teardown(root_keeps_to_itself, make_root, drop_root),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
