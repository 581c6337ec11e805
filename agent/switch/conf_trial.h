/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/conf_trial.h - would a release start with this configuration? The release itself is asked, on a copy.
 *
 * slurmd ends at once over an unknown key in slurm.conf or cgroup.conf, a plugin it lacks, or a rule that a series made
 * fatal. Its "-G" reads all of that and ends; but on the live files it opens the log, speaks to running steps and moves
 * itself between cgroups. So it gets a copy: one slurm.conf with everything it includes, spool, log and pid file of its
 * own, CgroupPlugin=disabled (and what depends on it taken out; cgroup/v1 for 23.11, which has no "disabled" and whose
 * plugin does nothing by itself), in mount, pid and network namespaces of its own. The
 * other files beside slurm.conf are links to the live ones, which are only read.
 *
 * Needs root and unshare(1).
 */
#ifndef SF_AGENT_SWITCH_CONF_TRIAL_H
#define SF_AGENT_SWITCH_CONF_TRIAL_H

#include "agent/node/slurm_conf.h"
#include "base/buffer.h"
#include "base/error.h"

struct sf_conf_trial {
        const char *prefix; /* "/opt/slurm": PREFIX/view in paths stands for the release on trial */
        const struct sf_slurm_conf *conf;
        const char *node;      /* NodeName for -N */
        const char *version;   /* of the release on trial; "" where it is not known */
        const char *directory; /* where the copy is put, below a name of its own: "/run" */
        unsigned timeout;      /* seconds */
        int pid;               /* the slurmd that runs, for what its environment says; 0 = none */
};

/* Success: TREE/sbin/slurmd would start. SF_ERR_USAGE with its reason: it would not. Anything else: it could not be
 * asked. */
int sf_conf_trial_slurmd(const struct sf_conf_trial *trial, const char *tree, struct sf_error *err);

/* The text of the copy's slurm.conf; spool and log files are put into `directory`. Appended to ret. */
int sf_conf_trial_text(const struct sf_conf_trial *trial, const char *tree, const char *directory,
                       struct sf_buffer *ret, struct sf_error *err);

/* The text of the copy's cgroup.conf; live: that of the node, "" where there is none. Appended to ret. */
int sf_conf_trial_cgroup_text(const char *live, const char *version, struct sf_buffer *ret, struct sf_error *err);

#endif
