/* SPDX-License-Identifier: Apache-2.0 */
/* agent/verbs/log.c - the verb log: the last switches of this node, with their reasons. Needs no network. */
#include <stdio.h>

#include "agent/node/active.h"
#include "agent/node/history.h"
#include "agent/node/report.h"
#include "agent/verbs/verbs.h"
#include "base/cleanup.h"
#include "base/output.h"
#include "installer/store.h"

#define LINES 20 /* without --all */

static const char *text_of(const json_t *entry, const char *key)
{
        const char *text = json_string_value(json_object_get(entry, key));

        return text ? text : "";
}

static void print_entry(const json_t *entry)
{
        const char *from = text_of(entry, "from"), *error = text_of(entry, "error"), *proof = text_of(entry, "proof");
        const json_t *away = json_object_get(entry, "downtime_seconds");
        char downtime[64] = "";

        if (json_is_number(away))
                snprintf(downtime, sizeof downtime, ", slurmd away %.3f s", json_number_value(away));
        sf_output_line("%s  %s %s%s%s: %s%s%s, %lld bytes fetched, %.1f s%s", text_of(entry, "time"),
                       text_of(entry, "verb"), from, *from ? " → " : "", text_of(entry, "to"), text_of(entry, "result"),
                       *error ? " at " : "", *error ? text_of(entry, "step") : "",
                       (long long)json_integer_value(json_object_get(entry, "bytes_fetched")),
                       json_number_value(json_object_get(entry, "seconds")), downtime);
        if (*error)
                sf_output_line("    %s", error);
        else if (*proof)
                sf_output_line("    %s", proof);
}

int sf_verb_log(const struct sf_config *config, const struct sf_command_line *line)
{
        struct sf_error err = SF_ERROR_INIT;
        struct sf_store store = { 0 };
        struct sf_report report;
        _cleanup_json_ json_t *entries = NULL, *details = json_object();
        bool all = sf_option_given(line, "all");

        sf_report_start(&report, "log");
        int r = sf_store_open(config->root, config->prefix, &store, &err);
        if (r == 0) {
                sf_active_note(&store, &report);
                sf_store_close(&store);
                r = sf_history_load(config->state, all ? SIZE_MAX : LINES, &entries, &err);
        }
        if (r < 0)
                return sf_report_failed(&report, 0, &err);
        for (size_t i = 0; !sf_output_is_json() && i < json_array_size(entries); i++)
                print_entry(json_array_get(entries, i));
        json_object_set(details, "entries", entries);
        report.details = details;
        report.step = SF_STEP_DONE;
        return sf_report_done(&report, json_array_size(entries) ? NULL : "no switch is recorded on this node");
}
