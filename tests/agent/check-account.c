/* SPDX-License-Identifier: Apache-2.0 */
/* tests/agent/check-account.c - users and groups of an image, and where its paths lie when it is not /. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/node/account.h"
#include "base/cleanup.h"
#include "base/fs.h"

static char root[] = "/tmp/sf-account.XXXXXX";

static int make_root(void **state)
{
        (void)state;
        strcpy(root + strlen(root) - 6, "XXXXXX");
        return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
        (void)state;
        return sf_fs_remove_tree(root, NULL);
}

static void put(const char *name, const char *text)
{
        _cleanup_free_ char *etc = sf_fs_join(root, "etc"), *path = sf_fs_join(etc, name);

        assert_int_equal(sf_fs_mkdirs(etc, 0755, NULL), 0);
        assert_int_equal(sf_fs_write(path, text, strlen(text), 0644, NULL), 0);
}

static void finds_users(void **state)
{
        struct sf_account a;

        (void)state;
        assert_int_equal(sf_account_find(root, "slurm", &a, NULL), SF_ERR_NOT_FOUND);
        put("passwd", "root:x:0:0::/root:/bin/sh\nslurmx:x:1:1::/:/bin/sh\n+::::::\nbroken\nbad:x:12x:1::/:\n"
                      "slurm:x:64030:64031::/nonexistent:/bin/false");
        put("group", "root:x:0:\nslurm:x:64031:a,b\nempty::7:\n");
        assert_int_equal(sf_account_find(root, "slurm", &a, NULL), 0);
        assert_string_equal(a.name, "slurm");
        assert_int_equal(a.uid, 64030);
        assert_int_equal(a.gid, 64031);
        assert_int_equal(sf_account_find(root, "64030", &a, NULL), 0);
        assert_string_equal(a.name, "slurm");
        assert_int_equal(sf_account_find(root, "64031", &a, NULL), SF_ERR_NOT_FOUND);
        assert_int_equal(sf_account_find(root, "slur", &a, NULL), SF_ERR_NOT_FOUND);
        assert_int_equal(sf_account_find(root, "bad", &a, NULL), SF_ERR_NOT_FOUND);
        assert_int_equal(sf_account_find(root, "+", &a, NULL), SF_ERR_NOT_FOUND);
        assert_int_equal(sf_account_find(root, "", &a, NULL), SF_ERR_NOT_FOUND);
        assert_int_equal(sf_account_find_group(root, "slurm", &a, NULL), 0);
        assert_int_equal(a.gid, 64031);
        assert_int_equal(sf_account_find_group(root, "7", &a, NULL), 0);
        assert_string_equal(a.name, "empty");
}

static void live(void **state)
{
        struct sf_account a;

        (void)state;
        assert_int_equal(sf_account_find("", "root", &a, NULL), 0);
        assert_int_equal(a.uid, 0);
        assert_int_equal(sf_account_find("", "no-such-user-here", &a, NULL), SF_ERR_NOT_FOUND);
}

static void make_link(const char *target, const char *name)
{
        _cleanup_free_ char *path = sf_fs_join(root, name);

        assert_int_equal(symlink(target, path), 0);
}

static void lies_at(const char *path, const char *place)
{
        _cleanup_free_ char *real = NULL, *wanted = sf_format("%s%s", root, place);

        assert_int_equal(sf_fs_in_root(root, path, &real, NULL), 0);
        assert_string_equal(real, wanted);
}

static void stays_in_the_image(void **state)
{
        char *unused = NULL;

        (void)state;
        put("passwd", "");
        make_link("/etc", "absolute");
        make_link("etc", "relative");
        make_link("../../../../etc", "up");
        make_link("/absolute/deeper", "twice");
        make_link("/circle", "circle");
        lies_at("/etc/default/slurmd", "/etc/default/slurmd");
        lies_at("/absolute/default/slurmd", "/etc/default/slurmd");
        lies_at("/relative/x", "/etc/x");
        lies_at("/up/x", "/etc/x");
        lies_at("/twice/x", "/etc/deeper/x");
        lies_at("/etc/../etc//./x", "/etc/x");
        lies_at("/../../x", "/x");
        lies_at("/absolute", "/absolute"); /* the last component is not followed */
        assert_int_equal(sf_fs_in_root(root, "/circle/x", &unused, NULL), SF_ERR_LIMIT);
}

/* An absolute link of an image is one of that system, not of this host. */
static void makes_in_the_image(void **state)
{
        const struct sf_account slurm = { "slurm", 64030, 64030 };
        _cleanup_free_ char *outside = sf_format("%s-outside", root), *inside = sf_format("%s%s", root, outside);
        _cleanup_free_ char *stray = sf_fs_join(outside, "sf-node-slurm.conf");
        _cleanup_free_ char *made = sf_fs_join(inside, "sf-node-slurm.conf");

        (void)state;
        put("passwd", "root:x:0:0::/root:/bin/sh\n");
        put("group", "root:x:0:\n");
        assert_int_equal(mkdir(outside, 0755), 0);
        assert_int_equal(sf_fs_mkdirs(inside, 0755, NULL), 0);
        make_link(outside, "etc/sysusers.d");
        /* Whether systemd-sysusers is there and can do it is another matter. */
        (void)sf_account_make(root, &slurm, "/etc/sysusers.d/sf-node-slurm.conf", NULL);
        assert_false(sf_fs_exists(stray));
        assert_true(sf_fs_exists(made));
        sf_fs_remove_tree(outside, NULL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(finds_users, make_root, remove_root),
                cmocka_unit_test(live),
                cmocka_unit_test_setup_teardown(stays_in_the_image, make_root, remove_root),
                cmocka_unit_test_setup_teardown(makes_in_the_image, make_root, remove_root),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
