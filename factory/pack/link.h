/* SPDX-License-Identifier: Apache-2.0 */
/* factory/pack/link.h - the targets of symbolic links, as the file list can say them: relative, ".." in front only.
 * Text alone; no file system is asked.
 */
#ifndef SF_FACTORY_PACK_LINK_H
#define SF_FACTORY_PACK_LINK_H

#include "base/error.h"

/* What follows `root` in an absolute path that is equal to it ("") or below it, else NULL. Part of `path`. */
const char *sf_link_below(const char *path, const char *root);

/* The shortest relative target by which a link at `path` names `rest`; both are relative to the root of the release.
 * *ret is owned by the caller, NULL where `rest` leaves the root. */
int sf_link_between(const char *path, const char *rest, char **ret, struct sf_error *err);

/* A relative target without "." and empty components: "./a//b/" says "a/b". *ret as above. */
int sf_link_tidy(const char *path, const char *target, char **ret, struct sf_error *err);

#endif
