/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/repo.h - the OCI image layout of a repository (image-spec 1.1, image-layout.md): blobs and
 * index.json.
 *
 * The metadata that nodes trust is factory/publish/metadata.h's; what is here serves OCI tools, and holds the bytes.
 */
#ifndef SF_FACTORY_PUBLISH_REPO_H
#define SF_FACTORY_PUBLISH_REPO_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "release/index.h"

/* Makes oci-layout and blobs/sha256 where missing. SF_ERR_UNSUPPORTED for anything but a local directory. */
int sf_repo_open(const char *repository, struct sf_error *err);

/* Whether REPO/blobs/sha256/<hex> is there with the right size and content. Reads it. */
int sf_repo_check(const char *repository, const struct sf_blob *blob, bool *ret_intact, struct sf_error *err);
/* Blobs are immutable: one that is there, with the right content, is not written again. A damaged one is, with a
 * warning. */
int sf_repo_put(const char *repository, const void *data, size_t len, struct sf_blob *ret, struct sf_error *err);
/* Copies BLOBS/<hex>, checking size and digest on the way. */
int sf_repo_copy(const char *repository, const char *blobs, const struct sf_blob *blob, struct sf_error *err);

/* A manifest that hangs on a release. */
struct sf_repo_artifact {
        const char *type; /* artifactType */
        struct sf_blob manifest;
};

/* index.json between being read and being written. */
struct sf_repo_index {
        char *path;
        json_t *document;
};

#define SF_REPO_INDEX_INIT \
        {                  \
                NULL, NULL \
        }

/* A repository without index.json has an empty one, as has one whose file is damaged (a warning says so): it is
 * derived. */
int sf_repo_index_open(const char *repository, struct sf_repo_index *ret, struct sf_error *err);
/* Takes all releases' descriptors out; untagged descriptors of others stay. */
void sf_repo_index_clear(struct sf_repo_index *index);
/* Takes a release's descriptors out; its blobs stay. */
void sf_repo_index_remove(struct sf_repo_index *index, const char *release);
/* Replaces a release's descriptors: its image, tagged <version>-<toolchain>[-<build>] (other architectures than
 * amd64 add theirs), and its artifacts, untagged. The newest release of a series without a build also gets
 * <series>-<toolchain>. */
int sf_repo_index_put(struct sf_repo_index *index, const struct sf_index_release *release,
                      const struct sf_repo_artifact *artifacts, size_t count, struct sf_error *err);
/* Writes the file where it would change. */
int sf_repo_index_store(struct sf_repo_index *index, struct sf_error *err);
void sf_repo_index_close(struct sf_repo_index *index);

/* The names of all releases in index.json; *ret is owned by the caller (free()). */
int sf_repo_releases(const char *repository, struct sf_release_name **ret, size_t *ret_count, struct sf_error *err);

/* The descriptors in index.json of what hangs on a release. *ret is an array, the caller's reference. */
int sf_repo_artifacts(const char *repository, const char *release, json_t **ret, struct sf_error *err);

#endif
