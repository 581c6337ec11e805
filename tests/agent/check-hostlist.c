/* SPDX-License-Identifier: Apache-2.0 */
/* tests/agent/check-hostlist.c - Slurm's short form for many names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/node/hostlist.h"

static void is_at(const char *list, uint64_t index, const char *name)
{
        char out[64];

        assert_true(sf_hostlist_nth(list, index, out, sizeof out));
        assert_string_equal(out, name);
        assert_int_equal(sf_hostlist_find(list, name), index);
}

static void lists(void **state)
{
        (void)state;
        assert_int_equal(sf_hostlist_count("n1"), 1);
        is_at("n1", 0, "n1");
        assert_int_equal(sf_hostlist_count("n[1-4,7],login,m[08-11]x"), 10);
        is_at("n[1-4,7],login,m[08-11]x", 4, "n7");
        is_at("n[1-4,7],login,m[08-11]x", 5, "login");
        is_at("n[1-4,7],login,m[08-11]x", 6, "m08x");
        is_at("n[1-4,7],login,m[08-11]x", 9, "m11x");
        assert_int_equal(sf_hostlist_count("r[0-3]n[00-15]"), 64);
        is_at("r[0-3]n[00-15]", 17, "r1n01");
        is_at("[7001-7004]", 2, "7003");
        is_at("gpu[1-2][1-9]", 8, "gpu19");
        is_at("big[0-999999]", 999999, "big999999");
        assert_int_equal(sf_hostlist_find("N[1-2]", "n2"), 1);
}

static void absent(void **state)
{
        char out[4];

        (void)state;
        assert_int_equal(sf_hostlist_find("n[1-4]", "n5"), -1);
        assert_int_equal(sf_hostlist_find("n[1-4]", "n01"), -1);
        assert_int_equal(sf_hostlist_find("n[01-04]", "n1"), -1);
        assert_int_equal(sf_hostlist_find("n[1-4]", "n1x"), -1);
        assert_int_equal(sf_hostlist_find("n[1-4]", "n"), -1);
        assert_int_equal(sf_hostlist_find("", "n"), -1);
        assert_false(sf_hostlist_nth("n[1-4]", 4, out, sizeof out));
        assert_false(sf_hostlist_nth("longer", 0, out, sizeof out));
}

/* Nothing that is malformed makes names, or work. */
static void malformed(void **state)
{
        static const char *const bad[] = { "n[1-4",    "n]1[",    "n[a-b]",
                                           "n[4-1]",   "n[]",     "n[1-]",
                                           "n[1-2,x]", "n[1[2]]", "n[0-99999999999999999999]",
                                           "n[1-4]]" };
        char out[64];

        (void)state;
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
                assert_int_equal(sf_hostlist_count(bad[i]), 0);
                assert_int_equal(sf_hostlist_find(bad[i], "n1"), -1);
                assert_false(sf_hostlist_nth(bad[i], 0, out, sizeof out));
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(lists), cmocka_unit_test(absent),
                                            cmocka_unit_test(malformed) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
