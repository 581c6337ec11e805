/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/quiet.h - work that must not be noticed by the jobs of this node: unpacking and decoding deltas.
 *
 * In a scope with CPUWeight=1 and IOWeight=1, where systemd gives one; where no control group divides the processors,
 * at idle priority (sched(7): SCHED_IDLE, and nice 19 for the session's autogroup, where the session is this process's
 * own). With idle processors the work is as fast as ever; on a node that computes on all of them it takes about a
 * hundredth of them.
 */
#ifndef SF_AGENT_NODE_QUIET_H
#define SF_AGENT_NODE_QUIET_H

#include <stdbool.h>

struct sf_quiet {
        bool scope;    /* it was entered */
        bool idle;     /* idle priority was taken */
        bool grouped;  /* the session's group gave way, */
        int autogroup; /* whose nice value was this one */
};

/* Threads and programs that are started from here on are quiet as well. Never fails: what is not to be had is left
 * out. */
void sf_quiet_begin(struct sf_quiet *quiet);
/* Back to normal, for the switch and the site's hooks. */
void sf_quiet_end(struct sf_quiet *quiet);

#endif
