/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/recovery.c - see recovery.h. */
#include "agent/switch/recovery.h"

#include <stdio.h>
#include <string.h>

#include "agent/node/active.h"
#include "agent/node/history.h"
#include "agent/node/journal.h"
#include "agent/node/lock.h"
#include "agent/node/places.h"
#include "agent/node/report.h"
#include "agent/node/scratch.h"
#include "agent/node/state.h"
#include "agent/node/stop_limit.h"
#include "agent/switch/expected_units.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "installer/activate.h"

/* Before "restart" a switch leaves services alone, and so does an install or --no-restart to its end. */
static bool has_touched_services(const struct sf_transaction *record)
{
        return record->step == SF_STEP_RESTART || record->step == SF_STEP_HEALTH;
}

/* --- the way back ---------------------------------------------------------------------------------------------- */

static int back_stop(struct sf_node_switch *live, const struct sf_node_move *move, struct sf_error *err)
{
        (void)move;
        return sf_node_switch_stop(live, err);
}

/* slurmctld's state and slurmdbd's database as the old release left them, where the new one was started on them. */
static int back_state(struct sf_node_switch *live, const struct sf_node_move *move, struct sf_error *err)
{
        (void)move;
        int r = sf_controller_return(&live->ctld, err);
        return r < 0 ? r : sf_database_return(&live->dbd, err);
}

/* A controller that does not answer says nothing about this node. */
static int back_health(struct sf_node_switch *live, const struct sf_node_move *move, struct sf_error *err)
{
        int r = sf_node_switch_health(live, move->to, false, err);

        if (r != SF_ERR_NETWORK)
                return r;
        sf_log_warning("%s", err ? err->text : "slurmctld does not answer");
        if (err)
                sf_error_clear(err);
        return 0;
}

/* In this order. A switch that failed before it touched services takes only the step that is not about them. */
static const struct back_step {
        const char *name;
        bool services; /* only where services were touched */
        bool must;     /* without it the way back has failed; else a failure is a warning and the next step is tried */
        int (*run)(struct sf_node_switch *live, const struct sf_node_move *move, struct sf_error *err);
} way_back[] = {
        { "stop", true, false, back_stop },
        { "slurmctld's state", false, true, back_state },
        { "unit and view", false, true, sf_node_switch_place },
        { "restart", true, true, sf_node_switch_restart },
        { "health", true, true, back_health },
};

static int walk_back(struct sf_node_switch *live, const struct sf_node_move *move, bool touched, struct sf_error *err)
{
        for (size_t i = 0; i < sizeof way_back / sizeof *way_back; i++) {
                struct sf_error why = SF_ERROR_INIT;
                if (way_back[i].services && !touched)
                        continue;
                int r = way_back[i].run(live, move, &why);
                if (r < 0 && way_back[i].must)
                        return sf_error_set(err, r, "%s: %s", way_back[i].name, why.text);
                if (r < 0)
                        sf_log_warning("on the way back, %s: %s", way_back[i].name, why.text);
        }
        return 0;
}

int sf_recovery_return(struct sf_node_switch *live, const struct sf_transaction *record, struct sf_error *err)
{
        struct sf_store_release home, left = { 0 };
        int r = sf_store_find(live->store, record->home, &home, err);

        if (r < 0)
                return r;
        sf_store_find(live->store, record->to, &left, NULL);
        const struct sf_node_move move = { .from = &left, .to = &home, .back = true };
        r = walk_back(live, &move, has_touched_services(record), err);
        if (r == 0)
                sf_node_switch_modules(live, home.directory);
        return r;
}

/* --- after a crash --------------------------------------------------------------------------------------------- */

/* What ran when the switch began may have been stopped for good when it was interrupted. */
static bool expect_services(struct sf_node_switch *live, const struct sf_transaction *record)
{
        bool stopped = false;

        for (size_t i = 0; live->bus && has_touched_services(record) && i < live->config->unit_count; i++) {
                bool ran = record->service_count == 0;
                for (size_t s = 0; s < record->service_count; s++)
                        ran |= strcmp(record->services[s], live->config->units[i]) == 0;
                stopped |= ran && !live->running[i];
                live->running[i] |= ran;
        }
        return stopped;
}

/* At boot the services come after us; one that is there already must not run on. */
static int restart_later(struct sf_node_switch *live, struct sf_error *err)
{
        int r = 0;

        for (size_t i = 0; live->bus && r == 0 && i < live->config->unit_count; i++)
                if (live->running[i])
                        r = sf_service_restart_later(live->bus, live->config->units[i], err);
        return r;
}

/* view, unit and services of a release; health is not waited for, nobody could do more about it. */
static int go_to(struct sf_node_switch *live, const struct sf_transaction *record, const char *directory, bool boot,
                 struct sf_error *err)
{
        struct sf_store_release target, left = { 0 };
        int r = sf_store_find(live->store, directory, &target, err);

        if (r < 0)
                return r;
        const struct sf_node_move move = { .from = &left, .to = &target, .back = true };
        r = sf_node_switch_place(live, &move, err);
        if (r < 0)
                return r;
        sf_node_switch_modules(live, directory);
        if (live->config->no_restart)
                return 0;
        if (boot)
                return sf_node_switch_runs_elsewhere(live, directory) ? restart_later(live, err) : 0;
        bool stopped = expect_services(live, record);
        return stopped || sf_node_switch_runs_elsewhere(live, directory) ? sf_node_switch_restart(live, &move, err) : 0;
}

/* slurmctld may have been stopped to put its state back: it is to be started again. */
static void look_again(struct sf_node_switch *live)
{
        struct sf_service now;

        for (size_t i = 0; live->bus && i < live->units.count; i++)
                if (live->units.items[i].daemon == SF_DAEMON_SLURMCTLD &&
                    sf_service_read(live->bus, live->units.items[i].name, &now, NULL) == 0 && !now.main_pid)
                        live->units.items[i].running = false;
}

/* Where state or a database belong to one of the two releases, that one is home, whatever the record says. *bound: it
 * is so, and the other release would not start. */
static int choose_home(struct sf_node_switch *live, struct sf_transaction *record, bool boot, bool *bound,
                       struct sf_error *err)
{
        _cleanup_free_ char *tree = sf_node_switch_tree(live, record->to);
        const struct sf_controller_crash crash = {
                .state = live->config->state,
                .slurm_conf = live->config->slurm_conf,
                .bus = live->bus,
                .boot = boot,
                .unit = live->ctld.unit,
                .from = record->from,
                .to = record->to,
                .home = record->home,
                .to_tree = tree,
        };
        const char *home = NULL;
        bool converted = false;
        int r = tree ? sf_controller_recover(&crash, &home, err)
                     : sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");

        live->dbd.config = live->config;
        live->dbd.from_version = record->from;
        live->dbd.to_version = record->to;
        if (r == 0)
                r = sf_database_recover(&live->dbd, live->bus, home && strcmp(home, record->to) != 0, &converted, err);
        if (r == 0 && converted)
                home = record->to;
        *bound = r > 0 || (r == 0 && home);
        if (r < 0 || !home)
                return r;
        look_again(live);
        if (home != record->home)
                snprintf(record->home, sizeof record->home, "%s", home);
        /* Before anything starts on that state: a crash from here on finds home in the record. */
        struct sf_error why = SF_ERROR_INIT;
        if (sf_transaction_write(live->config->record, record, &why) < 0 ||
            sf_controller_end(live->config->state, &why) < 0)
                sf_log_warning("%s", why.text);
        return 0;
}

/* A run that was killed while it stopped slurmd left the unit a longer TimeoutStopSec: it would stay until the next
 * boot, and be taken for the unit's own. */
static void forget_stop_limits(const struct sf_config *config, const struct sf_transaction *record)
{
        struct sf_service_bus *bus = NULL;
        struct sf_error why = SF_ERROR_INIT;
        bool changed = false;

        for (size_t i = 0; i < record->service_count; i++)
                changed |= sf_stop_limit_set(config->root, record->services[i], 0, NULL) > 0;
        for (size_t i = 0; record->service_count == 0 && i < config->unit_count; i++)
                changed |= sf_stop_limit_set(config->root, config->units[i], 0, NULL) > 0;
        if (!changed || *config->root)
                return;
        if (sf_service_open(&bus, &why) < 0 || sf_service_reload(bus, &why) < 0)
                sf_log_warning("%s", why.text);
        sf_service_close(bus);
}

/* Home, or where home does not start, the release that was left for it and ran until then. *on: the directory it is. */
static int go_home(const struct sf_config *config, const struct sf_store *store, struct sf_transaction *record,
                   bool boot, const char **on, struct sf_error *err)
{
        struct sf_node_switch live;
        struct sf_error why = SF_ERROR_INIT;

        forget_stop_limits(config, record);
        int r = sf_node_switch_open(config, store, &live, err);
        if (r < 0)
                return r;
        bool bound = false;
        r = choose_home(&live, record, boot, &bound, &why);
        if (*record->home)
                *on = record->home;
        if (r == 0 && *record->home)
                r = go_to(&live, record, record->home, boot, &why);
        bool other = !bound && *record->from && strcmp(record->from, record->home) != 0;
        if (r < 0 && other && has_touched_services(record)) {
                sf_log_warning("%s: %s; trying %s", record->home, why.text, record->from);
                *on = record->from;
                if (go_to(&live, record, record->from, boot, NULL) == 0)
                        r = 0;
        }
        if (r == 0)
                r = sf_expected_units_remove(config->state, &why);
        sf_node_switch_close(&live);
        return r < 0 ? sf_error_set(err, why.code, "%s", why.text) : 0;
}

static void add_to_history(const struct sf_config *config, const struct sf_transaction *record, enum sf_result result)
{
        struct sf_error err = SF_ERROR_INIT;
        struct sf_report report;

        sf_report_start(&report, record->verb);
        report.step = SF_STEP_RECOVER;
        snprintf(report.from, sizeof report.from, "%s", record->from);
        snprintf(report.to, sizeof report.to, "%s", record->to);
        if (sf_history_add(config->state, &report, result, NULL, &err) < 0)
                sf_log_detail("%s", err.text);
}

/* The release that went home for good is the one that rollback would leave again. */
static int note_state(const struct sf_config *config, const struct sf_transaction *record, bool finished,
                      struct sf_error *err)
{
        struct sf_state state;
        int r = sf_state_load_or_set_aside(config->state, &state, err);

        if (r < 0)
                return r;
        if (finished) {
                snprintf(state.active, sizeof state.active, "%s", record->to);
                snprintf(state.previous, sizeof state.previous, "%s", record->from);
                sf_state_unstage(&state, record->to);
        }
        snprintf(state.verb, sizeof state.verb, "%s", record->verb);
        snprintf(state.from, sizeof state.from, "%s", record->from);
        snprintf(state.to, sizeof state.to, "%s", record->to);
        snprintf(state.time, sizeof state.time, "%s", record->time);
        state.result = finished ? SF_RESULT_FINISHED : SF_RESULT_UNDONE;
        add_to_history(config, record, state.result);
        return sf_state_save(config->state, &state, err);
}

const char *sf_recovery_judge(const char *view, const char *proven, const char *running)
{
        if (!*proven || strcmp(view, proven) == 0)
                return "";
        /* Somebody made view point there, and it runs: nothing to be undone is known. */
        return *running && strcmp(running, proven) != 0 ? "" : proven;
}

static int after_damage(const struct sf_config *config, const struct sf_store *store, bool boot, const char *why,
                        char note[SF_RECOVERY_NOTE], struct sf_error *err)
{
        struct sf_transaction record = { .verb = "switch", .step = SF_STEP_RESTART };
        struct sf_store_release proven;
        struct sf_node_switch live;
        struct sf_state state;
        char view[128] = "", running[128];
        const char *on = view;

        int r = sf_state_set_aside(config->record, SF_TRANSACTION_FILE, why, err);
        if (r == 0)
                r = sf_state_load_or_set_aside(config->state, &state, err);
        if (r == 0)
                r = sf_node_switch_open(config, store, &live, err);
        if (r < 0)
                return r;
        sf_activate_current(store, view, NULL);
        sf_node_switch_running(&live, running);
        sf_node_switch_close(&live);
        const char *home = sf_recovery_judge(view, state.active, running);
        if (*home && sf_store_find(store, home, &proven, NULL) == 0) {
                /* view is where a switch from the proven release led. */
                snprintf(record.from, sizeof record.from, "%s", home);
                snprintf(record.to, sizeof record.to, "%s", view);
                snprintf(record.home, sizeof record.home, "%s", home);
                r = go_home(config, store, &record, boot, &on, err);
        }
        snprintf(note, SF_RECOVERY_NOTE, "the record of an interrupted switch was damaged; this node is on %s%s%s", on,
                 *running ? ", slurmd ran from " : "", running);
        return r < 0 ? r : 1;
}

/* Whoever recovers may have been called without the --config FILE that the switch began with: the boot unit is. */
static int go_home_as_called(const struct sf_config *config, const struct sf_store *store,
                             struct sf_transaction *record, bool boot, const char **on, struct sf_error *err)
{
        struct sf_error why = SF_ERROR_INIT;
        struct sf_config own;

        if (!*record->config || (config->file && strcmp(config->file, record->config) == 0))
                return go_home(config, store, record, boot, on, err);
        if (sf_config_load_file(config, record->config, &own, &why) < 0) {
                sf_log_warning("%s: recovering without it", why.text);
                return go_home(config, store, record, boot, on, err);
        }
        int r = go_home(&own, store, record, boot, on, err);
        sf_config_free(&own);
        return r;
}

int sf_recovery_run(const struct sf_config *config, const struct sf_store *store, bool boot,
                    char note[SF_RECOVERY_NOTE], struct sf_error *err)
{
        struct sf_error why = SF_ERROR_INIT;
        struct sf_transaction record;
        int r = sf_transaction_load(config->record, &record, &why);
        const char *on = "the release that was active";

        if (r == SF_ERR_NOT_FOUND)
                return 0;
        if (r == SF_ERR_CORRUPT || r == SF_ERR_LIMIT)
                return after_damage(config, store, boot, why.text, note, err);
        if (r == SF_ERR_IO && sf_places_check(config->record, err) < 0)
                return r;
        if (r < 0)
                return sf_error_set(err, r, "%s", why.text);
        r = go_home_as_called(config, store, &record, boot, &on, err);
        if (r < 0)
                return sf_error_prefix(err, "recovering from an interrupted %s", record.verb);
        bool finished = *record.home && strcmp(on, record.to) == 0;
        if (note_state(config, &record, finished, &why) < 0)
                sf_log_warning("%s", why.text);
        r = sf_transaction_end(config->record, err);
        if (r == 0)
                r = sf_controller_end(config->state, err);
        if (r == 0)
                r = sf_database_end(config, err);
        if (r < 0)
                return sf_error_prefix(err, "recovering from an interrupted %s", record.verb);
        snprintf(note, SF_RECOVERY_NOTE, "%s %s → %s was interrupted at %s and is now %s; on %s", record.verb,
                 record.from, record.to, sf_step_name(record.step), finished ? "finished" : "undone", on);
        sf_journal_send(SF_JOURNAL_RECOVERED, record.from, record.to, note);
        return 1;
}

int sf_recovery_tell(const struct sf_config *config, char note[SF_RECOVERY_NOTE])
{
        struct sf_error why = SF_ERROR_INIT;
        struct sf_transaction record;
        int r = sf_transaction_load(config->record, &record, &why);

        if (r == SF_ERR_NOT_FOUND)
                return 0;
        if (r < 0)
                snprintf(note, SF_RECOVERY_NOTE, "%.400s; it would be looked at first", why.text);
        else
                snprintf(note, SF_RECOVERY_NOTE, "%s %s → %s was interrupted at %s; that would be %s first",
                         record.verb, record.from, record.to, sf_step_name(record.step),
                         strcmp(record.home, record.to) == 0 ? "finished" : "undone");
        return 1;
}

int sf_recovery_begin(const struct sf_config *config, const struct sf_store *store, struct sf_report *report,
                      int *ret_lock, int *ret_code, struct sf_error *err)
{
        char note[SF_RECOVERY_NOTE];

        *ret_code = 0;
        int r = sf_places_check(config->state, err);
        if (r == 0)
                r = sf_places_check(config->record, err);
        if (r < 0)
                return r;
        if (config->dry_run) {
                if (sf_recovery_tell(config, note) > 0)
                        sf_log_warning("%s", note);
                return 0;
        }
        if ((r = *ret_lock = sf_lock_take(config->state, err)) < 0)
                return r;
        sf_scratch_clear("/run");
        sf_scratch_clear("/tmp");
        r = sf_recovery_run(config, store, false, note, err);
        if (r < 0)
                *ret_code = sf_recovery_exit(r);
        if (r > 0)
                sf_log_warning("%s", note);
        sf_active_note(store, report);
        return r < 0 ? r : 0;
}

int sf_recovery_exit(int code)
{
        return code == SF_ERR_UNSUPPORTED || code == SF_ERR_BUSY ? 0 : SF_EXIT_HUMAN;
}
