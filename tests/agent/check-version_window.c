/* SPDX-License-Identifier: Apache-2.0 */
/* tests/agent/check-version_window.c - who may follow whom, with the built-in table and with one of a site's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "agent/switch/version_window.h"

static int check(const char *from, const char *to, const char *controller, const char *step, bool allow,
                 struct sf_error *err)
{
        const char *steps[] = { step, NULL };
        struct sf_version_window gate = { .rows = sf_window_builtin,
                                          .from = from,
                                          .to = to,
                                          .controller = controller,
                                          .steps = steps,
                                          .allow_downgrade = allow };

        sf_error_clear(err);
        return sf_version_window_check(&gate, err);
}

static void accepts(const char *from, const char *to, const char *controller, const char *step, bool allow)
{
        struct sf_error err = SF_ERROR_INIT;

        if (check(from, to, controller, step, allow, &err) != 0)
                fail_msg("%s → %s: %s", from, to, err.text);
}

static void refuses(const char *from, const char *to, const char *controller, const char *step, bool allow,
                    const char *word)
{
        struct sf_error err = SF_ERROR_INIT;

        assert_int_equal(check(from, to, controller, step, allow, &err), SF_ERR_INCOMPATIBLE);
        if (!strstr(err.text, word))
                fail_msg("'%s' is not in: %s", word, err.text);
}

static void steps_inside_the_window(void **state)
{
        (void)state;
        accepts("24.11.5", "24.11.6", "24.11.5", "24.11.4", false);
        accepts("24.11.6", "24.11.5", "24.11.5", "24.11.6", false);
        accepts("24.11.5", "25.11.1", "25.11.0", "24.05.3", false);
        accepts("23.11.2", "24.11.5", "25.11.0", NULL, false);
        accepts("", "24.11.5", "", NULL, false);
        /* what slurmctld really says */
        accepts("24.11.5", "25.11.0", "25.11.0-0rc1", NULL, false);
        accepts("24.11.5", "25.11.1-2", "25.11.1-2", "24.11.5", false);
        accepts("21.08.7", "21.08.8-2", "22.05.8", NULL, false);
        accepts("25.11.1-2", "25.11.1", "25.11.1", NULL, false);
}

static void steps_that_are_too_wide(void **state)
{
        (void)state;
        refuses("23.11.2", "25.11.1", "25.11.1", NULL, false, "23.11 → 24.11 → 25.11");
        refuses("23.11.2", "25.11.1", "25.11.1", NULL, true, "too wide");
        refuses("22.05.8", "27.11.1", "", NULL, false, "no path");
}

static void order_of_daemons(void **state)
{
        (void)state;
        refuses("24.11.5", "25.05.1", "24.11.5", NULL, false, "slurmctld is 24.11.5");
        refuses("24.11.5", "25.05.1", "24.11.5", NULL, true, "slurmdbd, slurmctld, slurmd");
        refuses("23.02.1", "23.11.1", "25.11.1", NULL, false, "no longer understands");
        refuses("25.11.1", "26.05.0-0rc1", "25.11.1-2", NULL, false, "slurmctld is 25.11.1-2");
        accepts("24.05.1", "24.05.2", "25.11.1-2", NULL, false); /* three releases back */
        refuses("23.11.1", "23.11.2", "25.11.1-2", NULL, false, "no longer understands");
        accepts("23.02.1", "23.02.2", "24.05.1", NULL, false); /* 24.05 knows two */
        refuses("22.05.1", "22.05.2", "24.05.1", NULL, false, "no longer understands");
}

static void downgrades(void **state)
{
        (void)state;
        refuses("25.11.1", "24.11.5", "25.11.1", NULL, false, "--allow-downgrade");
        accepts("25.11.1", "24.11.5", "25.11.1", NULL, true);
        refuses("", "24.11.5", "25.11.1", "25.11.1", false, "steps of 25.11.1");
}

static void steps_of_old_releases(void **state)
{
        (void)state;
        refuses("24.11.5", "25.11.1", "25.11.1", "23.11.2", false, "steps of 23.11.2");
        accepts("24.11.5", "24.11.6", "24.11.6", "23.11.2", false);
}

static void a_table_of_its_own(void **state)
{
        static const struct sf_window_row rows[] = { { "25.05", { "24.11" } },
                                                     { "24.11", { "24.05" } },
                                                     { "", { "" } } };
        struct sf_version from, to;
        char path[256];

        (void)state;
        assert_int_equal(sf_version_parse("24.05.1", &from, NULL), 0);
        assert_int_equal(sf_version_parse("25.05.1", &to, NULL), 0);
        sf_version_window_path(rows, &from, &to, path, sizeof path);
        assert_string_equal(path, "24.05 → 24.11 → 25.05");
}

/* Whoever can sign a table must not be able to keep agents busy: every series accepts the eight before it, so that
 * the paths from one end to the other are more than could ever be counted. */
static void path_through_a_dense_table(void **state)
{
        static struct sf_window_row rows[257];
        const size_t peers = sizeof rows->peers / sizeof *rows->peers;
        struct sf_version from, to;
        char path[4096];

        (void)state;
        for (unsigned i = 0; i < 256; i++) {
                snprintf(rows[i].series, sizeof rows[i].series, "%u.%02u", 20 + i / 2, i % 2 ? 11 : 5);
                for (unsigned j = 0; j < peers && j < i; j++)
                        memcpy(rows[i].peers[j], rows[i - 1 - j].series, sizeof rows[i].peers[j]);
        }
        assert_int_equal(sf_version_parse("20.05", &from, NULL), 0);
        assert_int_equal(sf_version_parse(rows[255].series, &to, NULL), 0);
        clock_t began = clock();
        sf_version_window_path(rows, &from, &to, path, sizeof path);
        assert_true(clock() - began < CLOCKS_PER_SEC);
        assert_non_null(strstr(path, rows[255].series));
        /* One that leads nowhere is as much to look at. */
        memset(rows[1].peers, 0, sizeof rows[1].peers);
        for (unsigned i = 2; i <= peers && i < 256; i++)
                rows[i].peers[i - 1][0] = '\0';
        began = clock();
        sf_version_window_path(rows, &from, &to, path, sizeof path);
        assert_true(clock() - began < CLOCKS_PER_SEC);
        assert_string_equal(path, "");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(steps_inside_the_window),    cmocka_unit_test(steps_that_are_too_wide),
                cmocka_unit_test(order_of_daemons),           cmocka_unit_test(downgrades),
                cmocka_unit_test(steps_of_old_releases),      cmocka_unit_test(a_table_of_its_own),
                cmocka_unit_test(path_through_a_dense_table),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
