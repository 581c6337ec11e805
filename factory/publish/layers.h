/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/layers.h - puts built layers into a repository's build cache, for other factories
 * (factory/build/layer_source.h, which reads it, says how it looks). */
#ifndef SF_FACTORY_PUBLISH_LAYERS_H
#define SF_FACTORY_PUBLISH_LAYERS_H

#include "base/error.h"
#include "base/words.h"
#include "factory/publish/metadata.h"

/* layers: directories of a cache's buildcache/, each with `key` and `tree`. Those that the repository has are left as
 * they are. *ret_added is how many were not. A repository without the role `buildcache` is SF_ERR_NOT_FOUND. */
int sf_publish_layers(const struct sf_metadata_options *options, const char *toolchain, const char *arch,
                      const struct sf_words *layers, size_t *ret_added, struct sf_error *err);

#endif
