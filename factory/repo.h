/* factory/repo.h - the OCI image layout of a repository (image-spec 1.1, image-layout.md): blobs and index.json.
 *
 * The metadata that nodes trust is factory/metadata.h's; what is here serves OCI tools, and holds the bytes.
 */
#ifndef SF_FACTORY_REPO_H
#define SF_FACTORY_REPO_H

#include <jansson.h>
#include <stddef.h>

#include "base/error.h"
#include "release/index.h"

/* Makes oci-layout and blobs/sha256 where missing. SF_ERR_UNSUPPORTED for anything but a local directory. */
int sf_repo_open(const char *repository, struct sf_error *err);

/* Blobs are immutable: one that is there already is not written again. */
int sf_repo_put(const char *repository, const void *data, size_t len, struct sf_blob *ret, struct sf_error *err);
/* Copies BLOBS/<hex>, checking size and digest on the way. */
int sf_repo_copy(const char *repository, const char *blobs, const struct sf_blob *blob, struct sf_error *err);

/* A manifest that hangs on a release. */
struct sf_repo_artifact {
        const char *type; /* artifactType */
        struct sf_blob manifest;
};

/* Replaces a release's descriptors in index.json: its image, tagged <version>-<toolchain>[-<build>] (other architectures
 * than amd64 add theirs), and its artifacts, untagged. The newest release of a series without a build also gets
 * <series>-<toolchain>. */
int sf_repo_tag(const char *repository, const struct sf_index_release *release,
                const struct sf_repo_artifact *artifacts, size_t count, struct sf_error *err);
/* The names of all releases in index.json; *ret is owned by the caller (free()). */
int sf_repo_releases(const char *repository, struct sf_release_name **ret, size_t *ret_count, struct sf_error *err);
/* Takes a release's descriptors out; its blobs stay. */
int sf_repo_untag(const char *repository, const char *release, struct sf_error *err);

#endif
