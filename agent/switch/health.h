/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/health.h - is the node really back? Three witnesses: slurmd itself, slurmctld, and the site's own
 * checks.
 *
 * slurmctld keeps calling a node IDLE until SlurmdTimeout even if its slurmd never registered again, so its word alone
 * is worth nothing: only a message and a start time from after the restart are.
 */
#ifndef SF_AGENT_SWITCH_HEALTH_H
#define SF_AGENT_SWITCH_HEALTH_H

#include <sys/types.h>
#include <time.h>

#include "agent/node/slurm.h"
#include "base/error.h"

struct sf_health {
        struct sf_slurm slurm;  /* the new release's clients */
        const char *node;       /* NodeName, NULL = what slurmd calls its host */
        const char *version;    /* what slurmd must be, "" = anything (an adopted tree) */
        pid_t pid;              /* its main process */
        time_t since;           /* when it was restarted */
        unsigned timeout;       /* seconds until it is given up */
        const char *hooks;      /* directory of executables, run in strcmp order; each must end with 0. NULL = none */
        unsigned hook_timeout;  /* seconds for each */
        void (*waiting)(void *ctx, const char *for_what); /* told before each pause; may be NULL */
        void *ctx;
};

/* SF_ERR_TIMEOUT names what was missing at the end; SF_ERR_FAILED a slurmd that is not the expected one, or a hook. */
int sf_health_wait(const struct sf_health *health, struct sf_error *err);

#endif
