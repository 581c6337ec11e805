/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/node_switch-health.c - believing in the services that a switch has started. */
#include <stdio.h>
#include <string.h>

#include "agent/node/conf_source.h"
#include "agent/switch/health.h"
#include "agent/switch/node_switch.h"
#include "base/cleanup.h"
#include "base/log.h"

#define ASK_SECONDS    10
#define HEALTH_SECONDS 60 /* a registration that was lost is repeated after 1, 2, 4, 8, 16 and 32 s */

static void say_waiting(void *ctx, const char *for_what)
{
        (void)ctx;
        sf_log_detail("waiting: %s", for_what);
}

/* What the configuration says of the node, else what the unit's own words say; NULL: slurmd will tell. */
static const char *node_of(const struct sf_node_switch *live, const struct sf_unit_of_node *slurmd)
{
        return slurmd && *slurmd->words.node ? slurmd->words.node : live->config->node_name;
}

static const char *conf_of(const struct sf_node_switch *live, const struct sf_unit_of_node *slurmd)
{
        return slurmd && *slurmd->conf ? slurmd->conf : live->config->slurm_conf;
}

static void note_proof(struct sf_node_switch *live, const struct sf_health_proof *proof)
{
        char text[256];
        size_t used = strlen(live->other_proofs);

        sf_health_describe(proof, text, sizeof text);
        snprintf(live->other_proofs + used, sizeof live->other_proofs - used, "%s%s", used ? "; " : "", text);
}

/* Further slurmd of this host: each is a node of its own. Site checks are for the host, and come with the first. */
static int watch_others(struct sf_node_switch *live, const struct sf_health *first, struct sf_error *err)
{
        const struct sf_unit_of_node *slurmd = sf_units_slurmd(&live->units);
        int r = 0;

        for (size_t i = 0; r == 0 && i < live->units.count; i++) {
                const struct sf_unit_of_node *u = &live->units.items[i];
                struct sf_health health = *first;
                struct sf_health_proof proof;
                struct sf_slurm_record refused;
                if (u->daemon != SF_DAEMON_SLURMD || !live->running[i] || u == slurmd)
                        continue;
                health.slurm.conf = conf_of(live, u);
                health.node = node_of(live, u);
                health.pid = u->pid;
                health.before = health.refused = NULL;
                health.hooks = NULL;
                r = sf_health_wait(&health, &proof, &refused, err);
                if (r < 0)
                        sf_error_prefix(err, "%s", u->name);
                else
                        note_proof(live, &proof);
        }
        return r;
}

int sf_node_switch_health(struct sf_node_switch *live, const struct sf_store_release *release, bool site_checks,
                          struct sf_error *err)
{
        const struct sf_config *config = live->config;
        _cleanup_free_ char *tree = sf_node_switch_tree(live, release->directory);
        const struct sf_slurm_record refused = live->refused;
        struct sf_daemon_words words = { 0 };
        const struct sf_unit_of_node *slurmd = sf_units_slurmd(&live->units);
        struct sf_health health = {
                .slurm = { .tree = tree, .conf = conf_of(live, slurmd), .timeout = ASK_SECONDS },
                .node = node_of(live, slurmd),
                .version = release->foreign ? "" : release->name.version,
                .before = live->before.started ? &live->before : NULL,
                .pid = live->slurmd.main_pid,
                .slurmd_port = live->controller.slurmd_port,
                .since = live->restarted,
                .started = live->up,
                .refused = &refused,
                .timeout = (unsigned)(config->health_timeout ? config->health_timeout : HEALTH_SECONDS),
                .hooks = site_checks ? config->hooks : NULL,
                .hook_timeout = (unsigned)config->hook_timeout,
                .waiting = say_waiting,
        };

        if (!tree)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        if (*release->origin && slurmd &&
            sf_conf_source_words("", slurmd->name, SF_DAEMON_SLURMD, (int)slurmd->pid, &words))
                health.slurm.libraries = words.libraries;
        if (!live->restarted)
                return 0;
        live->other_proofs[0] = '\0';
        int r = watch_others(live, &health, err);
        return r < 0 ? r : sf_health_wait(&health, &live->proof, &live->refused, err);
}
