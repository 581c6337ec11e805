/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/switch.h - from one release to another on a live node: a table of steps, each with its way back.
 */
#ifndef SF_AGENT_SWITCH_SWITCH_H
#define SF_AGENT_SWITCH_SWITCH_H

#include <stdbool.h>

#include "agent/node/config.h"
#include "agent/node/report.h"
#include "base/error.h"
#include "installer/store.h"

struct sf_switch {
        const struct sf_config *config;
        const char *verb;   /* "upgrade", "stage", "activate", "rollback", "install" */
        const char *wanted; /* release the operator named, NULL = newest of the active series, or the one before */
        bool bytes;         /* fetch it from the repository; otherwise it is on this disk already */
        bool flip;          /* make it the active one */
        bool restart;       /* and restart services that ran from the old one */
        bool back;          /* a rollback: back to the release before */
        bool adopt;         /* take over a slurmd that something else installed */
};

/* Runs the steps, undoes them where one fails, reports. Returns the exit code. */
int sf_switch_run(const struct sf_switch *upgrade);

#endif
