/* SPDX-License-Identifier: Apache-2.0 */
/* factory/rebuild/tree_diff.h - what two trees that should be the same have not in common.
 *
 * Compared are names, types, permission bits, link targets and contents. Owners and times are not: a release holds
 * neither. */
#ifndef SF_FACTORY_REBUILD_TREE_DIFF_H
#define SF_FACTORY_REBUILD_TREE_DIFF_H

#include <stddef.h>

#include "base/error.h"

struct sf_tree_difference {
        char *path;  /* in both trees */
        char *where; /* "section .rodata: ...", "mode 0755 instead of 0700", "only in the first build" */
};

struct sf_tree_diff {
        struct sf_tree_difference *list; /* owned */
        size_t count;
        size_t compared; /* files and links of both trees */
};

/* Adds to *ret. */
int sf_tree_diff(const char *first, const char *second, struct sf_tree_diff *ret, struct sf_error *err);
void sf_tree_diff_free(struct sf_tree_diff *diff);

#endif
