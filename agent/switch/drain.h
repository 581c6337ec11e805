/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/drain.h - a node without jobs for the time of a switch: drained by us and resumed by us, or only waited
 * for.
 *
 * STATE/drained.json exists while a drain of ours may be in force, so that one that was interrupted, by a power cut
 * even, is taken back by the next run:
 *
 *     {"node": "n1", "reason": "sf-node upgrade to 25.11.6-noble-amd64"}
 *
 * A node that somebody else has drained is waited for and left drained.
 */
#ifndef SF_AGENT_SWITCH_DRAIN_H
#define SF_AGENT_SWITCH_DRAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/node/slurm.h"
#include "base/error.h"

struct sf_drain {
        const char *state;     /* directory */
        struct sf_slurm slurm; /* the active release's clients */
        const char *node;      /* NodeName */
        const char *reason;    /* what slurmctld is told, one line */
        bool drain;            /* false: wait only */
        uint64_t timeout;      /* seconds to wait for the end of jobs; 0 = without end */
};

/* Returns when the node has no jobs. SF_ERR_TIMEOUT, SF_ERR_INTERRUPTED (sf_stop_requested) and any other failure
 * leave the node as it was found. *ret is slurmctld's record then, with the drain in it. */
int sf_drain_begin(const struct sf_drain *drain, struct sf_slurm_record *ret, struct sf_error *err);

/* Resumes what an sf_drain_begin drained, unless somebody gave the drain another reason meanwhile. 1 = resumed, 0 =
 * there was nothing of ours. Where slurmctld cannot be asked the file stays, for the next run. */
int sf_drain_end(const char *state, const struct sf_slurm *slurm, struct sf_error *err);

/* Does this process belong to a step of a job on this node? It would wait for itself. */
bool sf_drain_waits_for_itself(void);

#endif
