/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/report.c - see report.h. */
#include "agent/node/report.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/output.h"

void sf_report_start(struct sf_report *report, const char *verb)
{
        *report = (struct sf_report){ .verb = verb,
                                      .step = SF_STEP_PLAN,
                                      .result = SF_RESULT_DONE,
                                      .started = sf_clock_seconds(),
                                      .downtime = -1 };
}

json_t *sf_report_json(const struct sf_report *r, enum sf_result result, const struct sf_error *err)
{
        json_t *object = json_object();

        sf_json_set_name(object, "verb", r->verb);
        json_object_set_new(object, "result", sf_json_text(sf_result_name(result)));
        json_object_set_new(object, "step", sf_json_text(sf_step_name(r->step)));
        sf_json_set_name(object, "from", r->from);
        sf_json_set_name(object, "to", r->to);
        json_object_set_new(object, "bytes_fetched", json_integer((json_int_t)r->bytes_fetched));
        json_object_set_new(object, "seconds", json_real(sf_clock_seconds() - r->started));
        json_object_set_new(object, "downtime_seconds", r->downtime < 0 ? json_null() : json_real(r->downtime));
        if (*r->proof)
                json_object_set_new(object, "proof", sf_json_text(r->proof));
        if (err)
                json_object_set_new(object, "error", sf_json_text(err->text));
        return object;
}

static void print_json(const struct sf_report *r, enum sf_result result, int exit_code, const struct sf_error *err)
{
        _cleanup_json_ json_t *object = sf_report_json(r, result, err);

        json_object_set_new(object, "exit", json_integer(exit_code));
        if (err)
                json_object_set_new(object, "class", sf_json_text(sf_error_class(err->code)));
        if (r->details)
                json_object_update(object, r->details);
        sf_output_json(object);
}

int sf_report_done(const struct sf_report *report, const char *summary)
{
        sf_log_progress_end();
        if (sf_output_is_json())
                print_json(report, report->result, SF_EXIT_DONE, NULL);
        else if (summary)
                sf_log_info("%s", summary);
        return SF_EXIT_DONE;
}

static enum sf_result result_of(int code)
{
        switch (code) {
        case SF_EXIT_USAGE:
                return SF_RESULT_USAGE;
        case SF_EXIT_RETURNED:
                return SF_RESULT_RETURNED;
        case SF_EXIT_HUMAN:
                return SF_RESULT_NEEDS_HUMAN;
        default:
                return SF_RESULT_FAILED;
        }
}

int sf_report_failed(const struct sf_report *report, int code, const struct sf_error *err)
{
        char what[400];

        if (code == 0)
                code = err->code == SF_ERR_USAGE ? SF_EXIT_USAGE : SF_EXIT_FAILED;
        sf_log_progress_end();
        if (*report->from && *report->to && strcmp(report->from, report->to) != 0)
                snprintf(what, sizeof what, "%s %s → %s", report->verb, report->from, report->to);
        else
                snprintf(what, sizeof what, "%s%s%s", report->verb, *report->to ? " " : "", report->to);
        if (code == SF_EXIT_USAGE)
                sf_log_error("%s: %s", what, err->text);
        else if (*report->still)
                sf_log_error("%s failed at %s: %s; %s %s", what, sf_step_name(report->step), err->text,
                             code == SF_EXIT_RETURNED ? "back on" : "still on", report->still);
        else
                sf_log_error("%s failed at %s: %s%s", what, sf_step_name(report->step), err->text,
                             strcmp(err->text, "no release is active") == 0 ? "" : "; no release is active");
        print_json(report, result_of(code), code, err);
        return code;
}

int sf_report_refused(const char *verb, bool loading, const struct sf_error *err)
{
        struct sf_report report;

        sf_report_start(&report, verb);
        report.step = SF_STEP_CONFIGURATION;
        if (loading)
                return sf_report_failed(&report, SF_EXIT_USAGE, err);
        sf_log_error("%s", err->text);
        print_json(&report, SF_RESULT_USAGE, SF_EXIT_USAGE, err);
        return SF_EXIT_USAGE;
}
