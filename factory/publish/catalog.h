/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/catalog.h - what a repository offers: every signed index and the rollout file, read once, changed in
 * memory, staged once.
 *
 *     sf_catalog_open -> change indexes and rollout -> sf_catalog_stage -> sf_metadata_commit
 *
 * The metadata is borrowed and holds the repository's lock, so nobody else changes anything meanwhile.
 */
#ifndef SF_FACTORY_PUBLISH_CATALOG_H
#define SF_FACTORY_PUBLISH_CATALOG_H

#include <stddef.h>

#include "base/error.h"
#include "factory/publish/metadata.h"
#include "factory/publish/repo.h"
#include "release/index.h"
#include "release/rollout.h"

struct sf_catalog_index {
        char *target; /* "index/<toolchain>-<arch>.json", owned */
        struct sf_index index;
};

struct sf_catalog {
        struct sf_metadata *metadata; /* borrowed */
        struct sf_catalog_index *indexes;
        size_t count;
        struct sf_rollout rollout;
};

#define SF_CATALOG_INIT          \
        {                        \
                .metadata = NULL \
        }

/* A file that was damaged since it was signed is SF_ERR_CORRUPT naming it. */
int sf_catalog_open(struct sf_metadata *metadata, struct sf_catalog *ret, struct sf_error *err);
void sf_catalog_close(struct sf_catalog *catalog);

/* The index that a release belongs to; made where there is none yet. Valid until the next call. */
int sf_catalog_index(struct sf_catalog *catalog, const struct sf_release_name *name, struct sf_index **ret,
                     struct sf_error *err);
/* The one release that `wanted` means (sf_release_name_choose), withdrawn or not. *ret is a copy. */
int sf_catalog_choose(const struct sf_catalog *catalog, const char *wanted, struct sf_release_name *ret,
                      struct sf_error *err);

/* Stages what differs from what is published. An index beyond SF_INDEX_TEXT_MAX is SF_ERR_LIMIT. */
int sf_catalog_stage(const struct sf_catalog *catalog, struct sf_error *err);

/* For OCI tools: makes the entries of index.json anew from what is offered: each release that is not withdrawn, and
 * what hangs on it. Stores the manifests that this needs; the file itself is written by sf_repo_index_store. */
int sf_catalog_tag(const struct sf_catalog *catalog, const char *repository, struct sf_repo_index *tags,
                   struct sf_error *err);
/* The manifests of what hangs on a release in index.json: file list, bill of materials, provenance and deltas. Stored
 * where `repository` is not NULL, else only their digests are told. *ret is owned by the caller (free()). */
int sf_catalog_artifacts(const struct sf_index_release *release, const char *repository, struct sf_repo_artifact **ret,
                         size_t *ret_count, struct sf_error *err);

#endif
