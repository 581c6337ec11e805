/* SPDX-License-Identifier: Apache-2.0 */
/* base/path.h - questions about paths that their text alone answers. No file system is asked. */
#ifndef SF_BASE_PATH_H
#define SF_BASE_PATH_H

#include <stdbool.h>
#include <stddef.h>

/* The number of bytes of the directory part of a relative path, without the slash: 3 for "lib/a.so", 0 for "a". */
size_t sf_path_parent_length(const char *path);

/* True where a symbolic link at `path` (plain, relative to a tree, whose parents are real directories) with this target
 * can not lead out of the tree. The target must be relative and have its ".." components in front only: behind a name
 * that may itself be a link, ".." would mean another place than the text says. "." is accepted as a whole target. */
bool sf_path_link_stays(const char *path, const char *target);

#endif
