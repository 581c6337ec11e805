/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/controller.c - see controller.h. */
#include "agent/switch/controller.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "agent/node/cluster.h"
#include "agent/node/ctld_state.h"
#include "agent/node/slurm_conf.h"
#include "agent/switch/state_copy.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"

#define DEFAULT_LOCATION "/var/spool" /* StateSaveLocation where slurm.conf names none */
#define STOP_MS          120000
#define AWAIT_SECONDS    300 /* a large cluster's state takes its time */
#define AWAIT_PAUSE_MS   200
#define BULK             "hash." /* job scripts and environments */

/* -1, 0, 1; series are "24.11". */
static int compare_series(const char *a, const char *b)
{
        struct sf_version left, right;

        if (sf_version_parse(a, &left, NULL) < 0 || sf_version_parse(b, &right, NULL) < 0)
                return 0;
        int order = sf_version_compare(&left, &right);
        return (order > 0) - (order < 0);
}

static void series_of(const char *version, char out[8])
{
        struct sf_version v;

        *out = '\0';
        if (*version && sf_version_parse(version, &v, NULL) == 0 && v.major < 1000 && v.minor < 100)
                snprintf(out, 8, "%u.%02u", v.major, v.minor);
}

static int find_location(struct sf_controller *c, struct sf_error *err)
{
        _cleanup_(sf_slurm_conf_free) struct sf_slurm_conf conf = SF_SLURM_CONF_INIT;
        int r = sf_slurm_conf_load(c->config->root, c->config->slurm_conf, &conf, err);
        const char *value = r == 0 ? sf_slurm_conf_get(&conf, "StateSaveLocation") : NULL;

        if (r < 0)
                return sf_error_prefix(err, "looking for slurmctld's state");
        snprintf(c->location, sizeof c->location, "%s%s", c->config->root, value ? value : DEFAULT_LOCATION);
        return 0;
}

/* A slurmctld that has only just started has not written its state yet, and will do so at its stop at the latest. */
static void heed_running(struct sf_controller *c)
{
        struct sf_slurm_controller control;
        char series[8];

        if (!c->runs || sf_slurm_controller(&c->slurm, &control, NULL) < 0)
                return;
        series_of(control.version, series);
        if (*series && compare_series(series, c->series) > 0)
                strcpy(c->series, series);
}

int sf_controller_plan(struct sf_controller *c, struct sf_error *err)
{
        struct sf_ctld_state state;
        int r;

        if (!c->unit || !*c->to_version || *c->config->root)
                return 0;
        r = find_location(c, err);
        if (r < 0)
                return r;
        series_of(c->to_version, c->to_series);
        r = sf_ctld_state_read(c->location, &state, err);
        if (r == SF_ERR_NOT_FOUND) {
                /* A cluster that never ran: what is there to lose? */
                sf_error_clear(err);
                return 0;
        }
        if (r < 0)
                return r;
        if (*state.series)
                strcpy(c->series, state.series);
        else
                series_of(c->from_version, c->series);
        if (!*c->series)
                return sf_error_set(
                        err, SF_ERR_INCOMPATIBLE,
                        "%s/job_state is of a protocol (%u) that this program does not know: it cannot tell whether "
                        "slurmctld %s reads it",
                        c->location, state.protocol, c->to_version);
        heed_running(c);
        int order = compare_series(c->to_series, c->series);
        c->crosses = order != 0;
        c->restores = order < 0;
        if (!c->restores)
                return 0;
        r = sf_controller_copy_find(c->config->state, c->to_series, c->location, &c->copy, err);
        if (r == SF_ERR_NOT_FOUND) {
                sf_error_clear(err);
                r = 0;
        }
        return r;
}

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
                series_of(control.version, series);
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

static void say_when(time_t when, char out[32])
{
        struct tm utc;

        strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&when, &utc));
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
        say_when(c->copy.time, when);
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

int sf_controller_begin(struct sf_controller *c, const char *leaving, struct sf_error *err)
{
        if (!c->crosses || c->follows)
                return 0;
        char series[8];
        series_of(c->from_version, series);
        /* A state that the active release has not written belongs to its series, not to that release. */
        snprintf(c->leaving, sizeof c->leaving, "%s", strcmp(series, c->series) == 0 && *leaving ? leaving : c->series);
        _cleanup_free_ char *tree = sf_controller_copy_tree(c->config->state, c->leaving);
        _cleanup_free_ char *back = *c->copy.release ? sf_controller_copy_tree(c->config->state, c->copy.release)
                                                     : NULL;
        _cleanup_free_ char *place = sf_controller_copy_place(c->config->state, c->leaving);
        _cleanup_free_ char *jobs = place ? sf_fs_join(place, "jobs") : NULL;
        _cleanup_(sf_buffer_free) struct sf_buffer queue = SF_BUFFER_INIT;
        int r = tree && jobs ? 0 : sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");

        /* An older copy of the same release is of a time that nobody would go back to any more. */
        if (r == 0)
                r = sf_controller_copy_remove(c->config->state, c->leaving, err);
        if (r == 0)
                r = sf_state_copy_check_space(c->location, tree, err);
        if (r == 0 && back)
                r = sf_state_copy_check_space(back, c->location, err);
        if (r == 0)
                r = sf_state_copy_begin(c->location, tree, BULK, err);
        if (r == 0 && sf_cluster_jobs(&c->slurm, &queue, NULL) == 0)
                r = sf_fs_write(jobs, queue.data ? (const char *)queue.data : "", queue.len, 0600, err);
        return r < 0 ? sf_error_prefix(err, "copying slurmctld's state") : 0;
}

static time_t heartbeat_of(const struct sf_controller *c)
{
        struct sf_ctld_heartbeat beat;

        return sf_ctld_heartbeat_read(c->location, &beat, NULL) < 0 ? 0 : beat.time;
}

static int put_mark(const struct sf_controller *c, enum sf_controller_phase phase, const char *release,
                    struct sf_error *err)
{
        struct sf_controller_mark mark = { .phase = phase };

        snprintf(mark.release, sizeof mark.release, "%s", release);
        snprintf(mark.location, sizeof mark.location, "%s", c->location);
        return sf_controller_mark_write(c->config->state, &mark, err);
}

static int take_copy(struct sf_controller *c, struct sf_error *err)
{
        _cleanup_free_ char *tree = sf_controller_copy_tree(c->config->state, c->leaving);
        struct sf_controller_copy copy = { .time = time(NULL) };
        int r = tree ? sf_state_copy_finish(c->location, tree, BULK, err)
                     : sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");

        snprintf(copy.release, sizeof copy.release, "%s", c->leaving);
        snprintf(copy.location, sizeof copy.location, "%s", c->location);
        strcpy(copy.series, c->series);
        if (r == 0)
                r = sf_controller_copy_write(c->config->state, &copy, err);
        c->copied = r == 0;
        return r < 0 ? sf_error_prefix(err, "copying slurmctld's state") : 0;
}

static int put_back(struct sf_controller *c, const char *release, struct sf_error *err)
{
        _cleanup_free_ char *tree = sf_controller_copy_tree(c->config->state, release);
        int r = tree ? put_mark(c, SF_CONTROLLER_RESTORING, release, err)
                     : sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");

        if (r == 0)
                r = sf_state_copy_finish(tree, c->location, NULL, err);
        return r < 0 ? sf_error_prefix(err, "putting back slurmctld's state of %s", release) : 0;
}

int sf_controller_exchange(struct sf_controller *c, struct sf_error *err)
{
        if (!c->crosses || c->follows)
                return 0;
        c->heartbeat = heartbeat_of(c);
        int r = take_copy(c, err);
        /* Who writes now, with ours stopped, is somebody whose work a restore would destroy. */
        if (r == 0 && heartbeat_of(c) != c->heartbeat)
                return sf_error_set(err, SF_ERR_BUSY, "another slurmctld took over the state in %s meanwhile",
                                    c->location);
        if (r == 0 && c->restores)
                r = put_back(c, c->copy.release, err);
        c->restored = r == 0 && c->restores;
        if (r == 0)
                r = put_mark(c, SF_CONTROLLER_STARTED, c->restores ? c->copy.release : c->leaving, err);
        return r;
}

int sf_controller_restart(struct sf_controller *c, struct sf_service_bus *bus, unsigned timeout_ms,
                          struct sf_error *err)
{
        int r = sf_service_run(bus, SF_SERVICE_STOP, c->unit, timeout_ms, err);

        if (r == 0)
                r = sf_controller_exchange(c, err);
        if (r < 0)
                return r;
        c->started = true;
        return sf_service_run(bus, SF_SERVICE_START, c->unit, timeout_ms, err);
}

int sf_controller_await(struct sf_controller *c, pid_t pid, const char *tree, struct sf_error *err)
{
        struct sf_slurm slurm = { .tree = tree, .conf = c->config->slurm_conf, .timeout = c->slurm.timeout };
        double end = sf_clock_seconds() + AWAIT_SECONDS;
        struct sf_slurm_controller control;
        struct sf_error silence = SF_ERROR_INIT;
        char series[8] = "";

        while (kill(pid, 0) == 0 && sf_clock_seconds() < end) {
                if (sf_slurm_controller(&slurm, &control, &silence) == 0) {
                        series_of(control.version, series);
                        c->up = strcmp(series, c->to_series) == 0;
                        if (c->up)
                                return 0;
                        return sf_error_set(err, SF_ERR_FAILED, "a slurmctld of %s answers, not %s's", control.version,
                                            c->unit);
                }
                struct timespec pause = { 0, AWAIT_PAUSE_MS * 1000000L };
                nanosleep(&pause, NULL);
        }
        if (kill(pid, 0) < 0)
                return sf_error_set(err, SF_ERR_FAILED, "%s: slurmctld (pid %d) has ended", c->unit, (int)pid);
        return sf_error_set(err, SF_ERR_TIMEOUT, "%s: slurmctld does not answer after %d s (%.900s)", c->unit,
                            AWAIT_SECONDS, silence.text);
}

/* Is job_state still what slurmctld was started on? */
static int is_untouched(const char *state, const char *location, const char *release, struct sf_error *err)
{
        _cleanup_free_ char *tree = sf_controller_copy_tree(state, release);
        _cleanup_free_ char *then = tree ? sf_fs_join(tree, "job_state") : NULL;
        _cleanup_free_ char *now = sf_fs_join(location, "job_state");
        int same = 0;
        int r = then && now ? sf_state_copy_same(then, now, &same, err)
                            : sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");

        return r < 0 ? r : same;
}

int sf_controller_may_return(const struct sf_controller *c, const char *to, struct sf_error *err)
{
        if (!c->crosses || c->follows || !c->started)
                return 1;
        int r = c->up ? 0
                      : is_untouched(c->config->state, c->location, c->restores ? c->copy.release : c->leaving, err);
        if (r != 0)
                return r;
        sf_error_set(
                err, 0,
                "slurmctld of %s has taken over the state%s, so nothing was undone: either mend it and stay (systemctl "
                "status %s), or go back with 'sf-node rollback --restore-state', which puts back the state of %s and "
                "loses what happened since",
                to, c->up ? " and is up" : "", c->unit, c->leaving);
        return 0;
}

int sf_controller_return(struct sf_controller *c, struct sf_error *err)
{
        if (!c->crosses || c->follows || !(c->started || c->restored))
                return 0;
        int r = put_back(c, c->leaving, err);
        c->started = c->restored = c->up = c->crosses = false;
        return r < 0 ? r : sf_controller_end(c->config, err);
}

int sf_controller_end(const struct sf_config *config, struct sf_error *err)
{
        const struct sf_controller_mark none = { .phase = SF_CONTROLLER_NOTHING };

        return sf_controller_mark_write(config->state, &none, err);
}

/* 1 where slurmctld of `to` is running: it stays. Otherwise it is stopped, so that nothing writes any more. */
static int settle_running(const struct sf_controller_crash *crash, struct sf_error *err)
{
        struct sf_service unit;
        char link[64], target[PATH_MAX];

        if (!crash->bus || !crash->unit)
                return 0;
        int r = sf_service_read(crash->bus, crash->unit, &unit, err);
        if (r < 0)
                return r;
        snprintf(link, sizeof link, "/proc/%d/exe", (int)unit.main_pid);
        ssize_t len = unit.main_pid ? readlink(link, target, sizeof target - 1) : -1;
        size_t tree = strlen(crash->to_tree);
        if (strcmp(unit.active_state, "active") == 0 && len > (ssize_t)tree && target[tree] == '/' &&
            memcmp(target, crash->to_tree, tree) == 0)
                return 1;
        return unit.main_pid || strcmp(unit.active_state, "activating") == 0
                       ? sf_service_run(crash->bus, SF_SERVICE_STOP, crash->unit, STOP_MS, err)
                       : 0;
}

static int restore_marked(const struct sf_config *config, const struct sf_controller_mark *mark, struct sf_error *err)
{
        _cleanup_free_ char *tree = sf_controller_copy_tree(config->state, mark->release);

        return tree ? sf_state_copy_finish(tree, mark->location, NULL, err)
                    : sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
}

/* slurmctld was started by the run that broke off: it took over, or the state becomes again what it was. */
static int recover_started(const struct sf_controller_crash *crash, const struct sf_controller_mark *mark,
                           bool *forward, struct sf_error *err)
{
        int runs = settle_running(crash, err);
        int untouched = runs < 0 ? runs : is_untouched(crash->config->state, mark->location, mark->release, err);

        if (untouched < 0)
                return untouched;
        if (runs || !untouched) {
                *forward = true;
                return 0;
        }
        return restore_marked(crash->config, mark, err);
}

int sf_controller_recover(const struct sf_controller_crash *crash, bool *forward, struct sf_error *err)
{
        struct sf_controller_mark mark;
        bool back = strcmp(crash->to, crash->home) == 0;
        int r = sf_controller_mark_read(crash->config->state, &mark, err);

        *forward = false;
        if (r < 0 || mark.phase == SF_CONTROLLER_NOTHING)
                return r;
        if (mark.phase == SF_CONTROLLER_RESTORING)
                r = restore_marked(crash->config, &mark, err);
        else if (!back)
                r = recover_started(crash, &mark, forward, err);
        return r < 0 ? sf_error_prefix(err, "slurmctld's state") : sf_controller_end(crash->config, err);
}
