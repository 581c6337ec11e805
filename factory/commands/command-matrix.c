/* SPDX-License-Identifier: Apache-2.0 */
/* factory/commands/command-matrix.c - the verb matrix: the table, the same as data, and the commands that make what is
 * missing, for whatever runs them. docs/MATRIX.md describes the JSON. */
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/output.h"
#include "factory/commands/command.h"
#include "factory/commands/matrix.h"
#include "release/host.h"

static json_t *row_to_json(const struct sf_matrix_row *row, bool has_repository)
{
        return json_pack("{s:o,s:o,s:o,s:o,s:o,s:b,s:b,s:b,s:b,s:o,s:b,s:b,s:o}", "release",
                         sf_json_text(row->name.text), "version", sf_json_text(row->name.version), "toolchain",
                         sf_json_text(row->name.toolchain), "arch", sf_json_text(row->name.arch), "build",
                         sf_json_text(row->name.build), "recipe", row->has_recipe, "selected", row->is_selected,
                         "cached", row->is_cached, "built", row->is_built, "published",
                         has_repository ? json_boolean(row->is_published) : json_null(), "tested", row->is_tested,
                         "missing", sf_matrix_is_missing(row), "why", sf_json_text(row->why));
}

static void print_row(const struct sf_matrix_row *row, bool has_repository)
{
        const struct {
                bool known, is;
        } columns[] = { { true, row->has_recipe },
                        { true, row->is_cached },
                        { true, row->is_built },
                        { has_repository, row->is_published },
                        { true, row->is_tested } };
        const char *words[5];

        for (size_t i = 0; i < 5; i++)
                words[i] = !columns[i].known ? "?" : columns[i].is ? "yes" : "-";
        sf_output_line("%-32s %-7s %-7s %-7s %-10s %-7s %s", row->name.text, words[0], words[1], words[2], words[3],
                       words[4], row->why);
}

/* One element of a CI matrix, or one line for a shell. */
static int plan_row(const struct sf_matrix_row *row, json_t *include, struct sf_error *err)
{
        /* Where it is built by a machine of that architecture, saying so does no harm. */
        bool other = strcmp(row->name.arch, sf_host_arch()) != 0;
        _cleanup_free_ char *command = sf_format("slurm-factory build-slurm --slurm-version %s --toolchain %s%s%s",
                                                 row->name.version, row->name.toolchain, other ? " --arch " : "",
                                                 other ? row->name.arch : "");
        _cleanup_free_ char *platform = sf_format("linux/%s", row->name.arch);

        if (!command || !platform)
                return sf_error_set(err, SF_ERR_NOMEM, "matrix");
        json_array_append_new(include,
                              json_pack("{s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:b}", "release", sf_json_text(row->name.text),
                                        "version", sf_json_text(row->name.version), "toolchain",
                                        sf_json_text(row->name.toolchain), "arch", sf_json_text(row->name.arch),
                                        "image", sf_json_text(row->image), "platform", sf_json_text(platform),
                                        "command", sf_json_text(command), "here", row->is_buildable));
        if (sf_output_is_json())
                return 0;
        if (row->is_buildable)
                sf_output_line("%s", command);
        else
                sf_log_info("%s: not on this machine: %s", row->name.text, row->why);
        return 0;
}

static bool is_shown(const struct sf_matrix_row *row, const struct sf_command_line *line)
{
        bool all = sf_option_given(line, "all");

        if (sf_option_given(line, "missing") || (sf_option_given(line, "plan") && !all))
                return sf_matrix_is_missing(row);
        if (sf_option_given(line, "plan"))
                return row->is_selected && row->has_recipe;
        return all || row->is_cached || row->is_built || row->is_published;
}

int sf_command_matrix(const struct sf_factory *factory, const struct sf_command_line *line, json_t *result,
                      struct sf_error *err)
{
        _cleanup_(sf_cache_close) struct sf_cache cache = { NULL };
        _cleanup_(sf_matrix_free) struct sf_matrix matrix = { NULL, 0 };
        const struct sf_matrix_query query = { .repository = factory->repository,
                                               .version = sf_option_get(line, "slurm-version"),
                                               .toolchain = sf_option_get(line, "toolchain"),
                                               .arch = sf_option_get(line, "arch") };
        bool plan = sf_option_given(line, "plan");
        json_t *rows = json_array(), *include = plan ? json_array() : NULL;
        int r;

        json_object_set_new(result, "rows", rows);
        if (plan)
                json_object_set_new(result, "include", include);
        if ((r = sf_cache_open(factory->cache, &cache, err)) < 0 ||
            (r = sf_matrix_make(&cache, factory->data, &query, &matrix, err)) < 0)
                return r;
        if (!sf_output_is_json() && !plan)
                sf_output_line("%-32s %-7s %-7s %-7s %-10s %-7s %s", "RELEASE", "RECIPE", "CACHED", "BUILT",
                               "PUBLISHED", "TESTED", "WHY NO FURTHER");
        size_t shown = 0;
        for (size_t i = 0; i < matrix.count && r == 0; i++) {
                if (!is_shown(&matrix.rows[i], line))
                        continue;
                shown++;
                json_array_append_new(rows, row_to_json(&matrix.rows[i], factory->repository != NULL));
                if (plan)
                        r = plan_row(&matrix.rows[i], include, err);
                else if (!sf_output_is_json())
                        print_row(&matrix.rows[i], factory->repository != NULL);
        }
        if (r == 0 && !shown)
                sf_log_info("%s",
                            plan || sf_option_given(line, "missing")
                                    ? "nothing is missing of what matrix.ini selects"
                                    : "nothing of it is cached, built or published: --all shows what has a recipe");
        return r;
}
