/* SPDX-License-Identifier: Apache-2.0 */
/* delta/listpatch.h - the text of a file list from the text of another one.
 *
 * The new list is described line by line against the old one (the line of the same path), digests travel as 32 raw
 * bytes where they are new and as a reference where the old list has them. Format in docs/DELTA.md. The caller compares
 * the digest of the result with the signed tree digest; a damaged patch is an error or a wrong text, never more.
 */
#ifndef SF_DELTA_LISTPATCH_H
#define SF_DELTA_LISTPATCH_H

#include <stddef.h>

#include "base/buffer.h"
#include "base/error.h"

int sf_listpatch_make(const void *old_text, size_t old_len, const void *new_text, size_t new_len,
                      struct sf_buffer *ret_patch, struct sf_error *err);
/* Appends the new text to ret; SF_ERR_UNSUPPORTED for a patch of another version, SF_ERR_CORRUPT for a patch that
 * makes no sense or gives more than `max` bytes. */
int sf_listpatch_apply(const void *old_text, size_t old_len, const void *patch, size_t patch_len, size_t max,
                       struct sf_buffer *ret, struct sf_error *err);

#endif
