/* SPDX-License-Identifier: Apache-2.0 */
/* agent/verbs/list.c - the verb list: what the repository offers this node, and what of it is here. */
#include "agent/verbs/verbs.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "agent/node/lock.h"
#include "agent/node/places.h"
#include "agent/node/report.h"
#include "agent/acquire/candidate.h"
#include "agent/acquire/fetch_plan.h"
#include "agent/acquire/repository.h"
#include "agent/node/active.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/output.h"

/* What one row says about a release. */
struct row {
        const struct sf_index_release *release;
        bool installed, active;
        const struct sf_withdrawal *withdrawn;
        uint64_t fetch; /* bytes that bringing it here would fetch; SF_FETCH_PLAN_IMPOSSIBLE = not known */
        enum sf_fetch_plan_way way;
        int percent, position; /* of the nodes that it is offered to, and where this node stands among them, 0 to 99 */
        bool due;              /* by the site's own waves */
};

/* From the index and what is installed alone, without a request. A release without a delta from here may share files
 * with what is installed; only its file list says which: not known. */
static void note_cost(const struct sf_config *config, const struct sf_store_release *installed, size_t count,
                      struct row *row)
{
        const struct sf_index_delta *delta;
        size_t base;

        row->fetch = SF_FETCH_PLAN_IMPOSSIBLE;
        delta = sf_fetch_plan_find_delta(config, row->release, installed, count, &base);
        if (row->installed) {
                row->way = SF_FETCH_PLAN_NOTHING;
                row->fetch = 0;
        } else if (count == 0) {
                row->way = SF_FETCH_PLAN_FULL;
                row->fetch = row->release->download;
        } else if (delta && delta->content.size < row->release->download) {
                row->way = SF_FETCH_PLAN_DELTA;
                row->fetch = delta->content.size;
        }
}

static struct row describe(const struct sf_index_release *release, const struct sf_repository *rp,
                           const struct sf_store_release *installed, size_t count, const char *active)
{
        struct row row = { .release = release };

        for (size_t i = 0; i < count; i++) {
                if (strcmp(installed[i].name.text, release->name.text) != 0)
                        continue;
                row.installed = true;
                row.active = strcmp(installed[i].name.text, active) == 0;
        }
        row.withdrawn = sf_rollout_withdrawn(&rp->rollout, release->name.text);
        row.percent = sf_rollout_percent(&rp->rollout, release->name.text);
        return row;
}

static void print_row(const struct row *row)
{
        char download[32], fetch[32], wave[128] = "";

        if (row->percent < 100)
                snprintf(wave, sizeof wave, "for %d %% of the nodes, this one at %d %%", row->percent,
                         row->position + 1);
        if (!row->due)
                strcat(wave, *wave ? "; later by [policy] wave" : "later by [policy] wave");
        sf_output_line("%-32s %-12s %10s %10s  %-20s  %s", row->release->name.text,
                       row->active      ? "active"
                       : row->installed ? "installed"
                                        : "-",
                       sf_log_size(row->release->download, download),
                       row->fetch == SF_FETCH_PLAN_IMPOSSIBLE ? "-" : sf_log_size(row->fetch, fetch),
                       row->release->created, row->withdrawn ? "withdrawn" : wave);
}

static json_t *row_object(const struct row *row)
{
        json_t *object = json_object();

        json_object_set_new(object, "release", sf_json_text(row->release->name.text));
        json_object_set_new(object, "version", sf_json_text(row->release->name.version));
        json_object_set_new(object, "created", sf_json_text(row->release->created));
        json_object_set_new(object, "download", json_integer((json_int_t)row->release->download));
        bool known = row->fetch != SF_FETCH_PLAN_IMPOSSIBLE;
        json_object_set_new(object, "fetch", known ? json_integer((json_int_t)row->fetch) : json_null());
        json_object_set_new(object, "fetch_way", known ? sf_json_text(sf_fetch_plan_way_name(row->way)) : json_null());
        json_object_set_new(object, "installed_size", json_integer((json_int_t)row->release->installed));
        json_object_set_new(object, "installed", json_boolean(row->installed));
        json_object_set_new(object, "active", json_boolean(row->active));
        json_object_set_new(object, "withdrawn", json_boolean(row->withdrawn != NULL));
        json_object_set_new(object, "percent", json_integer(row->percent));
        json_object_set_new(object, "reached", json_boolean(row->position < row->percent && row->due));
        return object;
}

/* What is asked for. */
struct asked {
        const struct sf_config *config;
        const struct sf_store *store;
        const char *active; /* name of a release */
        bool all;
};

/* A table, or rows for the JSON object. */
static int print_list(const struct asked *asked, const struct sf_repository *rp, json_t *rows, struct sf_error *err)
{
        _cleanup_free_ struct sf_store_release *installed = NULL;
        size_t count;
        int r = sf_store_list(asked->store, &installed, &count, err);

        if (r < 0)
                return r;
        if (!sf_output_is_json())
                sf_output_line("%-32s %-12s %10s %10s  %-20s", "RELEASE", "HERE", "DOWNLOAD", "FETCH", "CREATED");
        for (size_t i = 0; i < rp->index.release_count; i++) {
                struct row row = describe(&rp->index.releases[i], rp, installed, count, asked->active);
                note_cost(asked->config, installed, count, &row);
                row.position = sf_candidate_position(asked->config, row.release->name.text);
                row.due = sf_policy_reached(&asked->config->policy, row.release->created, time(NULL));
                if (row.withdrawn && !asked->all && !row.installed)
                        continue;
                if (sf_output_is_json())
                        json_array_append_new(rows, row_object(&row));
                else
                        print_row(&row);
        }
        return 0;
}

static void print_name(const char *name, json_t *names)
{
        if (sf_output_is_json())
                json_array_append_new(names, sf_json_text(name));
        else
                sf_output_line("%s", name);
}

static int print_offered(const struct sf_config *config, json_t *names, struct sf_error *err)
{
        struct sf_candidate seen = { 0 };
        struct sf_index index = { 0 };
        int r = sf_candidate_last_seen(config, &index, err);

        if (r == 0)
                r = sf_candidate_local(config, &seen, err);
        for (size_t i = 0; r == 0 && i < index.release_count; i++)
                if (!sf_rollout_withdrawn(&seen.local, index.releases[i].name.text))
                        print_name(index.releases[i].name.text, names);
        sf_candidate_close(&seen);
        sf_index_free(&index);
        return r;
}

static int print_here(const struct sf_config *config, json_t *names, struct sf_error *err)
{
        _cleanup_free_ struct sf_store_release *installed = NULL;
        struct sf_store store = { 0 };
        size_t count = 0;
        int r = sf_store_open(config->root, config->prefix, &store, err);

        if (r == 0)
                r = sf_store_list(&store, &installed, &count, err);
        for (size_t i = 0; r == 0 && i < count; i++)
                print_name(installed[i].name.text, names);
        sf_store_close(&store);
        return r;
}

/* For the completion of shells: without network or lock, and for whoever may read the files. */
static int list_names(const struct sf_config *config, const char *which)
{
        struct sf_error err = SF_ERROR_INIT;
        _cleanup_json_ json_t *details = json_object();
        struct sf_report report;
        json_t *names = json_array();
        int r;

        sf_report_start(&report, "list");
        report.details = details;
        json_object_set_new(details, "names", names);
        if (strcmp(which, "offered") == 0)
                r = print_offered(config, names, &err);
        else if (strcmp(which, "here") == 0)
                r = print_here(config, names, &err);
        else
                r = sf_error_set(&err, SF_ERR_USAGE, "--names %s: \"offered\" or \"here\"", which);
        return r < 0 ? sf_report_failed(&report, 0, &err) : sf_report_done(&report, NULL);
}

int sf_verb_list(const struct sf_config *config, const struct sf_command_line *line)
{
        struct sf_error err = SF_ERROR_INIT;
        struct sf_repository rp = { 0 };
        struct sf_store store = { 0 };
        _cleanup_json_ json_t *details = json_object();
        _cleanup_close_ int lock = -1;
        struct sf_report report;
        json_t *rows;

        if (sf_option_given(line, "names"))
                return list_names(config, sf_option_get(line, "names"));
        sf_report_start(&report, "list");
        report.details = details;
        rows = json_array();
        json_object_set_new(details, "releases", rows);
        int r = sf_store_open(config->root, config->prefix, &store, &err);
        if (r == 0) {
                sf_active_note(&store, &report);
                sf_repository_wait(config);
                r = sf_places_check(config->state, &err);
        }
        if (r == 0)
                r = lock = sf_lock_take(config->state, &err);
        report.step = SF_STEP_VERIFY;
        const struct asked asked = { config, &store, report.from, sf_option_given(line, "all") };
        if (r >= 0)
                r = sf_repository_open(config, &rp, &err);
        if (r == 0)
                r = print_list(&asked, &rp, rows, &err);
        report.bytes_fetched = sf_repository_bytes(&rp);
        sf_repository_close(&rp);
        sf_store_close(&store);
        return r < 0 ? sf_report_failed(&report, 0, &err) : sf_report_done(&report, NULL);
}
