/* SPDX-License-Identifier: Apache-2.0 */
/* tests/agent/check-conf_trial.c - the copy of slurm.conf that a release is tried with. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/switch/conf_trial.h"
#include "base/cleanup.h"
#include "base/fs.h"

static void text_is(const char *from, const char *to)
{
        _cleanup_(sf_slurm_conf_free) struct sf_slurm_conf conf = SF_SLURM_CONF_INIT;
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        char path[] = "/tmp/sf-trial.XXXXXX";
        struct sf_conf_trial trial = { .prefix = "/opt/slurm", .conf = &conf, .node = "n1" };
        int fd = mkstemp(path);

        assert_true(fd >= 0);
        assert_int_equal(write(fd, from, strlen(from)), strlen(from));
        close(fd);
        assert_int_equal(sf_slurm_conf_load("", path, &conf, NULL), 0);
        unlink(path);
        assert_int_equal(sf_conf_trial_text(&trial, "/opt/slurm/releases/new", "/run/t", &text, NULL), 0);
        char *end = strstr((char *)text.data,
                           "SlurmdSpoolDir=/run/t/spool\nSlurmdLogFile=/run/t/log\nSlurmdPidFile=/run/t/pid\n");
        assert_non_null(end);
        *end = '\0';
        assert_string_equal(sf_buffer_text(&text), to);
}

static void copies(void **state)
{
        (void)state;
        text_is("ClusterName=a\nNodeName=n1 Reason=\"two words\" Features=a&b\n",
                "ClusterName=a\nNodeName=n1 Reason=\"two words\" Features=a&b\n");
        /* Nothing of the live daemon is touched. */
        text_is("SlurmdSpoolDir=/var/spool\nslurmdlogfile=/var/log/x\nSlurmdPidFile=/run/x\nSlurmctldPidFile=/run/y\n",
                "SlurmctldPidFile=/run/y\n");
        text_is("TaskPlugin=task/cgroup,task/affinity\nProctrackType=proctrack/"
                "cgroup\nJobAcctGatherType=jobacct_gather/cgroup\n",
                "TaskPlugin=task/affinity\nProctrackType=proctrack/linuxproc\nJobAcctGatherType=jobacct_gather/none\n");
        text_is("TaskPlugin=cgroup\n", "TaskPlugin=task/none\n");
        /* What goes through view is the release on trial. */
        text_is("PluginDir=/opt/slurm/view/lib/slurm:/opt/other\n",
                "PluginDir=/opt/slurm/releases/new/lib/slurm:/opt/other\n");
        /* slurmd's socket for auth/slurm stays the live one's; munge takes a word without = for its socket. */
        text_is("AuthType=auth/slurm\n", "AuthType=auth/slurm\nAuthInfo=disable_sack\n");
        text_is("AuthInfo=ttl=60\nAuthType=auth/slurm\n",
                "AuthInfo=ttl=60\nAuthType=auth/slurm\nAuthInfo=ttl=60,disable_sack\n");
        text_is("AuthType=auth/munge\nAuthInfo=socket=/x\n", "AuthType=auth/munge\nAuthInfo=socket=/x\n");
        text_is("Prolog=a\\#b\\\\c\nMailProg=\"\"\n", "Prolog=a\\#b\\\\c\nMailProg=\"\"\n");
}

/* 23.11 has no CgroupPlugin=disabled: its slurmd ends with "cannot find cgroup plugin for disabled". */
static void turns_cgroups_off(void **state)
{
        static const char live[] =
                "ConstrainCores=yes\n cgroupplugin = cgroup/v2\n#CgroupPlugin=x\nConstrainDevices=no";
        static const char *const versions[] = { "26.05.1", "24.05.0", "", "23.11.10" };
        struct sf_buffer text = SF_BUFFER_INIT;

        (void)state;
        for (size_t i = 0; i < 4; i++) {
                text.len = 0;
                assert_int_equal(sf_conf_trial_cgroup_text(live, versions[i], &text, NULL), 0);
                assert_string_equal(
                        sf_buffer_text(&text),
                        i < 3 ? "ConstrainCores=yes\n#CgroupPlugin=x\nConstrainDevices=no\nCgroupPlugin=disabled\n"
                              : "ConstrainCores=yes\n#CgroupPlugin=x\nConstrainDevices=no\nCgroupPlugin=cgroup/v1\n");
        }
        text.len = 0;
        assert_int_equal(sf_conf_trial_cgroup_text("", "25.11.4", &text, NULL), 0);
        assert_string_equal(sf_buffer_text(&text), "CgroupPlugin=disabled\n");
        sf_buffer_free(&text);
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(copies), cmocka_unit_test(turns_cgroups_off) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
