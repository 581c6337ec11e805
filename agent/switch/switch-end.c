/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/switch-end.c - what a run leaves behind: state, record and log, and the way back after a failure. */
#include "agent/switch/switch.h"

#include <stdio.h>
#include <string.h>
#include "agent/node/active.h"
#include "agent/node/history.h"
#include "agent/node/journal.h"
#include "agent/switch/expected_units.h"
#include "agent/switch/recovery.h"
#include "agent/switch/run.h"
#include "base/log.h"

/* What is only remembered does not undo a switch that works. */
void sf_switch_run_save_state(struct sf_switch_run *run)
{
        struct sf_error why = SF_ERROR_INIT;

        if (sf_state_save(run->config->state, &run->state, &why) < 0)
                sf_log_warning("%s; rollback and gc will not know of this switch", why.text);
}

/* The record first: without it nobody reads the marks, with it they decide where home is. */
int sf_switch_run_end_record(struct sf_switch_run *run, struct sf_error *err)
{
        struct sf_error why = SF_ERROR_INIT;
        int r = sf_transaction_end(run->config->record, err);

        if (r == 0 && (sf_controller_end(run->config->state, &why) < 0 || sf_database_end(run->config, &why) < 0))
                sf_log_detail("%s", why.text);
        return r;
}

/* The release that came is the one that stays. */
int sf_switch_run_save_switch(struct sf_switch_run *run, enum sf_result result, struct sf_error *err)
{
        snprintf(run->state.active, sizeof run->state.active, "%s", run->to.directory);
        if (strcmp(run->record.from, run->to.directory) != 0)
                snprintf(run->state.previous, sizeof run->state.previous, "%s", run->record.from);
        sf_state_unstage(&run->state, run->to.directory);
        sf_state_note(&run->state, &run->report, result);
        sf_switch_run_save_state(run);
        return sf_switch_run_end_record(run, err);
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
        sf_switch_run_save_state(run);
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
        if (run->what->back && sf_transaction_write(run->config->record, record, NULL) < 0)
                sf_log_warning("the record of this switch could not be written again");
        return 0;
}

/* slurmctld of the new series has the state: the node stays where it is, and a human chooses. */
static void stay(struct sf_switch_run *run, const struct sf_error *why, const struct sf_error *choice,
                 struct sf_error *err)
{
        if (sf_switch_run_save_switch(run, SF_RESULT_NEEDS_HUMAN, err) == 0)
                sf_error_set(err, SF_ERR_FAILED, "%.900s. %s", why->text, choice->text);
}

/* A service that an earlier failure left stopped is still meant to run where this run did not start it. */
static void forget_expected(const struct sf_switch_run *run)
{
        const struct sf_node_switch *live = &run->live;
        bool waits = false;

        for (size_t i = 0; run->record.step == SF_STEP_ACTIVATE && i < live->units.count; i++)
                waits |= live->running[i] && !live->units.items[i].running;
        if (!waits)
                sf_expected_units_remove(run->config->state, NULL);
}

/* Neither unit file nor view are other than they were; the state of a slurmctld that does not run may be. */
static int leave_unchanged(struct sf_switch_run *run, struct sf_error *err)
{
        struct sf_error why = SF_ERROR_INIT;
        int r = sf_controller_return(&run->live.ctld, &why);

        if (r == 0) {
                forget_expected(run);
                r = sf_switch_run_end_record(run, &why);
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
                        sf_switch_run_save_switch(run, SF_RESULT_NEEDS_HUMAN, NULL);
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
        forget_expected(run);
        if (sf_switch_run_end_record(run, err) == 0)
                return SF_EXIT_RETURNED;
        sf_error_prefix(err, "%s; back on %s, but the record of the switch stays", why->text, run->record.home);
        return SF_EXIT_HUMAN;
}

/* What "sf-node log" shows: every run that had the lock and would have switched. */
void sf_switch_run_tell_log(struct sf_switch_run *run, enum sf_result result, const struct sf_error *why)
{
        struct sf_error err = SF_ERROR_INIT;

        if (run->config->dry_run || !run->what->flip || run->lock < 0 || (why && why->code == SF_ERR_USAGE))
                return;
        if (sf_history_add(run->config->state, &run->report, result, why, &err) < 0)
                sf_log_detail("%s", err.text);
}

int sf_switch_run_refuse(struct sf_switch_run *run, int code, const struct sf_error *why)
{
        sf_switch_run_tell_log(run,
                               code == SF_EXIT_RETURNED ? SF_RESULT_RETURNED
                               : code == SF_EXIT_HUMAN  ? SF_RESULT_NEEDS_HUMAN
                                                        : SF_RESULT_FAILED,
                               why);
        return sf_report_failed(&run->report, code, why);
}

int sf_switch_run_fail(struct sf_switch_run *run, const struct sf_error *why, int code)
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
        return sf_switch_run_refuse(run, code, &final);
}
