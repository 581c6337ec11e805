/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/own_step.h - was this program started from a job step of this very node? Under srun or sbatch our own
 * slurmstepd keeps the tree that it came from, and waiting for its end would be waiting for ourselves.
 */
#ifndef SF_AGENT_NODE_OWN_STEP_H
#define SF_AGENT_NODE_OWN_STEP_H

#include <stdbool.h>
#include <sys/types.h>

/* Is `pid` this process or one of those that it descends from, by proc(5)? */
bool sf_own_step_is(pid_t pid);

#endif
