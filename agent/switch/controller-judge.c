/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/controller-judge.c - what a switch of slurmctld is refused for: other controllers, no copy to go back
 * to, losses that nobody agreed to. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "agent/node/cluster.h"
#include "agent/node/ctld_state.h"
#include "agent/node/slurm_conf.h"
#include "agent/switch/controller.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"

/* "ctl", "ctl(10.0.0.2)" and "ctl.example.org" are this host "ctl". */
static bool is_this_host(const char *name)
{
        char host[256] = "";

        gethostname(host, sizeof host - 1);
        size_t len = strcspn(name, "(."), own = strcspn(host, ".");
        return len == own && strncasecmp(name, host, len) == 0;
}

/* Somebody else's heartbeat: how old it is in seconds; -1 where nobody else's heart beats. */
static long foreign_heartbeat(const struct sf_controller *c, uint64_t own, const struct sf_slurm_conf *conf)
{
        uint64_t limit = sf_slurm_conf_number(conf, "SlurmctldTimeout", 120);
        struct sf_ctld_heartbeat beat;

        if (sf_ctld_heartbeat_read(c->location, &beat, NULL) < 0 || beat.controller == own)
                return -1;
        long age = (long)(time(NULL) - beat.time);
        return age < 0 || (uint64_t)age <= (limit < 60 ? 60 : limit) ? (age < 0 ? 0 : age) : -1;
}

/* What the other controllers are up to. up: the name of one that answers, or "". own: our place among them. */
struct others {
        size_t count;
        uint64_t own;
        bool known;
        char up[128];
};

static void count_hosts(const struct sf_slurm_conf *conf, struct others *o)
{
        o->own = UINT64_MAX;
        for (const struct sf_slurm_conf_line *line = NULL; (line = sf_slurm_conf_next(conf, "SlurmctldHost", line));) {
                if (is_this_host(line->pairs[0].value))
                        o->own = o->count;
                o->count++;
        }
        if (!o->count)
                o->count = sf_slurm_conf_get(conf, "BackupController") ? 2 : 1;
        if (o->own == UINT64_MAX && o->count == 1)
                o->own = 0;
}

static int look_at_others(struct sf_controller *c, const struct sf_slurm_conf *conf, struct others *ret,
                          struct sf_error *err)
{
        _cleanup_free_ struct sf_cluster_controller *all = NULL;
        struct others o = { 0 };
        size_t count = 0;

        (void)err;
        count_hosts(conf, &o);
        if (o.count > 1 && sf_cluster_controllers(&c->slurm, &all, &count, NULL) == 0) {
                o.known = true;
                for (size_t i = 0; i < count; i++)
                        if (all[i].up && !is_this_host(all[i].host) && i != o.own)
                                snprintf(o.up, sizeof o.up, "%s", all[i].host);
        }
        *ret = o;
        return 0;
}

/* Only one slurmctld may know of this state while it is exchanged. */
static int check_others(struct sf_controller *c, struct sf_error *err)
{
        _cleanup_(sf_slurm_conf_free) struct sf_slurm_conf conf = SF_SLURM_CONF_INIT;
        struct others others = { 0 };
        struct sf_slurm_controller control;
        char series[8];
        int r = sf_slurm_conf_load(c->config->root, c->config->slurm_conf, &conf, err);

        if (r == 0)
                r = look_at_others(c, &conf, &others, err);
        if (r < 0 || others.count < 2)
                return r;
        long age = foreign_heartbeat(c, others.own, &conf);
        /* A standby controller that follows one which was switched before. */
        if (*others.up && sf_slurm_controller(&c->slurm, &control, NULL) == 0) {
                sf_version_series(control.version, series);
                if (strcmp(series, c->to_series) == 0) {
                        c->follows = true;
                        return 0;
                }
        }
        if (*others.up)
                return sf_error_set(
                        err, SF_ERR_BUSY,
                        "slurmctld on %s is up and would take over while the state goes from %s to %s here: stop it "
                        "there "
                        "first, and switch it when this one is done (order: slurmdbd, every slurmctld, slurmd)",
                        others.up, c->series, c->to_series);
        if (age >= 0)
                return sf_error_set(
                        err, SF_ERR_BUSY,
                        "%s/heartbeat was written %ld s ago by another controller (number %s): stop it first, "
                        "or its state would be lost",
                        c->location, age, others.own == 0 ? "1 or later" : "0");
        if (!others.known && c->runs)
                return sf_error_set(
                        err, SF_ERR_BUSY,
                        "there are %zu SlurmctldHost lines, and scontrol ping does not say whether the others are "
                        "down",
                        others.count);
        return 0;
}

/* What a restore loses, in one sentence: by the queue then and now, and by the job ids that both states name. */
static int tell_losses(const struct sf_controller *c, char *out, size_t room, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer before = SF_BUFFER_INIT, after = SF_BUFFER_INIT;
        _cleanup_free_ char *tree = sf_controller_copy_tree(c->config->state, c->copy.release);
        struct sf_ctld_state then = { 0 }, now = { 0 };
        struct sf_cluster_change change;
        char when[32];
        int r = tree ? sf_controller_copy_jobs(c->config->state, c->copy.release, &before, err)
                     : sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");

        if (r < 0)
                return r;
        sf_clock_stamp(c->copy.time, when);
        sf_ctld_state_read(tree, &then, NULL);
        sf_ctld_state_read(c->location, &now, NULL);
        size_t ids = now.last_job > then.last_job ? now.last_job - then.last_job : 0;
        if (sf_cluster_jobs(&c->slurm, &after, NULL) < 0) {
                snprintf(out, room,
                         "after %s %zu jobs were submitted; slurmctld does not answer, so what started and ended "
                         "cannot be said",
                         when, ids);
                return 0;
        }
        sf_cluster_compare(sf_buffer_text(&before), sf_buffer_text(&after), &change);
        if (change.submitted > ids)
                ids = change.submitted;
        snprintf(out, room, "after %s %zu jobs were submitted%s%s%s, %zu started%s%s%s, %zu ended%s%s%s", when, ids,
                 change.submitted ? " (" : "", change.submitted_ids, change.submitted ? ")" : "", change.started,
                 change.started ? " (" : "", change.started_ids, change.started ? ")" : "", change.ended,
                 change.ended ? " (" : "", change.ended_ids, change.ended ? ")" : "");
        return 0;
}

static int check_restore(const struct sf_controller *c, struct sf_error *err)
{
        char losses[1024];

        if (!*c->copy.release)
                return sf_error_set(err, SF_ERR_INCOMPATIBLE,
                                    "slurmctld %s cannot read the state in %s, which %s has written, and there is no "
                                    "copy of an earlier one: "
                                    "going back would lose every job",
                                    c->to_version, c->location, c->series);
        int r = tell_losses(c, losses, sizeof losses, err);
        if (r < 0)
                return r;
        if (!c->config->restore_state)
                return sf_error_set(err, SF_ERR_INCOMPATIBLE,
                                    "slurmctld %s cannot read the state that %s has written: --restore-state puts back "
                                    "the copy of %s and "
                                    "loses what happened: %s",
                                    c->to_version, c->series, c->copy.release, losses);
        sf_log_warning(
                "slurmctld's state goes back to the copy of %s: %s. Jobs submitted since are forgotten, those that run "
                "are killed by their nodes; jobs that ended since may run again",
                c->copy.release, losses);
        return 0;
}

int sf_controller_check(struct sf_controller *c, bool restart, struct sf_error *err)
{
        int r;

        if (!c->crosses)
                return 0;
        r = check_others(c, err);
        if (r < 0 || c->follows)
                return r;
        if (c->runs && !restart)
                return sf_error_set(
                        err, SF_ERR_INCOMPATIBLE,
                        "%s runs, and its state of %s is copied between its stop and the start of %s: without a "
                        "restart (install, --no-restart) that cannot be; stop it first, or switch with a restart",
                        c->unit, c->series, c->to_version);
        return c->restores ? check_restore(c, err) : 0;
}
