/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/publish-session.h - a repository that is being changed: open, locked, and committed at once. Only
 * factory/publish/publish and its parts include this.
 */
#ifndef SF_FACTORY_PUBLISH_PUBLISH_SESSION_H
#define SF_FACTORY_PUBLISH_PUBLISH_SESSION_H

#include <stdint.h>

#include "base/error.h"
#include "factory/publish/catalog.h"
#include "factory/publish/metadata.h"
#include "factory/publish/publish.h"

/* The repository, open and locked. */
struct sf_publish_session {
        const struct sf_publish *publish;
        struct sf_metadata *metadata;
        struct sf_repo_index tags;
        struct sf_catalog catalog;
        uint64_t missing_count, missing_bytes; /* of a dry run: blobs that would be copied */
};

int sf_publish_session_open(struct sf_publish_session *s, struct sf_error *err);
/* Signs and writes what changed; with dry_run only says what would be added. */
int sf_publish_session_commit(struct sf_publish_session *s, struct sf_error *err);
void sf_publish_session_close(struct sf_publish_session *s);

#endif
