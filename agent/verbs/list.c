/* SPDX-License-Identifier: Apache-2.0 */
/* agent/verbs/list.c - the verb list: what the repository offers this node, and what of it is here. */
#include "agent/verbs/verbs.h"

#include <stdio.h>
#include <string.h>

#include "agent/node/lock.h"
#include "agent/node/report.h"
#include "agent/acquire/candidate.h"
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
        int percent, position; /* of the nodes that it is offered to, and where this node stands among them, 0 to 99 */
};

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
        char download[32], wave[64] = "";

        if (row->percent < 100)
                snprintf(wave, sizeof wave, "for %d %% of the nodes, this one at %d %%", row->percent,
                         row->position + 1);
        sf_output_line("%-32s %-12s %10s  %-20s  %s", row->release->name.text,
                       row->active      ? "active"
                       : row->installed ? "installed"
                                        : "-",
                       sf_log_size(row->release->download, download), row->release->created,
                       row->withdrawn ? "withdrawn" : wave);
}

static json_t *row_object(const struct row *row)
{
        json_t *object = json_object();

        json_object_set_new(object, "release", sf_json_text(row->release->name.text));
        json_object_set_new(object, "version", sf_json_text(row->release->name.version));
        json_object_set_new(object, "created", sf_json_text(row->release->created));
        json_object_set_new(object, "download", json_integer((json_int_t)row->release->download));
        json_object_set_new(object, "installed_size", json_integer((json_int_t)row->release->installed));
        json_object_set_new(object, "installed", json_boolean(row->installed));
        json_object_set_new(object, "active", json_boolean(row->active));
        json_object_set_new(object, "withdrawn", json_boolean(row->withdrawn != NULL));
        json_object_set_new(object, "percent", json_integer(row->percent));
        json_object_set_new(object, "reached", json_boolean(row->position < row->percent));
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
                sf_output_line("%-32s %-12s %10s  %-20s", "RELEASE", "HERE", "DOWNLOAD", "CREATED");
        for (size_t i = 0; i < rp->index.release_count; i++) {
                struct row row = describe(&rp->index.releases[i], rp, installed, count, asked->active);
                row.position = sf_candidate_position(asked->config, row.release->name.text);
                if (row.withdrawn && !asked->all && !row.installed)
                        continue;
                if (sf_output_is_json())
                        json_array_append_new(rows, row_object(&row));
                else
                        print_row(&row);
        }
        return 0;
}

int sf_verb_list(const struct sf_config *config, const struct sf_command_line *line)
{
        struct sf_error err = SF_ERROR_INIT;
        struct sf_repository rp = { 0 };
        struct sf_store store = { 0 };
        _cleanup_json_ json_t *details = json_object();
        _cleanup_close_ int lock = -1;
        struct sf_report report;
        json_t *rows = json_array();

        sf_report_start(&report, "list");
        report.details = details;
        json_object_set_new(details, "releases", rows);
        int r = sf_store_open(config->root, config->prefix, &store, &err);
        if (r == 0) {
                sf_active_note(&store, &report);
                sf_repository_wait(config);
                r = lock = sf_lock_take(config->state, &err);
        }
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
