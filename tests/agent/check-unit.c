/* SPDX-License-Identifier: Apache-2.0 */
/* tests/agent/check-unit.c - slurmd's unit file: rendered, found, kept, and never taken from somebody else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/node/unit.h"
#include "base/cleanup.h"
#include "base/fs.h"

static char root[] = "/tmp/sf-unit.XXXXXX";

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

static void put(const char *place, const char *text)
{
        _cleanup_free_ char *directory = sf_format("%s%s", root, place);
        _cleanup_free_ char *path = sf_format("%s%s/slurmd.service", root, place);

        assert_int_equal(sf_fs_mkdirs(directory, 0755, NULL), 0);
        assert_int_equal(sf_fs_write(path, text, strlen(text), 0644, NULL), 0);
}

static void rendering(void **state)
{
        _cleanup_(sf_buffer_free) struct sf_buffer notify = SF_BUFFER_INIT, simple = SF_BUFFER_INIT;

        (void)state;
        assert_int_equal(sf_unit_render("/opt/slurm", "notify", &notify, NULL), 0);
        assert_non_null(strstr(sf_buffer_text(&notify),
                               "\nExecStart=@/opt/slurm/view/sbin/slurmd slurmd --systemd $SLURMD_OPTIONS\n"));
        assert_non_null(strstr(sf_buffer_text(&notify), "\nType=notify\n"));
        assert_non_null(strstr(sf_buffer_text(&notify), "\nKillMode=process\n"));
        assert_non_null(strstr(sf_buffer_text(&notify), "\nDelegate=yes\n"));
        assert_non_null(strstr(sf_buffer_text(&notify), "\n[Install]\n"));
        assert_int_equal(sf_unit_render("/srv/hpc", "simple", &simple, NULL), 0);
        assert_non_null(strstr(sf_buffer_text(&simple),
                               "\nExecStart=@/srv/hpc/view/sbin/slurmd slurmd -D -s $SLURMD_OPTIONS\n"));
        assert_null(strstr(sf_buffer_text(&simple), "@PREFIX@"));
        assert_int_equal(sf_unit_render("/opt/slurm", "forking", &simple, NULL), SF_ERR_UNSUPPORTED);
}

static void owners(void **state)
{
        _cleanup_(sf_buffer_free) struct sf_buffer ours = SF_BUFFER_INIT, found = SF_BUFFER_INIT;
        _cleanup_free_ char *mask = sf_format("%s/etc/systemd/system/slurmd.service", root);
        enum sf_unit_owner owner;

        (void)state;
        assert_int_equal(sf_unit_find(root, &owner, NULL, NULL), 0);
        assert_int_equal(owner, SF_UNIT_NONE);
        put("/usr/lib/systemd/system", "[Service]\nExecStart=/usr/sbin/slurmd\n");
        assert_int_equal(sf_unit_find(root, &owner, NULL, NULL), 0);
        assert_int_equal(owner, SF_UNIT_FOREIGN);
        /* What is in /etc comes first. */
        assert_int_equal(sf_unit_render("/opt/slurm", "notify", &ours, NULL), 0);
        assert_int_equal(sf_unit_write(root, &ours, NULL), 0);
        assert_int_equal(sf_unit_find(root, &owner, &found, NULL), 0);
        assert_int_equal(owner, SF_UNIT_OURS);
        assert_string_equal(sf_buffer_text(&found), sf_buffer_text(&ours));
        assert_int_equal(unlink(mask), 0);
        assert_int_equal(symlink("/dev/null", mask), 0);
        assert_int_equal(sf_unit_find(root, &owner, NULL, NULL), 0);
        assert_int_equal(owner, SF_UNIT_FOREIGN);
}

static void kept_text(void **state)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT, back = SF_BUFFER_INIT;

        (void)state;
        assert_int_equal(sf_unit_kept(root, "24.11.5-noble", &back, NULL), SF_ERR_NOT_FOUND);
        assert_int_equal(sf_buffer_puts(&text, "# Written by sf-node\n[Service]\n", NULL), 0);
        assert_int_equal(sf_unit_keep(root, "24.11.5-noble", &text, NULL), 0);
        assert_int_equal(sf_unit_kept(root, "24.11.5-noble", &back, NULL), 0);
        assert_string_equal(sf_buffer_text(&back), sf_buffer_text(&text));
}

/* The boot unit names this program and the toolchain, whatever they are called. */
static void odd_names(void **state)
{
        const struct sf_unit_recovery odd = { .root = root,
                                              .name = "sf-node-recover.service",
                                              .agent = "/opt/my 50% tools/sf-node",
                                              .prefix = "/opt/slurm",
                                              .toolchain = "our noble",
                                              .state = "/var/lib/sf-node" };
        _cleanup_free_ char *path = sf_format("%s/etc/systemd/system/sf-node-recover.service", root);
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;

        (void)state;
        assert_int_equal(sf_unit_ensure_recovery(&odd, NULL), 0);
        assert_int_equal(sf_fs_read(path, 1 << 16, &text, NULL), 0);
        assert_non_null(strstr(sf_buffer_text(&text), "\nExecStart=\"/opt/my 50%% tools/sf-node\" --prefix "
                                                      "/opt/slurm --toolchain \"our noble\" recover --boot\n"));
        assert_non_null(strstr(sf_buffer_text(&text), "/var/lib/sf-node \"/opt/my 50%% tools/sf-node\"\n"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(rendering),
                cmocka_unit_test_setup_teardown(owners, make_root, remove_root),
                cmocka_unit_test_setup_teardown(kept_text, make_root, remove_root),
                cmocka_unit_test_setup_teardown(odd_names, make_root, remove_root),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
