/* factory/deltas.h - the deltas of a release that is being published: made, stored, and entered into the index. */
#ifndef SF_FACTORY_DELTAS_H
#define SF_FACTORY_DELTAS_H

#include <stdint.h>

#include "base/error.h"
#include "release/index.h"

/* Makes the delta old -> new from the repository's own blobs (both are complete there) and stores its two blobs.
 * memory_budget as in delta/make.h. The caller owns nothing of *ret but its bytes. */
int sf_deltas_make(const char *repository, const struct sf_index_release *old, const struct sf_index_release *new,
                   uint64_t memory_budget, struct sf_index_delta *ret, struct sf_error *err);

#endif
