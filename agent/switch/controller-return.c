/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/controller-return.c - slurmctld's state on the way back and after a crash. */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent/switch/controller.h"
#include "agent/switch/state_copy.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"

#define ASK_SECONDS     10
#define STOP_MS         120000
#define SETTLE_SECONDS  60 /* for a slurmctld that was just started */
#define SETTLE_PAUSE_MS 200

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
        struct sf_controller_mark mark = { .phase = SF_CONTROLLER_RESTORING };

        if (!c->crosses || c->follows)
                return 0;
        /* From here on its restart is one like any other's. */
        c->crosses = false;
        if (!c->started && !c->restored)
                return 0;
        snprintf(mark.release, sizeof mark.release, "%s", c->leaving);
        snprintf(mark.leaving, sizeof mark.leaving, "%s", c->leaving);
        snprintf(mark.location, sizeof mark.location, "%s", c->location);
        int r = sf_controller_copy_restore(c->config->state, &mark, err);
        c->started = c->restored = c->up = false;
        return r < 0 ? r : sf_controller_end(c->config->state, err);
}

int sf_controller_end(const char *state, struct sf_error *err)
{
        const struct sf_controller_mark none = { .phase = SF_CONTROLLER_NOTHING };

        return sf_controller_mark_write(state, &none, err);
}

/* --- after a crash --------------------------------------------------------------------------------------------- */

static bool runs_from(pid_t pid, const char *tree)
{
        char link[64], target[PATH_MAX];
        size_t len = strlen(tree);

        snprintf(link, sizeof link, "/proc/%d/exe", (int)pid);
        ssize_t n = pid ? readlink(link, target, sizeof target - 1) : -1;
        return n > (ssize_t)len && target[len] == '/' && memcmp(target, tree, len) == 0;
}

/* Nothing writes into the state while a copy is put back. A start that the killed run asked for may be under way; one
 * that waits for this boot's recovery must not be lost. */
static int stop_running(const struct sf_controller_crash *crash, struct sf_error *err)
{
        struct sf_service unit;
        int r = 0;

        if (!crash->bus || !crash->unit)
                return 0;
        if (crash->boot)
                r = sf_service_read(crash->bus, crash->unit, &unit, err);
        if (r < 0 || (crash->boot && !unit.main_pid && strcmp(unit.active_state, "activating") != 0))
                return r;
        return sf_service_run(crash->bus, SF_SERVICE_STOP, crash->unit, STOP_MS, err);
}

/* 1 where the slurmctld of `to` that was started has the state: it has written it, or answers. 0 where it never got so
 * far and has ended. One that does neither for long is believed to be at work. */
static int has_taken_over(const struct sf_controller_crash *crash, const struct sf_controller_mark *mark,
                          struct sf_error *err)
{
        struct sf_slurm slurm = { .tree = crash->to_tree, .conf = crash->slurm_conf, .timeout = ASK_SECONDS };
        double end = sf_clock_seconds() + SETTLE_SECONDS;
        struct timespec pause = { 0, SETTLE_PAUSE_MS * 1000000L };
        struct sf_slurm_controller control;
        struct sf_service unit;
        int same, r;

        while ((same = is_untouched(crash->state, mark->location, mark->release, err)) > 0 && crash->bus &&
               crash->unit) {
                r = sf_service_read(crash->bus, crash->unit, &unit, err);
                if (r < 0)
                        return r;
                if (!runs_from(unit.main_pid, crash->to_tree))
                        break;
                if (sf_clock_seconds() > end || sf_slurm_controller(&slurm, &control, NULL) == 0)
                        return 1;
                nanosleep(&pause, NULL);
        }
        if (same <= 0)
                return same < 0 ? same : 1;
        /* It ended, or another one runs: what that one writes at its end counts. */
        r = stop_running(crash, err);
        same = r < 0 ? r : is_untouched(crash->state, mark->location, mark->release, err);
        return same < 0 ? same : !same;
}

static int restore(const struct sf_controller_crash *crash, const struct sf_controller_mark *mark, const char *release,
                   struct sf_error *err)
{
        struct sf_controller_mark next = *mark;
        int r = stop_running(crash, err);

        snprintf(next.release, sizeof next.release, "%s", release);
        return r < 0 ? r : sf_controller_copy_restore(crash->state, &next, err);
}

int sf_controller_recover(const struct sf_controller_crash *crash, const char **ret_home, struct sf_error *err)
{
        struct sf_controller_mark mark;
        bool finishes = strcmp(crash->to, crash->home) == 0;
        int r = sf_controller_mark_read(crash->state, &mark, err), taken;

        *ret_home = NULL;
        if (r < 0)
                return sf_error_prefix(err, "slurmctld's state");
        switch (mark.phase) {
        case SF_CONTROLLER_NOTHING:
                return 0;
        case SF_CONTROLLER_PLANNED:
                *ret_home = crash->from;
                return 0;
        case SF_CONTROLLER_RESTORING:
                finishes &= strcmp(mark.release, mark.leaving) != 0;
                r = restore(crash, &mark, finishes ? mark.release : mark.leaving, err);
                break;
        case SF_CONTROLLER_STARTED:
                taken = has_taken_over(crash, &mark, err);
                finishes |= taken > 0;
                r = taken < 0 ? taken : finishes ? 0 : restore(crash, &mark, mark.leaving, err);
                break;
        }
        if (r < 0)
                return sf_error_prefix(err, "slurmctld's state");
        *ret_home = finishes ? crash->to : crash->from;
        return 0;
}
