/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/cluster.h - questions about the rest of the cluster: other controllers, the database daemon, all nodes,
 * the queue.
 *
 * Asked with a release's own scontrol, squeue and sacctmgr, as slurm.h is. What does not answer is an error; what
 * answers without saying what was asked for is SF_ERR_CORRUPT. */
#ifndef SF_AGENT_NODE_CLUSTER_H
#define SF_AGENT_NODE_CLUSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/node/slurm.h"
#include "base/buffer.h"
#include "base/error.h"

/* scontrol ping: each SlurmctldHost in order. A standby controller answers as well. */
struct sf_cluster_controller {
        char host[128];
        bool up;
};
/* *ret is one allocation (free()). */
int sf_cluster_controllers(const struct sf_slurm *slurm, struct sf_cluster_controller **ret, size_t *ret_count,
                           struct sf_error *err);

/* sacctmgr show configuration: slurmdbd's version. */
int sf_cluster_database(const struct sf_slurm *slurm, char version[48], struct sf_error *err);

/* sacctmgr show cluster: clusters whose slurmctld is registered with this slurmdbd, and the series it speaks. */
struct sf_cluster_peer {
        char name[64];
        char series[8]; /* "" = unknown protocol */
};
int sf_cluster_peers(const struct sf_slurm *slurm, struct sf_cluster_peer **ret, size_t *ret_count,
                     struct sf_error *err);

/* scontrol show node: what slurmctld knows of every node that is up. */
struct sf_cluster_node {
        char name[128];
        char version[48]; /* of its slurmd */
};
int sf_cluster_nodes(const struct sf_slurm *slurm, struct sf_cluster_node **ret, size_t *ret_count,
                     struct sf_error *err);

/* squeue: every job that slurmctld knows, one line each: "id state", the state as squeue's compact code (PD, R, CG,
 * CD ...). Appends to ret. */
int sf_cluster_jobs(const struct sf_slurm *slurm, struct sf_buffer *ret, struct sf_error *err);

/* What happened between two such lists: numbers of jobs, and their ids ("12, 15, 17 and 4 more") as far as there is
 * room. */
struct sf_cluster_change {
        size_t submitted, started, ended;
        char submitted_ids[160], started_ids[160], ended_ids[160];
};
/* after: "" where slurmctld does not answer any more. A job that is known now and was not then was submitted since;
 * one that was submitted and is forgotten already cannot be in these numbers. */
void sf_cluster_compare(const char *before, const char *after, struct sf_cluster_change *ret);

#endif
