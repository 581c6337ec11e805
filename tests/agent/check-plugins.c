/* SPDX-License-Identifier: Apache-2.0 */
/* tests/agent/check-plugins.c - a rename is not a loss, a plugin that the configuration names is. The trees hold
 * what the judgement reads: names of files, what plugins call themselves, and texts of libslurmfull.so as Slurm
 * 24.11 to 26.05 have them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/node/plugins.h"
#include "base/buffer.h"
#include "base/fs.h"

static char scratch[64];

static void put(const char *path, const char *bytes, size_t len)
{
        char whole[512];

        snprintf(whole, sizeof whole, "%s/%s", scratch, path);
        char *slash = strrchr(whole, '/');
        *slash = '\0';
        assert_int_equal(sf_fs_mkdirs(whole, 0755, NULL), 0);
        *slash = '/';
        assert_int_equal(sf_fs_write(whole, bytes, len, 0644, NULL), 0);
}

/* plugins: "topology/default auth/munge"; texts: literals of the library. */
static void tree(const char *name, const char *const *plugins, const char *texts, size_t len)
{
        char path[256], inside[256];

        snprintf(path, sizeof path, "%s/lib/slurm/libslurmfull.so", name);
        put(path, texts, len);
        for (; *plugins; plugins++) {
                int used = snprintf(path, sizeof path, "%s/lib/slurm/%s.so", name, *plugins);
                *strrchr(path + strlen(name) + 11, '/') = '_';
                assert_true(used > 0);
                size_t text = (size_t)snprintf(inside, sizeof inside, "\177ELF%s", *plugins);
                put(path, inside, text + 1);
        }
}

/* What is said for a slurm.conf of one line, where nothing is loaded. */
static void expect(const char *old, const char *new, const char *line, const char *said)
{
        struct sf_slurm_conf conf = SF_SLURM_CONF_INIT;
        struct sf_buffer findings = SF_BUFFER_INIT;
        struct sf_error err = SF_ERROR_INIT;
        char path[128], old_tree[128], new_tree[128];

        put("slurm.conf", line, strlen(line));
        snprintf(path, sizeof path, "%s/slurm.conf", scratch);
        snprintf(old_tree, sizeof old_tree, "%s/%s", scratch, old);
        snprintf(new_tree, sizeof new_tree, "%s/%s", scratch, new);
        if (sf_slurm_conf_load("", path, &conf, &err) < 0)
                fail_msg("%s", err.text);
        struct sf_plugins plugins = { .old_tree = old_tree, .new_tree = new_tree, .conf = &conf };
        if (sf_plugins_check(&plugins, &findings, &err) < 0)
                fail_msg("%s", err.text);
        if (!*said && findings.len)
                fail_msg("%s → %s, %s: %s", old, new, line, sf_buffer_text(&findings));
        if (*said && !strstr(sf_buffer_text(&findings), said))
                fail_msg("%s → %s, %s: '%s' is not in: %s", old, new, line, said, sf_buffer_text(&findings));
        sf_buffer_free(&findings);
        sf_slurm_conf_free(&conf);
}

static int make_trees(void **state)
{
        static const char *const of_24_11[] = {
                "topology/default",    "topology/tree",  "topology/3d_torus", "auth/munge",          "auth/none",
                "job_container/tmpfs", "job_submit/lua", "gres/gpu",          "data_parser/v0_0_40", NULL
        };
        static const char *const of_25_11[] = { "topology/flat",
                                                "topology/tree",
                                                "auth/munge",
                                                "auth/none",
                                                "namespace/tmpfs",
                                                "job_submit/lua",
                                                "gres/gpu",
                                                "url_parser/libhttp_parser",
                                                NULL };
        static const char *const without_munge[] = { "topology/flat",   "topology/tree", "auth/none",
                                                     "namespace/tmpfs", "gres/gpu",      NULL };
        static const char *const of_26_05[] = {
                "topology/flat",   "topology/tree",  "topology/ring", "auth/munge",          "auth/none",
                "namespace/tmpfs", "job_submit/lua", "gres/gpu",      "url_parser/internal", NULL
        };
        static const char old[] = "\0topology/default\0auth/munge\0job_container/\0";
        static const char new[] =
                "\0topology/flat\0topology/default\0topology/none\0auth/munge\0job_container/\0namespace/\0";

        (void)state;
        strcpy(scratch, "/tmp/sf-plugins-XXXXXX");
        if (!mkdtemp(scratch))
                return -1;
        tree("23.11", (const char *const[]){ "select/cons_tres", "select/cray_aries", NULL }, old, sizeof old);
        tree("24.05", (const char *const[]){ "select/cons_tres", NULL }, old, sizeof old);
        tree("24.11", of_24_11, old, sizeof old);
        tree("25.11", of_25_11, new, sizeof new);
        tree("25.11-small", without_munge, new, sizeof new);
        tree("26.05", of_26_05, new, sizeof new);
        return 0;
}

static int drop_trees(void **state)
{
        (void)state;
        return sf_fs_remove_tree(scratch, NULL);
}

static void named_by_configuration(void **state)
{
        (void)state;
        expect("24.11", "25.11", "ClusterName=x\n", "");
        expect("24.11", "25.11", "TopologyPlugin=topology/default\n", "");
        expect("24.11", "25.11", "topologyplugin=Topology/Default\n", "");
        expect("24.11", "25.11", "TopologyPlugin=default\n", "");
        expect("24.11", "25.11", "JobContainerType=job_container/tmpfs\n", "");
        expect("24.11", "25.11", "TopologyPlugin=topology/3d_torus\n", "topology_3d_torus.so, which the release lacks");
        expect("25.11", "24.11", "ClusterName=x\n", "");
        expect("25.11", "24.11", "TopologyPlugin=topology/flat\n", "topology_flat.so, which the release lacks");
        expect("26.05", "25.11", "TopologyPlugin=topology/ring\n", "topology_ring.so");
        expect("26.05", "25.11", "TopologyPlugin=topology/tree\n", "");
        expect("24.11", "25.11-small", "AuthType=auth/munge\n", "auth_munge.so, which the release lacks (");
        expect("25.11", "25.11-small", "AuthType=auth/munge\n", "slurm.conf:1: AuthType=auth/munge)");
        expect("24.11", "25.11-small", "JobSubmitPlugins=require_timelimit,lua\n", "job_submit_lua.so");
        expect("24.11", "25.11-small", "GresTypes=gpu,fpga\n", "");
        expect("23.11", "24.05", "SelectType=select/cray_aries\n", "select_cray_aries.so, which the release lacks (");
        /* what the old release did not have either is nothing to lose */
        expect("24.11", "25.11", "PriorityType=priority/multifactor\n", "");
        expect("24.11", "25.11", "Prolog=/etc/slurm/prolog.sh\nSlurmctldHost=a/b\n", "");
}

/* Plugins that this very process has mapped from the old tree. */
static void loaded_as(const char *old, const char *new, const char *plugin, const char *says, const char *said)
{
        struct sf_buffer findings = SF_BUFFER_INIT;
        struct sf_error err = SF_ERROR_INIT;
        char path[256], command[1024], old_tree[128], new_tree[128];
        const pid_t pid = getpid();
        const char *daemon = "slurmd";

        snprintf(path, sizeof path, "%s/%s/lib/slurm/%s.so", scratch, old, plugin);
        *strrchr(path, '/') = '_';
        snprintf(command, sizeof command,
                 "echo 'const char plugin_type[] = \"%s\";' | ${CC:-cc} -shared -fPIC -x c -o %s -",
                 says ? says : plugin, path);
        assert_int_equal(system(command), 0);
        void *handle = dlopen(path, RTLD_NOW);
        assert_non_null(handle);
        snprintf(old_tree, sizeof old_tree, "%s/%s", scratch, old);
        snprintf(new_tree, sizeof new_tree, "%s/%s", scratch, new);
        struct sf_plugins plugins = {
                .old_tree = old_tree, .new_tree = new_tree, .pids = &pid, .daemons = &daemon, .count = 1
        };
        if (sf_plugins_check(&plugins, &findings, &err) < 0)
                fail_msg("%s", err.text);
        if (!*said)
                assert_string_equal(sf_buffer_text(&findings), "");
        else if (!strstr(sf_buffer_text(&findings), said))
                fail_msg("%s: '%s' is not in: %s", plugin, said, sf_buffer_text(&findings));
        sf_buffer_free(&findings);
        dlclose(handle);
}

static void loaded_by_default(const char *old, const char *new, const char *plugin, const char *said)
{
        loaded_as(old, new, plugin, NULL, said);
}

static void loaded_without_a_name(void **state)
{
        (void)state;
        loaded_by_default("24.11", "25.11", "topology/default", "");
        loaded_by_default("25.11", "24.11", "topology/flat", "");
        loaded_by_default("26.05", "25.11", "url_parser/internal", "");
        loaded_by_default("26.05", "24.11", "url_parser/internal", "");
        loaded_by_default("23.11", "24.05", "select/cray_aries", "");
        loaded_as("26.05", "24.11", "data_parser/v0_0_45", "data_parser/v0.0.45", "");
        loaded_by_default("25.11", "25.11-small", "auth/munge",
                          "the running slurmd uses lib/slurm/auth_munge.so, which the release lacks");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(named_by_configuration, make_trees, drop_trees),
                cmocka_unit_test_setup_teardown(loaded_without_a_name, make_trees, drop_trees),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
