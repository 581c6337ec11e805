/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/state.h - what this node remembers between runs: STATE/state.json, replaced atomically.
 *
 *     {"active": "24.11.5-bookworm", "previous": "24.11.4-bookworm",
 *      "last": {"verb": "install", "result": "done", "from": "...", "to": "...", "time": "2026-11-23T12:00:00Z"}}
 *
 * PREFIX/view is the truth about what is active; this file only knows which release was there before.
 */
#ifndef SF_AGENT_NODE_STATE_H
#define SF_AGENT_NODE_STATE_H

#include "agent/node/report.h"
#include "base/error.h"

struct sf_state {
        char active[128];   /* directory below releases/, as the last switch left it; "" before the first */
        char previous[128]; /* directory that was active before, where rollback goes; "" where there is none */
        char verb[32], from[160], to[160], time[32]; /* the last transaction; "" before the first */
        enum sf_result result;                       /* and its result */
};

/* A missing file is an empty state. */
int sf_state_load(const char *state_directory, struct sf_state *ret, struct sf_error *err);
int sf_state_save(const char *state_directory, const struct sf_state *state, struct sf_error *err);
/* Fills the members about the last transaction from a report. */
void sf_state_note(struct sf_state *state, const struct sf_report *report, enum sf_result result);

#endif
