/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/node_switch-restart.c - stopping and starting the services of a switch, each by its kind. */
#include <stdint.h>
#include <string.h>
#include <time.h>

#include "agent/node/daemon.h"
#include "agent/node/slurm_conf.h"
#include "agent/node/stop_limit.h"
#include "agent/switch/node_switch.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"

#define STOP_MS            3000
#define CONTROLLER_STOP_MS 600000 /* it saves its state, and is never killed for being slow */
#define STOP_SECONDS_MAX   3600   /* where nobody else has a limit */
#define STOP_SLACK         5      /* seconds, for systemd's own SIGKILL */

static bool is_slurmd(const char *unit)
{
        return sf_daemon_of_unit(unit) == SF_DAEMON_SLURMD;
}

/* A hung start must leave time for the way back before slurmctld gives the node up. */
static unsigned start_ms(const struct sf_node_switch *live)
{
        uint64_t seconds = live->config->restart_timeout, budget = live->controller.slurmd_timeout / 3;

        return (unsigned)(budget && budget < seconds ? budget : seconds) * 1000;
}

/* What was running is stopped by systemd, which ends it after the unit's own TimeoutStopSec; where that is
 * "infinity" it takes as long as the site's scripts may. */
static unsigned stop_ms(const struct sf_node_switch *live, size_t unit)
{
        uint64_t seconds = live->stop_seconds[unit];

        if (seconds > STOP_SECONDS_MAX)
                seconds = STOP_SECONDS_MAX;
        return (unsigned)(seconds + STOP_SLACK) * 1000;
}

/* The unit that is switched in this place: SchedMD's order on the way up, the other way round where state is put
 * back. */
static size_t unit_at(const struct sf_node_switch *live, size_t place)
{
        return live->ctld.restores || live->dbd.back ? live->config->unit_count - 1 - place : place;
}

static bool exchanges_state(const struct sf_node_switch *live, size_t unit)
{
        return live->ctld.crosses && !live->ctld.follows && live->config->units[unit] == live->ctld.unit;
}

/* One unit by its kind: a plain restart, unless state or a database goes to another series with it. */
static int restart_by_kind(struct sf_node_switch *live, size_t i, const char *tree, struct sf_error *err)
{
        const char *unit = live->config->units[i];

        if (exchanges_state(live, i))
                return sf_controller_restart(&live->ctld, live->bus, CONTROLLER_STOP_MS, err);
        if (live->dbd.crosses && unit == live->dbd.unit)
                return sf_database_restart(&live->dbd, live->bus, tree, CONTROLLER_STOP_MS, err);
        return sf_service_restart(live->bus, unit, stop_ms(live, i), start_ms(live), err);
}

static int restart_unit(struct sf_node_switch *live, size_t i, const char *tree, struct sf_error *err)
{
        const char *unit = live->config->units[i];
        time_t since = time(NULL);
        double stopped = sf_clock_seconds();

        sf_service_forgive(live->bus, unit);
        int r = restart_by_kind(live, i, tree, err);
        if (is_slurmd(unit)) {
                live->restarted = since;
                live->up = sf_clock_seconds();
                live->downtime = (live->downtime < 0 ? 0 : live->downtime) + live->up - stopped;
        }
        return r;
}

static int settle_unit(struct sf_node_switch *live, size_t i, const char *tree, struct sf_error *err)
{
        struct sf_unit_of_node *u = &live->units.items[i];
        /* The site's own units, and a wrapper that stays, run what they please. */
        bool ours = u->in_prefix && (!u->pid || u->pid == u->service.main_pid);
        pid_t pid;
        int r = sf_service_settle(live->bus, u->name, ours ? tree : NULL, (unsigned)live->config->settle_ms, &pid, err);

        if (r == 0) {
                u->pid = u->service.main_pid = pid;
                const struct sf_unit_of_node *slurmd = sf_units_slurmd(&live->units);
                if (slurmd)
                        live->slurmd.main_pid = slurmd->pid;
        }
        return r == 0 && exchanges_state(live, i) ? sf_controller_await(&live->ctld, pid, tree, err) : r;
}

static void heed_limits(struct sf_node_switch *live, bool changed)
{
        struct sf_error why = SF_ERROR_INIT;

        if (changed && sf_service_reload(live->bus, &why) < 0)
                sf_log_warning("%s", why.text);
}

/* systemd's own limit for a stop may be shorter than the site's for its scripts. */
static void extend_stops(struct sf_node_switch *live, const struct sf_node_move *move)
{
        const char *version = move->from->foreign ? "" : move->from->name.version;
        uint64_t slurmd_timeout = *live->controller.version ? live->controller.slurmd_timeout : UINT64_MAX;
        bool changed = false;

        for (size_t i = 0; i < live->config->unit_count; i++) {
                _cleanup_(sf_slurm_conf_free) struct sf_slurm_conf conf = SF_SLURM_CONF_INIT;
                const char *unit = live->config->units[i], *path = live->units.items[i].conf;
                struct sf_error why = SF_ERROR_INIT;
                if (!is_slurmd(unit) || !live->running[i] ||
                    sf_slurm_conf_load("", *path ? path : live->config->slurm_conf, &conf, NULL) < 0)
                        continue;
                uint64_t seconds = sf_stop_limit_choose(sf_stop_limit_scripts(&conf, version), live->stop_seconds[i],
                                                        slurmd_timeout);
                int r = sf_stop_limit_set("", unit, seconds, &why);
                if (r < 0)
                        sf_log_warning("%s has %llu s to stop, its scripts may take longer: %s", unit,
                                       (unsigned long long)live->stop_seconds[i], why.text);
                else if (seconds)
                        live->stop_seconds[i] = seconds;
                changed |= r > 0;
        }
        heed_limits(live, changed);
}

static void forget_limits(struct sf_node_switch *live)
{
        bool changed = false;

        for (size_t i = 0; i < live->config->unit_count; i++)
                if (is_slurmd(live->config->units[i]))
                        changed |= sf_stop_limit_set("", live->config->units[i], 0, NULL) > 0;
        heed_limits(live, changed);
}

int sf_node_switch_restart(struct sf_node_switch *live, const struct sf_node_move *move, struct sf_error *err)
{
        const struct sf_config *config = live->config;
        _cleanup_free_ char *tree = sf_node_switch_tree(live, move->to->directory);
        int r = tree ? 0 : sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");

        if (live->bus && r == 0)
                extend_stops(live, move);

        for (size_t i = 0; live->bus && r == 0 && i < config->unit_count; i++)
                if (live->running[unit_at(live, i)])
                        r = restart_unit(live, unit_at(live, i), tree, err);
        /* All are up again before the first of them is watched. */
        for (size_t i = 0; live->bus && r == 0 && i < config->unit_count; i++)
                if (live->running[unit_at(live, i)])
                        r = settle_unit(live, unit_at(live, i), tree, err);
        if (live->bus)
                forget_limits(live);
        return r;
}

/* What neither starts nor ends is killed; but not the process that ran when the switch began: it may be waiting for
 * a script of the site, and systemd has a limit for that. */
static int stop_one(struct sf_node_switch *live, size_t i, struct sf_error *err)
{
        const char *unit = live->config->units[i];
        enum sf_daemon daemon = live->units.items[i].daemon;
        bool patient = daemon == SF_DAEMON_SLURMCTLD || daemon == SF_DAEMON_SLURMDBD;
        int r = sf_service_run(live->bus, SF_SERVICE_STOP, unit, patient ? CONTROLLER_STOP_MS : STOP_MS, err);

        if (r != SF_ERR_TIMEOUT || patient)
                return r;
        struct sf_service now;
        r = sf_service_read(live->bus, unit, &now, err);
        if (r < 0)
                return r;
        return now.main_pid && now.main_pid == live->pids[i]
                       ? sf_service_run(live->bus, SF_SERVICE_STOP, unit, stop_ms(live, i), err)
                       : sf_service_kill_main(live->bus, unit, err);
}

int sf_node_switch_stop(struct sf_node_switch *live, struct sf_error *err)
{
        int r = 0;

        for (size_t i = live->config->unit_count; live->bus && r == 0 && i-- > 0;) {
                if (!live->running[i])
                        continue;
                double began = sf_clock_seconds();
                r = stop_one(live, i, err);
                if (is_slurmd(live->config->units[i]))
                        live->downtime = (live->downtime < 0 ? 0 : live->downtime) + sf_clock_seconds() - began;
        }
        return r;
}
