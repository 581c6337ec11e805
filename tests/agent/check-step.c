/* SPDX-License-Identifier: Apache-2.0 */
/* tests/agent/check-step.c - every step and every result has a word of its own that leads back to it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "agent/node/step.h"

static void steps(void **ctx)
{
        (void)ctx;
        for (unsigned i = 0; i < SF_STEP_COUNT; i++) {
                assert_non_null(sf_step_name((enum sf_step)i));
                assert_int_equal(sf_step_parse(sf_step_name((enum sf_step)i)), i);
        }
        assert_string_equal(sf_step_name(SF_STEP_NONE), "");
        assert_string_equal(sf_step_name(SF_STEP_COUNT), "");
        assert_int_equal(sf_step_parse("Restart"), SF_STEP_COUNT);
        assert_int_equal(sf_step_parse("restarting"), SF_STEP_COUNT);
}

static void results(void **ctx)
{
        (void)ctx;
        for (unsigned i = 0; i < SF_RESULT_COUNT; i++) {
                assert_non_null(sf_result_name((enum sf_result)i));
                assert_int_equal(sf_result_parse(sf_result_name((enum sf_result)i)), i);
        }
        assert_string_equal(sf_result_name(SF_RESULT_NEEDS_HUMAN), "needs-human");
        assert_int_equal(sf_result_parse("ok"), SF_RESULT_COUNT);
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(steps), cmocka_unit_test(results) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
