/* SPDX-License-Identifier: Apache-2.0 */
/* tests/agent/check-state.c - what a node remembers: state.json of every format, what is staged, what is damaged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/node/state.h"
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fs.h"

static char directory[] = "/tmp/sf-state.XXXXXX";

static int make_directory(void **ctx)
{
        (void)ctx;
        return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **ctx)
{
        (void)ctx;
        return sf_fs_remove_tree(directory, NULL);
}

static void put(const char *text)
{
        _cleanup_free_ char *path = sf_fs_join(directory, "state.json");

        assert_int_equal(sf_fs_write(path, text, strlen(text), 0644, NULL), 0);
}

static void round_trip(void **ctx)
{
        struct sf_state state = { .active = "24.11.5-noble", .previous = "24.11.4-noble", .verb = "upgrade" }, back;
        struct sf_error err = SF_ERROR_INIT;

        (void)ctx;
        assert_int_equal(sf_state_load(directory, &back, &err), 0);
        assert_string_equal(back.active, "");
        state.result = SF_RESULT_DONE;
        sf_state_stage(&state, "25.11.6-noble");
        sf_state_stage(&state, "25.11.7-noble");
        assert_int_equal(sf_state_save(directory, &state, &err), 0);
        assert_int_equal(sf_state_load(directory, &back, &err), 0);
        assert_string_equal(back.active, "24.11.5-noble");
        assert_string_equal(back.previous, "24.11.4-noble");
        assert_string_equal(back.staged[0], "25.11.7-noble");
        assert_string_equal(back.staged[1], "25.11.6-noble");
        assert_string_equal(back.staged[2], "");
        assert_int_equal(back.result, SF_RESULT_DONE);
}

/* The one that is staged again is the newest; more than there is room for push the oldest out. */
static void staged(void **ctx)
{
        struct sf_state state = { 0 };
        char name[16];

        (void)ctx;
        for (int i = 0; i < SF_STATE_STAGED_MAX + 2; i++) {
                snprintf(name, sizeof name, "r%d", i);
                sf_state_stage(&state, name);
        }
        assert_string_equal(state.staged[0], name);
        assert_false(sf_state_is_staged(&state, "r0"));
        assert_false(sf_state_is_staged(&state, "r1"));
        assert_true(sf_state_is_staged(&state, "r2"));
        sf_state_stage(&state, "r5");
        assert_string_equal(state.staged[0], "r5");
        assert_true(sf_state_is_staged(&state, "r2"));
        sf_state_unstage(&state, "r5");
        assert_false(sf_state_is_staged(&state, "r5"));
        assert_string_equal(state.staged[SF_STATE_STAGED_MAX - 1], "");
        assert_false(sf_state_is_staged(&state, ""));
}

static void first_format(void **ctx)
{
        struct sf_state state;
        struct sf_error err = SF_ERROR_INIT;

        (void)ctx;
        put("{\"active\":\"a\",\"previous\":\"b\",\"last\":{\"verb\":\"install\",\"result\":\"done\",\"from\":\"\","
            "\"to\":\"a\",\"time\":\"2026-11-23T12:00:00Z\"}}");
        assert_int_equal(sf_state_load(directory, &state, &err), 0);
        assert_string_equal(state.previous, "b");
        assert_string_equal(state.verb, "install");
        assert_string_equal(state.staged[0], "");
}

/* An older agent does not touch what a newer one wrote, and says so in one line. */
static void newer_format(void **ctx)
{
        struct sf_state state;
        struct sf_error err = SF_ERROR_INIT;
        _cleanup_free_ char *path = sf_fs_join(directory, "state.json");

        (void)ctx;
        put("{\"version\":3,\"active\":\"a\"}");
        assert_int_equal(sf_state_load_or_set_aside(directory, &state, &err), SF_ERR_UNSUPPORTED);
        assert_non_null(strstr(err.text, "newer sf-node"));
        assert_true(sf_fs_exists(path));
}

static void damaged(void **ctx)
{
        static const char *const texts[] = { "", "{", "[]x", "\377\376", "nonsense" };
        _cleanup_free_ char *path = sf_fs_join(directory, "state.json");
        _cleanup_free_ char *aside = sf_fs_join(directory, "state.json.damaged");
        struct sf_state state;

        (void)ctx;
        for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
                struct sf_error err = SF_ERROR_INIT;
                put(texts[i]);
                assert_int_equal(sf_state_load(directory, &state, &err), SF_ERR_CORRUPT);
                assert_int_equal(sf_state_load_or_set_aside(directory, &state, &err), 0);
                assert_string_equal(state.active, "");
                assert_false(sf_fs_exists(path));
                assert_true(sf_fs_exists(aside));
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(round_trip),   cmocka_unit_test(staged),  cmocka_unit_test(first_format),
                cmocka_unit_test(newer_format), cmocka_unit_test(damaged),
        };

        return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
