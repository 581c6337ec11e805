/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/report.h - what a run tells the operator at its end: one line or one JSON object, and the exit code.
 *
 * Exit codes are part of the contract: 0 done or nothing to do, 2 usage or configuration, 3 failed and nothing changed,
 * 4 failed after the switch and returned to the old release, 5 needs a human.
 */
#ifndef SF_AGENT_NODE_REPORT_H
#define SF_AGENT_NODE_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/node/step.h"
#include "base/error.h"
#include "base/json.h"

enum sf_exit { SF_EXIT_DONE = 0, SF_EXIT_USAGE = 2, SF_EXIT_FAILED = 3, SF_EXIT_RETURNED = 4, SF_EXIT_HUMAN = 5 };

struct sf_report {
        const char *verb;      /* "install" */
        enum sf_step step;     /* where the run is; set as it goes on */
        enum sf_result result; /* of the good end: SF_RESULT_DONE or SF_RESULT_UNCHANGED */
        char from[160];        /* release that was active at the start, "" where none was */
        char to[160];          /* release asked for, "" where the verb names none */
        char still[160];       /* release that is active now: what a failure line ends with */
        uint64_t bytes_fetched;
        double started;   /* CLOCK_MONOTONIC seconds */
        double downtime;  /* seconds slurmd was away, negative = it was not restarted */
        char proof[1280]; /* why each restarted slurmd is believed, a sentence for each; "" where none was restarted */
        json_t *details;  /* members that this verb adds to the JSON object; NULL = none. The caller's. */
};

void sf_report_start(struct sf_report *report, const char *verb);

/* What the object of --json and the log (agent/node/history.h) both say of a run; `error` only with err, which may be
 * NULL. The caller's. */
json_t *sf_report_json(const struct sf_report *report, enum sf_result result, const struct sf_error *err);

/* The good end. Prints the JSON object on standard output, or `summary` (may be NULL) for people on standard error. */
int sf_report_done(const struct sf_report *report, const char *summary);

/* The other end: one line on standard error (and the JSON object), for example
 *   sf-node: upgrade 24.11.5 → 25.11.6 failed at verify: layer deps: sha256 mismatch; still on 24.11.5
 * Returns `code`, or where it is 0 the exit code that fits err: 2 for SF_ERR_USAGE, else 3. */
int sf_report_failed(const struct sf_report *report, int code, const struct sf_error *err);

/* The command line, or with `loading` the configuration, is wrong: nothing was begun. verb "" = none was understood.
 * Returns SF_EXIT_USAGE. */
int sf_report_refused(const char *verb, bool loading, const struct sf_error *err);

#endif
