/* SPDX-License-Identifier: Apache-2.0 */
/* tests/agent/check-daemon_order.c - slurmdbd, slurmctld, slurmd: who must not overtake whom, in both directions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "agent/switch/daemon_order.h"

static void expect(int r, const struct sf_error *err, const char *word)
{
        if (!*word && r != 0)
                fail_msg("refused: %s", err->text);
        if (*word && (r != SF_ERR_INCOMPATIBLE || !strstr(err->text, word)))
                fail_msg("%d, '%s' is not in: %s", r, word, err->text);
}

static void controller(const char *to, const char *database, const char *word)
{
        struct sf_error err = SF_ERROR_INIT;

        expect(sf_daemon_order_judge_controller(sf_window_builtin, to, database, &err), &err, word);
}

static void node(const char *to, const char *version, const char *word)
{
        struct sf_error err = SF_ERROR_INIT;

        expect(sf_daemon_order_judge_node(sf_window_builtin, to, "n7", version, &err), &err, word);
}

static void cluster(const char *to, const char *series, const char *word)
{
        struct sf_error err = SF_ERROR_INIT;

        expect(sf_daemon_order_judge_cluster(sf_window_builtin, to, "bed", series, &err), &err, word);
}

static void up(void **state)
{
        (void)state;
        controller("25.11.1-2", "25.11.0-0rc1", "");
        controller("25.11.4", "26.05.1", "");
        controller("25.11.4", "", "");
        controller("25.11.4", "24.11.6",
                   "slurmdbd is 24.11.6 and does not understand a newer slurmctld: upgrade it to 25.11 first");
        controller("23.11.1", "26.05.1", "no longer understands a slurmctld of 23.11.1");
        node("25.11.4", "24.05.1", "");
        node("25.11.4", "23.11.10", "slurmd on n7 is 23.11.10, which slurmctld 25.11.4 no longer understands");
        cluster("25.11.4", "24.11", "");
        cluster("26.05.1", "24.05", "no longer understands");
}

static void back(void **state)
{
        (void)state;
        node("24.11.6", "25.11.4",
             "slurmd on n7 is 25.11.4, which slurmctld 24.11.6 would not understand: take it back first");
        node("24.11.6", "24.11.9", "");
        cluster("24.11.6", "25.11", "take it back first (order on the way back: slurmd, slurmctld, slurmdbd)");
        controller("24.11.6", "25.11.4", "");
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(up), cmocka_unit_test(back) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
