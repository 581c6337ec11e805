/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/step.h - the steps of a run and the results it can have, with the words that reports, state.json and
 * transaction.json use for them. The words are part of the contract: scripts read them from --json.
 */
#ifndef SF_AGENT_NODE_STEP_H
#define SF_AGENT_NODE_STEP_H

enum sf_step {
        SF_STEP_NONE, /* "": nothing is under way */
        SF_STEP_CONFIGURATION,
        SF_STEP_PLAN,
        SF_STEP_FETCH,
        SF_STEP_VERIFY,
        SF_STEP_UNPACK,
        SF_STEP_RELOCATE,
        SF_STEP_PREFLIGHT,
        SF_STEP_INIT, /* install --init: what a bare node lacks is made */
        SF_STEP_DRAIN,
        SF_STEP_QUIET,    /* waiting for scripts that slurmd waits for */
        SF_STEP_ACTIVATE, /* from here on a record is on the disk */
        SF_STEP_RESTART,  /* and from here on services are touched */
        SF_STEP_HEALTH,
        SF_STEP_DONE,
        /* Verbs of a single step. */
        SF_STEP_REPAIR,
        SF_STEP_DOCTOR,
        SF_STEP_GC,
        SF_STEP_RECOVER,
        SF_STEP_COUNT
};

enum sf_result {
        SF_RESULT_NONE,        /* "": no run yet */
        SF_RESULT_DONE,        /* it did what it was asked to */
        SF_RESULT_UNCHANGED,   /* there was nothing to do */
        SF_RESULT_USAGE,       /* "usage": the command line or the configuration is at fault */
        SF_RESULT_FAILED,      /* nothing changed */
        SF_RESULT_RETURNED,    /* it failed after the switch, the old release is active again */
        SF_RESULT_NEEDS_HUMAN, /* "needs-human" */
        SF_RESULT_FINISHED,    /* an interrupted run, completed by recovery */
        SF_RESULT_UNDONE,      /* an interrupted run, undone by recovery */
        SF_RESULT_COUNT
};

const char *sf_step_name(enum sf_step step);
const char *sf_result_name(enum sf_result result);

/* The value of a word; SF_STEP_COUNT or SF_RESULT_COUNT where it is none of them. */
enum sf_step sf_step_parse(const char *name);
enum sf_result sf_result_parse(const char *name);

#endif
