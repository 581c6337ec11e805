/* SPDX-License-Identifier: Apache-2.0 */
/* agent/verbs/recover.c - the verb of the boot unit: finishes or undoes an interrupted switch. */
#include <stdio.h>

#include "agent/node/lock.h"
#include "agent/node/report.h"
#include "agent/switch/drain.h"
#include "agent/switch/recovery.h"
#include "agent/switch/transaction.h"
#include "agent/verbs/verbs.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"
#include "release/layout.h"

#define ASK_SECONDS 5

/* A node that an interrupted run has drained. */
static void resume(const struct sf_config *config, const struct sf_store *store)
{
        _cleanup_free_ char *view = sf_fs_join(store->base, SF_NODE_VIEW);
        struct sf_slurm slurm = { .tree = view, .conf = config->slurm_conf, .timeout = ASK_SECONDS };
        struct sf_error err = SF_ERROR_INIT;

        if (view && !*config->root && sf_drain_end(config->state, &slurm, &err) < 0)
                sf_log_warning("the node may still be drained by sf-node, the next run resumes it: %s", err.text);
}

int sf_verb_recover(const struct sf_config *config, const struct sf_command_line *line)
{
        struct sf_error err = SF_ERROR_INIT;
        struct sf_store store = { 0 };
        struct sf_report report;
        _cleanup_close_ int lock = -1;
        char note[SF_RECOVERY_NOTE] = "nothing was interrupted";

        sf_report_start(&report, "recover");
        report.step = SF_STEP_RECOVER;
        int r = sf_store_open(config->root, config->prefix, &store, &err);
        if (r == 0)
                r = lock = sf_lock_take(config->state, &err);
        /* A system that is read-only as a whole. */
        struct sf_transaction record;
        bool nothing = r == SF_ERR_IO && sf_transaction_load(config->record, &record, NULL) == SF_ERR_NOT_FOUND;
        if (nothing) {
                sf_log_detail("%s", err.text);
                sf_store_close(&store);
                return sf_report_done(&report, note);
        }
        if (r >= 0)
                r = sf_recovery_run(config, &store, sf_option_given(line, "boot"), note, &err);
        if (r >= 0)
                resume(config, &store);
        sf_store_close(&store);
        if (r < 0)
                return sf_report_failed(&report, sf_recovery_exit(r), &err);
        report.result = r > 0 ? SF_RESULT_DONE : SF_RESULT_UNCHANGED;
        return sf_report_done(&report, note);
}
