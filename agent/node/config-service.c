/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/config-service.c - section [service]: which units run from the release, and how a switch treats them. */
#include <stdlib.h>
#include <string.h>

#include "agent/node/conf_source.h"
#include "agent/node/config.h"

/* SchedMD's order; what is not in it comes last, as the site wrote it. */
static int rank_of(const char *unit)
{
        static const char *const order[] = { "munge.service", "slurmdbd.service", "slurmctld.service", "slurmd.service",
                                             "slurmrestd.service" };
        int rank = 0, count = sizeof order / sizeof *order;

        while (rank < count && strcmp(unit, order[rank]) != 0)
                rank++;
        return rank;
}

static int read_units(struct sf_config *c, struct sf_error *err)
{
        c->units = calloc(c->conf.count + 1, sizeof *c->units);
        if (!c->units)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for the configuration");
        for (const struct sf_conf_entry *e = NULL; (e = sf_conf_next(&c->conf, "service", "unit", e));) {
                size_t at = c->unit_count++;
                for (; at && rank_of(c->units[at - 1]) > rank_of(e->value); at--)
                        c->units[at] = c->units[at - 1];
                c->units[at] = e->value;
        }
        return 0;
}

static int read_old_steps(struct sf_config *c, struct sf_error *err)
{
        static const char *const words[] = { "refuse", "wait", "allow" };
        const char *text = sf_conf_get(&c->conf, "service", "old_steps");

        for (size_t i = 0; text && i < sizeof words / sizeof *words; i++) {
                if (strcmp(text, words[i]) == 0) {
                        c->old_steps = (enum sf_old_steps)i;
                        return 0;
                }
        }
        return text ? sf_error_set(err, SF_ERR_USAGE, "[service] old_steps = %s: refuse, wait or allow", text) : 0;
}

/* What the daemons of this node say, where the configuration does not. */
static int find_slurm_conf(struct sf_config *c, struct sf_error *err)
{
        char path[2048];

        sf_conf_source_find(c->root, c->prefix, c->units, path, sizeof path);
        c->found_slurm_conf = strdup(path);
        c->slurm_conf = c->found_slurm_conf;
        return c->slurm_conf ? 0 : sf_error_set(err, SF_ERR_NOMEM, "no memory for the configuration");
}

int sf_config_read_service(struct sf_config *c, struct sf_error *err)
{
        const char *conf = sf_conf_get(&c->conf, "service", "slurm_conf");
        const char *hooks = sf_conf_get(&c->conf, "service", "hooks");
        int r = sf_conf_get_u64(&c->conf, "service", "settle_ms", 60000, &c->settle_ms, err);

        if (r == 0)
                r = sf_conf_get_u64(&c->conf, "service", "quiet_timeout", 86400, &c->quiet_timeout, err);
        if (r == 0)
                r = sf_conf_get_u64(&c->conf, "service", "restart_timeout", 3600, &c->restart_timeout, err);
        if (r == 0)
                r = sf_conf_get_u64(&c->conf, "service", "health_timeout", 3600, &c->health_timeout, err);
        if (r == 0)
                r = sf_conf_get_u64(&c->conf, "service", "hook_timeout", 3600, &c->hook_timeout, err);
        if (r == 0)
                r = sf_conf_get_u64(&c->conf, "service", "old_steps_wait", 366 * 86400, &c->old_steps_wait, err);
        if (r == 0)
                r = read_old_steps(c, err);
        c->node_name = sf_conf_get(&c->conf, "service", "node_name");
        c->slurm_conf = conf;
        c->hooks = hooks ? hooks : "/etc/sf-node/health.d";
        if (r == 0)
                r = read_units(c, err);
        return r == 0 && !conf ? find_slurm_conf(c, err) : r;
}
