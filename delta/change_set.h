/* SPDX-License-Identifier: Apache-2.0 */
/* delta/change_set.h - which files a delta rebuilds, in which order, and which old files it reads for that.
 *
 * The changed set follows from the two file lists; order and ancestors are the encoder's choice and travel in the
 * container, coded with delta/entropy/coder.h, for each place of the order:
 *     signed number    position in the changed set, minus (that of the place before + 1); the first is counted from 0
 *     number           0: the ancestor is the old file of the same path · 1: there is none · 2 + k: old entry k
 */
#ifndef SF_DELTA_CHANGE_SET_H
#define SF_DELTA_CHANGE_SET_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "release/filelist.h"

#define SF_DELTA_NO_ANCESTOR SIZE_MAX

/* One file to rebuild. */
struct sf_delta_target {
        size_t entry;    /* of the new list: the first one with this digest */
        size_t ancestor; /* entry of the old list, or SF_DELTA_NO_ANCESTOR */
};

struct sf_change_set {
        struct sf_delta_target *targets; /* owned; in stream order */
        size_t target_count;
        size_t *bases;      /* owned; entries of the old list: the ancestors in order of first use, each once */
        size_t base_count;
        uint32_t *base_of;  /* owned; per target: 1 + index into bases, 0 = none (sf_delta_file.ancestor) */
        uint64_t old_size, new_size; /* bytes of bases and of targets */
};

/* The changed set in list order, ancestors unset (none). */
int sf_change_set_changed(const struct sf_filelist *old, const struct sf_filelist *new, struct sf_change_set *ret,
                          struct sf_error *err);
/* Fills bases, base_of and the sizes from the targets. SF_ERR_LIMIT above SF_DELTA_CONTENT_MAX. */
int sf_change_set_complete(struct sf_change_set *plan, const struct sf_filelist *old, const struct sf_filelist *new,
                           struct sf_error *err);
int sf_change_set_write(const struct sf_change_set *plan, const struct sf_filelist *old, const struct sf_filelist *new,
                        struct sf_buffer *ret, struct sf_error *err);
/* SF_ERR_CORRUPT for a plan that is no permutation of the changed set or names an ancestor that is no old file. */
int sf_change_set_read(const struct sf_filelist *old, const struct sf_filelist *new, const void *text, size_t len,
                       struct sf_change_set *ret, struct sf_error *err);
void sf_change_set_free(struct sf_change_set *plan);

#endif
