/* SPDX-License-Identifier: Apache-2.0 */
/* agent/acquire/acquire.h - bytes first: a release of the repository becomes a complete tree on this disk.
 *
 * What is visible does not change: PREFIX/view stays where it is, and the new tree gets its name only when it is whole.
 */
#ifndef SF_AGENT_ACQUIRE_ACQUIRE_H
#define SF_AGENT_ACQUIRE_ACQUIRE_H

#include "agent/node/config.h"
#include "agent/acquire/fetch_plan.h"
#include "agent/node/report.h"
#include "agent/acquire/repository.h"
#include "base/error.h"
#include "installer/store.h"

/* Carries out a plan; a way that turns out closed is replaced by the next cheapest in `plan`. report->step follows
 * the work (fetch, verify, unpack). A failure leaves nothing behind; but where the network or the operator
 * interrupted, files that are whole stay in the (hidden) staging directory, and the next run for the same release
 * does not fetch them again. */
int sf_acquire_run(const struct sf_config *config, struct sf_repository *repository, const struct sf_store *store,
                   struct sf_fetch_plan *plan, struct sf_report *report, struct sf_error *err);

#endif
