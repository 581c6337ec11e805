/* SPDX-License-Identifier: Apache-2.0 */
/* tests/agent/check-slurm_conf.c - slurm.conf in pieces, and which node of it this host is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/node/slurm_conf.h"
#include "agent/node/slurm_node.h"
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fs.h"

static char root[] = "/tmp/sf-conf.XXXXXX";
static struct sf_slurm_conf conf;
static struct sf_error err;

static int make_root(void **state)
{
        (void)state;
        strcpy(root + strlen(root) - 6, "XXXXXX");
        sf_error_clear(&err);
        return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
        (void)state;
        sf_slurm_conf_free(&conf);
        return sf_fs_remove_tree(root, NULL);
}

static void put(const char *place, const char *text)
{
        _cleanup_free_ char *path = sf_format("%s%s", root, place);
        _cleanup_free_ char *directory = strndup(path, (size_t)(strrchr(path, '/') - path));

        assert_int_equal(sf_fs_mkdirs(directory, 0755, NULL), 0);
        assert_int_equal(sf_fs_write(path, text, strlen(text), 0644, NULL), 0);
}

static int load(void)
{
        return sf_slurm_conf_load(root, "/etc/slurm/slurm.conf", &conf, &err);
}

static void lines(void **state)
{
        (void)state;
        put("/etc/slurm/slurm.conf", "# a comment\n\n"
                                     "ClusterName=big # behind\n"
                                     "  slurmdtimeout = 60\n"
                                     "SlurmdTimeout=90\r\n"
                                     "Epilog=\"/opt/my scripts/epilog\"\n"
                                     "SlurmdParameters=a\\#b\n"
                                     "NodeName=n[1-4] CPUs=4 \\\n   RealMemory=1000 \\ # goes on\n Port=7000\n"
                                     "WaitTime=INFINITE\n"
                                     "TreeWidth=many\n");
        assert_int_equal(load(), 0);
        assert_string_equal(conf.path, "/etc/slurm/slurm.conf");
        assert_string_equal(sf_slurm_conf_get(&conf, "CLUSTERNAME"), "big");
        assert_int_equal(sf_slurm_conf_number(&conf, "SlurmdTimeout", 300), 90);
        assert_int_equal(sf_slurm_conf_number(&conf, "PrologEpilogTimeout", 7), 7);
        assert_true(sf_slurm_conf_number(&conf, "WaitTime", 7) == UINT64_MAX);
        assert_int_equal(sf_slurm_conf_number(&conf, "TreeWidth", 7), 7);
        assert_string_equal(sf_slurm_conf_get(&conf, "Epilog"), "/opt/my scripts/epilog");
        assert_string_equal(sf_slurm_conf_get(&conf, "SlurmdParameters"), "a#b");
        assert_null(sf_slurm_conf_get(&conf, "Port")); /* a node's, not the cluster's */
        const struct sf_slurm_conf_line *node = sf_slurm_conf_next(&conf, "NodeName", NULL);
        assert_non_null(node);
        assert_string_equal(sf_slurm_conf_pair(node, "realmemory"), "1000");
        assert_string_equal(sf_slurm_conf_pair(node, "Port"), "7000");
        assert_null(sf_slurm_conf_next(&conf, "NodeName", node));
}

static void includes(void **state)
{
        (void)state;
        put("/etc/slurm/slurm.conf",
            "ClusterName=BIG\nInclude nodes.conf\ninclude /srv/site/%c.conf\nInclude sub/*.conf\n"
            "PluginDir=/last\n");
        put("/etc/slurm/nodes.conf", "NodeName=n1\nInclude sub/more.conf\n");
        /* Relative to slurm.conf's directory, however deep. */
        put("/etc/slurm/sub/more.conf", "Include deep.conf\nPluginDir=/first\n");
        put("/etc/slurm/deep.conf", "PlugStackConfig=stack.conf\n");
        put("/srv/site/big.conf", "NodeName=n2");
        assert_int_equal(load(), 0);
        assert_int_equal(conf.file_count, 5);
        assert_string_equal(conf.files[2], "/etc/slurm/sub/more.conf");
        assert_string_equal(conf.files[4], "/srv/site/big.conf");
        assert_null(conf.files[5]);
        assert_string_equal(sf_slurm_conf_get(&conf, "PluginDir"), "/last");
        _cleanup_free_ char *stack = sf_slurm_conf_beside(&conf, sf_slurm_conf_get(&conf, "PlugStackConfig"));
        assert_string_equal(stack, "/etc/slurm/stack.conf");
        const struct sf_slurm_conf_line *second = sf_slurm_conf_next(&conf, "NodeName",
                                                                     sf_slurm_conf_next(&conf, "NodeName", NULL));
        assert_string_equal(second->file, "/srv/site/big.conf");
        assert_int_equal(second->number, 1);
}

static void refused(const char *text, int code, const char *said)
{
        put("/etc/slurm/slurm.conf", text);
        sf_error_clear(&err);
        assert_int_equal(load(), code);
        assert_non_null(strstr(err.text, said));
}

static void bad(void **state)
{
        (void)state;
        assert_int_equal(load(), SF_ERR_NOT_FOUND);
        put("/etc/slurm/a.conf", "Include b.conf\n");
        put("/etc/slurm/b.conf", "\nInclude a.conf\n");
        refused("Include a.conf\n", SF_ERR_USAGE, "/etc/slurm/b.conf line 2: /etc/slurm/a.conf includes itself");
        refused("A=1\nInclude c.conf\n", SF_ERR_USAGE, "slurm.conf line 2: Include /etc/slurm/c.conf: no such file");
        refused("Include %c.conf\n", SF_ERR_USAGE, "before any ClusterName");
        refused("A=1\n\nwhat is this\n", SF_ERR_USAGE, "slurm.conf line 3: 'what is this' is not KEY=VALUE");
        refused("ClusterName=%c\nInclude %c%c.conf\n", SF_ERR_USAGE, "no such file");
        put("/etc/slurm/slurm.conf", "");
        assert_int_equal(load(), 0);
        assert_int_equal(conf.count, 0);
}

static void is_node(const char *wanted, const char *host, const char *name, const char *address, unsigned port)
{
        const char *const hosts[] = { host, "localhost", NULL };
        struct sf_slurm_node node;

        assert_int_equal(sf_slurm_node_find(&conf, wanted, hosts, &node, &err), 0);
        assert_string_equal(node.name, name);
        assert_string_equal(node.address, address);
        assert_int_equal(node.port, port);
}

static void nodes(void **state)
{
        struct sf_slurm_node node;

        (void)state;
        put("/etc/slurm/slurm.conf", "SlurmdPort=6000\n"
                                     "NodeName=DEFAULT CPUs=4\n"
                                     "NodeName=c[001-128] NodeHostname=host[1-128] NodeAddr=10.0.0.[1-128]\n"
                                     "NodeName=DEFAULT Port=6500\n"
                                     "NodeName=v[1-3] NodeHostname=fat Port=[7001-7003]\n"
                                     "NodeName=plain\n"
                                     "NodeName=here NodeHostname=localhost Port=9\n");
        assert_int_equal(load(), 0);
        is_node(NULL, "host17", "c017", "10.0.0.17", 6000);
        is_node("v2", "fat", "v2", "fat", 7002);
        is_node(NULL, "fat", "v1", "fat", 7001);
        is_node(NULL, "plain", "plain", "plain", 6500);
        is_node(NULL, "elsewhere", "here", "localhost", 9);
        assert_int_equal(sf_slurm_node_find(&conf, "v9", NULL, &node, &err), SF_ERR_NOT_FOUND);
        assert_string_equal(err.text, "/etc/slurm/slurm.conf defines no node v9");
        assert_int_equal(sf_slurm_node_find(&conf, "v2", NULL, &node, &err), 0);
        _cleanup_free_ char *spool = sf_slurm_node_expand(&node, "/var/spool/%n/%h/100%");
        assert_string_equal(spool, "/var/spool/v2/fat/100%");
}

static void options(void **state)
{
        char out[32];

        (void)state;
        assert_true(sf_slurm_conf_option("ttl=10,socket=/run/other/munge,x", "Socket", out, sizeof out));
        assert_string_equal(out, "/run/other/munge");
        assert_false(sf_slurm_conf_option("ttl=10", "socket", out, sizeof out));
        assert_false(sf_slurm_conf_option(NULL, "socket", out, sizeof out));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(lines, make_root, remove_root),
                cmocka_unit_test_setup_teardown(includes, make_root, remove_root),
                cmocka_unit_test_setup_teardown(bad, make_root, remove_root),
                cmocka_unit_test_setup_teardown(nodes, make_root, remove_root),
                cmocka_unit_test(options),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
