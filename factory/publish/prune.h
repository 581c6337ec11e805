/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/prune.h - removes what a repository need not keep: old releases from the offer, then files that
 * nobody may still ask for.
 *
 * A reader that has a snapshot which has not expired may fetch everything that this snapshot leads to: role files,
 * target files, and the blobs of each release in its indexes. Only what no such snapshot leads to is deleted, and
 * nothing that is younger than `grace`. What a prune takes off the offer therefore goes some 14 days later, with the
 * next prune. Roots stay for ever: a node that was away for years follows their chain. Outside metadata/, targets/ and
 * blobs/ nothing is touched.
 */
#ifndef SF_FACTORY_PUBLISH_PRUNE_H
#define SF_FACTORY_PUBLISH_PRUNE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/words.h"
#include "factory/publish/files.h"

#define SF_PRUNE_GRACE 86400

struct sf_prune {
        const char *repository;
        const char *const *keys;     /* as in struct sf_publish */
        const char *const *releases; /* full names or what sf_release_name_choose takes: these are removed */
        size_t release_count;
        unsigned keep; /* of each series, toolchain and architecture stay this many releases; 0 = all. Withdrawn ones
                         * do not count, and go where they are older than the oldest that stays */
        int64_t grace; /* seconds that a snapshot counts beyond its expiry, and that a nameless file stays; see
                         * SF_PRUNE_GRACE */
        int64_t now;
        bool dry_run; /* change nothing, tell all */
        /* Where `repository` is a copy: the files themselves, and what sends a commit. NULL = the directory is all. */
        const struct sf_files *files;
        int (*after_commit)(void *ctx, struct sf_error *err);
        void *after_commit_ctx;
};

struct sf_prune_result {
        struct sf_words removed; /* releases taken off the offer */
        size_t deltas;           /* taken off with them, or because no release has their base any more */
        size_t files;            /* deleted */
        uint64_t bytes;
        size_t waiting_files; /* that only snapshots of the past still lead to */
        uint64_t waiting_bytes;
        int64_t waiting_until; /* when the last of these snapshots expires; 0 where nothing waits */
};

/* SF_ERR_CORRUPT where something is damaged that says what has to stay: then no file is deleted. */
int sf_prune_run(const struct sf_prune *prune, struct sf_prune_result *ret, struct sf_error *err);
void sf_prune_result_free(struct sf_prune_result *result);

#endif
