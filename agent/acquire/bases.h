/* SPDX-License-Identifier: Apache-2.0 */
/* agent/acquire/bases.h - the old files that a delta starts from, wherever they are still whole.
 *
 * Those that are damaged in every installed release can be fetched again, with their frames of the old release: one
 * broken file need not close a way of some kilobytes.
 */
#ifndef SF_AGENT_ACQUIRE_BASES_H
#define SF_AGENT_ACQUIRE_BASES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/acquire/repository.h"
#include "base/buffer.h"
#include "base/error.h"
#include "installer/reuse.h"
#include "installer/tree.h"

struct sf_bases {
        struct sf_repository *repository;
        const struct sf_reuse *installed;
        const struct sf_tree *tree; /* the release that the delta starts from */
        int dirfd;                  /* the staging directory, where fetched frames are unpacked beside the tree */
        bool damaged;               /* a base could not be read */
        struct sf_tree again;       /* what was fetched; .list = NULL while there is nothing */
};

/* The canonical content of an entry of that release's list, checked; appended to ret. SF_ERR_CORRUPT where it is
 * damaged. */
int sf_bases_read(struct sf_bases *bases, const struct sf_entry *entry, struct sf_buffer *ret, struct sf_error *err);
/* Fetches those of the bases (entries of that list) that are damaged; SF_ERR_CORRUPT where `budget` bytes do not
 * suffice. */
int sf_bases_mend(struct sf_bases *bases, const size_t *entries, size_t count, uint64_t budget, struct sf_error *err);
/* Removes what was unpacked. */
int sf_bases_close(struct sf_bases *bases, struct sf_error *err);

#endif
