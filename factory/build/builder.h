/* SPDX-License-Identifier: Apache-2.0 */
/* factory/build/builder.h - from recipes to layers: what build-deps and build-slurm do.
 *
 * A layer is built in a prefix that holds its dependencies' layers and nothing else; what the package added is kept in
 * the cache under a key over everything it depends on (factory/build/cache.h), so that nothing is built twice.
 */
#ifndef SF_FACTORY_BUILD_BUILDER_H
#define SF_FACTORY_BUILD_BUILDER_H

#include "base/error.h"
#include "base/words.h"
#include "factory/build/cache.h"
#include "factory/build/recipe.h"
#include "factory/build/toolchain.h"
#include "factory/build/build_sandbox.h"

/* A layer that is in the cache. */
struct sf_builder_layer {
        struct sf_recipe recipe;
        struct sf_cache_key key;
        char *tree; /* its files; NULL while it is being built */
};

struct sf_builder {
        /* set by the caller, borrowed */
        const struct sf_cache *cache;
        const struct sf_toolchain *toolchain;
        const struct sf_build_sandbox *workshop;
        const char *data;              /* directory with recipes/ and slurm/ */
        const struct sf_words *mirrors;
        unsigned jobs;
        /* filled: dependencies stand before what needs them */
        struct sf_builder_layer *layers;
        size_t layer_count;
};

/* Makes every layer the Slurm recipe depends on. */
int sf_builder_deps(struct sf_builder *build, struct sf_error *err);
/* The same and then Slurm itself, the last of the layers. SF_ERR_USAGE lists the versions that have a recipe. */
int sf_builder_slurm(struct sf_builder *build, const char *version, struct sf_error *err);
/* Frees what was filled. */
void sf_builder_free(struct sf_builder *build);

/* Puts the files of layers [first, last) together in the existing directory `to`. */
int sf_builder_compose(const struct sf_builder *build, size_t first, size_t last, const char *to, struct sf_error *err);

#endif
