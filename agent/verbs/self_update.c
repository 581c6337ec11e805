/* SPDX-License-Identifier: Apache-2.0 */
/* agent/verbs/self_update.c - the verb self-update: this program replaced, or only looked at. */
#include "agent/switch/self_update.h"

#include <stdio.h>

#include "agent/acquire/own_program.h"
#include "agent/node/version.h"
#include "agent/verbs/verbs.h"
#include "base/cleanup.h"
#include "base/output.h"

static int verify(const struct sf_config *config, struct sf_report *report, char *summary, size_t room,
                  struct sf_error *err)
{
        struct sf_repository repository = { 0 };
        int r;

        report->step = SF_STEP_VERIFY;
        r = sf_repository_open_trust(config, &repository, err);
        if (r == 0)
                r = sf_own_program_verify(config, &repository, err);
        sf_repository_close(&repository);
        snprintf(summary, room, "this is the repository's sf-node %s", sf_version_own());
        return r;
}

static int test(const struct sf_config *config, struct sf_report *report, struct sf_error *err)
{
        report->step = SF_STEP_PREFLIGHT;
        int r = sf_self_update_test(config, report, err);

        /* What the agent that is to be replaced waits for. */
        if (r == 0 && !sf_output_is_json())
                sf_output_line("sf-node %s passes its own test", sf_version_own());
        return r;
}

static int update(const struct sf_config *config, const struct sf_command_line *line, struct sf_report *report,
                  char *summary, size_t room, struct sf_error *err)
{
        int r = sf_self_update_run(config, line, report, err);

        if (r == 0)
                snprintf(summary, room, "sf-node %s is what the repository offers (%s): nothing to do",
                         sf_version_own(), report->to);
        else if (r == 1)
                snprintf(summary, room, config->dry_run ? "sf-node %s would be replaced by %s" : "sf-node %s is now %s",
                         report->from, report->to);
        return r < 0 ? r : 0;
}

int sf_verb_self_update(const struct sf_config *config, const struct sf_command_line *line)
{
        bool only_verify = sf_option_given(line, "verify-only"), self_test = sf_option_given(line, "self-test");
        struct sf_error err = SF_ERROR_INIT;
        struct sf_report report;
        char summary[512] = "";
        int r;

        sf_report_start(&report, "self-update");
        if (only_verify)
                r = verify(config, &report, summary, sizeof summary, &err);
        else if (*config->root)
                r = sf_error_set(&err, SF_ERR_USAGE,
                                 "--root: this program is not part of %s; put another one there by hand", config->root);
        else if (self_test)
                r = test(config, &report, &err);
        else
                r = update(config, line, &report, summary, sizeof summary, &err);
        return r < 0 ? sf_report_failed(&report, 0, &err) : sf_report_done(&report, *summary ? summary : NULL);
}
