/* installer/reuse.h - what this node already has: files of a new release that an installed one holds, whatever their name.
 *
 * A file is found by the digest of its canonical content and read before it is believed: an installed tree may be
 * damaged. Files without a prefix inside are cloned (FICLONE), else hard-linked where mode and owner are the listed ones
 * (repair writes anew, so links stay safe); all others are read through the inverse map and relocated to the new tree.
 */
#ifndef SF_INSTALLER_REUSE_H
#define SF_INSTALLER_REUSE_H

#include <stdint.h>

#include "base/error.h"
#include "installer/store.h"
#include "installer/tree.h"
#include "release/filelist.h"

/* Which files no installed release lists, judged by the lists alone: *ret_wanted has one byte per entry (free()), as
 * sf_unpack_plan takes it. Directories and links are not wanted: they come from the list itself. */
int sf_reuse_plan(const struct sf_store *store, const struct sf_filelist *list, uint8_t **ret_wanted,
                  struct sf_error *err);

/* Brings every file that an installed release holds intact into tree, whose directories exist (sf_unpack_skeleton).
 * *ret_missing marks the files that are still wanted (free()). With `among` (one byte per entry) only files marked there
 * are looked for and the rest is not wanted: that is repair, and files are then replaced. */
int sf_reuse_run(const struct sf_store *store, const struct sf_tree *tree, uint8_t **ret_missing, struct sf_error *err);
int sf_reuse_repair(const struct sf_store *store, const struct sf_tree *tree, const uint8_t *among,
                    uint8_t **ret_missing, struct sf_error *err);

#endif
