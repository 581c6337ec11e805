/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/self_update.c - see self_update.h. */
#include "agent/switch/self_update.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/acquire/candidate.h"
#include "agent/acquire/own_program.h"
#include "agent/node/lock.h"
#include "agent/node/places.h"
#include "agent/node/state.h"
#include "agent/node/version.h"
#include "agent/switch/handover.h"
#include "agent/switch/transaction.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/proc.h"
#include "base/words.h"
#include "installer/activate.h"

#define TEST_SECONDS 180
#define FOLLOWED     "SF_NODE_FOLLOWED" /* in the environment: this process came of a self-update */
#define COMMAND_MAX  (1u << 20)
#define SELF_TEST    "--self-test"

/* --- the proof --------------------------------------------------------------------------------------------------- */

/* The options that say which node, prefix and repository are meant. */
static int build_command(const struct sf_command_line *line, const char *program, struct sf_words *ret,
                         struct sf_error *err)
{
        static const char *const passed[] = { "config", "repo", "prefix", "toolchain", "arch" };
        int r = sf_words_append(ret, program, err);

        for (size_t i = 0; r == 0 && i < line->value_count; i++)
                for (size_t k = 0; r == 0 && k < sizeof passed / sizeof *passed; k++)
                        if (strcmp(line->values[i].option->name, passed[k]) == 0)
                                r = sf_words_printf(ret, err, "--%s=%s", passed[k], line->values[i].value);
        if (r == 0)
                r = sf_words_append(ret, "self-update", err);
        return r < 0 ? r : sf_words_append(ret, SELF_TEST, err);
}

static int prove(const struct sf_command_line *line, const char *program, const char *version, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer output = SF_BUFFER_INIT;
        _cleanup_(sf_words_free) struct sf_words command = SF_WORDS_INIT;
        _cleanup_free_ char *new = sf_format("%s.new", program), *wanted = sf_format("sf-node %s passes", version);
        struct sf_proc proc = { .env = (const char *const *)environ,
                                .output = &output,
                                .timeout_seconds = TEST_SECONDS };
        int r = new &&wanted ? build_command(line, new, &command, err)
                             : sf_error_set(err, SF_ERR_NOMEM, "no memory for a command");

        proc.argv = sf_words_argv(&command);
        if (r == 0)
                r = sf_proc_check(&proc, err);
        if (r < 0)
                return sf_error_prefix(err, "the new sf-node %s fails its own test", version);
        return strstr(sf_buffer_text(&output), wanted)
                       ? 0
                       : sf_error_set(err, SF_ERR_FAILED,
                                      "the new program does not say that it is sf-node %s and works", version);
}

/* Everything that an agent reads before it changes something. */
static int read_node(const struct sf_config *config, struct sf_store *store, struct sf_store_release *active,
                     struct sf_error *err)
{
        struct sf_transaction record;
        struct sf_state state;
        char view[128] = "";
        int r = sf_state_load(config->state, &state, err);

        if (r == 0)
                r = sf_transaction_load(config->record, &record, err);
        if (r == SF_ERR_NOT_FOUND) {
                sf_error_clear(err);
                r = 0;
        }
        if (r == 0)
                r = sf_store_open(config->root, config->prefix, store, err);
        if (r == 0 && sf_activate_current(store, view, NULL) == 0 && *view)
                r = sf_store_find(store, view, active, err);
        return r;
}

int sf_self_update_test(const struct sf_config *config, struct sf_report *report, struct sf_error *err)
{
        struct sf_config dry = *config;
        struct sf_store store = { 0 };
        struct sf_store_release active = { 0 };
        struct sf_repository repository = { 0 };
        struct sf_candidate offer = { 0 };
        int r = read_node(config, &store, &active, err);

        dry.dry_run = true;
        /* A bare node has nothing to plan for, and the repository may have nothing for its toolchain. */
        if (r == 0 && *active.directory && !active.foreign) {
                r = sf_candidate_open(&dry, &store, "", &active, report, &offer, err);
                sf_candidate_close(&offer);
        } else if (r == 0) {
                r = sf_repository_open_trust(&dry, &repository, err);
                sf_repository_close(&repository);
        }
        sf_store_close(&store);
        return r;
}

/* --- the update -------------------------------------------------------------------------------------------------- */

static int replace(const struct sf_config *config, struct sf_repository *repository, const struct sf_command_line *line,
                   const char *program, struct sf_report *report, struct sf_error *err)
{
        report->step = SF_STEP_FETCH;
        int r = sf_own_program_fetch(config, repository, report->to, program, &report->bytes_fetched, err);

        report->step = r == 0 ? SF_STEP_VERIFY : report->step;
        if (r == 0)
                r = prove(line, program, report->to, err);
        report->step = r == 0 ? SF_STEP_ACTIVATE : report->step;
        if (r == 0)
                r = sf_own_program_switch(program, err);
        if (r < 0)
                sf_own_program_drop(program);
        return r < 0 ? r : 1;
}

int sf_self_update_run(const struct sf_config *config, const struct sf_command_line *line, struct sf_report *report,
                       struct sf_error *err)
{
        struct sf_repository repository = { 0 };
        char program[PATH_MAX], offered[SF_AGENTS_VERSION_MAX];
        _cleanup_close_ int lock = -1;

        snprintf(report->from, sizeof report->from, "%s", sf_version_own());
        snprintf(report->still, sizeof report->still, "%s", sf_version_own());
        report->step = SF_STEP_PLAN;
        int r = sf_own_program_path(program, err);
        if (r == 0)
                r = sf_places_check(config->state, err);
        if (r == 0 && !config->dry_run) {
                r = lock = sf_lock_take(config->state, err);
                r = r < 0 ? r : 0;
        }
        if (r == 0)
                r = sf_repository_open_trust(config, &repository, err);
        if (r == 0)
                r = sf_own_program_offered(config, &repository, offered, err);
        if (r == 0) {
                snprintf(report->to, sizeof report->to, "%s", offered);
                int order = sf_agents_compare(offered, sf_version_own());
                if (order == 0 && !config->dry_run)
                        r = config->force && sf_own_program_verify(config, &repository, NULL) < 0;
                else
                        r = order > 0 || (order < 0 && config->force);
        }
        if (r == 1 && !config->dry_run)
                r = replace(config, &repository, line, program, report, err);
        sf_repository_close(&repository);
        if (r < 0)
                return r;
        report->result = r ? SF_RESULT_DONE : SF_RESULT_UNCHANGED;
        report->step = config->dry_run ? report->step : SF_STEP_DONE;
        return r;
}

/* --- following ---------------------------------------------------------------------------------------------------- */

/* The command line of this process, from /proc: what was parsed has lost its order. */
static int own_command(struct sf_words *ret, struct sf_error *err)
{
        _cleanup_fclose_ FILE *file = fopen("/proc/self/cmdline", "re");
        _cleanup_free_ char *word = NULL;
        size_t room = 0;
        int r = file ? 0 : sf_error_errno(err, "/proc/self/cmdline");

        while (r == 0 && getdelim(&word, &room, '\0', file) > 0)
                r = sf_words_append(ret, word, err);
        return r;
}

static void become(const char *program, struct sf_error *err)
{
        _cleanup_(sf_words_free) struct sf_words command = SF_WORDS_INIT;

        if (own_command(&command, err) < 0)
                return;
        setenv(FOLLOWED, "1", 1);
        execv(program, command.items);
        sf_error_errno(err, "cannot start %s", program);
}

void sf_self_update_follow(const struct sf_config *config, const struct sf_command_line *line)
{
        struct sf_error err = SF_ERROR_INIT;
        struct sf_report report;
        char program[PATH_MAX];

        if (!config->follow_agent || *config->root || config->dry_run || sf_handover_is_second() || getenv(FOLLOWED))
                return;
        sf_report_start(&report, "self-update");
        int r = sf_own_program_path(program, &err);
        if (r == 0)
                r = sf_self_update_run(config, line, &report, &err);
        if (r == 1) {
                sf_log_info("sf-node %s is now %s", report.from, report.to);
                become(program, &err);
        }
        if (r == SF_ERR_NOT_FOUND)
                sf_log_detail("%s", err.text);
        else if (err.code)
                sf_log_warning("this agent stays %s: %s", sf_version_own(), err.text);
}
