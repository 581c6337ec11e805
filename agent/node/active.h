/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/active.h - which release the stable path of this node points to.
 */
#ifndef SF_AGENT_NODE_ACTIVE_H
#define SF_AGENT_NODE_ACTIVE_H

#include "agent/node/report.h"
#include "base/error.h"
#include "installer/store.h"

/* The active release. SF_ERR_NOT_FOUND where view is missing or is not ours. */
int sf_active_find(const struct sf_store *store, struct sf_store_release *ret, struct sf_error *err);

/* Fills report->from and ->still with the active release's name; "" where none is. */
void sf_active_note(const struct sf_store *store, struct sf_report *report);

#endif
