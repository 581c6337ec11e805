/* SPDX-License-Identifier: Apache-2.0 */
/* release/filelist-paths.h - private to filelist*.c: the index of a list by path, and what only the whole list can
 * tell. */
#ifndef SF_RELEASE_FILELIST_PATHS_H
#define SF_RELEASE_FILELIST_PATHS_H

#include "base/error.h"
#include "release/filelist.h"

/* Fills by_path. SF_ERR_CORRUPT: a path that is listed twice (directories: twice in a layer, or with two modes), or
 * that does not lie in a directory listed before it. `name` is for errors. */
int sf_filelist_index_paths(struct sf_filelist *list, const char *name, struct sf_error *err);

#endif
