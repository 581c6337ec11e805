/* agent/activate.c - the verbs activate and rollback: the switch, without network and without fresh metadata. */
#include "agent/verbs.h"

#include <stdio.h>
#include <string.h>

#include "agent/lock.h"
#include "agent/report.h"
#include "agent/state.h"
#include "agent/switch.h"
#include "base/cleanup.h"

/* The directory that was active before. */
static int choose_previous(const struct sf_config *config, const struct sf_store *store, struct sf_store_release *ret,
                           struct sf_error *err)
{
        _cleanup_free_ struct sf_store_release *all = NULL;
        struct sf_state state;
        size_t count;
        int r = sf_state_load(config->state, &state, err);

        if (r == 0 && !*state.previous)
                return sf_error_set(err, SF_ERR_USAGE, "there is no release before this one to go back to");
        if (r == 0)
                r = sf_store_list(store, &all, &count, err);
        for (size_t i = 0; r == 0 && i < count; i++) {
                if (strcmp(all[i].directory, state.previous) == 0) {
                        *ret = all[i];
                        return 0;
                }
        }
        return r < 0 ? r
                     : sf_error_set(err, SF_ERR_NOT_FOUND, "the release before, %s, is no longer on this disk",
                                    state.previous);
}

/* wanted NULL = the release before. */
static int switch_verb(const struct sf_config *config, const char *verb, const char *wanted)
{
        struct sf_error err = SF_ERROR_INIT;
        struct sf_store store = { 0 };
        struct sf_store_release target;
        _cleanup_close_ int lock = -1;
        struct sf_report report;
        char summary[512];

        sf_report_start(&report, verb);
        int r = sf_store_open(config->root, config->prefix, &store, &err);
        if (r == 0) {
                sf_switch_note_active(&store, &report);
                snprintf(report.to, sizeof report.to, "%s", wanted ? wanted : "");
                r = lock = sf_lock_take(config->state, &err);
        }
        if (r >= 0)
                r = wanted ? sf_store_choose(&store, wanted, &target, &err)
                           : choose_previous(config, &store, &target, &err);
        if (r == 0) {
                snprintf(report.to, sizeof report.to, "%s", target.name.text);
                if (!config->dry_run)
                        r = sf_switch_to(config, &store, &target, &report, &err);
        }
        if (r == 0) {
                report.step = "done";
                snprintf(summary, sizeof summary, "%s%s is%s active", config->dry_run ? "would switch: " : "",
                         target.name.text, strcmp(report.result, "unchanged") == 0 ? " already" : " now");
        }
        sf_store_close(&store);
        return r < 0 ? sf_report_failed(&report, config->json, 0, &err)
                     : sf_report_done(&report, config->json, summary);
}

int sf_verb_activate(const struct sf_config *config, const struct sf_command_line *line)
{
        return switch_verb(config, "activate", line->arguments[0]);
}

int sf_verb_rollback(const struct sf_config *config, const struct sf_command_line *line)
{
        (void)line;
        return switch_verb(config, "rollback", NULL);
}
