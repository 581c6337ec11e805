/* SPDX-License-Identifier: Apache-2.0 */
/* agent/verbs/status.c - the verb status: what is here, what runs from it, and what was done last. Needs no network. */
#include "agent/verbs/verbs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/node/active.h"
#include "agent/node/process.h"
#include "agent/node/report.h"
#include "agent/node/service.h"
#include "agent/node/state.h"
#include "agent/switch/transaction.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "installer/store.h"

struct situation {
        const struct sf_config *config;
        struct sf_report report; /* names the active release */
        struct sf_state state;
        struct sf_transaction pending; /* step SF_STEP_NONE where nothing was interrupted */
        struct sf_store_release *all;
        size_t count;
        struct sf_process_user *users;
        size_t user_count;
        struct sf_service *units; /* one per config->units; NULL where there is no systemd */
};

static const char *name_of(const struct sf_store_release *release)
{
        return *release->name.text ? release->name.text : release->directory;
}

/* The state names directories; people name releases. */
static const char *previous_of(const struct situation *s)
{
        for (size_t i = 0; i < s->count; i++)
                if (strcmp(s->all[i].directory, s->state.previous) == 0)
                        return name_of(&s->all[i]);
        return s->state.previous;
}

static void print_users(const struct situation *s, size_t tree)
{
        for (size_t i = 0; i < s->user_count; i++) {
                const struct sf_process_user *u = &s->users[i];
                if (u->tree == tree)
                        printf("           pid %d %s%s%s (%s)\n", (int)u->pid, u->command, *u->step ? " of step " : "",
                               u->step, u->how);
        }
}

static void print_text(const struct situation *s)
{
        const struct sf_state *state = &s->state;

        printf("active     %s\n", *s->report.from ? s->report.from : "none");
        printf("previous   %s\n", *state->previous ? previous_of(s) : "none");
        printf("toolchain  %s %s\n", s->config->toolchain, s->config->arch);
        printf("prefix     %s\n", s->config->prefix);
        for (size_t i = 0; s->units && i < s->config->unit_count; i++)
                printf("unit       %s %s (%s), pid %d, Type=%s\n", s->config->units[i], s->units[i].active_state,
                       s->units[i].sub_state, (int)s->units[i].main_pid, s->units[i].type);
        for (size_t i = 0; i < s->count; i++) {
                printf("installed  %s%s\n", name_of(&s->all[i]), s->all[i].foreign ? " (adopted)" : "");
                print_users(s, i);
        }
        if (s->pending.step)
                printf("pending    %s %s → %s was interrupted at %s: the next change or boot sees to it\n",
                       s->pending.verb, s->pending.from, s->pending.to, sf_step_name(s->pending.step));
        if (*state->verb)
                printf("last       %s %s%s%s: %s at %s\n", state->verb, state->from, *state->from ? " → " : "",
                       state->to, sf_result_name(state->result), state->time);
}

static json_t *users_of(const struct situation *s)
{
        json_t *list = json_array();

        for (size_t i = 0; i < s->user_count; i++) {
                const struct sf_process_user *u = &s->users[i];
                json_array_append_new(list,
                                      json_pack("{s:s,s:i,s:s,s:s,s:s}", "release", name_of(&s->all[u->tree]), "pid",
                                                (int)u->pid, "command", u->command, "step", u->step, "how", u->how));
        }
        return list;
}

static json_t *units_of(const struct situation *s)
{
        json_t *list = json_array();

        for (size_t i = 0; s->units && i < s->config->unit_count; i++)
                json_array_append_new(list, json_pack("{s:s,s:s,s:s,s:i,s:s}", "unit", s->config->units[i], "active",
                                                      s->units[i].active_state, "sub", s->units[i].sub_state, "pid",
                                                      (int)s->units[i].main_pid, "type", s->units[i].type));
        return list;
}

static json_t *details_of(const struct situation *s)
{
        json_t *object = json_object(), *installed = json_array();
        const struct sf_state *state = &s->state;

        for (size_t i = 0; i < s->count; i++)
                json_array_append_new(installed, json_string(name_of(&s->all[i])));
        json_object_set_new(object, "active", *s->report.from ? json_string(s->report.from) : json_null());
        json_object_set_new(object, "previous", *state->previous ? json_string(previous_of(s)) : json_null());
        json_object_set_new(object, "toolchain", json_string(s->config->toolchain));
        json_object_set_new(object, "arch", json_string(s->config->arch));
        json_object_set_new(object, "prefix", json_string(s->config->prefix));
        json_object_set_new(object, "installed", installed);
        json_object_set_new(object, "processes", users_of(s));
        json_object_set_new(object, "units", units_of(s));
        json_object_set_new(object, "pending",
                            s->pending.step ? json_string(sf_step_name(s->pending.step)) : json_null());
        json_object_set_new(object, "last",
                            *state->verb ? json_pack("{s:s,s:s,s:s,s:s,s:s}", "verb", state->verb, "result",
                                                     sf_result_name(state->result), "from", state->from, "to",
                                                     state->to, "time", state->time)
                                         : json_null());
        return object;
}

static int look_at_processes(struct situation *s, const struct sf_store *store, struct sf_error *err)
{
        char **trees = calloc(s->count + 1, sizeof *trees);
        int r = trees ? 0 : sf_error_set(err, SF_ERR_NOMEM, "no memory for releases");

        for (size_t i = 0; r == 0 && i < s->count; i++)
                if (!(trees[i] = sf_fs_join(store->releases, s->all[i].directory)))
                        r = sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        if (r == 0)
                r = sf_process_find((const char *const *)trees, s->count, &s->users, &s->user_count, err);
        sf_process_free_names(trees);
        return r;
}

/* A node without systemd has no units to show, and that is no failure. */
static void look_at_units(struct situation *s)
{
        _cleanup_service_ struct sf_service_bus *bus = NULL;

        if (*s->config->root || sf_service_open(&bus, NULL) < 0)
                return;
        s->units = calloc(s->config->unit_count + 1, sizeof *s->units);
        for (size_t i = 0; s->units && i < s->config->unit_count; i++)
                sf_service_read(bus, s->config->units[i], &s->units[i], NULL);
}

int sf_verb_status(const struct sf_config *config, const struct sf_command_line *line)
{
        struct situation s = { .config = config };
        struct sf_error err = SF_ERROR_INIT;
        _cleanup_json_ json_t *details = NULL;
        struct sf_store store = { 0 };

        (void)line;
        sf_report_start(&s.report, "status");
        int r = sf_store_open(config->root, config->prefix, &store, &err);
        if (r == 0)
                r = sf_store_list(&store, &s.all, &s.count, &err);
        if (r == 0)
                r = sf_state_load(config->state, &s.state, &err);
        if (r == 0)
                r = look_at_processes(&s, &store, &err);
        if (r == 0) {
                look_at_units(&s);
                sf_transaction_load(config->state, &s.pending, NULL);
                sf_active_note(&store, &s.report);
                s.report.details = details = details_of(&s);
                if (!config->json)
                        print_text(&s);
        }
        free(s.all);
        free(s.users);
        free(s.units);
        sf_store_close(&store);
        return r < 0 ? sf_report_failed(&s.report, config->json, 0, &err)
                     : sf_report_done(&s.report, config->json, NULL);
}
