/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/image.h - a release on top of a system with a libc, as an OCI image layout: the base's layers, then
 * the release's own, unchanged.
 */
#ifndef SF_FACTORY_PUBLISH_IMAGE_H
#define SF_FACTORY_PUBLISH_IMAGE_H

#include "base/digest.h"
#include "base/error.h"
#include "factory/pack/builds.h"

struct sf_image {
        const struct sf_build *build;
        /* A directory that holds a root file system, a tar file of one, or an image as skopeo names it
         * ("docker://host/name", "oci:dir:tag"). Of a directory, the contents of /dev, /proc, /sys, /run and
         * /tmp are left out. */
        const char *base;
        const char *output; /* directory: an OCI layout, made where missing; other images in it stay */
};

struct sf_image_result {
        char tag[160]; /* <version>-<toolchain>, as sf_repo_index_put gives them */
        struct sf_digest manifest;
};

/* SF_ERR_FAILED where tar or skopeo fail, SF_ERR_USAGE where the base is for another architecture. */
int sf_image_export(const struct sf_image *image, struct sf_image_result *ret, struct sf_error *err);

#endif
