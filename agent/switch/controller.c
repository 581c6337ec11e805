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
        sf_version_series(control.version, series);
        if (*series && sf_version_compare_series(series, c->series) > 0)
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
        sf_version_series(c->to_version, c->to_series);
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
                sf_version_series(c->from_version, c->series);
        if (!*c->series)
                return sf_error_set(
                        err, SF_ERR_INCOMPATIBLE,
                        "%s/job_state is of a protocol (%u) that this program does not know: it cannot tell whether "
                        "slurmctld %s reads it",
                        c->location, state.protocol, c->to_version);
        heed_running(c);
        int order = sf_version_compare_series(c->to_series, c->series);
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

static int prepare_copy(struct sf_controller *c, const char *leaving, struct sf_error *err)
{
        char series[8];

        sf_version_series(c->from_version, series);
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
        return r;
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
        snprintf(mark.leaving, sizeof mark.leaving, "%s", c->leaving);
        snprintf(mark.location, sizeof mark.location, "%s", c->location);
        return phase == SF_CONTROLLER_RESTORING ? sf_controller_copy_restore(c->config->state, &mark, err)
                                                : sf_controller_mark_write(c->config->state, &mark, err);
}

int sf_controller_begin(struct sf_controller *c, const char *leaving, struct sf_error *err)
{
        if (!c->crosses || c->follows)
                return 0;
        int r = prepare_copy(c, leaving, err);
        if (r == 0)
                r = put_mark(c, SF_CONTROLLER_PLANNED, "", err);
        return r < 0 ? sf_error_prefix(err, "copying slurmctld's state") : 0;
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
        /* From the first file on there is something to be put back. */
        c->restored = r == 0 && c->restores;
        if (c->restored)
                r = put_mark(c, SF_CONTROLLER_RESTORING, c->copy.release, err);
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
                        sf_version_series(control.version, series);
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
