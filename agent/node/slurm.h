/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/slurm.h - questions to Slurm, asked with a release's own clients: a client only understands daemons that
 * are not older than itself, so the caller says which release asks.
 *
 * scontrol(1). Times are seconds since the epoch; 0 = never.
 */
#ifndef SF_AGENT_NODE_SLURM_H
#define SF_AGENT_NODE_SLURM_H

#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "base/error.h"

struct sf_slurm {
        const char *tree; /* of the release that asks: TREE/bin/scontrol */
        const char *conf; /* slurm.conf, NULL = where the release looks by itself */
        unsigned timeout; /* seconds per question */
};

/* scontrol show config: what slurmctld says of itself. */
struct sf_slurm_controller {
        char version[48];
        uint64_t slurmd_timeout; /* seconds until it gives up a silent node; 0 = never */
};
int sf_slurm_controller(const struct sf_slurm *slurm, struct sf_slurm_controller *ret, struct sf_error *err);

/* scontrol show slurmd: what this node's slurmd says of itself. */
struct sf_slurm_daemon {
        pid_t pid;
        char version[48];
        char host[128];
        time_t last_message; /* from slurmctld */
};
int sf_slurm_daemon(const struct sf_slurm *slurm, struct sf_slurm_daemon *ret, struct sf_error *err);

/* scontrol show node: when slurmctld believes that this node's slurmd started. */
int sf_slurm_node_started(const struct sf_slurm *slurm, const char *node, time_t *ret, struct sf_error *err);

/* What a release's own client complains of when it reads slurm.conf, one line per complaint, appended to ret; nothing
 * where it is content. */
struct sf_buffer;
int sf_slurm_check_conf(const struct sf_slurm *slurm, struct sf_buffer *ret, struct sf_error *err);

#endif
