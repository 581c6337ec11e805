/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/reachable.h - which files of a repository a reader may still ask for, and until when. */
#ifndef SF_FACTORY_PUBLISH_REACHABLE_H
#define SF_FACTORY_PUBLISH_REACHABLE_H

#include <jansson.h>
#include <stdint.h>

#include "base/error.h"
#include "factory/publish/files.h"

/* An object: path below the repository -> seconds since the epoch until which a reader may ask for it; INT64_MAX for
 * what is offered now. Starts from every metadata/N.snapshot.json that is not expired before `now` or is the current
 * one, from the roots, and from index.json. *ret is owned by the caller. current: version of the snapshot that the
 * timestamp names. SF_ERR_CORRUPT, SF_ERR_NOT_FOUND: a file that names others is damaged or missing, so that nothing
 * can be said. */
int sf_reachable_find(const struct sf_files *files, int64_t current, int64_t now, json_t **ret, struct sf_error *err);

#endif
