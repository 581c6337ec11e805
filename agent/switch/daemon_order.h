/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/daemon_order.h - slurmdbd before slurmctld before slurmd, on the way up; the other way round on the
 * way back.
 *
 * SchedMD's upgrade guide. A daemon understands peers of its own and of a few older series, never of a newer one: so
 * slurmctld must not become newer than slurmdbd or older than any slurmd, nor so new that a slurmd is too old for
 * it, and so on. What the version window says of this node's slurmd is in version_window.h. */
#ifndef SF_AGENT_SWITCH_DAEMON_ORDER_H
#define SF_AGENT_SWITCH_DAEMON_ORDER_H

#include <stdbool.h>

#include "agent/node/slurm.h"
#include "base/error.h"
#include "release/version.h"

struct sf_daemon_order {
        const struct sf_window_row *rows;
        struct sf_slurm slurm;            /* the active release's clients */
        const char *root;                 /* before slurm.conf */
        const char *to_version;           /* of what comes; "" = nothing is checked */
        bool slurmdbd, slurmctld, slurmd; /* which of them this node has, and so switches in this run */
        const char *node;                 /* this node's NodeName, NULL = none */
        bool force;                       /* a daemon that does not answer is a warning, not a refusal */
};

/* SF_ERR_INCOMPATIBLE naming the daemon that has to go first. Asks nobody where neither slurmctld nor slurmdbd is
 * here. */
int sf_daemon_order_check(const struct sf_daemon_order *order, struct sf_error *err);

/* The rules alone, for tests. database "": not in use, or switched in this run. */
int sf_daemon_order_judge_controller(const struct sf_window_row *rows, const char *to, const char *database,
                                     struct sf_error *err);
int sf_daemon_order_judge_node(const struct sf_window_row *rows, const char *to, const char *node, const char *version,
                               struct sf_error *err);
int sf_daemon_order_judge_cluster(const struct sf_window_row *rows, const char *to, const char *cluster,
                                  const char *series, struct sf_error *err);

#endif
