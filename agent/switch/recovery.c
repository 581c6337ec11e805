/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/recovery.c - see recovery.h. */
#include "agent/switch/recovery.h"

#include <stdio.h>
#include <string.h>

#include "agent/node/journal.h"
#include "agent/node/state.h"
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
                r = sf_node_switch_place(live, "", &home, true, err);
        if (r < 0 || !touched)
                return r;
        r = sf_node_switch_restart(live, home.directory, err);
        return r < 0 ? r : sf_node_switch_health(live, &home, false, err);
}

/* slurmd may have been stopped for good when its restart was interrupted. */
static void expect_services(struct sf_node_switch *live, const struct sf_transaction *record)
{
        for (size_t i = 0; live->bus && has_touched_services(record) && i < live->config->unit_count; i++)
                live->running[i] = true;
}

/* view, unit and services of the record's home; health is not waited for, nobody could do more about it. */
static int go_home(const struct sf_config *config, const struct sf_store *store, const struct sf_transaction *record,
                   bool boot, struct sf_error *err)
{
        struct sf_store_release home;
        struct sf_node_switch live;
        int r = sf_store_choose(store, record->home, &home, err);

        if (r < 0)
                return r;
        r = sf_node_switch_open(config, store, &live, err);
        if (r < 0)
                return r;
        r = sf_node_switch_place(&live, "", &home, true, err);
        if (r == 0 && !boot)
                expect_services(&live, record);
        if (r == 0 && !boot && !config->no_restart &&
            (sf_node_switch_runs_elsewhere(&live, home.directory) || !live.slurmd.main_pid))
                r = sf_node_switch_restart(&live, home.directory, err);
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
