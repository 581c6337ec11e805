/* SPDX-License-Identifier: Apache-2.0 */
/* tests/agent/check-stop_limit.c - how long a stop may take, by real lines of slurm.conf; which processes slurmd waits
 * for, by real processes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "agent/node/scripts.h"
#include "agent/node/stop_limit.h"
#include "base/fs.h"

#define FOR_EVER UINT64_MAX

static char scratch[64];

static char *put(const char *name, const char *text)
{
        static char path[256];

        snprintf(path, sizeof path, "%s/%s", scratch, name);
        assert_int_equal(sf_fs_write(path, text, strlen(text), 0755, NULL), 0);
        return path;
}

static uint64_t scripts(const char *text, const char *version)
{
        struct sf_slurm_conf conf = SF_SLURM_CONF_INIT;

        assert_int_equal(sf_slurm_conf_load("", put("slurm.conf", text), &conf, NULL), 0);
        uint64_t seconds = sf_stop_limit_scripts(&conf, version);
        sf_slurm_conf_free(&conf);
        return seconds;
}

static void limits_of_scripts(void **state)
{
        (void)state;
        assert_true(scripts("ClusterName=c\n", "24.11.6") == 0);
        assert_true(scripts("PrologEpilogTimeout=600\n", "24.11.6") == 0);
        assert_true(scripts("Prolog=/etc/slurm/p\n", "24.11.6") == FOR_EVER);
        assert_true(scripts("Epilog=/etc/slurm/e\nPrologEpilogTimeout=600\n", "23.11.10") == 600);
        /* Keys of 25.05 say nothing to 24.11, which would not start with them. */
        assert_true(scripts("Epilog=/e\nPrologEpilogTimeout=600\nEpilogTimeout=900\n", "25.05.5") == 900);
        assert_true(scripts("Epilog=/e\nPrologEpilogTimeout=600\nEpilogTimeout=9\n", "26.05.1") == 600);
        assert_true(scripts("Epilog=/e\nPrologTimeout=30\nEpilogTimeout=40\n", "25.11.4") == 40);
        assert_true(scripts("Epilog=/e\nEpilogTimeout=40\n", "25.11.4") == FOR_EVER);
        assert_true(scripts("PlugStackConfig=/etc/slurm/plugstack.conf\nPrologEpilogTimeout=60\n", "") == 60);
}

static void limits_of_stops(void **state)
{
        (void)state;
        assert_true(sf_stop_limit_choose(0, 90, 300) == 0);
        /* long enough as it is */
        assert_true(sf_stop_limit_choose(60, 90, 300) == 0);
        assert_true(sf_stop_limit_choose(600, FOR_EVER, 300) == 0);
        /* the scripts' own limit, where slurmctld has the patience */
        assert_true(sf_stop_limit_choose(120, 90, 300) == 130);
        assert_true(sf_stop_limit_choose(600, 90, 0) == 610);
        /* slurmctld's, which gives the node and its jobs up */
        assert_true(sf_stop_limit_choose(600, 90, 300) == 200);
        assert_true(sf_stop_limit_choose(FOR_EVER, 90, 60) == 0);
        assert_true(sf_stop_limit_choose(FOR_EVER, 90, 0) == 3600);
        assert_true(sf_stop_limit_choose(FOR_EVER, 90, 100000) == 3600);
        assert_true(sf_stop_limit_choose(FOR_EVER, 90, FOR_EVER) == 200);
}

static pid_t start(const char *program, const char *a, const char *b, const char *variable)
{
        pid_t pid = fork();

        if (pid == 0) {
                setpgid(0, 0);
                if (variable)
                        putenv(strdup(variable));
                execl(program, program, a, b, (char *)NULL);
                _exit(127);
        }
        return pid;
}

static void stop(pid_t pid)
{
        kill(-pid, SIGKILL); /* its group: itself and what it started */
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
}

/* Is one of this process' descendants found, and which? Programs need a moment to become what they are. */
static int finds(char who[128], int wanted)
{
        const struct timespec pause = { 0, 20000000 };
        int found = !wanted;

        nanosleep(&pause, NULL);
        for (int i = 0; i < 100 && found != wanted; i++) {
                found = sf_scripts_find(getpid(), who);
                nanosleep(&pause, NULL);
        }
        return found;
}

static void finds_scripts(void **state)
{
        char who[128] = "", script[256], stepd[256];

        (void)state;
        snprintf(script, sizeof script, "%s", put("epilog.sh", "#!/bin/sh\nread x <&9\n"));
        /* Waits without a child of its own; runs what it is given as a step does. */
        snprintf(stepd, sizeof stepd, "%s",
                 put("slurmstepd", "#!/bin/sh\n[ -z \"$CHILD\" ] || { \"$CHILD\"; exit; }\nread x <&9\n"));
        int pipes[2];
        assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
        assert_int_equal(dup2(pipes[0], 9), 9);

        assert_int_equal(sf_scripts_find(getpid(), who), 0);
        pid_t pid = start(script, NULL, NULL, NULL);
        assert_int_equal(finds(who, 1), 1);
        stop(pid);

        /* A step on its way to init, and SPANK's epilog. */
        pid = start(stepd, NULL, NULL, NULL);
        const struct timespec moment = { 0, 300000000 };
        nanosleep(&moment, NULL);
        assert_int_equal(sf_scripts_find(getpid(), who), 0);
        stop(pid);
        pid = start(stepd, "spank", "epilog", NULL);
        assert_int_equal(finds(who, 1), 1);
        stop(pid);

        /* PrologFlags=RunInJob: the step's child, of slurmd's owner and with a prolog's environment. */
        setenv("CHILD", script, 1);
        pid = start(stepd, NULL, NULL, "SLURM_SCRIPT_CONTEXT=epilog_slurmd");
        nanosleep(&moment, NULL);
        assert_int_equal(sf_scripts_find(getpid(), who), 0);
        stop(pid);
        pid = start(stepd, NULL, NULL, "SLURM_SCRIPT_CONTEXT=prolog_slurmd");
        assert_int_equal(finds(who, 1), 1);
        assert_non_null(strstr(who, "(epilog.sh)"));
        stop(pid);
        /* Every reader of the pipe ends with it. */
        close(pipes[1]);
        close(pipes[0]);
        close(9);
}

static int make_scratch(void **state)
{
        (void)state;
        strcpy(scratch, "/tmp/sf-stop-XXXXXX");
        return mkdtemp(scratch) ? 0 : -1;
}

static int drop_scratch(void **state)
{
        (void)state;
        return sf_fs_remove_tree(scratch, NULL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(limits_of_scripts),
                cmocka_unit_test(limits_of_stops),
                cmocka_unit_test(finds_scripts),
        };

        return cmocka_run_group_tests(tests, make_scratch, drop_scratch);
}
