/* SPDX-License-Identifier: Apache-2.0 */
/* agent/acquire/candidate.h - the repository's side of a switch: which release is meant, what it costs, and bringing it
 * here.
 */
#ifndef SF_AGENT_ACQUIRE_CANDIDATE_H
#define SF_AGENT_ACQUIRE_CANDIDATE_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/node/config.h"
#include "agent/acquire/fetch_plan.h"
#include "agent/node/report.h"
#include "agent/acquire/repository.h"
#include "base/error.h"
#include "base/json.h"
#include "installer/store.h"
#include "release/rollout.h"

struct sf_candidate {
        bool remote; /* the repository was asked */
        struct sf_repository repository;
        const struct sf_index_release *release; /* borrowed from the repository's index */
        struct sf_fetch_plan plan;
        struct sf_rollout local;          /* what was last seen of the rollout metadata, else the built-in table */
        const struct sf_window_row *rows; /* the compatibility table of either */
};

/* Opens the repository, chooses what `wanted` means ("" = the newest micro release of the active series) and plans the
 * transfer. One whose wave has not reached this node is passed over unless it is active or named by its version. A
 * withdrawn release is passed over, and SF_ERR_INCOMPATIBLE where it is named, unless --force. report->step
 * follows. */
int sf_candidate_open(const struct sf_config *config, const struct sf_store *store, const char *wanted,
                      const struct sf_store_release *active, struct sf_report *report, struct sf_candidate *ret,
                      struct sf_error *err);
/* Where this node stands in the waves of a release (sf_rollout_position): by node_seed, else by its name. */
int sf_candidate_position(const struct sf_config *config, const char *release);
/* Plans the transfer of the chosen release anew: what is installed has changed. */
int sf_candidate_plan_again(const struct sf_config *config, const struct sf_store *store, struct sf_candidate *offer,
                            struct sf_error *err);
/* The same without network: only the compatibility table. */
int sf_candidate_local(const struct sf_config *config, struct sf_candidate *ret, struct sf_error *err);
/* The releases that were on offer when the metadata was verified last, from the copy that was kept. SF_ERR_NOT_FOUND:
 * none. */
int sf_candidate_last_seen(const struct sf_config *config, struct sf_index *ret, struct sf_error *err);
void sf_candidate_close(struct sf_candidate *offer);

/* Makes the planned release a complete tree on this disk. */
int sf_candidate_acquire(const struct sf_config *config, const struct sf_store *store, struct sf_candidate *offer,
                         struct sf_report *report, struct sf_error *err);
/* Bytes received. */
uint64_t sf_candidate_bytes(const struct sf_candidate *offer);

/* What each way would cost, and the steps: as an object of bytes by way (null = closed), or on standard output. */
json_t *sf_candidate_json(const struct sf_candidate *offer, const char *steps);
void sf_candidate_print(const struct sf_candidate *offer, const char *name, const char *steps);

#endif
