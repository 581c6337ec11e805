/* SPDX-License-Identifier: Apache-2.0 */
/* factory/build/cache.h - the factory's own directory: what was downloaded, built and packed.
 *
 *     CACHE/sources/<sha256>-<file>       verified source archives
 *     CACHE/buildcache/<name>-<version>-<key>/tree/   one layer: what a package installs, at its placeholder prefix
 *     CACHE/buildcache/<name>-<version>-<key>/key     the text whose SHA-256 is <key>: everything the layer depends on
 *     CACHE/builds/<release>/             packed releases (factory/pack/pack.h); `from` names the layers,
 *                                         `packed` how they were compressed (factory/pack/reuse.h)
 *     CACHE/logs/<name>-<version>-<toolchain>-<arch>-<8 digits of key>/   one log per step of the layer's last build
 *     CACHE/roots/<toolchain>/            other distributions' systems to build in (factory/build/root.h)
 *     CACHE/ccache/<toolchain>/           what compilers made, kept by ccache
 *     CACHE/work/, CACHE/locks/           builds in progress
 *
 * A layer directory is complete or absent: it is renamed into place after everything in it has reached the disk.
 */
#ifndef SF_FACTORY_BUILD_CACHE_H
#define SF_FACTORY_BUILD_CACHE_H

#include <stdbool.h>

#include "base/digest.h"
#include "base/error.h"
#include "factory/build/recipe.h"
#include "factory/build/toolchain.h"

struct sf_cache {
        char *root; /* absolute, without symbolic links */
};

/* root NULL = $SLURM_FACTORY_CACHE_DIR, else ~/.slurm-factory. Makes the directories. */
int sf_cache_open(const char *root, struct sf_cache *ret, struct sf_error *err);
void sf_cache_close(struct sf_cache *cache);

/* ROOT/<kind>[/<name>]; owned by the caller, NULL = no memory. kind is "sources", "buildcache", "builds", ... */
char *sf_cache_path(const struct sf_cache *cache, const char *kind, const char *name);

/* One layer's identity. */
struct sf_cache_key {
        char *text; /* what it depends on, one line each; owned */
        char *name; /* <name>-<version>-<sha256 of text>; owned */
};

/* depends: the keys of the recipe's dependencies, in its order. prefix: where it will be built. */
int sf_cache_key_make(const struct sf_recipe *recipe, const struct sf_toolchain *toolchain, const char *prefix,
                      const struct sf_cache_key *const *depends, size_t depend_count, struct sf_cache_key *ret,
                      struct sf_error *err);
void sf_cache_key_free(struct sf_cache_key *key);

/* The layer's tree where it is cached; owned by the caller. SF_ERR_NOT_FOUND. */
int sf_cache_find(const struct sf_cache *cache, const struct sf_cache_key *key, char **ret_tree, struct sf_error *err);

/* Takes `tree` (a directory on the cache's file system) as the layer of the key, whose lock the caller holds. A layer
 * without a tree makes room for it. */
int sf_cache_store(const struct sf_cache *cache, const struct sf_cache_key *key, const char *tree,
                   struct sf_error *err);

/* An exclusive lock by name, held until the descriptor is closed (and by no child). wait false: SF_ERR_BUSY when
 * another process holds it. */
int sf_cache_lock(const struct sf_cache *cache, const char *name, bool wait, int *ret_fd, struct sf_error *err);

/* Removes layers and work directories; with `full` also sources, releases and logs. Returns through *ret_bytes what the
 * files took. SF_ERR_BUSY while a build holds a lock. */
int sf_cache_clean(const struct sf_cache *cache, bool full, uint64_t *ret_bytes, struct sf_error *err);

#endif
