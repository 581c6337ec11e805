/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/preflight-clusters.c - several slurmd on one host: each is a node, perhaps of another cluster. */
#include "agent/switch/preflight.h"
#include "agent/switch/version_window.h"
#include "base/cleanup.h"
#include "base/log.h"

int sf_preflight_one_node(const struct sf_node_switch *live, struct sf_error *err)
{
        const struct sf_unit_of_node *first = sf_units_slurmd(&live->units);
        const struct sf_unit_of_node *other = sf_units_next_other(&live->units, NULL);

        if ((!live->config->drain && !live->config->when_idle) || !other || !first->running)
                return 0;
        return sf_error_set(err, SF_ERR_USAGE,
                            "--drain and --when-idle wait for one node, and %s and %s are two of this host: drain them "
                            "with scontrol, and leave the option out",
                            first->name, other->name);
}

static int gate_one(const struct sf_preflight *p, const struct sf_unit_of_node *u, const struct sf_version_window *gate,
                    struct sf_error *err)
{
        const struct sf_node_switch *live = p->live;
        _cleanup_free_ char *view = NULL;
        struct sf_slurm slurm = sf_node_switch_client(live, &view);
        struct sf_version_window own = *gate;
        struct sf_slurm_controller controller;
        struct sf_error why = SF_ERROR_INIT;

        if (!view)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        slurm.conf = u->conf;
        if (sf_slurm_controller(&slurm, &controller, &why) < 0) {
                if (!live->config->force && !p->back)
                        return sf_error_set(err, SF_ERR_INCOMPATIBLE,
                                            "%s: the slurmctld of %s does not say which version it is (%.900s); "
                                            "--force goes on without",
                                            u->name, u->conf, why.text);
                sf_log_warning("%s: the slurmctld of %s does not say which version it is: %s", u->name, u->conf,
                               why.text);
                return 0;
        }
        own.controller = controller.version;
        int r = sf_version_window_check(&own, err);
        if (r == 0 && controller.slurmd_timeout && controller.slurmd_timeout <= SF_PREFLIGHT_DOWNTIME)
                r = sf_error_set(err, SF_ERR_INCOMPATIBLE,
                                 "SlurmdTimeout is %llu s: slurmctld would call the node down and end its jobs",
                                 (unsigned long long)controller.slurmd_timeout);
        return r < 0 ? sf_error_prefix(err, "%s, %s", u->name, u->conf) : 0;
}

int sf_preflight_clusters(const struct sf_preflight *p, const struct sf_version_window *gate, struct sf_error *err)
{
        const struct sf_node_switch *live = p->live;
        int r = 0;

        for (const struct sf_unit_of_node *u = NULL;
             r == 0 && (u = sf_units_next_cluster(&live->units, live->config->slurm_conf, u));)
                r = gate_one(p, u, gate, err);
        return r;
}
