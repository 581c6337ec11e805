/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/switch.c - the story of a switch: a table of steps with their undo. Until "activate" nothing is
 * visible and a failure ends the run; from then on a record on the disk says where home is, and a failure goes back
 * there. */
#include "agent/switch/switch.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "agent/node/journal.h"
#include "agent/switch/node_switch.h"
#include "agent/node/lock.h"
#include "agent/acquire/candidate.h"
#include "agent/switch/expected_units.h"
#include "agent/switch/preflight.h"
#include "agent/switch/recovery.h"
#include "agent/node/state.h"
#include "agent/node/active.h"
#include "agent/switch/transaction.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/output.h"
#include "installer/activate.h"

/* What the steps share. */
struct run {
        const struct sf_switch *what;
        const struct sf_config *config;
        struct sf_store store;
        struct sf_report report;
        struct sf_state state;
        struct sf_node_switch live;
        struct sf_candidate offer;    /* the repository's side; closed where `bytes` is false */
        struct sf_store_release from; /* directory "" where none is active */
        struct sf_store_release to;
        struct sf_transaction record;
        bool recorded;  /* the record is on the disk: from here on failure means going home */
        bool unchanged; /* there was nothing to do */
};

static struct sf_preflight preflight_of(struct run *run, const char *to_version)
{
        return (struct sf_preflight){
                .live = &run->live,
                .rows = run->offer.rows,
                .from = run->from.directory,
                .from_version = run->from.foreign ? "" : run->from.name.version,
                .to_version = to_version,
                .back = run->what->back,
        };
}

/* Which release is meant, and is it worth the trouble? */
static int run_plan(struct run *run, struct sf_error *err)
{
        const struct sf_switch *what = run->what;
        const char *wanted = what->wanted ? what->wanted : what->back ? run->state.previous : "";
        int r;

        if (what->back && !*wanted)
                return sf_error_set(err, SF_ERR_USAGE, "there is no release before this one to go back to");
        r = what->bytes
                    ? sf_candidate_open(run->config, &run->store, wanted, &run->from, &run->report, &run->offer, err)
                    : sf_candidate_local(run->config, &run->offer, err);
        if (r == 0 && !what->bytes)
                r = sf_store_choose(&run->store, wanted, &run->to, err);
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
        struct sf_preflight preflight = preflight_of(run, name->version);
        r = sf_preflight_gate(&preflight, err);
        return r < 0 ? r
                     : sf_node_switch_plan(&run->live, run->offer.rows, preflight.from_version, name->version,
                                           what->restart, err);
}

/* Download, verify, decompress, unpack and relocate: one pass, so one step; the report says which part it is in. */
static int run_fetch(struct run *run, struct sf_error *err)
{
        if (!run->what->bytes)
                return 0;
        int r = sf_candidate_acquire(run->config, &run->store, &run->offer, &run->report, err);
        return r < 0 ? r : sf_store_choose(&run->store, run->offer.release->name.text, &run->to, err);
}

/* Active already, with every service in its tree: nothing more to do. */
static bool is_settled(struct run *run)
{
        return strcmp(run->from.directory, run->to.directory) == 0 &&
               !(run->what->restart && sf_node_switch_runs_elsewhere(&run->live, run->to.directory));
}

static int run_preflight(struct run *run, struct sf_error *err)
{
        if (!run->what->flip)
                return 0;
        run->unchanged = is_settled(run);
        struct sf_preflight preflight = preflight_of(run, run->to.name.version);
        return run->unchanged ? 0 : sf_preflight_run(&preflight, &run->to, err);
}

/* A directory at view, made by hand before us, is kept as a release of its own: it becomes home. */
static int adopt(struct run *run, struct sf_error *err)
{
        char date[16];
        time_t now = time(NULL);
        struct tm utc;

        strftime(date, sizeof date, "%Y%m%d", gmtime_r(&now, &utc));
        int r = sf_activate_adopt(&run->store, date, run->record.from, err);
        if (r < 0)
                return r;
        sf_log_info("kept the directory %s/view as release %s", run->store.prefix, run->record.from);
        snprintf(run->record.home, sizeof run->record.home, "%s", run->record.from);
        return sf_transaction_write(run->config->state, &run->record, err);
}

static int note_step(struct run *run, enum sf_step step, struct sf_error *err)
{
        run->record.step = step;
        return sf_transaction_write(run->config->state, &run->record, err);
}

static int run_activate(struct run *run, struct sf_error *err)
{
        char current[128] = "";

        if (!run->what->flip || run->unchanged)
                return 0;
        int r = sf_node_switch_begin(&run->live, run->from.directory, err);
        if (r < 0)
                return r;
        snprintf(run->record.verb, sizeof run->record.verb, "%s", run->what->verb);
        snprintf(run->record.from, sizeof run->record.from, "%s", run->from.directory);
        snprintf(run->record.to, sizeof run->record.to, "%s", run->to.directory);
        snprintf(run->record.home, sizeof run->record.home, "%s",
                 run->what->back ? run->to.directory : run->from.directory);
        r = note_step(run, SF_STEP_ACTIVATE, err);
        if (r < 0)
                return r;
        run->recorded = true;
        r = sf_activate_current(&run->store, current, err);
        if (r == SF_ERR_EXISTS)
                r = adopt(run, err);
        if (r == 0 && !run->live.ctld.runs)
                r = sf_controller_exchange(&run->live.ctld, err);
        return r < 0 ? r : sf_node_switch_place(&run->live, run->record.from, &run->to, run->what->back, err);
}

static int run_restart(struct run *run, struct sf_error *err)
{
        if (!run->what->flip || !run->what->restart || run->unchanged)
                return 0;
        int r = note_step(run, SF_STEP_RESTART, err);
        return r < 0 ? r : sf_node_switch_restart(&run->live, run->to.directory, err);
}

static int run_health(struct run *run, struct sf_error *err)
{
        if (!run->what->flip || !run->what->restart || run->unchanged)
                return 0;
        int r = note_step(run, SF_STEP_HEALTH, err);
        if (r == 0)
                r = sf_node_switch_health(&run->live, &run->to, !run->what->back, err);
        if (r == 0 && *run->live.proof.node) {
                sf_health_describe(&run->live.proof, run->report.proof, sizeof run->report.proof);
                sf_log_info("%s", run->report.proof);
        }
        return r;
}

static int save_switch(struct run *run, enum sf_result result, struct sf_error *err)
{
        snprintf(run->state.active, sizeof run->state.active, "%s", run->to.directory);
        if (strcmp(run->record.from, run->to.directory) != 0)
                snprintf(run->state.previous, sizeof run->state.previous, "%s", run->record.from);
        sf_state_note(&run->state, &run->report, result);
        int r = sf_state_save(run->config->state, &run->state, err);
        if (r == 0)
                r = sf_controller_end(run->config, err);
        return r < 0 ? r : sf_transaction_end(run->config->state, err);
}

static int run_done(struct run *run, struct sf_error *err)
{
        if (!run->recorded)
                return 0;
        int r = sf_transaction_forget_failed(run->config->state, &run->to.tree, err);
        if (r == 0)
                r = save_switch(run, SF_RESULT_DONE, err);
        if (r == 0)
                r = sf_expected_units_remove(run->config->state, err);
        if (r < 0)
                return r;
        _cleanup_free_ char *text = sf_format("%s: switched from %s to %s", run->what->verb,
                                              *run->record.from ? run->record.from : "nothing", run->to.directory);
        sf_journal_send(SF_JOURNAL_SWITCHED, run->record.from, run->to.directory, text ? text : run->to.directory);
        return 0;
}

static const struct step {
        enum sf_step step;
        int (*run)(struct run *run, struct sf_error *err);
} steps[] = {
        { SF_STEP_PLAN, run_plan },         { SF_STEP_FETCH, run_fetch },     { SF_STEP_PREFLIGHT, run_preflight },
        { SF_STEP_ACTIVATE, run_activate }, { SF_STEP_RESTART, run_restart }, { SF_STEP_HEALTH, run_health },
        { SF_STEP_DONE, run_done },
};

/* slurmctld of the new series has the state: the node stays where it is, and a human chooses. */
static int stay(struct run *run, const struct sf_error *why, const struct sf_error *choice, struct sf_error *err)
{
        int r = save_switch(run, SF_RESULT_NEEDS_HUMAN, err);

        return r < 0 ? r : sf_error_set(err, SF_ERR_FAILED, "%.900s. %s", why->text, choice->text);
}

/* A step after the switch failed. Home is the release before, except for a rollback, whose goal is home already. */
static int go_back(struct run *run, const struct sf_error *why, struct sf_error *err)
{
        const char *home = run->record.home;
        struct sf_error choice = SF_ERROR_INIT;
        int r = sf_controller_may_return(&run->live.ctld, run->to.name.version, &choice);

        if (r == 0 && !run->what->back)
                return stay(run, why, &choice, err);
        if (r < 0)
                return sf_error_set(err, r, "%s; whether slurmctld has taken over its state is not known: %s",
                                    why->text, choice.text);
        sf_log_warning("%s failed at %s: %s; going back to %s", run->report.to, sf_step_name(run->report.step),
                       why->text, *home ? home : "nothing");
        if (!*home)
                return sf_error_set(err, SF_ERR_FAILED, "%s; there is no release to go back to", why->text);
        if (run->what->back) {
                /* Once services were touched, view and unit are home; what is wrong with slurmd there is not for
                 * another switch to mend. Before, the record stays: the next start finishes what it says. */
                r = run->record.step != SF_STEP_ACTIVATE ? save_switch(run, SF_RESULT_NEEDS_HUMAN, err) : 0;
                return r < 0 ? r : sf_error_set(err, SF_ERR_FAILED, "%s; this was the way back already", why->text);
        }
        r = sf_recovery_return(&run->live, &run->record, err);
        if (r < 0)
                return sf_error_prefix(err, "%s; and the way back to %s failed", why->text, home);
        r = sf_transaction_mark_failed(run->config->state, &run->to.tree, why->text, err);
        if (r == 0) {
                sf_state_note(&run->state, &run->report, SF_RESULT_RETURNED);
                r = sf_state_save(run->config->state, &run->state, err);
        }
        if (r == 0)
                r = sf_expected_units_remove(run->config->state, err);
        return r < 0 ? r : sf_transaction_end(run->config->state, err);
}

/* --dry-run: costs and steps, by what would be done. */
static void tell_plan(struct run *run)
{
        char text[128] = "";

        for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
                bool bytes = steps[i].run == run_fetch,
                     restart = steps[i].run == run_restart || steps[i].run == run_health;
                if ((bytes && (!run->what->bytes || run->offer.plan.way == SF_FETCH_PLAN_NOTHING)) ||
                    (restart && !(run->what->restart && run->live.bus)) || (!run->what->flip && !bytes && i > 0))
                        continue;
                strcat(text, i ? ", " : "");
                strcat(text, bytes ? "fetch, verify, unpack, relocate" : sf_step_name(steps[i].step));
        }
        if (sf_output_is_json())
                run->report.details = json_pack("{s:b,s:o}", "dry_run", true, "plan",
                                                sf_candidate_json(&run->offer, text));
        else
                sf_candidate_print(&run->offer, run->report.to, text);
}

/* Everything a run looks at before its first step; the lock comes after the active release is known, so that one who
 * does not get it can still say what the node is on. */
static int open_run(struct run *run, int *lock, struct sf_error *err)
{
        char note[512];
        int r = sf_store_open(run->config->root, run->config->prefix, &run->store, err);

        if (r < 0)
                return r;
        sf_active_note(&run->store, &run->report);
        r = *lock = sf_lock_take(run->config->state, err);
        if (r >= 0)
                r = sf_recovery_run(run->config, &run->store, false, note, err);
        if (r > 0) {
                sf_log_warning("%s", note);
                sf_active_note(&run->store, &run->report);
        }
        if (r >= 0)
                r = sf_state_load(run->config->state, &run->state, err);
        if (r == 0 && sf_active_find(&run->store, &run->from, NULL) < 0)
                run->from = (struct sf_store_release){ 0 };
        return r < 0 ? r : sf_node_switch_open(run->config, &run->store, &run->live, err);
}

static void summarize(const struct run *run, char *out, size_t room)
{
        char fetched[32], away[64] = "";

        if (run->report.downtime >= 0)
                snprintf(away, sizeof away, "; slurmd was away for %.3f s", run->report.downtime);
        if (run->report.result == SF_RESULT_UNCHANGED)
                snprintf(out, room, "%s is %s already: nothing to do", run->report.to,
                         run->what->flip ? "active" : "installed");
        else if (!run->what->flip)
                snprintf(out, room, "%s installed in %.1f s, %s fetched; 'sf-node activate %s' makes it the active one",
                         run->report.to, sf_clock_seconds() - run->report.started,
                         sf_log_size(run->report.bytes_fetched, fetched), run->report.to);
        else
                snprintf(out, room, "%s is active, %s fetched%s; %s/view/bin/scontrol is it", run->report.to,
                         sf_log_size(run->report.bytes_fetched, fetched),
                         run->what->restart && run->live.bus && run->report.downtime < 0 && !run->live.slurmd.main_pid
                                 ? "; slurmd did not run and is left so"
                                 : away,
                         run->store.prefix);
}

static int finish_failed(struct run *run, const struct sf_error *why)
{
        struct sf_error err = SF_ERROR_INIT;
        int code = 0;

        run->report.downtime = run->live.downtime;
        if (run->recorded) {
                struct sf_error final = *why;
                int r = go_back(run, why, &err);
                run->report.downtime = run->live.downtime;
                sf_active_note(&run->store, &run->report);
                code = r < 0 ? SF_EXIT_HUMAN : SF_EXIT_RETURNED;
                final = r < 0 ? err : *why;
                sf_journal_send(r < 0 ? SF_JOURNAL_STUCK : SF_JOURNAL_RETURNED, run->record.from, run->record.to,
                                final.text);
                return sf_report_failed(&run->report, code, &final);
        }
        return sf_report_failed(&run->report, code, why);
}

int sf_switch_run(const struct sf_switch *upgrade)
{
        struct run run = { .what = upgrade, .config = upgrade->config, .live = { .downtime = -1 } };
        struct sf_error err = SF_ERROR_INIT;
        _cleanup_close_ int lock = -1;
        char summary[512];
        int r, code;

        sf_report_start(&run.report, upgrade->verb);
        snprintf(run.report.to, sizeof run.report.to, "%s", upgrade->wanted ? upgrade->wanted : "");
        run.report.step = SF_STEP_PLAN;
        r = open_run(&run, &lock, &err);
        for (size_t i = 0; r >= 0 && i < sizeof steps / sizeof *steps; i++) {
                run.report.step = steps[i].step;
                r = steps[i].run(&run, &err);
                if (upgrade->config->dry_run && r >= 0) {
                        tell_plan(&run);
                        break;
                }
        }
        run.report.bytes_fetched = sf_candidate_bytes(&run.offer);
        if (r < 0) {
                code = finish_failed(&run, &err);
        } else {
                run.report.downtime = run.live.downtime;
                run.report.result = run.unchanged || (!upgrade->flip && run.offer.plan.way == SF_FETCH_PLAN_NOTHING)
                                            ? SF_RESULT_UNCHANGED
                                            : SF_RESULT_DONE;
                summarize(&run, summary, sizeof summary);
                code = sf_report_done(&run.report, upgrade->config->dry_run ? NULL : summary);
        }
        json_decref(run.report.details);
        sf_candidate_close(&run.offer);
        sf_node_switch_close(&run.live);
        sf_store_close(&run.store);
        return code;
}
