/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/recovery.h - the way back of a switch that failed, and finishing or undoing what an earlier run left in
 * the middle.
 */
#ifndef SF_AGENT_SWITCH_RECOVERY_H
#define SF_AGENT_SWITCH_RECOVERY_H

#include <stdbool.h>

#include "agent/node/config.h"
#include "agent/node/report.h"
#include "agent/switch/node_switch.h"
#include "agent/switch/transaction.h"
#include "base/error.h"
#include "installer/store.h"

#define SF_RECOVERY_NOTE 512 /* bytes */

/* Every verb that changes something calls this first, with the lock held; the boot unit does before slurmd starts.
 * Nothing under way: 0. Otherwise makes the record's home active again, with its unit, and restarts services that
 * run from another tree or were stopped; where home does not start, the release that was left for it. 1 when it did,
 * with a sentence in note. A record that cannot be read is set aside with a warning, and what runs decides (1 as
 * well). boot: this runs before the services. One that runs all the same is restarted, not waited for.
 * SF_ERR_UNSUPPORTED: a newer agent's record, nothing was done. Any other error needs a human. */
int sf_recovery_run(const struct sf_config *config, const struct sf_store *store, bool boot,
                    char note[SF_RECOVERY_NOTE], struct sf_error *err);
/* How every verb that changes something begins: the lock, then sf_recovery_run, whose note is a warning; with
 * --dry-run neither, and the warning says what would be done. *ret_lock: -1 = not held. *ret_code: the exit code
 * after an error, 0 = the one that fits it. report: still names what is active now. */
int sf_recovery_begin(const struct sf_config *config, const struct sf_store *store, struct sf_report *report,
                      int *ret_lock, int *ret_code, struct sf_error *err);
/* What that would do, without doing it: 1 with a sentence where something is under way, 0 where nothing is. */
int sf_recovery_tell(const struct sf_config *config, char note[SF_RECOVERY_NOTE]);
/* The exit code of a verb that sf_recovery_run failed in: 0 (the one that fits the error) or SF_EXIT_HUMAN. */
int sf_recovery_exit(int code);

/* The way back of a failed switch that has services open: to the record's home. Health is waited for. */
int sf_recovery_return(struct sf_node_switch *live, const struct sf_transaction *record, struct sf_error *err);

/* A record that cannot be read tells no home. What is to be made active, "" = leave everything as it is: `proven`,
 * the release that state.json calls active, where view points elsewhere and services do not run from there
 * (`running`, "" = none runs). */
const char *sf_recovery_judge(const char *view, const char *proven, const char *running);

#endif
