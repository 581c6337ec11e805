/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/registry-referrers.h - what hangs on a release in a registry: file list, bill of materials,
 * provenance and deltas, as OCI artifacts. Private to registry*.c.
 *
 * Each is an image manifest with `subject` (image-spec 1.1), the one of the repository, byte for byte. Registries with
 * the referrers API list them by that. For all others the list is the tag "sha256-HEX" of the image's digest
 * (distribution-spec 1.1, "Referrers Tag Schema"), which is kept always; entries of others in it stay.
 */
#ifndef SF_FACTORY_PUBLISH_REGISTRY_REFERRERS_H
#define SF_FACTORY_PUBLISH_REGISTRY_REFERRERS_H

#include "factory/publish/registry.h"
#include "release/index.h"

/* Sends what the repository's index.json has for a release and the registry's list has not. */
int sf_registry_send_referrers(const struct sf_registry *registry, const char *release, const struct sf_digest *image,
                               struct sf_error *err);
/* Deletes the list and the artifacts of ours in it. */
int sf_registry_delete_referrers(const char *address, const struct sf_digest *image, struct sf_error *err);

#endif
