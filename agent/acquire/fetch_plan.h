/* SPDX-License-Identifier: Apache-2.0 */
/* agent/acquire/fetch_plan.h - what bringing a release to this node would cost, by each way, before any of it is
 * fetched.
 */
#ifndef SF_AGENT_ACQUIRE_FETCH_PLAN_H
#define SF_AGENT_ACQUIRE_FETCH_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/node/config.h"
#include "agent/acquire/repository.h"
#include "base/buffer.h"
#include "base/error.h"
#include "installer/reuse.h"
#include "installer/store.h"
#include "release/filelist.h"

#define SF_FETCH_PLAN_IMPOSSIBLE UINT64_MAX

enum sf_fetch_plan_way {
        SF_FETCH_PLAN_NOTHING, /* the release is complete on this disk */
        SF_FETCH_PLAN_DELTA,   /* the changed content as a delta against an installed release */
        SF_FETCH_PLAN_RANGES,  /* the frames that hold what no installed release has */
        SF_FETCH_PLAN_FULL,    /* every layer */
};

struct sf_fetch_plan {
        enum sf_fetch_plan_way way;
        const struct sf_index_release *release; /* borrowed from the repository's index */
        uint64_t delta_bytes, ranges_bytes,
                full_bytes;                 /* content to fetch; SF_FETCH_PLAN_IMPOSSIBLE where a way is closed */
        const struct sf_index_delta *delta; /* the delta that would be used; NULL where none fits */
        struct sf_store_release base;       /* the installed release it starts from */
        struct sf_store_release target;     /* what it becomes here: its directory is free, or its own already */
        struct sf_reuse *installed;         /* what installed releases hold; NULL where nothing is to be done */
        struct sf_buffer list_text;         /* of the wanted release; empty where nothing is to be done */
        struct sf_filelist list;
        uint8_t *wanted; /* per entry: no installed release has this file; for SF_FETCH_PLAN_RANGES */
};

/* Compares what is installed with the release. Fetches only the file list, or the patch that makes it. Also checks that
 * the prefix fits (SF_ERR_NO_FIT). */
int sf_fetch_plan_make(const struct sf_config *config, struct sf_repository *repository, const struct sf_store *store,
                       const struct sf_index_release *release, struct sf_fetch_plan *ret, struct sf_error *err);
void sf_fetch_plan_free(struct sf_fetch_plan *plan);

/* The smallest delta to `release` that starts from one of the installed trees and fits the node's memory, and which of
 * them; NULL where there is none. */
const struct sf_index_delta *sf_fetch_plan_find_delta(const struct sf_config *config,
                                                      const struct sf_index_release *release,
                                                      const struct sf_store_release *installed, size_t count,
                                                      size_t *ret_base);

/* Where the planned way turned out closed (a damaged base, a delta that does not apply): the next cheapest one.
 * SF_ERR_FAILED where none is left. */
int sf_fetch_plan_next_way(struct sf_fetch_plan *plan, struct sf_error *err);

const char *sf_fetch_plan_way_name(enum sf_fetch_plan_way way); /* "delta", "ranges", "full", "nothing" */
/* Bytes of a way, SF_FETCH_PLAN_IMPOSSIBLE where it is closed; and of the chosen one. */
uint64_t sf_fetch_plan_way_bytes(const struct sf_fetch_plan *plan, enum sf_fetch_plan_way way);
uint64_t sf_fetch_plan_bytes(const struct sf_fetch_plan *plan);

#endif
