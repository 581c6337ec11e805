/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/switch.c - the story of a switch: a table of steps in two halves.
 *
 * The first half, up to "quiet", changes nothing that anybody uses: a failure ends the run. Then the second half
 * begins, beyond the reach of the caller (agent/switch/handover.h). From "activate" on a record on the disk says
 * where home is, and a failure of a step, or a crash, is answered by the way back (agent/switch/recovery.c). */
#include "agent/switch/switch.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent/node/active.h"
#include "agent/node/history.h"
#include "agent/node/journal.h"
#include "agent/node/lease.h"
#include "agent/node/lock.h"
#include "agent/switch/expected_units.h"
#include "agent/switch/handover.h"
#include "agent/switch/preflight.h"
#include "agent/switch/recovery.h"
#include "agent/switch/run.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/output.h"
#include "base/stop.h"
#include "installer/activate.h"

#define SHARED_WAIT_SECONDS 3600 /* for another node that writes into the same releases/ */
#define QUIET_PAUSE_MS      100
#define PICK_UP_SECONDS     660 /* for the recovery that systemd starts where the second half was killed */

static struct sf_preflight preflight_of(struct sf_switch_run *run, const char *to_version)
{
        return (struct sf_preflight){
                .live = &run->live,
                .rows = run->offer.rows,
                .from = run->from.directory,
                .from_version = run->from.name.version,
                .to_version = to_version,
                .back = run->what->back,
                .adoption = run->live.adoption,
        };
}

/* --- the first half -------------------------------------------------------------------------------------------- */

static int choose(struct sf_switch_run *run, struct sf_error *err)
{
        const struct sf_switch *what = run->what;
        const char *wanted = what->wanted ? what->wanted : "";

        if (what->bytes)
                return sf_candidate_open(run->config, &run->store, wanted, &run->from, &run->report, &run->offer, err);
        int r = sf_candidate_local(run->config, &run->offer, err);
        if (r < 0 || !what->back)
                return r < 0 ? r : sf_store_choose(&run->store, wanted, &run->to, err);
        if (!*run->state.previous)
                return sf_error_set(err, SF_ERR_USAGE, "there is no release before this one to go back to");
        return sf_store_find(&run->store, run->state.previous, &run->to, err);
}

/* What the step means for slurmctld and slurmdbd, as far as they are this node's. */
static int plan_controllers(struct sf_switch_run *run, const char *to_version, struct sf_error *err)
{
        const struct sf_node_plan plan = {
                .rows = run->offer.rows,
                .from_version = run->from.name.version,
                .to_version = to_version,
                .restart = run->what->restart,
        };

        return sf_node_switch_plan(&run->live, &plan, err);
}

/* Which release is meant, and is it worth the trouble? */
static int run_plan(struct sf_switch_run *run, struct sf_error *err)
{
        const struct sf_switch *what = run->what;
        int r = run->config->init.wanted ? sf_first_boot_plan(run->config, &run->boot, err) : 0;

        if (r == 0)
                r = choose(run, err);
        if (r == 0)
                r = sf_switch_run_check_origin(run, err);
        if (r < 0)
                return r;
        const struct sf_release_name *name = what->bytes ? &run->offer.release->name : &run->to.name;
        snprintf(run->report.to, sizeof run->report.to, "%s", *name->text ? name->text : run->to.directory);
        r = run->config->force || what->back
                    ? 0
                    : sf_transaction_check_failed(run->config->state,
                                                  what->bytes ? &run->offer.release->tree : &run->to.tree, err);
        if (r < 0 || !what->flip)
                return r;
        run->report.step = SF_STEP_PREFLIGHT;
        sf_node_switch_ask(&run->live);
        struct sf_preflight preflight = preflight_of(run, name->version);
        r = what->restart && !*run->to.origin
                    ? sf_preflight_commands(&preflight, what->bytes ? run->offer.release->unit : run->to.unit, err)
                    : 0;
        if (r == 0)
                r = sf_preflight_gate(&preflight, err);
        return r < 0 ? r : plan_controllers(run, name->version, err);
}

static void say_waiting(void *ctx, const char *holder)
{
        (void)ctx;
        sf_log_info("waiting for sf-node %s, which writes releases here; what it brings is used", holder);
}

/* One at a time writes below releases/, which other nodes may share: whoever had to wait plans again, for it may be
 * there by now. *ret_lock: -1 where nothing is to be written. */
static int lock_releases(struct sf_switch_run *run, int *ret_lock, struct sf_error *err)
{
        const struct sf_lock_wait wait = { .seconds = SHARED_WAIT_SECONDS,
                                           .stop = &sf_stop_requested,
                                           .waiting = say_waiting };
        int waited = 0, r;

        if (run->offer.plan.way == SF_FETCH_PLAN_NOTHING)
                return 0;
        r = *ret_lock = sf_lock_take_shared(run->store.releases, &wait, &waited, err);
        if (r < 0)
                return sf_error_prefix(err, "%s is not in %s and cannot be put there", run->report.to,
                                       run->store.releases);
        /* Another node may have finished since this one looked, with or without a wait. */
        const struct sf_store_release *target = &run->offer.plan.target;
        struct sf_store_release there;
        _cleanup_free_ char *path = sf_fs_join(run->store.releases, target->directory);
        sf_store_forget(&run->store);
        if (!waited && path && !sf_fs_exists(path) &&
            sf_store_find_tree(&run->store, &target->name, &target->tree, &there, NULL) < 0)
                return 0;
        return sf_candidate_plan_again(run->config, &run->store, &run->offer, err);
}

/* Download, verify, decompress, unpack and relocate: one pass, so one step; the report says which part it is in. */
static int run_fetch(struct sf_switch_run *run, struct sf_error *err)
{
        _cleanup_close_ int releases = -1;

        if (!run->what->bytes)
                return 0;
        int r = lock_releases(run, &releases, err);
        if (r < 0)
                return r;
        r = sf_candidate_acquire(run->config, &run->store, &run->offer, &run->report, err);
        const struct sf_index_release *release = run->offer.release;
        return r < 0 ? r : sf_store_find_tree(&run->store, &release->name, &release->tree, &run->to, err);
}

/* Active already, with every service in its tree: nothing more to do. */
static bool is_settled(struct sf_switch_run *run)
{
        /* A slurmd of another origin is for the preflight to judge. */
        for (size_t i = 0; run->what->restart && i < run->live.units.count; i++)
                if (run->live.units.items[i].running &&
                    sf_adoption_concerns(&run->live.units.items[i], run->store.prefix) && !*run->to.origin)
                        return false;
        return strcmp(run->view, run->to.directory) == 0 &&
               !(run->what->restart && sf_node_switch_runs_elsewhere(&run->live, run->to.directory));
}

static int run_preflight(struct sf_switch_run *run, struct sf_error *err)
{
        if (!run->what->flip)
                return 0;
        run->unchanged = is_settled(run);
        struct sf_preflight preflight = preflight_of(run, run->to.name.version);
        return run->unchanged ? 0 : sf_preflight_run(&preflight, &run->to, err);
}

/* install --init. What is made stays where a later step fails: it is in nobody's way, and the next run needs it. */
static int run_init(struct sf_switch_run *run, struct sf_error *err)
{
        bool units;

        if (!run->config->init.wanted)
                return 0;
        int r = sf_first_boot_apply(&run->boot, &run->store, &run->to, &units, err);
        return r == 0 && units && run->live.bus ? sf_service_reload(run->live.bus, err) : r;
}

/* slurmd does not end before its prologs and epilogs have: they are waited for while it still answers. */
static int run_drain(struct sf_switch_run *run, struct sf_error *err)
{
        char reason[256];

        if (!run->what->flip || !run->what->restart || run->unchanged)
                return 0;
        snprintf(reason, sizeof reason, "sf-node %s to %s", run->what->verb, run->to.directory);
        return sf_node_switch_drain(&run->live, reason, err);
}

static int run_quiet(struct sf_switch_run *run, struct sf_error *err)
{
        const struct timespec pause = { 0, QUIET_PAUSE_MS * 1000000L };
        double end = sf_clock_seconds() + (double)run->config->quiet_timeout;
        bool said = false;
        char who[128];

        if (!run->what->flip || !run->what->restart || run->unchanged || !run->config->quiet_timeout)
                return 0;
        while (sf_node_switch_busy(&run->live, who)) {
                if (!said)
                        sf_log_info("waiting up to %llu s for %s, a script that slurmd waits for",
                                    (unsigned long long)run->config->quiet_timeout, who);
                said = true;
                if (sf_stop_requested)
                        return sf_error_set(err, SF_ERR_INTERRUPTED, "interrupted");
                if (sf_clock_seconds() > end)
                        return sf_error_set(err, SF_ERR_BUSY,
                                            "slurmd still waits for %s after %llu s ([service] quiet_timeout): try "
                                            "again later",
                                            who, (unsigned long long)run->config->quiet_timeout);
                nanosleep(&pause, NULL);
        }
        return 0;
}

/* --- the second half ------------------------------------------------------------------------------------------- */

/* Other nodes that share releases/ are told before anything runs from it. Where they cannot be, gc is nothing for
 * them. */
static void tell_others(struct sf_switch_run *run)
{
        const char *const needed[] = { run->to.directory, run->from.directory, run->view, run->state.previous };
        struct sf_error why = SF_ERROR_INIT;

        if (!*run->config->root && sf_lease_write(&run->store, needed, sizeof needed / sizeof *needed, true, &why) < 0)
                sf_log_detail("no lease for other nodes' gc: %s", why.text);
}

/* A step has begun where this is on the disk: what could not be written was not begun. */
static int note_step(struct sf_switch_run *run, enum sf_step step, struct sf_error *err)
{
        struct sf_transaction record = run->record;

        record.step = step;
        int r = sf_transaction_write(run->config->state, &record, err);
        if (r == 0)
                run->record = record;
        return r;
}

/* A directory at view, made by hand before us, is kept as a release of its own: it becomes home. */
static int adopt(struct sf_switch_run *run, struct sf_error *err)
{
        char date[16];
        time_t now = time(NULL);
        struct tm utc;

        strftime(date, sizeof date, "%Y%m%d", gmtime_r(&now, &utc));
        int r = sf_activate_adopt(&run->store, date, run->record.from, err);
        if (r < 0)
                return r;
        run->live.changed = true;
        sf_log_info("kept the directory %s/view as release %s", run->store.prefix, run->record.from);
        snprintf(run->record.home, sizeof run->record.home, "%s", run->record.from);
        return sf_transaction_write(run->config->state, &run->record, err);
}

static void fill_record(struct sf_switch_run *run)
{
        struct sf_transaction *record = &run->record;

        snprintf(record->verb, sizeof record->verb, "%s", run->what->verb);
        snprintf(record->from, sizeof record->from, "%s", run->from.directory);
        snprintf(record->to, sizeof record->to, "%s", run->to.directory);
        snprintf(record->home, sizeof record->home, "%s", run->what->back ? run->to.directory : run->from.directory);
        record->service_count = 0;
        const struct sf_config *config = run->live.config; /* names the units that this node has */
        for (size_t i = 0; run->live.bus && i < config->unit_count; i++)
                if (run->live.running[i] && record->service_count < SF_TRANSACTION_SERVICES_MAX &&
                    strlen(config->units[i]) < sizeof *record->services)
                        strcpy(record->services[record->service_count++], config->units[i]);
}

static int run_activate(struct sf_switch_run *run, struct sf_error *err)
{
        struct sf_store_release viewed = { 0 };
        char current[128] = "";

        if (!run->what->flip || run->unchanged)
                return 0;
        tell_others(run);
        int r = sf_node_switch_begin(&run->live, run->from.directory, err);
        if (r < 0)
                return r;
        fill_record(run);
        r = note_step(run, SF_STEP_ACTIVATE, err);
        if (r < 0)
                return r;
        run->recorded = true;
        r = sf_activate_current(&run->store, current, err);
        if (r == SF_ERR_EXISTS)
                r = adopt(run, err);
        if (r == 0)
                r = sf_switch_run_keep_origin(run, err);
        if (r == 0 && !run->live.ctld.runs)
                r = sf_controller_exchange(&run->live.ctld, err);
        if (r < 0)
                return r;
        /* The unit file is the one of what view says, whatever runs. */
        if (*current)
                sf_store_find(&run->store, current, &viewed, NULL);
        const struct sf_node_move move = { .from = run->live.adoption ? &run->from : &viewed,
                                           .to = &run->to,
                                           .back = run->what->back };
        return sf_node_switch_place(&run->live, &move, err);
}

static int run_restart(struct sf_switch_run *run, struct sf_error *err)
{
        const struct sf_node_move move = { .from = &run->from, .to = &run->to, .back = run->what->back };

        if (!run->what->flip || !run->what->restart || run->unchanged)
                return 0;
        int r = note_step(run, SF_STEP_RESTART, err);
        return r < 0 ? r : sf_node_switch_restart(&run->live, &move, err);
}

static int run_health(struct sf_switch_run *run, struct sf_error *err)
{
        if (!run->what->flip || !run->what->restart || run->unchanged)
                return 0;
        int r = note_step(run, SF_STEP_HEALTH, err);
        if (r == 0)
                r = sf_node_switch_health(&run->live, &run->to, !run->what->back, err);
        if (r == 0 && *run->live.proof.node) {
                sf_health_describe(&run->live.proof, run->report.proof, sizeof run->report.proof);
                size_t used = strlen(run->report.proof);
                if (*run->live.other_proofs)
                        snprintf(run->report.proof + used, sizeof run->report.proof - used, "; %s",
                                 run->live.other_proofs);
                sf_log_info("%s", run->report.proof);
        }
        return r;
}

/* What is only remembered does not undo a switch that works. */
static void save_state(struct sf_switch_run *run)
{
        struct sf_error why = SF_ERROR_INIT;

        if (sf_state_save(run->config->state, &run->state, &why) < 0)
                sf_log_warning("%s; rollback and gc will not know of this switch", why.text);
}

/* The record first: without it nobody reads the marks, with it they decide where home is. */
static int end_record(struct sf_switch_run *run, struct sf_error *err)
{
        struct sf_error why = SF_ERROR_INIT;
        int r = sf_transaction_end(run->config->state, err);

        if (r == 0 && (sf_controller_end(run->config->state, &why) < 0 || sf_database_end(run->config, &why) < 0))
                sf_log_detail("%s", why.text);
        return r;
}

/* The release that came is the one that stays. */
static int save_switch(struct sf_switch_run *run, enum sf_result result, struct sf_error *err)
{
        snprintf(run->state.active, sizeof run->state.active, "%s", run->to.directory);
        if (strcmp(run->record.from, run->to.directory) != 0)
                snprintf(run->state.previous, sizeof run->state.previous, "%s", run->record.from);
        sf_state_unstage(&run->state, run->to.directory);
        sf_state_note(&run->state, &run->report, result);
        save_state(run);
        return end_record(run, err);
}

static int run_done(struct sf_switch_run *run, struct sf_error *err)
{
        if (!run->recorded)
                return 0;
        sf_transaction_forget_failed(run->config->state, &run->to.tree, NULL);
        int r = save_switch(run, SF_RESULT_DONE, err);
        if (r == 0)
                r = sf_expected_units_remove(run->config->state, err);
        if (r < 0)
                return r;
        sf_node_switch_modules(&run->live, run->to.directory);
        _cleanup_free_ char *text = sf_format("%s: switched from %s to %s", run->what->verb,
                                              *run->record.from ? run->record.from : "nothing", run->to.directory);
        sf_journal_send(SF_JOURNAL_SWITCHED, run->record.from, run->to.directory, text ? text : run->to.directory);
        return 0;
}

/* --- the table ------------------------------------------------------------------------------------------------- */

enum half { FIRST, SECOND };

static const struct step {
        enum half half;
        enum sf_step step;
        int (*run)(struct sf_switch_run *run, struct sf_error *err);
} steps[] = {
        /* Nothing that anybody uses changes: a failure ends the run, exit 3. */
        { FIRST, SF_STEP_PLAN, run_plan },
        { FIRST, SF_STEP_FETCH, run_fetch },
        { FIRST, SF_STEP_PREFLIGHT, run_preflight },
        { FIRST, SF_STEP_INIT, run_init },
        { FIRST, SF_STEP_DRAIN, run_drain },
        { FIRST, SF_STEP_QUIET, run_quiet },
        /* Way back: unit and view. Where neither had changed yet: none, exit 3. */
        { SECOND, SF_STEP_ACTIVATE, run_activate },
        /* Way back: stop, unit and view, restart, health. */
        { SECOND, SF_STEP_RESTART, run_restart },
        { SECOND, SF_STEP_HEALTH, run_health },
        { SECOND, SF_STEP_DONE, run_done },
};

static int run_steps(struct sf_switch_run *run, enum half half, struct sf_error *err)
{
        int r = 0;

        for (size_t i = 0; r >= 0 && i < sizeof steps / sizeof *steps; i++) {
                if (steps[i].half != half)
                        continue;
                run->report.step = steps[i].step;
                r = steps[i].run(run, err);
                /* --dry-run: what would be done is known once it is planned. */
                if (run->config->dry_run)
                        break;
        }
        return r;
}

/* --- failure after the switch ---------------------------------------------------------------------------------- */

/* Content is remembered as bad only for what it did itself: its services did not come up, or came up ill. */
static bool is_to_blame(const struct sf_switch_run *run, const struct sf_error *why)
{
        return (run->report.step == SF_STEP_RESTART || run->report.step == SF_STEP_HEALTH) &&
               (why->code == SF_ERR_FAILED || why->code == SF_ERR_TIMEOUT);
}

static void remember_failure(struct sf_switch_run *run, const struct sf_error *why)
{
        struct sf_error err = SF_ERROR_INIT;

        if (is_to_blame(run, why) && !run->to.foreign &&
            sf_transaction_mark_failed(run->config->state, &run->to.tree, why->text, &err) < 0)
                sf_log_warning("%s", err.text);
        sf_state_note(&run->state, &run->report, SF_RESULT_RETURNED);
        save_state(run);
}

/* Where the way back leads. A rollback's home is where it goes; where that does not work, what ran before is all
 * there is. */
static int choose_home(struct sf_switch_run *run, const struct sf_error *why, struct sf_error *err)
{
        struct sf_transaction *record = &run->record;

        if (run->what->back && run->ran && strcmp(record->from, record->to) != 0)
                snprintf(record->home, sizeof record->home, "%s", record->from);
        else if (run->what->back)
                return sf_error_set(err, SF_ERR_FAILED, "%s; this was the way back already", why->text);
        if (!*record->home)
                return sf_error_set(err, SF_ERR_FAILED, "%s; there is no release to go back to", why->text);
        /* For a crash on the way. Where it cannot be written, recovery goes to the same places in another order. */
        if (run->what->back && sf_transaction_write(run->config->state, record, NULL) < 0)
                sf_log_warning("the record of this switch could not be written again");
        return 0;
}

/* slurmctld of the new series has the state: the node stays where it is, and a human chooses. */
static void stay(struct sf_switch_run *run, const struct sf_error *why, const struct sf_error *choice,
                 struct sf_error *err)
{
        if (save_switch(run, SF_RESULT_NEEDS_HUMAN, err) == 0)
                sf_error_set(err, SF_ERR_FAILED, "%.900s. %s", why->text, choice->text);
}

/* Neither unit file nor view are other than they were; the state of a slurmctld that does not run may be. */
static int leave_unchanged(struct sf_switch_run *run, struct sf_error *err)
{
        struct sf_error why = SF_ERROR_INIT;
        int r = sf_controller_return(&run->live.ctld, &why);

        if (r == 0) {
                sf_expected_units_remove(run->config->state, NULL);
                r = end_record(run, &why);
        }
        if (r < 0)
                sf_error_prefix(err, "%s", why.text);
        return r < 0 ? SF_EXIT_HUMAN : SF_EXIT_FAILED;
}

/* The exit code; what to say is in *err. */
static int go_back(struct sf_switch_run *run, const struct sf_error *why, struct sf_error *err)
{
        struct sf_error choice = SF_ERROR_INIT;

        *err = *why;
        if (run->record.step == SF_STEP_ACTIVATE && !run->live.changed)
                return leave_unchanged(run, err);
        int r = sf_controller_may_return(&run->live.ctld, run->to.name.version, &choice);
        if (r > 0)
                r = sf_database_may_return(&run->live.dbd, &choice);
        if (r < 0) {
                sf_error_set(err, r, "%s; whether slurmctld has taken over its state is not known: %s", why->text,
                             choice.text);
                return SF_EXIT_HUMAN;
        }
        if (r == 0) {
                stay(run, why, &choice, err);
                return SF_EXIT_HUMAN;
        }
        r = choose_home(run, why, err);
        if (r < 0) {
                /* view and unit are home: what is wrong with slurmd there is not for another switch to mend. */
                if (run->what->back && run->record.step != SF_STEP_ACTIVATE)
                        save_switch(run, SF_RESULT_NEEDS_HUMAN, NULL);
                return SF_EXIT_HUMAN;
        }
        sf_log_warning("%s failed at %s: %s; going back to %s", run->report.to, sf_step_name(run->report.step),
                       why->text, run->record.home);
        r = sf_recovery_return(&run->live, &run->record, err);
        if (r < 0) {
                sf_error_prefix(err, "%s; and the way back to %s failed", why->text, run->record.home);
                return SF_EXIT_HUMAN;
        }
        *err = *why;
        remember_failure(run, why);
        sf_expected_units_remove(run->config->state, NULL);
        if (end_record(run, err) == 0)
                return SF_EXIT_RETURNED;
        sf_error_prefix(err, "%s; back on %s, but the record of the switch stays", why->text, run->record.home);
        return SF_EXIT_HUMAN;
}

/* What "sf-node log" shows: every run that had the lock and would have switched. */
static void record_end(struct sf_switch_run *run, enum sf_result result, const struct sf_error *why)
{
        struct sf_error err = SF_ERROR_INIT;

        if (run->config->dry_run || !run->what->flip || run->lock < 0 || (why && why->code == SF_ERR_USAGE))
                return;
        if (sf_history_add(run->config->state, &run->report, result, why, &err) < 0)
                sf_log_detail("%s", err.text);
}

static int report_failure(struct sf_switch_run *run, int code, const struct sf_error *why)
{
        record_end(run,
                   code == SF_EXIT_RETURNED ? SF_RESULT_RETURNED
                   : code == SF_EXIT_HUMAN  ? SF_RESULT_NEEDS_HUMAN
                                            : SF_RESULT_FAILED,
                   why);
        return sf_report_failed(&run->report, code, why);
}

static int finish_failed(struct sf_switch_run *run, const struct sf_error *why, int code)
{
        struct sf_error final = *why;

        if (run->recorded) {
                code = go_back(run, why, &final);
                sf_active_note(&run->store, &run->report);
                if (code != SF_EXIT_FAILED)
                        sf_journal_send(code == SF_EXIT_RETURNED ? SF_JOURNAL_RETURNED : SF_JOURNAL_STUCK,
                                        run->record.from, run->record.to, final.text);
        }
        run->report.downtime = run->live.downtime;
        return report_failure(run, code, &final);
}

/* --- beginning and end ----------------------------------------------------------------------------------------- */

/* What runs decides what this is a step from, not what view says: an install may have changed view without a
 * restart. */
static int find_from(struct sf_switch_run *run, struct sf_error *err)
{
        char running[128];

        if (sf_activate_current(&run->store, run->view, NULL) < 0)
                run->view[0] = '\0';
        sf_node_switch_running(&run->live, running);
        const char *directory = *running ? running : run->view;
        run->ran = *running != '\0';
        if (*directory && sf_store_find(&run->store, directory, &run->from, err) < 0) {
                sf_log_detail("%s", err->text);
                run->from = (struct sf_store_release){ 0 };
                sf_error_clear(err);
        }
        if (*running && strcmp(running, run->view) != 0)
                snprintf(run->report.from, sizeof run->report.from, "%s", run->from.name.text);
        return 0;
}

static int open_services(struct sf_switch_run *run, struct sf_error *err)
{
        int r = sf_node_switch_open(run->config, &run->store, &run->live, err);

        if (r != SF_ERR_IO || run->what->restart)
                return r;
        sf_log_warning("%s: systemd will not know of a changed unit file before it is reloaded", err->text);
        sf_error_clear(err);
        return 0;
}

/* Everything a run looks at before its first step; the lock comes after the active release is known, so that one who
 * does not get it can still say what the node is on. */
static int open_run(struct sf_switch_run *run, int *ret_code, struct sf_error *err)
{
        int r = sf_store_open(run->config->root, run->config->prefix, &run->store, err);

        if (r < 0)
                return r;
        sf_active_note(&run->store, &run->report);
        if (run->what->bytes)
                sf_repository_wait(run->config);
        r = sf_recovery_begin(run->config, &run->store, &run->report, &run->lock, ret_code, err);
        if (r == 0)
                r = run->config->dry_run ? sf_state_load(run->config->state, &run->state, err)
                                         : sf_state_load_or_set_aside(run->config->state, &run->state, err);
        if (r == 0)
                r = open_services(run, err);
        if (r == 0)
                r = find_from(run, err);
        return r < 0 ? r : sf_switch_run_find_adoption(run, err);
}

/* --dry-run: costs and steps, by what would be done. */
static void tell_plan(struct sf_switch_run *run)
{
        char text[160] = "";

        for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
                if (steps[i].run == run_init && !run->boot.count)
                        continue;
                bool bytes = steps[i].run == run_fetch,
                     restart = steps[i].run == run_restart || steps[i].run == run_health || steps[i].run == run_quiet ||
                               steps[i].run == run_drain;
                if ((bytes && (!run->what->bytes || run->offer.plan.way == SF_FETCH_PLAN_NOTHING)) ||
                    (restart && !(run->what->restart && run->live.bus)) || (!run->what->flip && !bytes && i > 0))
                        continue;
                strcat(text, i ? ", " : "");
                strcat(text, bytes ? "fetch, verify, unpack, relocate" : sf_step_name(steps[i].step));
        }
        if (sf_output_is_json()) {
                run->report.details = json_pack("{s:b,s:o}", "dry_run", true, "plan",
                                                sf_candidate_json(&run->offer, text));
                if (run->config->init.wanted)
                        json_object_set_new(run->report.details, "init", sf_first_boot_json(&run->boot));
                return;
        }
        sf_candidate_print(&run->offer, run->report.to, text);
        if (run->config->init.wanted)
                sf_first_boot_print(&run->boot);
}

/* What was brought here for later is kept by gc until then. */
static void remember_staged(struct sf_switch_run *run)
{
        if (run->what->flip || run->config->dry_run || strcmp(run->view, run->to.directory) == 0 ||
            strcmp(run->state.staged[0], run->to.directory) == 0)
                return;
        sf_state_stage(&run->state, run->to.directory);
        save_state(run);
}

static int finish_done(struct sf_switch_run *run)
{
        char summary[512];

        if (run->config->dry_run) {
                tell_plan(run);
        } else {
                remember_staged(run);
                run->report.step = SF_STEP_DONE;
        }
        run->report.downtime = run->live.downtime;
        run->report.result = (run->unchanged && !run->boot.count) ||
                                             (!run->what->flip && run->offer.plan.way == SF_FETCH_PLAN_NOTHING)
                                     ? SF_RESULT_UNCHANGED
                                     : SF_RESULT_DONE;
        if (run->report.result == SF_RESULT_DONE)
                record_end(run, SF_RESULT_DONE, NULL);
        sf_switch_run_summarize(run, summary, sizeof summary);
        return sf_report_done(&run->report, run->config->dry_run ? NULL : summary);
}

static int finish_second_half(struct sf_switch_run *run)
{
        struct sf_error err = SF_ERROR_INIT;
        int r = run_steps(run, SECOND, &err);

        return r < 0 ? finish_failed(run, &err, 0) : finish_done(run);
}

/* The second half was killed. systemd has started recovery in its place, or it is for us. */
static int pick_up(struct sf_switch_run *run, struct sf_error *why)
{
        const struct timespec pause = { 1, 0 };
        struct sf_error err = SF_ERROR_INIT;
        char note[SF_RECOVERY_NOTE] = "";
        int code = SF_EXIT_RETURNED, r;

        for (int i = 0; (r = run->lock = sf_lock_take(run->config->state, &err)) == SF_ERR_BUSY; i++) {
                if (i == PICK_UP_SECONDS)
                        break;
                nanosleep(&pause, NULL);
        }
        sf_store_forget(&run->store);
        if (r >= 0)
                r = sf_recovery_run(run->config, &run->store, false, note, &err);
        if (r < 0) {
                sf_error_prefix(&err, "%s", why->text);
                *why = err;
                code = SF_EXIT_HUMAN;
        } else if (*note) {
                sf_log_warning("%s", note);
        }
        sf_active_note(&run->store, &run->report);
        run->report.step = SF_STEP_RECOVER;
        if (code == SF_EXIT_RETURNED && strcmp(run->report.still, run->report.to) == 0)
                return finish_done(run);
        return report_failure(run, code, why);
}

/* Beyond the caller's reach where that is possible; else here, deaf to signals. */
static int hand_over(struct sf_switch_run *run)
{
        struct sf_error err = SF_ERROR_INIT;
        _cleanup_json_ json_t *letter = sf_switch_run_pack(run);
        int code = SF_EXIT_FAILED;
        int r = letter ? sf_handover_run(run->config, run->live.bus, letter, &run->lock, &code, &err)
                       : sf_error_set(&err, SF_ERR_UNSUPPORTED, "no memory for a letter");

        if (r == 0)
                return code;
        if (r != SF_ERR_UNSUPPORTED)
                return pick_up(run, &err);
        sf_log_detail("%s: the switch goes on in this process", err.text);
        sf_handover_shield();
        return finish_second_half(run);
}

static int first_half(struct sf_switch_run *run)
{
        struct sf_error err = SF_ERROR_INIT;
        int code = 0;

        snprintf(run->report.to, sizeof run->report.to, "%s", run->what->wanted ? run->what->wanted : "");
        int r = open_run(run, &code, &err);
        if (r == 0)
                r = run_steps(run, FIRST, &err);
        run->report.bytes_fetched = sf_candidate_bytes(&run->offer);
        /* Only with the lock: another run's drain is that run's. */
        if (r < 0 && run->lock >= 0 && !run->config->dry_run)
                sf_node_switch_resume(&run->live);
        if (r < 0)
                return finish_failed(run, &err, code);
        return run->config->dry_run || !run->what->flip || run->unchanged ? finish_done(run) : hand_over(run);
}

static int second_half(struct sf_switch_run *run)
{
        struct sf_error err = SF_ERROR_INIT;
        _cleanup_json_ json_t *letter = NULL;
        int r = sf_handover_receive(&letter, &run->lock, &err);

        if (r == 0)
                sf_lock_adopt(run->lock);
        if (r == 0)
                r = sf_store_open(run->config->root, run->config->prefix, &run->store, &err);
        if (r == 0)
                r = sf_state_load(run->config->state, &run->state, &err);
        if (r == 0)
                r = open_services(run, &err);
        run->report.step = SF_STEP_ACTIVATE;
        if (r == 0)
                r = sf_switch_run_unpack(run, letter, &err);
        if (r == 0)
                r = sf_switch_run_find_adoption(run, &err);
        if (r == 0)
                r = sf_candidate_local(run->config, &run->offer, &err);
        if (r == 0 && run->what->restart)
                sf_node_switch_ask(&run->live);
        /* Asked again, for much may have happened since: and the answers are needed here. */
        if (r == 0)
                r = plan_controllers(run, run->to.name.version, &err);
        int code = r < 0 ? finish_failed(run, &err, 0) : finish_second_half(run);
        /* A node that nobody can use stays drained: a human looks at it first. */
        if (code != SF_EXIT_HUMAN)
                sf_node_switch_resume(&run->live);
        return sf_handover_finish(code);
}

int sf_switch_run(const struct sf_switch *what)
{
        struct sf_switch_run run = { .what = what, .config = what->config, .live = { .downtime = -1 }, .lock = -1 };

        sf_report_start(&run.report, what->verb);
        int code = sf_handover_is_second() ? second_half(&run) : first_half(&run);
        json_decref(run.report.details);
        sf_candidate_close(&run.offer);
        sf_first_boot_free(&run.boot);
        sf_node_switch_close(&run.live);
        sf_adoption_free(&run.adoption);
        sf_store_close(&run.store);
        if (run.lock >= 0)
                close(run.lock);
        return code;
}
