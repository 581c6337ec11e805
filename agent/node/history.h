/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/history.h - the last switches of this node: STATE/history.jsonl, one JSON object a line, oldest first.
 *
 *     {"time": "2026-11-30T09:50:00Z", "verb": "upgrade", "result": "returned", "step": "health", "from": "25.05.5-…",
 *      "to": "25.11.4-…", "bytes_fetched": 3667, "seconds": 4.2, "downtime_seconds": 0.1, "error": "…", "proof": "…"}
 *
 * Lines are appended and never changed; where the file grows beyond SF_HISTORY_MAX bytes, its older half goes. It is
 * for people: nothing is decided by it, and a line that is damaged is left out.
 */
#ifndef SF_AGENT_NODE_HISTORY_H
#define SF_AGENT_NODE_HISTORY_H

#include "agent/node/report.h"
#include "base/error.h"
#include "base/json.h"

#define SF_HISTORY_MAX (256u << 10)

/* Appends the end of a run. `why` is NULL for a good one. */
int sf_history_add(const char *state_directory, const struct sf_report *report, enum sf_result result,
                   const struct sf_error *why, struct sf_error *err);

/* The last `most` lines, oldest first, as a JSON array that is the caller's. No file: an empty one. */
int sf_history_load(const char *state_directory, size_t most, json_t **ret, struct sf_error *err);

#endif
