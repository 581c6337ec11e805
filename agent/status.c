/* agent/status.c - the verb status: what is here, read from the disk alone. */
#include "agent/verbs.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "agent/report.h"
#include "agent/state.h"
#include "agent/active.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "installer/store.h"

static void print_text(const struct sf_config *config, const struct sf_report *report, const struct sf_state *state,
                       const struct sf_store_release *all, size_t count)
{
        printf("active     %s\n", *report->from ? report->from : "none");
        printf("previous   %s\n", *state->previous ? state->previous : "none");
        printf("toolchain  %s %s\n", config->toolchain, config->arch);
        printf("prefix     %s\n", config->prefix);
        for (size_t i = 0; i < count; i++)
                printf("installed  %s%s\n", all[i].name.text, all[i].foreign ? " (adopted)" : "");
        if (*state->verb)
                printf("last       %s %s%s%s: %s at %s\n", state->verb, state->from, *state->from ? " → " : "",
                       state->to, state->result, state->time);
}

static void print_json(const struct sf_config *config, const struct sf_report *report, const struct sf_state *state,
                       const struct sf_store_release *all, size_t count)
{
        _cleanup_json_ json_t *object = json_object();
        json_t *installed = json_array();

        for (size_t i = 0; i < count; i++)
                json_array_append_new(installed, json_string(all[i].name.text));
        json_object_set_new(object, "result", json_string("done"));
        json_object_set_new(object, "active", *report->from ? json_string(report->from) : json_null());
        json_object_set_new(object, "previous", *state->previous ? json_string(state->previous) : json_null());
        json_object_set_new(object, "toolchain", json_string(config->toolchain));
        json_object_set_new(object, "arch", json_string(config->arch));
        json_object_set_new(object, "prefix", json_string(config->prefix));
        json_object_set_new(object, "installed", installed);
        json_object_set_new(object, "last",
                            *state->verb
                                    ? json_pack("{s:s,s:s,s:s,s:s,s:s}", "verb", state->verb, "result", state->result,
                                                "from", state->from, "to", state->to, "time", state->time)
                                    : json_null());
        json_dumpf(object, stdout, JSON_COMPACT);
        putchar('\n');
}

int sf_verb_status(const struct sf_config *config, const struct sf_command_line *line)
{
        _cleanup_free_ struct sf_store_release *all = NULL;
        struct sf_error err = SF_ERROR_INIT;
        struct sf_store store = { 0 };
        struct sf_state state;
        struct sf_report report;
        size_t count = 0;

        (void)line;
        sf_report_start(&report, "status");
        int r = sf_store_open(config->root, config->prefix, &store, &err);
        if (r == 0)
                r = sf_store_list(&store, &all, &count, &err);
        if (r == 0)
                r = sf_state_load(config->state, &state, &err);
        if (r == 0) {
                sf_active_note(&store, &report);
                (config->json ? print_json : print_text)(config, &report, &state, all, count);
        }
        sf_store_close(&store);
        return r < 0 ? sf_report_failed(&report, config->json, 0, &err) : SF_EXIT_DONE;
}
