/* SPDX-License-Identifier: Apache-2.0 */
/* factory/build/release_source.h - a release that somebody else has packed from the same layers.
 *
 * Packing gives the same bytes everywhere, and takes most of the time where all layers come from a build cache. So the
 * build cache's index (layer_source.h) also says, by the SHA-256 of the text that a release was packed from, what came
 * of it: its release.json (factory/pack/pack.h). The blobs that this names are those of the published release; only the
 * provenance statement, which the repository has in a signed envelope, is written anew and compared.
 */
#ifndef SF_FACTORY_BUILD_RELEASE_SOURCE_H
#define SF_FACTORY_BUILD_RELEASE_SOURCE_H

#include "base/buffer.h"
#include "base/error.h"
#include "factory/build/layer_source.h"
#include "release/index.h"

/* All borrowed. */
struct sf_release_source {
        const struct sf_layer_source *repository;
        const char *builds;           /* directory of releases */
        const char *name;             /* the release's */
        const struct sf_buffer *from; /* what it would be packed from here */
        const struct sf_buffer *sbom; /* its bill of materials */
        /* Appends the provenance statement, as in struct sf_pack. */
        int (*describe)(void *ctx, const struct sf_index_release *release, struct sf_buffer *ret, struct sf_error *err);
        void *describe_ctx;
};

/* Makes BUILDS/<release>, without `from` and `packed`, exactly as packing would. Returns 1, or 0 where the repository
 * has no such release, and then nothing is changed. What arrives damaged is SF_ERR_CORRUPT; an older BUILDS/<release>
 * stays. */
int sf_release_source_fetch(const struct sf_release_source *source, struct sf_index_release *ret, struct sf_error *err);

#endif
