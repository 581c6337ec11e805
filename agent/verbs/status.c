/* SPDX-License-Identifier: Apache-2.0 */
/* agent/verbs/status.c - the verb status: what is here, what runs from it, and what was done last. Needs no network. */
#include "agent/verbs/verbs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/node/active.h"
#include "agent/node/process.h"
#include "agent/node/release_users.h"
#include "agent/node/report.h"
#include "agent/node/service.h"
#include "agent/node/units.h"
#include "agent/node/state.h"
#include "agent/switch/transaction.h"
#include "base/log.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/output.h"
#include "installer/store.h"
#include "release/layout.h"

struct situation {
        const struct sf_config *config;
        struct sf_report report; /* names the active release */
        struct sf_state state;
        struct sf_transaction pending; /* step SF_STEP_NONE where nothing was interrupted */
        struct sf_store_release *all;
        size_t count;
        struct sf_process_user *users;
        size_t user_count;
        struct tm local;       /* the time by which windows are judged */
        struct sf_units units; /* what runs, or would run, from the prefix; empty where there is no systemd */
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
                        sf_output_line("           pid %d %s%s%s (%s)", (int)u->pid, u->command,
                                       *u->step ? " of step " : "", u->step, u->how);
        }
}

static void print_policy(const struct situation *s)
{
        const struct sf_conf_entry *rule;
        const char *now;

        for (size_t i = 0; (rule = sf_policy_rule(&s->config->policy, &s->local, i, &now)); i++)
                sf_output_line("policy     %s = %s (%s:%d): %s", rule->key, rule->value, rule->file, rule->line, now);
}

static json_t *policy_of(const struct situation *s)
{
        json_t *list = json_array();
        const struct sf_conf_entry *rule;
        const char *now;

        for (size_t i = 0; (rule = sf_policy_rule(&s->config->policy, &s->local, i, &now)); i++)
                json_array_append_new(list, json_pack("{s:s,s:o,s:o,s:i,s:s}", "rule", rule->key, "value",
                                                      sf_json_text(rule->value), "file", sf_json_text(rule->file),
                                                      "line", rule->line, "state", now));
        return list;
}

static const struct storage {
        const char *name, *text; /* NULL: nothing to tell */
} storages[] = {
        [SF_FS_DISK] = { "disk", NULL },
        [SF_FS_MEMORY] = { "memory", SF_STATE_DIR " is in memory: what it holds is forgotten at the next boot" },
        [SF_FS_OVERLAY] = { "overlay",
                            SF_STATE_DIR " is on an overlay: the next boot begins with the image's, unless what is "
                                         "written lies on a disk" },
};

static const struct storage *storage_of(const struct situation *s)
{
        return &storages[*s->config->root ? SF_FS_DISK : sf_fs_storage(s->config->state)];
}

static void print_text(const struct situation *s)
{
        const struct sf_state *state = &s->state;

        sf_output_line("active     %s", *s->report.from ? s->report.from : "none");
        sf_output_line("previous   %s", *state->previous ? previous_of(s) : "none");
        sf_output_line("toolchain  %s %s", s->config->toolchain, s->config->arch);
        sf_output_line("prefix     %s", s->config->prefix);
        if (storage_of(s)->text)
                sf_output_line("state      %s", storage_of(s)->text);
        for (size_t i = 0; i < s->units.count; i++) {
                const struct sf_unit_of_node *u = &s->units.items[i];
                sf_output_line("unit       %s %s (%s), pid %d, Type=%s%s%s", u->name, u->service.active_state,
                               u->service.sub_state, (int)u->pid, u->service.type, *u->conf ? ", " : "", u->conf);
        }
        for (size_t i = 0; i < s->count; i++) {
                const struct sf_store_release *release = &s->all[i];
                if (*release->origin)
                        sf_output_line("installed  %s (adopted: %s of %s)", name_of(release), release->name.version,
                                       release->origin);
                else
                        sf_output_line("installed  %s%s", name_of(release), release->foreign ? " (adopted)" : "");
                print_users(s, i);
        }
        if (s->pending.step)
                sf_output_line("pending    %s %s → %s was interrupted at %s: the next change or boot sees to it",
                               s->pending.verb, s->pending.from, s->pending.to, sf_step_name(s->pending.step));
        print_policy(s);
        if (*state->verb)
                sf_output_line("last       %s %s%s%s: %s at %s", state->verb, state->from, *state->from ? " → " : "",
                               state->to, sf_result_name(state->result), state->time);
}

static json_t *users_of(const struct situation *s)
{
        json_t *list = json_array();

        for (size_t i = 0; i < s->user_count; i++) {
                const struct sf_process_user *u = &s->users[i];
                json_array_append_new(list, json_pack("{s:o,s:i,s:o,s:o,s:s}", "release",
                                                      sf_json_text(name_of(&s->all[u->tree])), "pid", (int)u->pid,
                                                      "command", sf_json_text(u->command), "step",
                                                      sf_json_text(u->step), "how", u->how));
        }
        return list;
}

static json_t *units_of(const struct situation *s)
{
        json_t *list = json_array();

        for (size_t i = 0; i < s->units.count; i++) {
                const struct sf_unit_of_node *u = &s->units.items[i];
                json_array_append_new(list, json_pack("{s:o,s:o,s:o,s:i,s:o,s:o}", "unit", sf_json_text(u->name),
                                                      "active", sf_json_text(u->service.active_state), "sub",
                                                      sf_json_text(u->service.sub_state), "pid", (int)u->pid, "type",
                                                      sf_json_text(u->service.type), "conf", sf_json_text(u->conf)));
        }
        return list;
}

static json_t *last_of(const struct sf_state *state)
{
        return *state->verb ? json_pack("{s:o,s:s,s:o,s:o,s:o}", "verb", sf_json_text(state->verb), "result",
                                        sf_result_name(state->result), "from", sf_json_text(state->from), "to",
                                        sf_json_text(state->to), "time", sf_json_text(state->time))
                            : json_null();
}

static json_t *details_of(const struct situation *s)
{
        json_t *object = json_object(), *installed = json_array();
        const struct sf_state *state = &s->state;

        for (size_t i = 0; i < s->count; i++)
                json_array_append_new(installed, sf_json_text(name_of(&s->all[i])));
        sf_json_set_name(object, "active", s->report.from);
        sf_json_set_name(object, "previous", *state->previous ? previous_of(s) : "");
        json_object_set_new(object, "toolchain", sf_json_text(s->config->toolchain));
        json_object_set_new(object, "arch", sf_json_text(s->config->arch));
        json_object_set_new(object, "prefix", sf_json_text(s->config->prefix));
        json_object_set_new(object, "state_storage", json_string(storage_of(s)->name));
        json_object_set_new(object, "installed", installed);
        json_object_set_new(object, "processes", users_of(s));
        json_object_set_new(object, "units", units_of(s));
        json_object_set_new(object, "pending",
                            s->pending.step ? sf_json_text(sf_step_name(s->pending.step)) : json_null());
        json_object_set_new(object, "policy", policy_of(s));
        json_object_set_new(object, "last", last_of(state));
        return object;
}

static int look_at_processes(struct situation *s, const struct sf_store *store, struct sf_error *err)
{
        struct sf_error why = SF_ERROR_INIT;
        int r = sf_release_users(store, s->all, s->count, &s->users, &s->user_count, &why);

        if (r == SF_ERR_UNSUPPORTED) {
                sf_log_warning("%s: which releases are in use is not known", why.text);
                return 0;
        }
        return r < 0 ? sf_error_set(err, r, "%s", why.text) : 0;
}

/* A node without systemd has no units to show, and that is no failure. */
static void look_at_units(struct situation *s)
{
        _cleanup_service_ struct sf_service_bus *bus = NULL;

        if (*s->config->root || sf_service_open(&bus, NULL) < 0)
                return;
        sf_units_find(bus, s->config->prefix, s->config->units, &s->units, NULL);
}

/* What is damaged is said, and hides nothing else: the next verb that changes something sets it aside. */
static void look_at_records(struct situation *s)
{
        struct sf_error why = SF_ERROR_INIT;

        if (sf_state_load(s->config->state, &s->state, &why) < 0)
                sf_log_warning("%s", why.text);
        if (sf_transaction_load(s->config->record, &s->pending, &why) < 0 && why.code != SF_ERR_NOT_FOUND)
                sf_log_warning("%s", why.text);
}

int sf_verb_status(const struct sf_config *config, const struct sf_command_line *line)
{
        struct situation s = { .config = config };
        struct sf_error err = SF_ERROR_INIT;
        _cleanup_json_ json_t *details = NULL;
        struct sf_store store = { 0 };

        (void)line;
        time_t now = time(NULL);
        localtime_r(&now, &s.local);
        sf_report_start(&s.report, "status");
        int r = sf_store_open(config->root, config->prefix, &store, &err);
        if (r == 0)
                r = sf_store_list(&store, &s.all, &s.count, &err);
        look_at_records(&s);
        if (r == 0)
                r = look_at_processes(&s, &store, &err);
        if (r == 0) {
                look_at_units(&s);
                sf_active_note(&store, &s.report);
                s.report.details = details = details_of(&s);
                if (!sf_output_is_json())
                        print_text(&s);
        }
        free(s.all);
        free(s.users);
        sf_units_free(&s.units);
        sf_store_close(&store);
        return r < 0 ? sf_report_failed(&s.report, 0, &err) : sf_report_done(&s.report, NULL);
}
