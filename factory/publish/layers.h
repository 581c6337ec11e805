/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/layers.h - puts built layers into a repository's build cache, for other factories
 * (factory/build/layer_source.h, which reads it, says how it looks). */
#ifndef SF_FACTORY_PUBLISH_LAYERS_H
#define SF_FACTORY_PUBLISH_LAYERS_H

#include "base/error.h"
#include "base/words.h"
#include "factory/publish/metadata.h"

/* Layers for one toolchain and architecture, with the release that was packed from them or without. All borrowed. */
struct sf_publish_layers {
        const char *toolchain, *arch;
        const struct sf_words *layers;   /* directories of a cache's buildcache/, each with `key` and `tree` */
        const struct sf_buffer *from;    /* text of what it was packed from */
        const struct sf_buffer *release; /* text of its release.json; NULL = layers alone */
};

/* Layers that the repository has are left as they are. *ret_added is how many were not. A repository without the role
 * `buildcache` is SF_ERR_NOT_FOUND. */
int sf_publish_layers(const struct sf_metadata_options *options, const struct sf_publish_layers *what,
                      size_t *ret_added, struct sf_error *err);

#endif
