/* SPDX-License-Identifier: Apache-2.0 */
/* tests/release/check-rollout.c - waves: how nodes are spread over them, and what the signed file says of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "release/rollout.h"

#define NODES 1000

/* How many of n0001 ... n1000 are among the first N percent. */
static int count_of(const char *release, int percent)
{
        int count = 0;
        char seed[16];

        for (int i = 1; i <= NODES; i++) {
                snprintf(seed, sizeof seed, "n%04d", i);
                count += sf_rollout_position(release, seed) < percent;
        }
        return count;
}

/* The standard deviation of 1000 nodes at 50 % is 16: four of them are allowed. */
static void spread(void **state)
{
        static const char *const releases[] = { "25.05.4-noble-amd64", "25.11.4-noble-amd64", "24.11.6-el9-arm64" };
        static const int steps[] = { 0, 1, 5, 10, 25, 50, 75, 90, 99, 100 };

        (void)state;
        for (size_t k = 0; k < sizeof releases / sizeof *releases; k++) {
                for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
                        int count = count_of(releases[k], steps[i]), ideal = NODES * steps[i] / 100;
                        if (count < ideal - 64 || count > ideal + 64)
                                fail_msg("%s at %d %%: %d of %d nodes", releases[k], steps[i], count, NODES);
                }
                assert_int_equal(count_of(releases[k], 0), 0);
                assert_int_equal(count_of(releases[k], 100), NODES);
        }
}

/* Agents of every version have to agree: the number was computed by Python's hashlib. */
static void position_is_fixed(void **state)
{
        (void)state;
        assert_int_equal(sf_rollout_position("25.05.4-noble-amd64", "n0001"), 3);
        /* Other nodes begin with another release. */
        int same = 0;
        for (int i = 0; i < NODES; i++) {
                char seed[16];
                snprintf(seed, sizeof seed, "n%04d", i);
                same += sf_rollout_position("a", seed) < 10 && sf_rollout_position("b", seed) < 10;
        }
        assert_in_range(same, 0, 30);
}

static int parse(const char *text, struct sf_rollout *ret)
{
        struct sf_error err = SF_ERROR_INIT;
        int r = sf_rollout_parse("rollout.json", text, strlen(text), ret, &err);

        if (r < 0)
                assert_non_null(strstr(err.text, "rollout.json"));
        return r;
}

static void files(void **state)
{
        static const char *const bad[] = { "7",
                                           "{}",
                                           "[1]",
                                           "[{\"name\":\"a\"}]",
                                           "[{\"name\":\"a\",\"percent\":101}]",
                                           "[{\"name\":\"a\",\"percent\":-1}]",
                                           "[{\"name\":\"a\",\"percent\":1.5}]",
                                           "[{\"name\":\"\\u001b\",\"percent\":1}]",
                                           "[{\"percent\":1}]" };
        struct sf_rollout rollout = { 0 };
        struct sf_buffer text = SF_BUFFER_INIT;

        (void)state;
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
                char all[256];
                snprintf(all, sizeof all, "{\"rollout\":1,\"compatibility\":[],\"withdrawn\":[],\"waves\":%s}", bad[i]);
                if (parse(all, &rollout) >= 0)
                        fail_msg("accepted: %s", bad[i]);
        }
        /* An older publisher's file. */
        assert_int_equal(parse("{\"rollout\":1,\"compatibility\":[],\"withdrawn\":[]}", &rollout), 0);
        assert_int_equal(sf_rollout_percent(&rollout, "a"), 100);
        assert_int_equal(sf_rollout_set_wave(&rollout, "a", 10, NULL), 0);
        assert_int_equal(sf_rollout_set_wave(&rollout, "b", 0, NULL), 0);
        assert_int_equal(sf_rollout_set_wave(&rollout, "c", 99, NULL), 0);
        assert_int_equal(sf_rollout_set_wave(&rollout, "a", 50, NULL), 0);
        assert_int_equal(sf_rollout_withdraw(&rollout, "a", "bad", NULL), 0);
        assert_int_equal(sf_rollout_write(&rollout, &text, NULL), 0);
        sf_rollout_free(&rollout);
        assert_int_equal(parse(sf_buffer_text(&text), &rollout), 0);
        sf_buffer_free(&text);
        assert_int_equal(rollout.wave_count, 3);
        assert_int_equal(sf_rollout_percent(&rollout, "a"), 50);
        assert_int_equal(sf_rollout_percent(&rollout, "b"), 0);
        assert_non_null(sf_rollout_withdrawn(&rollout, "a"));
        /* 100 takes a wave away, also one that is not there. */
        assert_int_equal(sf_rollout_set_wave(&rollout, "a", 100, NULL), 0);
        assert_int_equal(sf_rollout_set_wave(&rollout, "d", 100, NULL), 0);
        assert_int_equal(rollout.wave_count, 2);
        assert_int_equal(sf_rollout_percent(&rollout, "a"), 100);
        assert_int_equal(sf_rollout_percent(&rollout, "c"), 99);
        assert_true(sf_rollout_set_wave(&rollout, "e", -1, NULL) < 0);
        sf_rollout_free(&rollout);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(spread),
                cmocka_unit_test(position_is_fixed),
                cmocka_unit_test(files),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
