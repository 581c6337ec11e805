/* SPDX-License-Identifier: Apache-2.0 */
/* installer/reuse.h - what this node already has: files of a new release that an installed one holds, whatever their
 * name.
 *
 * A file is found by the digest of its canonical content. It is believed where it still looks as it did when this node
 * wrote it (installer/stat_record.h), and read before it is believed otherwise: an installed tree may be damaged. Files
 * without a prefix inside are cloned (FICLONE), else hard-linked where mode and owner are the listed ones (repair
 * writes anew, so links stay safe); all others are read through the inverse map and relocated to the new tree.
 */
#ifndef SF_INSTALLER_REUSE_H
#define SF_INSTALLER_REUSE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "installer/stat_record.h"
#include "installer/store.h"
#include "installer/tree.h"
#include "release/filelist.h"

struct sf_reuse; /* opaque: the installed releases, open, and where each content lies */
/* Reads the file lists of all installed releases, once. One whose record is damaged is left out: its content can be
 * fetched. */
int sf_reuse_open(const struct sf_store *store, struct sf_reuse **ret, struct sf_error *err);
void sf_reuse_close(struct sf_reuse *reuse); /* NULL is fine */
static inline void sf_cleanup_reuse(struct sf_reuse **r) { sf_reuse_close(*r); }
#define _cleanup_reuse_ __attribute__((cleanup(sf_cleanup_reuse)))

/* One of the releases by its directory name; NULL where it is not among them. Valid while `reuse` is open. */
const struct sf_tree *sf_reuse_tree(const struct sf_reuse *reuse, const char *directory);

/* True where that release lists a file with the entry's content, intact or not. */
bool sf_reuse_listed(const struct sf_reuse *reuse, const struct sf_tree *in, const struct sf_entry *entry);

/* Which files no installed release lists, judged by the lists alone: *ret_wanted has one byte per entry (free()), as
 * sf_unpack_plan takes it. Directories and links are not wanted: they come from the list itself. */
int sf_reuse_plan(const struct sf_reuse *reuse, const struct sf_filelist *list, uint8_t **ret_wanted,
                  struct sf_error *err);

/* Brings the files marked in `missing` (one byte per entry), as far as an installed release holds them intact, into
 * tree, whose directories exist (sf_unpack_skeleton); what is still missing stays marked. `seen`, one element per
 * entry, is told what is known of files that were linked. Repair replaces files, and believes nothing unread. */
int sf_reuse_run(const struct sf_reuse *reuse, const struct sf_tree *tree, uint8_t *missing,
                 struct sf_stat_record *seen, struct sf_error *err);
int sf_reuse_repair(const struct sf_reuse *reuse, const struct sf_tree *tree, uint8_t *missing, struct sf_error *err);

/* The canonical content of an entry, read and checked, out of any release that holds it intact; appended to ret.
 * SF_ERR_CORRUPT where none does. */
int sf_reuse_read(const struct sf_reuse *reuse, const struct sf_entry *entry, struct sf_buffer *ret,
                  struct sf_error *err);

#endif
