/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/daemon_order.c - see daemon_order.h. */
#include "agent/switch/daemon_order.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent/node/cluster.h"
#include "agent/node/slurm_conf.h"
#include "base/cleanup.h"
#include "base/log.h"

/* <0: a is of an older series, >0: of a newer one. */
static int compare_series(const struct sf_version *a, const struct sf_version *b)
{
        const struct sf_version left = { .major = a->major, .minor = a->minor };
        const struct sf_version right = { .major = b->major, .minor = b->minor };

        return sf_version_compare(&left, &right);
}

static int parse_both(const char *to, const char *other, const char *whose, struct sf_version *ret_to,
                      struct sf_version *ret_other, struct sf_error *err)
{
        int r = sf_version_parse(to, ret_to, err);

        if (r == 0 && (r = sf_version_parse(other, ret_other, err)) < 0)
                r = sf_error_prefix(err, "the version of %s", whose);
        return r;
}

int sf_daemon_order_judge_controller(const struct sf_window_row *rows, const char *to, const char *database,
                                     struct sf_error *err)
{
        struct sf_version mine, theirs;
        int r = *database ? parse_both(to, database, "slurmdbd", &mine, &theirs, err) : 0;

        if (r < 0 || !*database)
                return r;
        if (compare_series(&mine, &theirs) > 0)
                return sf_error_set(
                        err, SF_ERR_INCOMPATIBLE,
                        "slurmdbd is %s and does not understand a newer slurmctld: upgrade it to %u.%02u first "
                        "(order: slurmdbd, slurmctld, slurmd)",
                        database, mine.major, mine.minor);
        if (compare_series(&mine, &theirs) != 0 && !sf_window_accepts(rows, &theirs, &mine))
                return sf_error_set(err, SF_ERR_INCOMPATIBLE,
                                    "slurmdbd is %s and no longer understands a slurmctld of %s", database, to);
        return 0;
}

int sf_daemon_order_judge_node(const struct sf_window_row *rows, const char *to, const char *node, const char *version,
                               struct sf_error *err)
{
        struct sf_version mine, theirs;
        int r = parse_both(to, version, node, &mine, &theirs, err);

        if (r < 0)
                return r;
        if (compare_series(&theirs, &mine) > 0)
                return sf_error_set(
                        err, SF_ERR_INCOMPATIBLE,
                        "slurmd on %s is %s, which slurmctld %s would not understand: take it back first (order on "
                        "the way back: slurmd, slurmctld, slurmdbd)",
                        node, version, to);
        if (compare_series(&theirs, &mine) != 0 && !sf_window_accepts(rows, &mine, &theirs))
                return sf_error_set(
                        err, SF_ERR_INCOMPATIBLE,
                        "slurmd on %s is %s, which slurmctld %s no longer understands: its jobs would be lost; "
                        "upgrade it in between",
                        node, version, to);
        return 0;
}

int sf_daemon_order_judge_cluster(const struct sf_window_row *rows, const char *to, const char *cluster,
                                  const char *series, struct sf_error *err)
{
        struct sf_version mine, theirs;
        int r = parse_both(to, series, cluster, &mine, &theirs, err);

        if (r < 0)
                return r;
        if (compare_series(&theirs, &mine) > 0)
                return sf_error_set(
                        err, SF_ERR_INCOMPATIBLE,
                        "slurmctld of cluster %s is %s, which slurmdbd %s would not understand: take it back first "
                        "(order on the way back: slurmd, slurmctld, slurmdbd)",
                        cluster, series, to);
        if (compare_series(&theirs, &mine) != 0 && !sf_window_accepts(rows, &mine, &theirs))
                return sf_error_set(
                        err, SF_ERR_INCOMPATIBLE,
                        "slurmctld of cluster %s is %s, which slurmdbd %s no longer understands: upgrade it in "
                        "between",
                        cluster, series, to);
        return 0;
}

/* A daemon that does not answer: its version decides, so nobody can say that this is safe. */
static int settle_silence(const struct sf_daemon_order *o, const char *who, struct sf_error *err)
{
        if (!o->force)
                return sf_error_set(err, SF_ERR_INCOMPATIBLE,
                                    "%s does not say which version it is (%.900s); --force goes on without", who,
                                    err ? err->text : "");
        sf_log_warning("%s does not say which version it is: %s", who, err ? err->text : "");
        if (err)
                sf_error_clear(err);
        return 0;
}

static int check_database(const struct sf_daemon_order *o, struct sf_error *err)
{
        _cleanup_(sf_slurm_conf_free) struct sf_slurm_conf conf = SF_SLURM_CONF_INIT;
        char version[48];
        int r = sf_slurm_conf_load(o->root, o->slurm.conf, &conf, err);

        if (r < 0)
                return r;
        const char *type = sf_slurm_conf_get(&conf, "AccountingStorageType");
        if (!type || !strcasestr(type, "slurmdbd"))
                return 0;
        r = sf_cluster_database(&o->slurm, version, err);
        return r < 0 ? settle_silence(o, "slurmdbd", err)
                     : sf_daemon_order_judge_controller(o->rows, o->to_version, version, err);
}

static int check_nodes(const struct sf_daemon_order *o, struct sf_error *err)
{
        _cleanup_free_ struct sf_cluster_node *nodes = NULL;
        size_t count = 0;
        int r = sf_cluster_nodes(&o->slurm, &nodes, &count, err);

        /* A slurmctld that is down is the reason for many a way back: what it knew of nodes cannot be asked. */
        if (r < 0) {
                sf_log_warning("which slurmd the nodes run is not known: %s", err ? err->text : "");
                if (err)
                        sf_error_clear(err);
                return 0;
        }
        for (size_t i = 0; r == 0 && i < count; i++)
                if (!o->slurmd || !o->node || strcmp(nodes[i].name, o->node) != 0)
                        r = sf_daemon_order_judge_node(o->rows, o->to_version, nodes[i].name, nodes[i].version, err);
        return r;
}

static int check_clusters(const struct sf_daemon_order *o, struct sf_error *err)
{
        _cleanup_free_ struct sf_cluster_peer *peers = NULL;
        size_t count = 0;
        int r = sf_cluster_peers(&o->slurm, &peers, &count, err);

        if (r < 0)
                return settle_silence(o, "slurmdbd", err);
        /* One that is switched in this run comes up after slurmdbd, and goes back before it. */
        for (size_t i = 0; r == 0 && i < count; i++)
                if (*peers[i].series && !(o->slurmctld && count == 1))
                        r = sf_daemon_order_judge_cluster(o->rows, o->to_version, peers[i].name, peers[i].series, err);
        return r;
}

int sf_daemon_order_check(const struct sf_daemon_order *o, struct sf_error *err)
{
        int r = 0;

        if (!*o->to_version)
                return 0;
        if (o->slurmdbd)
                r = check_clusters(o, err);
        if (r == 0 && o->slurmctld && !o->slurmdbd)
                r = check_database(o, err);
        if (r == 0 && o->slurmctld)
                r = check_nodes(o, err);
        return r;
}
