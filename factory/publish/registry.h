/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/registry.h - published releases as images in an OCI registry, sent by skopeo.
 *
 *     docker://HOST/NAME:24.11.5-bookworm-amd64     the release, by its full name
 *     docker://HOST/NAME:24.11-bookworm-amd64       its series: the newest release in the registry without a build name
 *     docker://HOST/NAME:sha256-HEX                 what hangs on an image: registry-referrers.h
 *
 * skopeo sends the blobs that the registry lacks, keeps the manifest's digest (the one that the signed index names),
 * takes credentials from its usual authfile and settings from registries.conf(5). With a key of gpg it signs each tag
 * (simple signing, containers-registries.d(5) says where the signature goes).
 */
#ifndef SF_FACTORY_PUBLISH_REGISTRY_H
#define SF_FACTORY_PUBLISH_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

struct sf_registry {
        const char *address;         /* "docker://host/name", see sf_registry_check */
        const char *repository;      /* directory that holds the releases' blobs */
        const char *builds;          /* CACHE/builds */
        const char *const *releases; /* which, see sf_build_open; published already, but in a dry run */
        size_t release_count;
        const char *gpg_key; /* what skopeo signs with; NULL = not signed */
        bool replace;        /* accept a tag of a release that the registry has with other content */
        bool dry_run;        /* only say what would be sent; the registry is asked what it has */
};

/* SF_ERR_USAGE for anything but docker://HOST/NAME without tag and digest. */
int sf_registry_check(const char *address, struct sf_error *err);

/* A release that is withdrawn is left out, with a word. A series tag moves to a newer release only: neither the
 * registry nor the list may have a newer one of its series. SF_ERR_EXISTS: the registry has other content by a
 * release's name. SF_ERR_FAILED with skopeo's own words where it fails. */
int sf_registry_send(const struct sf_registry *registry, struct sf_error *err);

/* Deletes the images of releases that the repository does not offer, withdrawn ones among them, with their artifacts,
 * and moves series tags that led to them. Only tags that are a release's full name, lead to an image of that title, and
 * are for a toolchain and architecture that the repository has. SF_ERR_FAILED where the registry refuses to delete. */
int sf_registry_prune(const struct sf_registry *registry, size_t *ret_removed, struct sf_error *err);

#endif
