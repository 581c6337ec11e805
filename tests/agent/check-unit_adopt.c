/* SPDX-License-Identifier: Apache-2.0 */
/* tests/agent/check-unit_adopt.c - units of packages and sites made to start our slurmd, and given back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/node/unit_adopt.h"
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fs.h"

#define ETC "/etc/systemd/system/"
#define LIB "/usr/lib/systemd/system/"

static char root[64];

static char *at(const char *name)
{
        char *path = sf_format("%s%s", root, name);

        assert_non_null(path);
        return path;
}

static void put(const char *name, const char *text)
{
        _cleanup_free_ char *path = at(name), *directory = strdup(path);

        *strrchr(directory, '/') = '\0';
        assert_int_equal(sf_fs_mkdirs(directory, 0755, NULL), 0);
        assert_int_equal(sf_fs_write(path, text, strlen(text), 0644, NULL), 0);
}

/* NULL where there is no such file. */
static char *get(const char *name)
{
        _cleanup_free_ char *path = at(name);
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;

        return sf_fs_read(path, 1u << 20, &text, NULL) < 0 ? NULL : strdup(sf_buffer_text(&text));
}

static void assert_says(const char *name, const char *part)
{
        _cleanup_free_ char *text = get(name);

        assert_non_null(text);
        if (!strstr(text, part))
                fail_msg("%s lacks \"%s\":\n%s", name, part, text);
}

static void assert_gone(const char *name)
{
        _cleanup_free_ char *text = get(name);

        assert_null(text);
}

static int adopt_unit(const char *unit, const char *type, const char *conf, struct sf_error *err)
{
        const struct sf_unit_adopt adopt = {
                .root = root, .unit = unit, .prefix = "/opt/slurm", .type = type, .conf = conf
        };

        return sf_unit_adopt(&adopt, err);
}

static void adopt(const char *type)
{
        struct sf_error err = SF_ERROR_INIT;

        if (adopt_unit("slurmd.service", type, NULL, &err) < 0)
                fail_msg("%s", err.text);
}

static void give_back(void)
{
        assert_int_equal(sf_unit_give_back(root, "slurmd.service", NULL), 0);
        assert_gone(ETC "slurmd.service.d/00-sf-node.conf");
        assert_gone(ETC "slurmd.service.d/zz-sf-node.conf");
}

static int begin(void **state)
{
        (void)state;
        strcpy(root, "/tmp/check-unit_adopt.XXXXXX");
        return mkdtemp(root) ? 0 : -1;
}

static int end(void **state)
{
        (void)state;
        return sf_fs_remove_tree(root, NULL);
}

/* Debian 13's unit: nothing in it that ours lacks. */
static void test_debian(void **state)
{
        (void)state;
        put(LIB "slurmd.service", "[Unit]\nAfter=munge.service network-online.target remote-fs.target sssd.service\n"
                                  "Wants=network-online.target\n[Service]\nType=notify\n"
                                  "EnvironmentFile=-/etc/default/slurmd\nRuntimeDirectory=slurm\n"
                                  "ExecStart=/usr/sbin/slurmd --systemd $SLURMD_OPTIONS\nKillMode=process\n"
                                  "LimitNOFILE=131072\nDelegate=yes\n[Install]\nWantedBy=multi-user.target\n");
        adopt("notify");
        assert_says(ETC "slurmd.service",
                    "\nExecStart=@/opt/slurm/view/sbin/slurmd slurmd --systemd $SLURMD_OPTIONS\n");
        assert_gone(ETC "slurmd.service.d/00-sf-node.conf");
        assert_gone(ETC "slurmd.service.d/zz-sf-node.conf");
        give_back();
        assert_gone(ETC "slurmd.service");
        assert_says(LIB "slurmd.service", "/usr/sbin/slurmd");
}

/* One that says more: environment, limits, arguments of its own. */
static void test_package_with_more(void **state)
{
        (void)state;
        put(LIB "slurmd.service", "[Unit]\nConditionPathExists=/etc/slurm/slurm.conf\n[Service]\nType=simple\n"
                                  "Environment=SLURM_CONF=/srv/slurm.conf\nEnvironmentFile=-/etc/vendor/slurmd\n"
                                  "LimitNOFILE=524288\nPIDFile=/run/slurmd.pid\nKillMode=process\n"
                                  "ExecStart=/usr/sbin/slurmd -D -s --conf-server=ctl $SLURMD_OPTIONS\n");
        adopt("notify");
        assert_says(ETC "slurmd.service.d/00-sf-node.conf", "\nConditionPathExists=/etc/slurm/slurm.conf\n");
        assert_says(ETC "slurmd.service.d/00-sf-node.conf", "\nEnvironment=SLURM_CONF=/srv/slurm.conf\n");
        assert_says(ETC "slurmd.service.d/00-sf-node.conf", "\nEnvironmentFile=-/etc/vendor/slurmd\n");
        assert_says(ETC "slurmd.service.d/00-sf-node.conf", "\nLimitNOFILE=524288\n");
        _cleanup_free_ char *kept = get(ETC "slurmd.service.d/00-sf-node.conf");
        assert_null(strstr(kept, "PIDFile"));
        assert_says(ETC "slurmd.service.d/zz-sf-node.conf",
                    "\nExecStart=\nExecStart=@/opt/slurm/view/sbin/slurmd slurmd --systemd --conf-server=ctl "
                    "$SLURMD_OPTIONS\n");
        give_back();
        assert_gone(ETC "slurmd.service");
}

/* The site's drop-in sets the command: it would win over our unit. */
static void test_drop_in(void **state)
{
        (void)state;
        put(LIB "slurmd.service", "[Service]\nType=notify\nExecStart=/usr/sbin/slurmd --systemd $SLURMD_OPTIONS\n");
        put(ETC "slurmd.service.d/override.conf",
            "[Service]\nExecStart=\nExecStart=-/usr/sbin/slurmd --systemd -N n7\n");
        adopt("notify");
        assert_says(ETC "slurmd.service.d/zz-sf-node.conf",
                    "\nExecStart=@-/opt/slurm/view/sbin/slurmd slurmd --systemd -N n7\n");
        give_back();
        assert_says(ETC "slurmd.service.d/override.conf", "-N n7");
}

/* The site's own unit stays, and only its program changes: behind a wrapper, with a name, with a configuration that
 * only its own tree knew. */
static void test_site(void **state)
{
        const char *unit = "[Service]\nType=simple\nExecStart=numactl -i all /spack/slurm-1/sbin/slurmd -D -f /x\n";
        struct sf_error err = SF_ERROR_INIT;

        (void)state;
        put(ETC "slurmd.service", unit);
        assert_int_equal(adopt_unit("slurmd.service", "notify", "/spack/slurm-1/etc/slurm.conf", &err), 0);
        assert_says(ETC "slurmd.service.d/zz-sf-node.conf",
                    "\nExecStart=numactl -i all /opt/slurm/view/sbin/slurmd -D -f /x\n"
                    "Environment=SLURM_CONF=/spack/slurm-1/etc/slurm.conf\n");
        give_back();
        _cleanup_free_ char *after = get(ETC "slurmd.service");
        assert_string_equal(after, unit);

        put(ETC "slurmd.service", "[Service]\nExecStart=@/usr/sbin/slurmd-wlm slurmd -D\n");
        adopt("simple");
        assert_says(ETC "slurmd.service.d/zz-sf-node.conf", "\nExecStart=@/opt/slurm/view/sbin/slurmd slurmd -D\n");
}

/* LD_LIBRARY_PATH, which EasyBuild's programs need, would give our slurmd the libraries of the old one. */
static void test_libraries(void **state)
{
        struct sf_unit_adopt what = {
                .root = root, .unit = "slurmd.service", .prefix = "/opt/slurm", .type = "notify", .libraries = true
        };

        (void)state;
        put(ETC "slurmd.service", "[Service]\nEnvironment=LD_LIBRARY_PATH=/eb/lib\nExecStart=/eb/sbin/slurmd -D\n");
        assert_int_equal(sf_unit_adopt(&what, NULL), 0);
        assert_says(ETC "slurmd.service.d/zz-sf-node.conf",
                    "\nExecStart=@/opt/slurm/view/sbin/slurmd slurmd -D\nUnsetEnvironment=LD_LIBRARY_PATH\n");
        give_back();
        put(ETC "slurmd.service", "[Service]\nExecStart=/usr/bin/env  A=b LD_LIBRARY_PATH=/eb/lib:/eb/x C=d "
                                  "/eb/sbin/slurmd -D\n");
        assert_int_equal(sf_unit_adopt(&what, NULL), 0);
        assert_says(ETC "slurmd.service.d/zz-sf-node.conf",
                    "\nExecStart=/usr/bin/env  A=b C=d /opt/slurm/view/sbin/slurmd -D\n");
        give_back();
        /* In front of a package's unit. */
        _cleanup_free_ char *file = at(ETC "slurmd.service");
        assert_int_equal(unlink(file), 0);
        put(LIB "slurmd.service", "[Service]\nType=notify\nExecStart=/usr/sbin/slurmd --systemd $SLURMD_OPTIONS\n");
        assert_int_equal(sf_unit_adopt(&what, NULL), 0);
        assert_says(ETC "slurmd.service.d/zz-sf-node.conf", "\n[Service]\nUnsetEnvironment=LD_LIBRARY_PATH\n");
        give_back();
}

static void test_hidden(void **state)
{
        struct sf_error err = SF_ERROR_INIT;

        (void)state;
        put(ETC "slurmd.service", "[Service]\nExecStart=/usr/local/sbin/start-it\n");
        assert_int_equal(adopt_unit("slurmd.service", "notify", NULL, &err), SF_ERR_UNSUPPORTED);
        assert_non_null(strstr(err.text, "start-it"));
        assert_gone(ETC "slurmd.service.d/zz-sf-node.conf");
        /* What is not ours is not removed. */
        put(ETC "slurmd.service.d/zz-sf-node.conf", "# somebody else's\n");
        assert_int_equal(sf_unit_give_back(root, "slurmd.service", NULL), 0);
        assert_says(ETC "slurmd.service", "start-it");
        assert_says(ETC "slurmd.service.d/zz-sf-node.conf", "somebody");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_debian, begin, end),
                cmocka_unit_test_setup_teardown(test_package_with_more, begin, end),
                cmocka_unit_test_setup_teardown(test_drop_in, begin, end),
                cmocka_unit_test_setup_teardown(test_site, begin, end),
                cmocka_unit_test_setup_teardown(test_libraries, begin, end),
                cmocka_unit_test_setup_teardown(test_hidden, begin, end),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
