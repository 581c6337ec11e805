/* SPDX-License-Identifier: Apache-2.0 */
/* tests/release/check-agents.c - versions of the agent in their order, and the target that offers them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "release/agents.h"

static void versions(void **state)
{
        static const char *const good[] = { "0.1.0", "10", "1.2~rc1", "1.2+git3-1" };
        static const char *const bad[] = { "", "v1", "../1", "1/2", "1..2", "1 2", ".1", "-1" };
        static const char *const order[] = { "0.1~rc1", "0.1~rc2", "0.1",  "0.1a",   "0.1+1", "0.1.0",
                                             "0.1.1",   "0.9",     "0.10", "0.10.1", "1" };
        size_t count = sizeof order / sizeof *order;

        (void)state;
        for (size_t i = 0; i < sizeof good / sizeof *good; i++)
                assert_true(sf_agents_is_version(good[i]));
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
                assert_false(sf_agents_is_version(bad[i]));
        for (size_t i = 0; i < count; i++)
                for (size_t k = 0; k < count; k++) {
                        int is = sf_agents_compare(order[i], order[k]);
                        if ((is > 0) - (is < 0) != (i > k) - (i < k))
                                fail_msg("%s and %s: %d", order[i], order[k], is);
                }
}

static void offers(void **state)
{
        _cleanup_(sf_buffer_free) struct sf_buffer one = SF_BUFFER_INIT, two = SF_BUFFER_INIT;
        char version[SF_AGENTS_VERSION_MAX];
        static const char newer[] = "{\"agent\":2,\"current\":{}}",
                          evil[] = "{\"agent\":1,\"current\":{\"amd64\":\"../x\"}}";

        (void)state;
        assert_int_equal(sf_agents_set("a", NULL, 0, "amd64", "0.2.0", &one, NULL), 0);
        assert_int_equal(sf_agents_set("a", one.data, one.len, "arm64", "0.1.0", &two, NULL), 0);
        assert_string_equal(sf_buffer_text(&two),
                            "{\"agent\":1,\"current\":{\"amd64\":\"0.2.0\",\"arm64\":\"0.1.0\"}}");
        assert_int_equal(sf_agents_current("a", two.data, two.len, "arm64", version, NULL), 0);
        assert_string_equal(version, "0.1.0");
        assert_int_equal(sf_agents_current("a", two.data, two.len, "riscv64", version, NULL), SF_ERR_NOT_FOUND);
        assert_int_equal(sf_agents_current("a", newer, strlen(newer), "amd64", version, NULL), SF_ERR_UNSUPPORTED);
        assert_int_equal(sf_agents_current("a", evil, strlen(evil), "amd64", version, NULL), SF_ERR_CORRUPT);
        assert_int_equal(sf_agents_current("a", "x", 1, "amd64", version, NULL), SF_ERR_CORRUPT);
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(versions), cmocka_unit_test(offers) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
