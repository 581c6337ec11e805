/* SPDX-License-Identifier: Apache-2.0 */
/* tests/agent/check-history.c - the record of switches: order, bounds, damaged lines, hostile names.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/node/history.h"
#include "base/fs.h"

static char directory[] = "/tmp/sf-history.XXXXXX";
static char file[64];

static void add(const char *to, enum sf_result result, const char *error)
{
        struct sf_error why = SF_ERROR_INIT, err = SF_ERROR_INIT;
        struct sf_report report;

        sf_report_start(&report, "upgrade");
        report.step = error ? SF_STEP_HEALTH : SF_STEP_DONE;
        snprintf(report.from, sizeof report.from, "25.05.5-bookworm-amd64");
        snprintf(report.to, sizeof report.to, "%s", to);
        report.downtime = 0.1;
        if (error)
                sf_error_set(&why, SF_ERR_FAILED, "%s", error);
        if (sf_history_add(directory, &report, result, error ? &why : NULL, &err) < 0)
                fail_msg("%s", err.text);
}

static json_t *load(size_t most)
{
        struct sf_error err = SF_ERROR_INIT;
        json_t *entries = NULL;

        if (sf_history_load(directory, most, &entries, &err) < 0)
                fail_msg("%s", err.text);
        return entries;
}

static const char *member(const json_t *entries, size_t i, const char *key)
{
        return json_string_value(json_object_get(json_array_get(entries, i), key));
}

static void test_none(void **state)
{
        json_t *entries = load(10);

        (void)state;
        assert_int_equal(json_array_size(entries), 0);
        json_decref(entries);
}

static void test_order_and_bound(void **state)
{
        struct stat st;

        (void)state;
        add("a", SF_RESULT_DONE, NULL);
        add("b", SF_RESULT_RETURNED, "slurmd stopped");
        add("c", SF_RESULT_DONE, NULL);
        json_t *entries = load(2);
        assert_int_equal(json_array_size(entries), 2);
        assert_string_equal(member(entries, 0, "to"), "b");
        assert_string_equal(member(entries, 0, "result"), "returned");
        assert_string_equal(member(entries, 0, "step"), "health");
        assert_string_equal(member(entries, 0, "error"), "slurmd stopped");
        assert_string_equal(member(entries, 1, "to"), "c");
        assert_null(member(entries, 1, "error"));
        json_decref(entries);
        /* Job numbers and errors of the site are nobody else's. */
        assert_int_equal(stat(file, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
}

/* A power cut leaves a line without its end; the next one is whole all the same. */
static void test_torn_line(void **state)
{
        struct sf_buffer text = SF_BUFFER_INIT;

        (void)state;
        assert_int_equal(sf_fs_read(file, 1u << 20, &text, NULL), 0);
        assert_int_equal(truncate(file, (off_t)text.len - 20), 0);
        add("d", SF_RESULT_DONE, NULL);
        json_t *entries = load(SIZE_MAX);
        assert_int_equal(json_array_size(entries), 3);
        assert_string_equal(member(entries, 1, "to"), "b");
        assert_string_equal(member(entries, 2, "to"), "d");
        json_decref(entries);
        sf_buffer_free(&text);
}

static void test_hostile_text(void **state)
{
        (void)state;
        add("x\n{\"to\": \"forged\"}\n\xff", SF_RESULT_RETURNED, "a\nb \"c\" \033[2J");
        json_t *entries = load(1);
        assert_int_equal(json_array_size(entries), 1);
        assert_non_null(strstr(member(entries, 0, "to"), "forged"));
        assert_string_equal(member(entries, 0, "result"), "returned");
        json_decref(entries);
}

static void test_older_half_goes(void **state)
{
        struct stat st;
        char name[100];

        (void)state;
        memset(name, 'n', sizeof name);
        for (int i = 0; i < 2000; i++) {
                snprintf(name + 60, sizeof name - 60, "%d", i);
                add(name, SF_RESULT_DONE, NULL);
                assert_int_equal(stat(file, &st), 0);
                assert_true(st.st_size <= (off_t)SF_HISTORY_MAX + 16384);
        }
        json_t *entries = load(SIZE_MAX);
        size_t count = json_array_size(entries);
        assert_true(count > 100 && count < 2000);
        assert_string_equal(member(entries, count - 1, "to"), name);
        json_decref(entries);
}

/* A link in its place is nobody's to follow. */
static void test_link(void **state)
{
        struct sf_error err = SF_ERROR_INIT;
        struct sf_report report;

        (void)state;
        assert_int_equal(unlink(file), 0);
        assert_int_equal(symlink("/etc/hostname", file), 0);
        sf_report_start(&report, "upgrade");
        assert_true(sf_history_add(directory, &report, SF_RESULT_DONE, NULL, &err) < 0);
        assert_non_null(strstr(err.text, file));
        assert_int_equal(unlink(file), 0);
}

static int make_directory(void **state)
{
        (void)state;
        if (!mkdtemp(directory))
                return -1;
        snprintf(file, sizeof file, "%s/history.jsonl", directory);
        return 0;
}

static int remove_directory(void **state)
{
        (void)state;
        return sf_fs_remove_tree(directory, NULL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_none),
                cmocka_unit_test(test_order_and_bound),
                cmocka_unit_test(test_torn_line),
                cmocka_unit_test(test_hostile_text),
                cmocka_unit_test(test_older_half_goes),
                cmocka_unit_test(test_link),
        };

        return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
