/* SPDX-License-Identifier: Apache-2.0 */
/* installer/tree.h - an installed tree seen through the inverse relocation map.
 *
 * verify, reuse and delta bases read installed files as the canonical content they came from.
 */
#ifndef SF_INSTALLER_TREE_H
#define SF_INSTALLER_TREE_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "release/filelist.h"
#include "rpath/relocate.h"

struct sf_tree {
        const struct sf_filelist *list;
        int dirfd;                    /* the release directory */
        const char *installed_prefix; /* what its binaries and texts say */
        const char *view_prefix;
};

/* The relocation of one entry in this tree. `room` (list->prefix_length + 1 bytes each) receives the padded strings. */
int sf_tree_relocation(const struct sf_tree *tree, const struct sf_entry *entry, char *room_from, char *room_to,
                       struct sf_relocation *ret, struct sf_error *err);

/* Reads an installed file in canonical form, checked against the entry's digest: SF_ERR_CORRUPT where it differs,
 * SF_ERR_NOT_FOUND where it is missing. Appends to ret. */
int sf_tree_read(const struct sf_tree *tree, const struct sf_entry *entry, struct sf_buffer *ret, struct sf_error *err);

/* The same without keeping the content. */
int sf_tree_check(const struct sf_tree *tree, const struct sf_entry *entry, struct sf_error *err);

enum sf_damage { SF_DAMAGE_NONE, SF_DAMAGE_MISSING, SF_DAMAGE_CONTENT, SF_DAMAGE_MODE, SF_DAMAGE_TYPE, SF_DAMAGE_TARGET,
                 SF_DAMAGE_EXTRA };
/* Called for every difference between tree and list; path of extras is relative to the tree. */
typedef int sf_tree_damage_fn(void *ctx, enum sf_damage damage, const char *path, const struct sf_entry *entry,
                              struct sf_error *err);
/* Compares everything; extra files are reported too (.sf-release/ is known). Returns the number of differences, or an
 * error, or what report returned when that was not 0. report may be NULL. */
int sf_tree_verify(const struct sf_tree *tree, sf_tree_damage_fn *report, void *ctx, struct sf_error *err);
const char *sf_damage_name(enum sf_damage damage);

#endif
