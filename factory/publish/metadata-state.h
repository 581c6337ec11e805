/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/metadata-state.h - what is open between sf_metadata_open and sf_metadata_close. Private to
 * metadata*.c. */
#ifndef SF_FACTORY_PUBLISH_METADATA_STATE_H
#define SF_FACTORY_PUBLISH_METADATA_STATE_H

#include <stddef.h>

#include "base/buffer.h"
#include "factory/publish/metadata-role.h"
#include "factory/publish/metadata.h"

struct sf_metadata_staged {
        char *path; /* below the repository */
        struct sf_buffer content;
};

struct sf_metadata {
        struct sf_metadata_options options; /* its strings are borrowed */
        char *directory;                    /* REPO/metadata */
        int lock;
        struct sf_metadata_role *roles; /* root, targets, delegated ones, snapshot, timestamp: the order of writing */
        size_t role_count;
        struct sf_metadata_staged *staged;
        size_t staged_count;
};

struct sf_metadata_role *sf_metadata_find(const struct sf_metadata *metadata, const char *name);
/* In bodies of root and targets: {keyids, threshold} of `role`, and the keys they refer to. */
const json_t *sf_metadata_spec(const json_t *root, const json_t *targets, const char *role, const json_t **ret_keys);
/* Forgets what was staged. */
void sf_metadata_unstage(struct sf_metadata *metadata);

#endif
