/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/switch-steps.c - the steps of a switch, in the order of the table in switch.c. */
#include "agent/switch/switch.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include "agent/node/journal.h"
#include "agent/node/lease.h"
#include "agent/node/lock.h"
#include "agent/switch/expected_units.h"
#include "agent/switch/preflight.h"
#include "agent/switch/run.h"
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/stop.h"
#include "installer/activate.h"

#define SHARED_WAIT_SECONDS 3600 /* for another node that writes into the same releases/ */
#define QUIET_PAUSE_MS      100

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

/* A node may have others all the same: an image with several, or a state that is empty at each boot. */
static int refuse_rollback(const struct sf_switch_run *run, struct sf_error *err)
{
        static const char none[] = "there is no release before this one to go back to";
        _cleanup_(sf_buffer_free) struct sf_buffer others = SF_BUFFER_INIT;
        _cleanup_free_ struct sf_store_release *all = NULL;
        size_t count;
        int r = sf_store_list(&run->store, &all, &count, err);

        for (size_t i = 0; r == 0 && i < count; i++)
                if (strcmp(all[i].directory, run->view) != 0)
                        r = sf_buffer_printf(&others, err, "%s%s", others.len ? ", " : "", all[i].name.text);
        if (r == 0 && others.len)
                return sf_error_set(err, SF_ERR_USAGE, "%s on record here; 'sf-node activate' goes to %s", none,
                                    sf_buffer_text(&others));
        return r < 0 ? r : sf_error_set(err, SF_ERR_USAGE, "%s", none);
}

static int choose(struct sf_switch_run *run, struct sf_error *err)
{
        const struct sf_switch *what = run->what;
        const char *wanted = what->wanted;

        if (sf_switch_run_ask_policy(run, &wanted))
                return 0;
        wanted = wanted ? wanted : "";
        int r;
        if (what->bytes) {
                r = sf_candidate_open(run->config, &run->store, wanted, &run->from, &run->report, &run->offer, err);
                return r == SF_ERR_NOT_FOUND && *wanted && !what->wanted ? sf_error_prefix(err, "[policy] %s", wanted)
                                                                         : r;
        }
        r = sf_candidate_local(run->config, &run->offer, err);
        if (r < 0 || !what->back)
                return r < 0 ? r : sf_store_choose(&run->store, wanted, &run->to, err);
        if (!*run->state.previous)
                return refuse_rollback(run, err);
        return sf_store_find(&run->store, run->state.previous, &run->to, err);
}

int sf_switch_run_plan_controllers(struct sf_switch_run *run, const char *to_version, struct sf_error *err)
{
        const struct sf_node_plan plan = {
                .rows = run->offer.rows,
                .from_version = run->from.name.version,
                .to_version = to_version,
                .restart = run->what->restart,
        };

        return sf_node_switch_plan(&run->live, &plan, err);
}

/* What the steps fetch and drain would be refused for. */
static int check_steps_ahead(const struct sf_switch_run *run, struct sf_error *err)
{
        if (run->what->bytes && run->offer.plan.way != SF_FETCH_PLAN_NOTHING && sf_fs_is_read_only(run->store.releases))
                return sf_error_set(err, SF_ERR_IO, "%s is not in %s and cannot be put there: %s", run->report.to,
                                    run->store.releases, strerror(EROFS));
        return run->what->restart ? sf_node_switch_may_drain(&run->live, err) : 0;
}

/* --dry-run: what would speak against it, as far as can be known before it is fetched. */
static int rehearse(struct sf_switch_run *run, const struct sf_preflight *preflight, struct sf_error *err)
{
        const struct sf_index_release *release = run->offer.release;
        const struct sf_store_release before = run->to;

        if (run->what->bytes) {
                run->to = (struct sf_store_release){ .name = release->name };
                snprintf(run->to.unit, sizeof run->to.unit, "%s", release->unit);
                if (run->offer.plan.way == SF_FETCH_PLAN_NOTHING)
                        sf_store_find_tree(&run->store, &release->name, &release->tree, &run->to, NULL);
        }
        run->unchanged = *run->to.directory && sf_switch_run_is_settled(run); /* "" twice: neither is here */
        int r = run->unchanged ? 0 : check_steps_ahead(run, err);
        if (r == 0 && !run->unchanged)
                r = sf_preflight_run(preflight, &run->to, err);
        run->to = before;
        return r;
}

/* Which release is meant, and is it worth the trouble? */
int sf_switch_step_plan(struct sf_switch_run *run, struct sf_error *err)
{
        const struct sf_switch *what = run->what;
        int r = run->config->init.wanted ? sf_first_boot_plan(run->config, &run->boot, err) : 0;

        if (r == 0)
                r = choose(run, err);
        if (r == 0)
                r = sf_switch_run_check_origin(run, err);
        if (r < 0)
                return r;
        const struct sf_release_name *name = run->offer.release ? &run->offer.release->name : &run->to.name;
        snprintf(run->report.to, sizeof run->report.to, "%s", *name->text ? name->text : run->to.directory);
        if (run->unchanged)
                return 0;
        r = sf_switch_run_judge(run, name, err);
        /* Before anything is fetched; the steps after this one know whether there is anything to switch. */
        bool there = !what->bytes || run->offer.plan.way == SF_FETCH_PLAN_NOTHING;
        if (r == 0 &&
            !(there && strcmp(run->view, what->bytes ? run->offer.plan.target.directory : run->to.directory) == 0))
                r = sf_switch_run_window(run, err);
        if (r < 0)
                return r;
        r = run->config->force || what->back
                    ? 0
                    : sf_transaction_check_failed(run->config->state,
                                                  what->bytes ? &run->offer.release->tree : &run->to.tree, err);
        if (r < 0 || !what->flip)
                return r;
        run->report.step = SF_STEP_PREFLIGHT;
        sf_node_switch_ask(&run->live, true);
        struct sf_preflight preflight = preflight_of(run, name->version);
        r = what->restart && !*run->to.origin
                    ? sf_preflight_commands(&preflight, what->bytes ? run->offer.release->unit : run->to.unit, err)
                    : 0;
        if (r == 0)
                r = sf_preflight_gate(&preflight, err);
        if (r == 0)
                r = sf_switch_run_plan_controllers(run, name->version, err);
        return r < 0 || !run->config->dry_run ? r : rehearse(run, &preflight, err);
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
int sf_switch_step_fetch(struct sf_switch_run *run, struct sf_error *err)
{
        _cleanup_close_ int releases = -1;

        if (!run->what->bytes || run->unchanged)
                return 0;
        int r = lock_releases(run, &releases, err);
        if (r < 0)
                return r;
        r = sf_candidate_acquire(run->config, &run->store, &run->offer, &run->report, err);
        const struct sf_index_release *release = run->offer.release;
        return r < 0 ? r : sf_store_find_tree(&run->store, &release->name, &release->tree, &run->to, err);
}

int sf_switch_step_preflight(struct sf_switch_run *run, struct sf_error *err)
{
        if (!run->what->flip)
                return 0;
        run->unchanged = sf_switch_run_is_settled(run);
        struct sf_preflight preflight = preflight_of(run, run->to.name.version);
        int r = sf_switch_run_window(run, err);
        return r < 0 || run->unchanged ? r : sf_preflight_run(&preflight, &run->to, err);
}

/* install --init. What is made stays where a later step fails: it is in nobody's way, and the next run needs it. */
int sf_switch_step_init(struct sf_switch_run *run, struct sf_error *err)
{
        bool units;

        if (!run->config->init.wanted)
                return 0;
        int r = sf_first_boot_apply(&run->boot, &run->store, &run->to, &units, err);
        return r == 0 && units && run->live.bus ? sf_service_reload(run->live.bus, err) : r;
}

/* slurmd does not end before its prologs and epilogs have: they are waited for while it still answers. */
int sf_switch_step_drain(struct sf_switch_run *run, struct sf_error *err)
{
        char reason[256];

        if (!run->what->flip || !run->what->restart || run->unchanged)
                return 0;
        snprintf(reason, sizeof reason, "sf-node %s to %s", run->what->verb, run->to.directory);
        return sf_node_switch_drain(&run->live, reason, err);
}

int sf_switch_step_quiet(struct sf_switch_run *run, struct sf_error *err)
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
        int r = sf_transaction_write(run->config->record, &record, err);
        if (r == 0)
                run->record = record;
        return r;
}

/* A directory at view, made by hand before us, is kept as a release of its own: it becomes home. */
static int adopt(struct sf_switch_run *run, struct sf_error *err)
{
        char date[SF_CLOCK_STAMP];
        int r = sf_activate_adopt(&run->store, sf_clock_date(time(NULL), date), run->record.from, err);

        if (r < 0)
                return r;
        run->live.changed = true;
        sf_log_info("kept the directory %s/view as release %s", run->store.prefix, run->record.from);
        snprintf(run->record.home, sizeof run->record.home, "%s", run->record.from);
        return sf_transaction_write(run->config->record, &run->record, err);
}

static void fill_record(struct sf_switch_run *run)
{
        struct sf_transaction *record = &run->record;

        snprintf(record->verb, sizeof record->verb, "%s", run->what->verb);
        snprintf(record->from, sizeof record->from, "%s", run->from.directory);
        snprintf(record->to, sizeof record->to, "%s", run->to.directory);
        snprintf(record->home, sizeof record->home, "%s", run->what->back ? run->to.directory : run->from.directory);
        if (run->config->file && strlen(run->config->file) < sizeof record->config)
                strcpy(record->config, run->config->file);
        record->service_count = 0;
        const struct sf_config *config = run->live.config; /* names the units that this node has */
        for (size_t i = 0; run->live.bus && i < config->unit_count; i++)
                if (run->live.running[i] && record->service_count < SF_TRANSACTION_SERVICES_MAX &&
                    strlen(config->units[i]) < sizeof *record->services)
                        strcpy(record->services[record->service_count++], config->units[i]);
}

int sf_switch_step_activate(struct sf_switch_run *run, struct sf_error *err)
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
        /* After the record: where that could not be written, nothing is left for anybody to remove. */
        r = sf_node_switch_expect(&run->live, err);
        if (r == 0)
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

int sf_switch_step_restart(struct sf_switch_run *run, struct sf_error *err)
{
        const struct sf_node_move move = { .from = &run->from, .to = &run->to, .back = run->what->back };

        if (!run->what->flip || !run->what->restart || run->unchanged)
                return 0;
        int r = note_step(run, SF_STEP_RESTART, err);
        return r < 0 ? r : sf_node_switch_restart(&run->live, &move, err);
}

int sf_switch_step_health(struct sf_switch_run *run, struct sf_error *err)
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

int sf_switch_step_done(struct sf_switch_run *run, struct sf_error *err)
{
        if (!run->recorded)
                return 0;
        sf_transaction_forget_failed(run->config->state, &run->to.tree, NULL);
        int r = sf_switch_run_save_switch(run, SF_RESULT_DONE, err);
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
