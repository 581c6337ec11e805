/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/publish-state.h - a release on its way into the repository, and its blobs: what publish.c
 * and publish-deltas.c share. Private to them. */
#ifndef SF_FACTORY_PUBLISH_PUBLISH_STATE_H
#define SF_FACTORY_PUBLISH_PUBLISH_STATE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "factory/pack/builds.h"
#include "factory/publish/publish-session.h"
#include "release/index.h"

#define SF_PUBLISH_MANIFEST_MAX (4u << 20) /* bytes */

/* A release on its way into the repository. */
struct sf_publication {
        struct sf_publish_session *session;
        struct sf_build build;
        struct sf_index_release release; /* the new entry; its deltas are owned, with room for all that are asked for */
};

/* Whether all[i] is the release of an earlier one: the operator named it twice. */
bool sf_publish_is_repeated(const struct sf_publication *all, size_t i);
/* The same content under the same name. */
bool sf_publish_is_same(const struct sf_index_release *a, const struct sf_index_release *b);
int sf_publish_has_blob(const struct sf_publish_session *s, const struct sf_blob *blob, bool *ret,
                        struct sf_error *err);
/* Everything that a release consists of; the manifest comes after what it names. What is there is checked, and written
 * again where it is damaged. */
int sf_publish_copy_blobs(struct sf_publish_session *s, const struct sf_build *build, struct sf_error *err);

#endif
