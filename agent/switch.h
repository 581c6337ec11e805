/* agent/switch.h - points the node's stable path at another complete release, and remembers the one before.
 */
#ifndef SF_AGENT_SWITCH_H
#define SF_AGENT_SWITCH_H

#include "agent/config.h"
#include "agent/report.h"
#include "base/error.h"
#include "installer/store.h"

/* The active release. SF_ERR_NOT_FOUND where view is missing or is not ours. */
int sf_switch_active(const struct sf_store *store, struct sf_store_release *ret, struct sf_error *err);

/* Fills report->from and ->still with the active release's name; "" where none is. */
void sf_switch_note_active(const struct sf_store *store, struct sf_report *report);

/* Adopts a hand-made view where there is one, switches, rewrites the Lmod modules, saves the state. Already active: 0 and
 * report->result is "unchanged". */
int sf_switch_to(const struct sf_config *config, const struct sf_store *store, const struct sf_store_release *release,
                 struct sf_report *report, struct sf_error *err);

#endif
