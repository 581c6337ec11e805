/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/publish.h - releases into a repository: blobs, then signed metadata, the timestamp last.
 *
 * A run may be killed anywhere and repeated: blobs are named by their content, and nothing that a node trusts says
 * anything of a release before all of it is there. Publishing what is there already changes nothing; blobs that were
 * damaged since are mended, with a warning.
 */
#ifndef SF_FACTORY_PUBLISH_PUBLISH_H
#define SF_FACTORY_PUBLISH_PUBLISH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "release/index.h"

/* A store that the repository's directory is a copy of: it may have blobs that the directory has not. */
struct sf_publish_store {
        bool (*has)(void *ctx, const struct sf_blob *blob);
        int (*fetch)(void *ctx, const struct sf_blob *blob, struct sf_error *err); /* into the directory */
        void *ctx;
};

struct sf_publish {
        const char *repository;      /* directory; its keys were made by `keys init` */
        const char *const *keys;     /* directories of private keys, NULL-terminated, see keys.h */
        const char *builds;          /* CACHE/builds */
        const char *const *releases; /* what to publish, see sf_build_open */
        size_t release_count;
        const char *const *delta_from; /* releases of the repository (names or beginnings) to make deltas from */
        size_t delta_from_count;
        uint64_t delta_memory; /* a node's budget for applying one, bytes; 0 = default */
        bool replace;          /* accept a release whose content differs from what is published by that name, and
                                        * make deltas anew that are there */
        int64_t now;           /* seconds since the epoch */
        const struct sf_publish_store *store; /* NULL = the directory is all there is */
        bool dry_run;                         /* say what would be done, change nothing */
};

/* SF_ERR_EXISTS: the name is taken by other content. SF_ERR_NOT_FOUND: no such release, or `keys init` did not run. */
int sf_publish_run(const struct sf_publish *publish, struct sf_error *err);

/* Takes a release off the offer: the signed rollout file says so, with the reason, and index.json forgets the tag.
 * Nodes that run it go on. `wanted` names a release of the repository; of one that is withdrawn already the reason is
 * replaced. */
int sf_publish_withdraw(const struct sf_publish *publish, const char *wanted, const char *reason, struct sf_error *err);
/* Offers a withdrawn release again. SF_ERR_NOT_FOUND where it is not withdrawn. */
int sf_publish_restore(const struct sf_publish *publish, const char *wanted, struct sf_error *err);
/* Offers a release to so many of a hundred nodes (release/rollout.h), 100 = all. `wanted` names a release of the
 * repository, or in full one that is going to be published. */
int sf_publish_wave(const struct sf_publish *publish, const char *wanted, int percent, struct sf_error *err);

#endif
