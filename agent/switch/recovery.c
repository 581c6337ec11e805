/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/recovery.c - see recovery.h. */
#include "agent/switch/recovery.h"

#include <stdio.h>
#include <string.h>

#include "agent/node/journal.h"
#include "agent/node/state.h"
#include "agent/switch/expected_units.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "installer/activate.h"

/* Before "restart" a switch leaves services alone, and so does an install or --no-restart to its end. */
static bool has_touched_services(const struct sf_transaction *record)
{
        return record->step == SF_STEP_RESTART || record->step == SF_STEP_HEALTH;
}

int sf_recovery_return(struct sf_node_switch *live, const struct sf_transaction *record, struct sf_error *err)
{
        struct sf_store_release home;
        bool touched = has_touched_services(record);
        int r = sf_store_choose(live->store, record->home, &home, err);

        if (r == 0 && touched)
                r = sf_node_switch_stop(live, err);
        if (r == 0)
                r = sf_controller_return(&live->ctld, err);
        if (r == 0)
                r = sf_node_switch_place(live, "", &home, true, err);
        if (r < 0 || !touched)
                return r;
        r = sf_node_switch_restart(live, home.directory, err);
        return r < 0 ? r : sf_node_switch_health(live, &home, false, err);
}

/* Where slurmctld of the new series has taken over the state, home is where the switch led. */
static int choose_home(struct sf_node_switch *live, struct sf_transaction *record, bool boot, struct sf_error *err)
{
        _cleanup_free_ char *tree = sf_node_switch_tree(live, record->to);
        struct sf_controller_crash crash = {
                .config = live->config,
                .bus = boot ? NULL : live->bus,
                .unit = live->ctld.unit,
                .to = record->to,
                .home = record->home,
                .to_tree = tree,
        };
        bool forward = false;
        int r = tree ? sf_controller_recover(&crash, &forward, err)
                     : sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");

        if (r == 0 && forward)
                snprintf(record->home, sizeof record->home, "%s", record->to);
        return r;
}

/* view, unit and services of the record's home; health is not waited for, nobody could do more about it. */
static int go_home(const struct sf_config *config, const struct sf_store *store, struct sf_transaction *record,
                   bool boot, struct sf_error *err)
{
        struct sf_store_release home;
        struct sf_node_switch live;
        int r = sf_node_switch_open(config, store, &live, err);

        if (r < 0)
                return r;
        r = choose_home(&live, record, boot, err);
        if (r == 0)
                r = sf_store_choose(store, record->home, &home, err);
        if (r == 0)
                r = sf_node_switch_place(&live, "", &home, true, err);
        if (r == 0 && !boot && !config->no_restart && has_touched_services(record) &&
            sf_node_switch_runs_elsewhere(&live, home.directory))
                r = sf_node_switch_restart(&live, home.directory, err);
        if (r == 0)
                r = sf_expected_units_remove(config->state, err);
        sf_node_switch_close(&live);
        return r;
}

/* The release that went home for good is the one that rollback would leave again. */
static int note_state(const struct sf_config *config, const struct sf_transaction *record, struct sf_error *err)
{
        struct sf_state state;
        int r = sf_state_load(config->state, &state, err);

        if (r < 0)
                return r;
        bool finished = *record->home && strcmp(record->home, record->to) == 0;
        if (finished) {
                snprintf(state.active, sizeof state.active, "%s", record->to);
                snprintf(state.previous, sizeof state.previous, "%s", record->from);
        }
        snprintf(state.verb, sizeof state.verb, "%s", record->verb);
        snprintf(state.from, sizeof state.from, "%s", record->from);
        snprintf(state.to, sizeof state.to, "%s", record->to);
        snprintf(state.time, sizeof state.time, "%s", record->time);
        state.result = finished ? SF_RESULT_FINISHED : SF_RESULT_UNDONE;
        return sf_state_save(config->state, &state, err);
}

int sf_recovery_run(const struct sf_config *config, const struct sf_store *store, bool boot, char note[512],
                    struct sf_error *err)
{
        struct sf_transaction record;
        int r = sf_transaction_load(config->state, &record, err);

        if (r == SF_ERR_NOT_FOUND) {
                if (err)
                        sf_error_clear(err);
                return 0;
        }
        if (r == 0 && *record.home)
                r = go_home(config, store, &record, boot, err);
        if (r == 0)
                r = note_state(config, &record, err);
        if (r == 0)
                r = sf_transaction_end(config->state, err);
        if (r < 0)
                return sf_error_prefix(err, "recovering from an interrupted %s", record.verb);
        snprintf(note, 512, "%s %s → %s was interrupted at %s and is now %s; on %s", record.verb, record.from,
                 record.to, sf_step_name(record.step), strcmp(record.home, record.to) == 0 ? "finished" : "undone",
                 record.home);
        sf_journal_send(SF_JOURNAL_RECOVERED, record.from, record.to, note);
        return 1;
}
