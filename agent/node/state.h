/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/state.h - what this node remembers between runs: STATE/state.json, replaced atomically.
 *
 *     {"version": 2, "active": "24.11.5-bookworm", "previous": "24.11.4-bookworm", "staged": ["25.11.6-bookworm"],
 *      "last": {"verb": "install", "result": "done", "from": "...", "to": "...", "time": "2026-11-23T12:00:00Z"}}
 *
 * PREFIX/view is the truth about what is active; this file only knows which release was there before. A file without a
 * version is the first format, which had no "staged". One of a higher version is a newer agent's: it is not touched.
 */
#ifndef SF_AGENT_NODE_STATE_H
#define SF_AGENT_NODE_STATE_H

#include <stdbool.h>

#include "agent/node/report.h"
#include "base/error.h"

#define SF_STATE_VERSION    2
#define SF_STATE_STAGED_MAX 8

struct sf_state {
        char active[128];   /* directory below releases/, as the last switch left it; "" before the first */
        char previous[128]; /* directory that was active before, where rollback goes; "" where there is none */
        char staged[SF_STATE_STAGED_MAX][128]; /* directories that were staged and not yet activated, newest first */
        char verb[32], from[160], to[160], time[32]; /* the last transaction; "" before the first */
        enum sf_result result;                       /* and its result */
};

/* A missing file is an empty state. SF_ERR_CORRUPT: damaged; SF_ERR_UNSUPPORTED: a newer agent's. */
int sf_state_load(const char *state_directory, struct sf_state *ret, struct sf_error *err);
int sf_state_save(const char *state_directory, const struct sf_state *state, struct sf_error *err);
/* The same for whoever is about to change something: a damaged file is set aside with a warning, and the state is
 * empty. */
int sf_state_load_or_set_aside(const char *state_directory, struct sf_state *ret, struct sf_error *err);
/* Renames STATE/<file> to STATE/<file>.damaged and warns, with `why`. */
int sf_state_set_aside(const char *state_directory, const char *file, const char *why, struct sf_error *err);
/* SF_ERR_UNSUPPORTED where the object says a version that is higher than `known`. */
int sf_state_check_version(const char *path, const json_t *object, int known, struct sf_error *err);

/* gc keeps what is staged, until it was activated or SF_STATE_STAGED_MAX others were staged after it. */
void sf_state_stage(struct sf_state *state, const char *directory);
void sf_state_unstage(struct sf_state *state, const char *directory);
bool sf_state_is_staged(const struct sf_state *state, const char *directory);

/* Fills the members about the last transaction from a report. */
void sf_state_note(struct sf_state *state, const struct sf_report *report, enum sf_result result);

#endif
