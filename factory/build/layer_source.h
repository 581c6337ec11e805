/* SPDX-License-Identifier: Apache-2.0 */
/* factory/build/layer_source.h - layers that somebody else has built: another cache directory, or the build cache of a
 * repository.
 *
 * A repository's build cache is the target buildcache/<toolchain>-<arch>.json, signed by the role `buildcache`,
 *
 *     { "buildcache": 1, "layers": { "<name>-<version>-<key>": {"sha256": "...", "size": 123}, ... },
 *       "releases": { "<sha256 of what it was packed from>": { an index, see release_source.h }, ... } }
 *
 * and beside the metadata, buildcache/<layer>.tar.zst with <layer>/key and <layer>/tree/... in it. A layer is used only
 * where its key is the one that this factory computed, so that it is what would have been built here.
 */
#ifndef SF_FACTORY_BUILD_LAYER_SOURCE_H
#define SF_FACTORY_BUILD_LAYER_SOURCE_H

#include <jansson.h>
#include <stdbool.h>

#include "base/error.h"
#include "base/words.h"
#include "factory/build/cache.h"
#include "release/index.h"
#include "transport/fetch.h"

struct sf_layer_source {
        /* set by the caller, borrowed */
        const struct sf_cache *cache;
        const char *local;           /* another cache directory; NULL = none */
        const struct sf_words *urls; /* the repository and its mirrors; empty = none */
        const char *toolchain, *arch;
        /* filled */
        json_t *layers, *releases; /* of the repository's index; NULL where there are none */
};

/* Pins a repository's root of trust for this cache (CACHE/trust). Another root than the pinned one is SF_ERR_EXISTS
 * unless force. */
int sf_layer_source_trust(const struct sf_cache *cache, const char *root_file, bool force, struct sf_error *err);

/* Reads the repository's index. Without a pinned root SF_ERR_USAGE, and SF_ERR_TRUST where it does not verify; a
 * repository that cannot be reached, or has no build cache for the toolchain, is SF_ERR_NETWORK or SF_ERR_NOT_FOUND. */
int sf_layer_source_open(struct sf_layer_source *source, struct sf_error *err);
void sf_layer_source_close(struct sf_layer_source *source);

bool sf_layer_source_has(const struct sf_layer_source *source, const char *layer);

/* A fetcher for the repository and its mirrors, whose strings are borrowed from source. */
int sf_layer_source_fetcher(const struct sf_layer_source *source, struct sf_fetcher **ret, struct sf_error *err);

/* Writes a file of the repository to the path `to`. Other content than wanted is SF_ERR_CORRUPT. */
int sf_layer_source_download(struct sf_fetcher *fetcher, const char *path, const struct sf_blob *wanted, const char *to,
                             struct sf_error *err);

/* Brings the layer into the cache. */
int sf_layer_source_fetch(const struct sf_layer_source *source, const struct sf_cache_key *key, struct sf_error *err);

#endif
