/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/image-base.h - the system below a release in an image: from a root file system, a tar file or
 * another image into the blobs of an OCI layout. */
#ifndef SF_FACTORY_PUBLISH_IMAGE_BASE_H
#define SF_FACTORY_PUBLISH_IMAGE_BASE_H

#include <jansson.h>

#include "base/error.h"

/* Puts the base's layers into OUTPUT/blobs/sha256 and gives its config and its layers' descriptors: new references.
 * base as in image.h. */
int sf_image_base_add(const char *base, const char *arch, const char *output, json_t **ret_config, json_t **ret_layers,
                      struct sf_error *err);

/* The manifest "sha256:<hex>" among blobs and the config that it names, checked by digest: new references. */
int sf_image_read(const char *blobs, const char *digest, json_t **ret_manifest, json_t **ret_config,
                  struct sf_error *err);

#endif
