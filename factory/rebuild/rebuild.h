/* SPDX-License-Identifier: Apache-2.0 */
/* factory/rebuild/rebuild.h - is a release the same, bit for bit, when it is built again?
 *
 * The release is built (or taken from the cache) as always. Then it is built from source in a second cache,
 * CACHE/work/check/cache, under other conditions (conditions.h), and every layer's tree and the packed release are
 * compared. Where they differ the second cache is kept until the next check or clean. */
#ifndef SF_FACTORY_REBUILD_REBUILD_H
#define SF_FACTORY_REBUILD_REBUILD_H

#include <jansson.h>

#include "base/error.h"
#include "base/words.h"
#include "factory/build/cache.h"

struct sf_rebuild {
        /* all borrowed */
        const struct sf_cache *cache;
        const char *data;                /* recipes */
        const char *toolchain;           /* NULL = this machine's */
        const char *arch;                /* NULL = this machine's */
        const struct sf_words *first;    /* arguments of the first build: verb and options, without --check */
        const struct sf_words *second;   /* of the second one: what decides the result only */
        const struct sf_words *packages; /* build only these again; empty = all */
        unsigned jobs;
};

/* Sets members of result: those of build-slurm, and check {again, varied, kept, compared, differences [{package, path,
 * where}]}. SF_ERR_CORRUPT where anything differs: each difference was said. */
int sf_rebuild_check(const struct sf_rebuild *rebuild, json_t *result, struct sf_error *err);

#endif
