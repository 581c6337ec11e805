/* SPDX-License-Identifier: Apache-2.0 */
/* factory/build/plan.h - which layers a release needs, in which order, and which of them are there already.
 *
 * Recipes name each other; the plan is their graph as a list in which whatever a recipe depends on stands before it.
 * Every layer has its key (factory/build/cache.h), so that the cache can be asked before anything is built.
 */
#ifndef SF_FACTORY_BUILD_PLAN_H
#define SF_FACTORY_BUILD_PLAN_H

#include <stdbool.h>

#include "base/error.h"
#include "factory/build/build_sandbox.h"
#include "factory/build/cache.h"
#include "factory/build/layer_source.h"
#include "factory/build/recipe.h"
#include "factory/build/toolchain.h"

/* Where a layer comes from. */
enum sf_plan_state { SF_PLAN_CACHED, SF_PLAN_FETCH, SF_PLAN_BUILD };

struct sf_plan_layer {
        struct sf_recipe recipe;
        struct sf_cache_key key;
        enum sf_plan_state state;
        char *tree; /* its files in the cache; NULL until it is there */
};

struct sf_plan {
        /* set by the caller, borrowed */
        const struct sf_cache *cache;
        const struct sf_toolchain *toolchain; /* NULL = recipes only: no keys, no states, the cache is not asked */
        const struct sf_build_sandbox *sandbox;
        const char *data;                     /* directory with recipes/, slurm/ and profiles/ */
        const struct sf_layer_source *source; /* layers that others built; NULL = none */
        const char *profile;                  /* NULL = everything the recipes say */
        bool gpu;                             /* with the option nvml, and "gpu" in the release's name */
        /* filled */
        char *version;           /* of Slurm, whole; NULL where Slurm is not part of it */
        const char *build;       /* the word that the profile adds to the release's name; "" */
        char *gpu_build;         /* that word with --gpu; NULL without */
        struct sf_words options; /* that the profile selects, and --gpu */
        struct sf_plan_layer *layers;
        size_t count;
};

/* Every layer the Slurm recipe depends on. */
int sf_plan_deps(struct sf_plan *plan, struct sf_error *err);
/* The same, Slurm itself, and what else its release holds. "25.11" is the newest known 25.11. SF_ERR_USAGE lists the
 * versions that have a recipe. */
int sf_plan_slurm(struct sf_plan *plan, const char *version, struct sf_error *err);
/* Frees what was filled. */
void sf_plan_free(struct sf_plan *plan);

/* NULL where there is none. */
const struct sf_plan_layer *sf_plan_find(const struct sf_plan *plan, const char *name);
/* needed[i] becomes true for each layer that the recipe depends on, directly or not. */
void sf_plan_mark_needed(const struct sf_plan *plan, const struct sf_recipe *recipe, bool *needed);

/* Why a layer is not in the cache: appends the first line of its key that the nearest cached key of the same package
 * does not have, and what that has instead. */
int sf_plan_explain(const struct sf_plan *plan, const struct sf_plan_layer *layer, struct sf_buffer *ret,
                    struct sf_error *err);

/* Puts the files of every layer of the plan that belongs to this layer of the release together in the directory `to`.
 * *ret_count is how many there were. */
int sf_plan_compose(const struct sf_plan *plan, const char *release_layer, const char *to, size_t *ret_count,
                    struct sf_error *err);

#endif
