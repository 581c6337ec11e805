/* SPDX-License-Identifier: Apache-2.0 */
/* tests/agent/check-database.c - what a switch of slurmdbd is refused for while slurmdbd still runs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "agent/switch/database.h"
#include "base/clock.h"
#include "base/fs.h"

static char scratch[64], slurm_conf[96];

/* The refusal's text, or "" where there is none. */
static int plan(const char *conf, const char *to, bool runs, struct sf_error *err)
{
        struct sf_config config = { .root = (char[]){ "" }, .state = scratch, .slurm_conf = slurm_conf };
        struct sf_database d = {
                .config = &config, .unit = "slurmdbd.service", .runs = runs, .from_version = "24.11.6", .to_version = to
        };
        char path[96];

        snprintf(path, sizeof path, "%s/slurmdbd.conf", scratch);
        sf_fs_remove_tree(path, NULL);
        if (conf)
                assert_int_equal(sf_fs_write(path, conf, strlen(conf), 0600, NULL), 0);
        sf_error_clear(err);
        return sf_database_plan(&d, true, err);
}

/* Its first start needs them: not known only after its stop. */
static void needs_a_user_and_a_file(void **state)
{
        struct sf_error err = SF_ERROR_INIT;

        (void)state;
        assert_int_equal(plan("SlurmUser=no-such-user-here\n", "25.05.4", true, &err), SF_ERR_USAGE);
        assert_non_null(strstr(err.text, "SlurmUser=no-such-user-here is no user of this host"));
        assert_int_equal(plan("SlurmUser=4242424\n", "25.05.4", true, &err), SF_ERR_USAGE);
        assert_non_null(strstr(err.text, "SlurmUser=4242424 is no user"));
        assert_int_equal(plan(NULL, "25.05.4", true, &err), SF_ERR_NOT_FOUND);
        assert_non_null(strstr(err.text, "slurmdbd.conf"));
        /* What does not come to a first start is not asked. */
        assert_int_equal(plan("SlurmUser=no-such-user-here\n", "24.11.7", true, &err), 0);
        plan(NULL, "25.05.4", false, &err);
        assert_null(strstr(err.text, "slurmdbd.conf"));
}

/* A number is a user, too: what is missing then is the site's program. */
static void knows_users_by_number(void **state)
{
        static const char *const confs[] = { "SlurmUser=0\n", "SlurmUser=root\n", "DbdPort=6819\n" };
        struct sf_error err = SF_ERROR_INIT;

        (void)state;
        for (size_t i = 0; i < sizeof confs / sizeof *confs; i++) {
                int r = plan(confs[i], "25.05.4", true, &err);
                assert_true(r == 0 || r == SF_ERR_INCOMPATIBLE);
                assert_null(strstr(err.text, "SlurmUser"));
        }
}

/* slurmdbd has its log open, and goes on where sf-node was killed: nothing is done to the database before its end. */
static void waits_for_a_conversion(void **state)
{
        struct sf_config config = { .root = (char[]){ "" }, .state = scratch, .slurm_conf = slurm_conf };
        struct sf_database d = { .config = &config, .from_version = "24.11.6", .to_version = "25.05.4" };
        const struct timespec half = { 0, 500000000 };
        char path[128];
        bool converted;

        (void)state;
        snprintf(path, sizeof path, "%s/database", scratch);
        assert_int_equal(sf_fs_mkdirs(path, 0700, NULL), 0);
        snprintf(path, sizeof path, "%s/database/converting", scratch);
        assert_int_equal(sf_fs_write(path, "25.05.4", 7, 0600, NULL), 0);
        snprintf(path, sizeof path, "%s/slurmdbd-first-start.log", scratch);
        int log = open(path, O_WRONLY | O_CREAT, 0600);
        assert_true(log >= 0 && flock(log, LOCK_EX) == 0);
        double began = sf_clock_seconds();
        pid_t pid = fork();
        if (pid == 0) {
                nanosleep(&half, NULL);
                _exit(0);
        }
        close(log);
        assert_int_equal(sf_database_recover(&d, NULL, false, &converted, NULL), 0);
        assert_true(converted);
        assert_true(sf_clock_seconds() - began >= 0.5);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        assert_int_equal(sf_database_end(&config, NULL), 0);
}

static int make_scratch(void **state)
{
        (void)state;
        strcpy(scratch, "/tmp/check-database-XXXXXX");
        if (!mkdtemp(scratch))
                return -1;
        snprintf(slurm_conf, sizeof slurm_conf, "%s/slurm.conf", scratch);
        return 0;
}

static int drop_scratch(void **state)
{
        (void)state;
        return sf_fs_remove_tree(scratch, NULL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(needs_a_user_and_a_file),
                cmocka_unit_test(knows_users_by_number),
                cmocka_unit_test(waits_for_a_conversion),
        };

        return cmocka_run_group_tests(tests, make_scratch, drop_scratch);
}
