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

/* Makes the delta old -> new from the repository's own blobs (both are complete there) and stores its two blobs.
 * The caller owns nothing of *ret but its bytes. */
int sf_deltas_make(const char *repository, const struct sf_index_release *old, const struct sf_index_release *new,
                   uint64_t memory_budget, struct sf_index_delta *ret, struct sf_error *err);

#endif
