/* SPDX-License-Identifier: Apache-2.0 */
/* tests/agent/check-report.c - what a run says at its end: exit codes, the line for people, and one JSON object that
 * is valid whatever the names and errors in it are. Each case runs in a child, because one process reports once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/node/report.h"
#include "base/log.h"
#include "base/output.h"

struct said {
        int code;
        char out[4096], text[4096]; /* standard output, standard error */
};

static void read_back(FILE *file, char *ret, size_t room)
{
        rewind(file);
        ret[fread(ret, 1, room - 1, file)] = '\0';
        fclose(file);
}

/* Runs one report in a child with its outputs in files. */
static void capture(bool json, int (*report)(void), struct said *ret)
{
        FILE *out = tmpfile(), *text = tmpfile();
        int status;

        assert_true(out && text);
        pid_t child = fork();
        if (child == 0) {
                dup2(fileno(out), STDOUT_FILENO);
                dup2(fileno(text), STDERR_FILENO);
                sf_log_open("sf-node", SF_LOG_NORMAL);
                sf_output_open(json);
                int code = report();
                fflush(NULL);
                _exit(code);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        ret->code = WEXITSTATUS(status);
        read_back(out, ret->out, sizeof ret->out);
        read_back(text, ret->text, sizeof ret->text);
}

/* The one object on standard output: one line, and nothing else. */
static json_t *object_of(const struct said *said)
{
        json_t *object = json_loads(said->out, JSON_REJECT_DUPLICATES, NULL);

        if (!object || strchr(said->out, '\n') != said->out + strlen(said->out) - 1)
                fail_msg("not one line of JSON: %s", said->out);
        return object;
}

static void expect_text(const json_t *object, const char *key, const char *value)
{
        assert_string_equal(json_string_value(json_object_get(object, key)), value);
}

static struct sf_report upgrade_of(const char *from, const char *to, const char *still)
{
        struct sf_report report;

        sf_report_start(&report, "upgrade");
        snprintf(report.from, sizeof report.from, "%s", from);
        snprintf(report.to, sizeof report.to, "%s", to);
        snprintf(report.still, sizeof report.still, "%s", still);
        return report;
}

static int verify_fails(void)
{
        struct sf_report report = upgrade_of("24.11.5", "25.11.4", "24.11.5");
        struct sf_error err = SF_ERROR_INIT;

        report.step = SF_STEP_VERIFY;
        sf_error_set(&err, SF_ERR_CORRUPT, "layer deps: sha256 mismatch");
        return sf_report_failed(&report, 0, &err);
}

static void test_failure_is_one_line(void **state)
{
        struct said said;

        (void)state;
        capture(false, verify_fails, &said);
        assert_int_equal(said.code, SF_EXIT_FAILED);
        assert_string_equal(said.out, "");
        assert_string_equal(said.text,
                            "sf-node: upgrade 24.11.5 → 25.11.4 failed at verify: layer deps: sha256 mismatch; "
                            "still on 24.11.5\n");
}

static void test_failure_as_object(void **state)
{
        struct said said;

        (void)state;
        capture(true, verify_fails, &said);
        assert_int_equal(said.code, SF_EXIT_FAILED);
        json_t *object = object_of(&said);
        expect_text(object, "result", "failed");
        expect_text(object, "step", "verify");
        expect_text(object, "from", "24.11.5");
        expect_text(object, "to", "25.11.4");
        expect_text(object, "error", "layer deps: sha256 mismatch");
        assert_int_equal(json_integer_value(json_object_get(object, "exit")), 3);
        assert_true(json_is_null(json_object_get(object, "downtime_seconds")));
        json_decref(object);
}

static int returns(void)
{
        struct sf_report report = upgrade_of("24.11.5", "25.11.4", "24.11.5");
        struct sf_error err = SF_ERROR_INIT;

        report.step = SF_STEP_HEALTH;
        report.downtime = 0.25;
        sf_error_set(&err, SF_ERR_FAILED, "slurmd stopped");
        return sf_report_failed(&report, SF_EXIT_RETURNED, &err);
}

static void test_return_says_back_on(void **state)
{
        struct said said;

        (void)state;
        capture(false, returns, &said);
        assert_int_equal(said.code, SF_EXIT_RETURNED);
        assert_non_null(strstr(said.text, "; back on 24.11.5\n"));
        capture(true, returns, &said);
        json_t *object = object_of(&said);
        expect_text(object, "result", "returned");
        assert_true(json_real_value(json_object_get(object, "downtime_seconds")) == 0.25);
        json_decref(object);
}

static int nothing_active(void)
{
        struct sf_report report;
        struct sf_error err = SF_ERROR_INIT;

        sf_report_start(&report, "install");
        snprintf(report.to, sizeof report.to, "25.11.4");
        report.step = SF_STEP_FETCH;
        sf_error_set(&err, SF_ERR_USAGE, "no repository");
        int code = sf_report_failed(&report, SF_EXIT_HUMAN, &err);
        return code;
}

/* The class of an error decides the code only where the caller names none. */
static void test_given_code_wins(void **state)
{
        struct said said;

        (void)state;
        capture(false, nothing_active, &said);
        assert_int_equal(said.code, SF_EXIT_HUMAN);
        assert_string_equal(said.text,
                            "sf-node: install 25.11.4 failed at fetch: no repository; no release is active\n");
}

static int hostile(void)
{
        struct sf_report report = upgrade_of("24.11.5\033]0;x\a", "25.11\xff\xfe", "24.11.5");
        struct sf_error err = SF_ERROR_INIT;

        report.step = SF_STEP_PREFLIGHT;
        sf_error_set(&err, SF_ERR_BUSY, "process \"a\033[2J\nb\" \xc3\x28 holds it");
        return sf_report_failed(&report, 0, &err);
}

static void test_hostile_names(void **state)
{
        struct said said;

        (void)state;
        capture(false, hostile, &said);
        for (const char *c = said.text; *c; c++)
                if ((unsigned char)*c < ' ' && (*c != '\n' || c[1]))
                        fail_msg("a control character at %td of: %s", c - said.text, said.text);
        capture(true, hostile, &said);
        json_t *object = object_of(&said);
        assert_non_null(json_object_get(object, "error"));
        assert_non_null(json_object_get(object, "from"));
        for (const char *c = said.out; *c; c++)
                if ((unsigned char)*c > '~' || ((unsigned char)*c < ' ' && *c != '\n'))
                        fail_msg("not ASCII: %s", said.out);
        json_decref(object);
}

static int refused(void)
{
        struct sf_error err = SF_ERROR_INIT;

        sf_error_set(&err, SF_ERR_USAGE, "there is no verb 'upgarde'");
        return sf_report_refused("", false, &err);
}

static int broken_config(void)
{
        struct sf_error err = SF_ERROR_INIT;

        sf_error_set(&err, SF_ERR_IO, "/etc/sf-node/sf-node.conf: Permission denied");
        return sf_report_refused("status", true, &err);
}

static void test_refusals(void **state)
{
        struct said said;

        (void)state;
        capture(true, refused, &said);
        assert_int_equal(said.code, SF_EXIT_USAGE);
        json_t *object = object_of(&said);
        expect_text(object, "result", "usage");
        json_decref(object);
        /* A configuration that cannot be read is exit 2 whatever the reason. */
        capture(true, broken_config, &said);
        assert_int_equal(said.code, SF_EXIT_USAGE);
        object = object_of(&said);
        expect_text(object, "step", "configuration");
        expect_text(object, "verb", "status");
        json_decref(object);
}

static int done_with_details(void)
{
        struct sf_report report = upgrade_of("25.11.3", "25.11.4", "25.11.4");

        report.step = SF_STEP_DONE;
        report.bytes_fetched = 3667;
        report.details = json_pack("{s:s}", "extra", "yes");
        int code = sf_report_done(&report, "now on 25.11.4");
        json_decref(report.details);
        return code;
}

static void test_good_end(void **state)
{
        struct said said;

        (void)state;
        capture(false, done_with_details, &said);
        assert_int_equal(said.code, 0);
        assert_string_equal(said.out, "");
        assert_non_null(strstr(said.text, "now on 25.11.4"));
        capture(true, done_with_details, &said);
        json_t *object = object_of(&said);
        expect_text(object, "result", "done");
        expect_text(object, "extra", "yes");
        assert_int_equal(json_integer_value(json_object_get(object, "bytes_fetched")), 3667);
        assert_null(json_object_get(object, "error"));
        json_decref(object);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_failure_is_one_line),
                cmocka_unit_test(test_failure_as_object),
                cmocka_unit_test(test_return_says_back_on),
                cmocka_unit_test(test_given_code_wins),
                cmocka_unit_test(test_hostile_names),
                cmocka_unit_test(test_refusals),
                cmocka_unit_test(test_good_end),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
