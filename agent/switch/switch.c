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
#include "agent/node/lock.h"
#include "agent/switch/handover.h"
#include "agent/switch/recovery.h"
#include "agent/switch/run.h"
#include "base/log.h"
#include "base/output.h"
#include "installer/activate.h"

#define PICK_UP_SECONDS 660 /* for the recovery that systemd starts where the second half was killed */

/* --- the table ------------------------------------------------------------------------------------------------- */

enum half { FIRST, SECOND };

static const struct step {
        enum half half;
        enum sf_step step;
        int (*run)(struct sf_switch_run *run, struct sf_error *err);
} steps[] = {
        /* Nothing that anybody uses changes: a failure ends the run, exit 3. */
        { FIRST, SF_STEP_PLAN, sf_switch_step_plan },
        { FIRST, SF_STEP_FETCH, sf_switch_step_fetch },
        { FIRST, SF_STEP_PREFLIGHT, sf_switch_step_preflight },
        { FIRST, SF_STEP_INIT, sf_switch_step_init },
        { FIRST, SF_STEP_DRAIN, sf_switch_step_drain },
        { FIRST, SF_STEP_QUIET, sf_switch_step_quiet },
        /* Way back: unit and view. Where neither had changed yet: none, exit 3. */
        { SECOND, SF_STEP_ACTIVATE, sf_switch_step_activate },
        /* Way back: stop, unit and view, restart, health. */
        { SECOND, SF_STEP_RESTART, sf_switch_step_restart },
        { SECOND, SF_STEP_HEALTH, sf_switch_step_health },
        { SECOND, SF_STEP_DONE, sf_switch_step_done },
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

static bool restarts_any(const struct sf_switch_run *run)
{
        for (size_t i = 0; run->what->restart && run->live.bus && i < run->live.units.count; i++)
                if (run->live.running[i])
                        return true;
        return false;
}

/* Would this step do anything in this run? */
static bool has_part(const struct sf_switch_run *run, enum sf_step step)
{
        const struct sf_config *config = run->config;

        switch (step) {
        case SF_STEP_PLAN:
                return true;
        case SF_STEP_FETCH:
                return run->what->bytes && run->offer.plan.way != SF_FETCH_PLAN_NOTHING;
        case SF_STEP_INIT:
                return run->what->flip && run->boot.count;
        case SF_STEP_DRAIN:
                return run->what->flip && restarts_any(run) && (config->drain || config->when_idle);
        case SF_STEP_QUIET:
        case SF_STEP_RESTART:
        case SF_STEP_HEALTH:
                return run->what->flip && restarts_any(run);
        default:
                return run->what->flip;
        }
}

/* --dry-run: costs and steps, by what would be done; none where there is nothing to do, which the summary says. */
static void tell_plan(struct sf_switch_run *run)
{
        bool idle = run->report.result == SF_RESULT_UNCHANGED;
        char text[160] = "";

        for (size_t i = 0; !idle && i < sizeof steps / sizeof *steps; i++) {
                if (!has_part(run, steps[i].step))
                        continue;
                strcat(text, i ? ", " : "");
                strcat(text, steps[i].step == SF_STEP_FETCH ? "fetch, verify, unpack, relocate"
                                                            : sf_step_name(steps[i].step));
        }
        if (sf_output_is_json()) {
                run->report.details = json_pack("{s:b,s:o}", "dry_run", true, "plan",
                                                sf_candidate_json(&run->offer, text));
                if (run->config->init.wanted)
                        json_object_set_new(run->report.details, "init", sf_first_boot_json(&run->boot));
                return;
        }
        if (!idle)
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
        sf_switch_run_save_state(run);
}

static int finish_done(struct sf_switch_run *run)
{
        char summary[512];

        run->report.downtime = run->live.downtime;
        run->report.result = (run->unchanged && !run->boot.count) ||
                                             (!run->what->flip && run->offer.plan.way == SF_FETCH_PLAN_NOTHING)
                                     ? SF_RESULT_UNCHANGED
                                     : SF_RESULT_DONE;
        if (run->config->dry_run) {
                tell_plan(run);
        } else {
                remember_staged(run);
                run->report.step = SF_STEP_DONE;
        }
        if (run->report.result == SF_RESULT_DONE)
                sf_switch_run_tell_log(run, SF_RESULT_DONE, NULL);
        sf_switch_run_summarize(run, summary, sizeof summary);
        bool planned = run->config->dry_run && run->report.result == SF_RESULT_DONE;
        return sf_report_done(&run->report, planned ? NULL : summary);
}

static int finish_second_half(struct sf_switch_run *run)
{
        struct sf_error err = SF_ERROR_INIT;
        int r = run_steps(run, SECOND, &err);

        return r < 0 ? sf_switch_run_fail(run, &err, 0) : finish_done(run);
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
        return sf_switch_run_refuse(run, code, why);
}

/* Beyond the caller's reach where that is possible; else here, deaf to signals. */
static int hand_over(struct sf_switch_run *run)
{
        struct sf_error err = SF_ERROR_INIT;
        _cleanup_json_ json_t *letter = sf_switch_run_pack(run);
        int code = SF_EXIT_FAILED;
        const struct sf_handover what = {
                .config = run->config, .bus = run->live.bus, .letter = letter, .patient = run->live.dbd.crosses
        };
        int r = letter ? sf_handover_run(&what, &run->lock, &code, &err)
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
        /* Draining may have taken longer than the window. */
        if (r == 0 && !run->config->dry_run)
                r = sf_switch_run_window(run, &err);
        run->report.bytes_fetched = sf_candidate_bytes(&run->offer);
        /* Only with the lock: another run's drain is that run's. */
        if (r < 0 && run->lock >= 0 && !run->config->dry_run)
                sf_node_switch_resume(&run->live);
        if (r < 0)
                return sf_switch_run_fail(run, &err, code);
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
                sf_node_switch_ask(&run->live, true);
        /* Asked again, for much may have happened since: and the answers are needed here. */
        if (r == 0)
                r = sf_switch_run_plan_controllers(run, run->to.name.version, &err);
        int code = r < 0 ? sf_switch_run_fail(run, &err, 0) : finish_second_half(run);
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
