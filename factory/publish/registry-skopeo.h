/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/registry-skopeo.h - what skopeo does for publishing to a registry. Private to registry*.c.
 *
 * `address` is "docker://HOST/NAME", a reference ":TAG" or "@sha256:HEX". Failures are SF_ERR_FAILED with skopeo's own
 * words.
 */
#ifndef SF_FACTORY_PUBLISH_REGISTRY_SKOPEO_H
#define SF_FACTORY_PUBLISH_REGISTRY_SKOPEO_H

#include <jansson.h>
#include <stdbool.h>

#include "base/buffer.h"
#include "base/error.h"
#include "release/index.h"

/* A manifest's bytes. A registry that refuses to say whether it has one counts as having none. */
int sf_skopeo_inspect(const char *address, const char *reference, bool *ret_there, struct sf_buffer *ret,
                      struct sf_error *err);
/* An array of strings, owned by the caller; NULL where the registry does not know the name. trusting: it may refuse to
 * say so, too. */
int sf_skopeo_tags(const char *address, bool trusting, json_t **ret, struct sf_error *err);

struct sf_skopeo_copy {
        const char *source; /* as skopeo names it */
        const char *target;
        const char *blobs;   /* directory of an oci: source's blobs, NULL = its own */
        const char *gpg_key; /* what to sign with; NULL = not signed */
        bool list;           /* an image index with all that it names; it may be written anew */
};

int sf_skopeo_copy(const struct sf_skopeo_copy *copy, struct sf_error *err);
/* Deletes a manifest; a registry may take along every tag that leads to it. One that is not there is no error. */
int sf_skopeo_delete(const char *address, const char *reference, struct sf_error *err);

/* Makes a directory below $TMPDIR that is an OCI layout whose index.json names this descriptor alone; takes the
 * reference to it. *ret is the caller's, to be removed with sf_skopeo_layout_remove. */
int sf_skopeo_layout(json_t *descriptor, char **ret, struct sf_error *err);
void sf_skopeo_layout_remove(char **layout);

/* "@sha256:HEX", and ":sha256-HEX": the tag that the distribution specification gives to the list of what
 * refers to an image where a registry has no API for it. */
#define SF_SKOPEO_REFERENCE_MAX (1 + 7 + SF_DIGEST_HEX + 1)
const char *sf_skopeo_by_digest(const struct sf_digest *digest, char ret[static SF_SKOPEO_REFERENCE_MAX]);
const char *sf_skopeo_list_tag(const struct sf_digest *digest, char ret[static SF_SKOPEO_REFERENCE_MAX]);

#endif
