/* SPDX-License-Identifier: Apache-2.0 */
/* factory/pack/builds.h - the releases that pack made: finding them by name, reading what publish needs (see
 * pack.h). */
#ifndef SF_FACTORY_PACK_BUILDS_H
#define SF_FACTORY_PACK_BUILDS_H

#include "base/error.h"
#include "release/filelist.h"
#include "release/index.h"

struct sf_build {
        char *directory;        /* BUILDS/<release>, or what the caller named */
        char *blobs;            /* blobs/sha256 inside it */
        struct sf_index index;  /* of one release */
};

/* `wanted` is a release name, an unambiguous beginning of one, or the path of a release directory (with a slash).
 * SF_ERR_NOT_FOUND, SF_ERR_USAGE where it is ambiguous. */
int sf_build_open(const char *builds, const char *wanted, struct sf_build *ret, struct sf_error *err);
void sf_build_close(struct sf_build *build);

/* The names of all releases in a directory, in any order; hidden ones are not finished, and a missing directory has
 * none. Owned by the caller (free()). */
int sf_build_names(const char *builds, struct sf_release_name **ret, size_t *ret_count, struct sf_error *err);

/* The file list of a build, from its text. Freed by the caller. SF_ERR_CORRUPT where it is another release's. */
int sf_build_filelist(const struct sf_build *build, struct sf_filelist *ret, struct sf_error *err);

/* The only release of its index. */
const struct sf_index_release *sf_build_release(const struct sf_build *build);

#endif
