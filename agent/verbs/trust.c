/* SPDX-License-Identifier: Apache-2.0 */
/* agent/verbs/trust.c - the verb trust: the one moment where a human decides whom this node believes. */
#include "agent/verbs/verbs.h"

#include <stdio.h>

#include "agent/node/lock.h"
#include "agent/node/places.h"
#include "agent/node/report.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"
#include "tuf/tuf.h"

#define ROOT_MAX (512u << 10)

int sf_verb_trust(const struct sf_config *config, const struct sf_command_line *line)
{
        _cleanup_free_ char *directory = sf_fs_join(config->shared, "metadata");
        _cleanup_(sf_buffer_free) struct sf_buffer root = SF_BUFFER_INIT;
        struct sf_error err = SF_ERROR_INIT;
        _cleanup_close_ int lock = -1;
        struct sf_report report;
        char summary[512];

        sf_report_start(&report, "trust");
        report.step = SF_STEP_VERIFY;
        snprintf(summary, sizeof summary, "%s is the trusted root of this node", line->arguments[0]);
        int r = directory ? sf_fs_read(line->arguments[0], ROOT_MAX, &root, &err)
                          : sf_error_set(&err, SF_ERR_NOMEM, "no memory for a path");
        if (r == 0)
                r = sf_places_check(config->state, &err);
        if (r == 0)
                r = lock = sf_lock_take(config->state, &err);
        if (r >= 0)
                r = sf_fs_mkdirs(directory, 0755, &err);
        if (r == 0)
                r = sf_tuf_pin(directory, root.data, root.len, config->force, &err);
        if (r == SF_ERR_EXISTS)
                sf_error_prefix(&err, "another root is trusted here (--force replaces it)");
        return r < 0 ? sf_report_failed(&report, 0, &err) : sf_report_done(&report, summary);
}
