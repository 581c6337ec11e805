/* SPDX-License-Identifier: Apache-2.0 */
/* factory/build/source.h - finds a source archive by file name and SHA-256, wherever it can be had.
 *
 * Places, in this order, for each of a recipe's alternatives: the cache; the mirrors given by option or configuration
 * (directories or URLs, laid out flat or as a Debian pool); the mirrors this machine's apt is configured for, where the
 * recipe names a pool path; the recipe's own URLs. Only content with the right digest is ever used: what lies in the
 * cache is hashed again each time, and goes where it is something else.
 */
#ifndef SF_FACTORY_BUILD_SOURCE_H
#define SF_FACTORY_BUILD_SOURCE_H

#include "base/error.h"
#include "base/words.h"
#include "factory/build/cache.h"
#include "factory/build/recipe.h"

/* Ready in CACHE/sources; *ret_path is owned by the caller, *ret_source is the one of the recipe's that was found.
 * SF_ERR_NOT_FOUND lists every place that was tried and why it did not do. */
int sf_source_fetch(const struct sf_cache *cache, const struct sf_words *mirrors, const struct sf_recipe *recipe,
                    char **ret_path, const struct sf_recipe_source **ret_source, struct sf_error *err);

/* The same, and a copy of it under its plain name in the existing directory. Returns 1 where the copy was made, 0
 * where it was there already with the right content; SF_ERR_CORRUPT where the copy came out as something else. */
int sf_source_mirror(const struct sf_cache *cache, const struct sf_words *mirrors, const struct sf_recipe *recipe,
                     const char *directory, struct sf_error *err);

/* The base URLs of apt's configured archives, without a trailing slash, each once; none where there is no apt. */
int sf_source_apt_bases(struct sf_words *bases, struct sf_error *err);

#endif
