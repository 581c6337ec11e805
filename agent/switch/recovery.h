/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/recovery.h - finishing or undoing what an earlier run left in the middle.
 */
#ifndef SF_AGENT_SWITCH_RECOVERY_H
#define SF_AGENT_SWITCH_RECOVERY_H

#include <stdbool.h>

#include "agent/node/config.h"
#include "agent/switch/node_switch.h"
#include "agent/switch/transaction.h"
#include "base/error.h"
#include "installer/store.h"

/* Every verb that changes something calls this first, with the lock held; the boot unit does before slurmd starts.
 * Nothing under way: 0. Otherwise makes the record's home active again, with its unit, and restarts services where they
 * run from another tree; 1 when it did, with a sentence in note. boot: services start by themselves after this. */
int sf_recovery_run(const struct sf_config *config, const struct sf_store *store, bool boot, char note[512],
                   struct sf_error *err);

/* The same for a run that has services open and knows its record: the way back of a failed upgrade. Health is waited
 * for. */
int sf_recovery_return(struct sf_node_switch *live, const struct sf_transaction *record, struct sf_error *err);

#endif
