/* SPDX-License-Identifier: Apache-2.0 */
/* factory/pack/oci.h - the JSON documents of an OCI image (image-spec 1.1: config.md, manifest.md), as bytes.
 *
 * All are compact with sorted members, so that the same input gives the same digest.
 */
#ifndef SF_FACTORY_PACK_OCI_H
#define SF_FACTORY_PACK_OCI_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "release/index.h"

#define SF_OCI_MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define SF_OCI_INDEX "application/vnd.oci.image.index.v1+json"
#define SF_OCI_CONFIG "application/vnd.oci.image.config.v1+json"
#define SF_OCI_EMPTY "application/vnd.oci.empty.v1+json"
#define SF_OCI_EMPTY_TEXT "{}" /* the content of the empty config */

struct sf_oci_layer {
        const char *name;         /* "deps" */
        struct sf_blob blob;      /* tar+zstd */
        struct sf_digest diff_id; /* of the tar inside */
};

/* A new reference; NULL without memory. */
json_t *sf_oci_descriptor(const char *media_type, const struct sf_blob *blob);
/* "sha256:" and 64 digits, as OCI names blobs; anything else is SF_ERR_CORRUPT. */
int sf_oci_parse_digest(const char *text, struct sf_digest *ret);
void sf_oci_blob_of(const struct sf_buffer *content, struct sf_blob *ret);

/* The image config. created: seconds since the epoch. */
int sf_oci_config(const struct sf_release_name *name, int64_t created, const struct sf_oci_layer *layers, size_t count,
                  struct sf_buffer *ret, struct sf_error *err);
/* The image manifest. */
int sf_oci_manifest(const struct sf_release_name *name, const struct sf_blob *config, const struct sf_oci_layer *layers,
                    size_t count, struct sf_buffer *ret, struct sf_error *err);
/* A manifest that hangs `blobs` of one type on the image `subject`. */
int sf_oci_artifact(const char *type, const struct sf_blob *blobs, size_t count, const struct sf_blob *subject,
                    struct sf_buffer *ret, struct sf_error *err);

/* Appends a document as compact JSON with sorted members. */
int sf_oci_dump(const json_t *document, struct sf_buffer *ret, struct sf_error *err);

#endif
