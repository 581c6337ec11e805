/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/deltas.h - deltas between packed releases: tried, compared, and stored when a release is
 * published. */
#ifndef SF_FACTORY_PUBLISH_DELTAS_H
#define SF_FACTORY_PUBLISH_DELTAS_H

#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "delta/encode/make.h"
#include "release/index.h"

/* One end of a delta: a release and where its blobs lie (a repository's blobs/sha256, or a build's). */
struct sf_delta_end {
        const char *blobs;
        const struct sf_index_release *release;
};

/* Tries every codec. memory_budget as in delta/encode/make.h. *ret_list receives the patch of the file list. */
int sf_deltas_try(const struct sf_delta_end *old, const struct sf_delta_end *new, uint64_t memory_budget,
                  struct sf_delta_result *ret, struct sf_buffer *ret_list, struct sf_error *err);

/* A delta that is to be made from the repository's own blobs, where both releases are complete. */
struct sf_delta_order {
        const struct sf_index_release *old, *new;
        struct sf_index_delta made; /* where `result` is 0; nothing in it is owned */
        int result;                 /* 0; SF_ERR_NOMEM or SF_ERR_LIMIT: no codec has room, `failure` says more */
        struct sf_error failure;
};

/* Makes all of them, several at a time, and stores their blobs. Those at work share the memory that one would have;
 * what has no room so is made once more alone: the bytes are the same as one by one. Any other failure than those of
 * `result` ends it and is returned. */
int sf_deltas_make(const char *repository, struct sf_delta_order *orders, size_t count, uint64_t memory_budget,
                   struct sf_error *err);

#endif
