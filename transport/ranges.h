/* SPDX-License-Identifier: Apache-2.0 */
/* transport/ranges.h - which bytes of a blob to ask for when only parts of it are wanted.
 *
 * Each range is a request of its own on a kept connection (S3 knows one range per request), so small gaps are cheaper
 * fetched than skipped, and many that make up more than half of the blob are given up for the whole.
 */
#ifndef SF_TRANSPORT_RANGES_H
#define SF_TRANSPORT_RANGES_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define SF_RANGES_GAP ((uint64_t)32 << 10) /* a gap up to this is fetched */
#define SF_RANGES_FEW 4 /* requests that are worth it whatever they leave out: a download that goes on */

struct sf_byte_range {
        uint64_t offset, length;
};

/* Turns wanted pieces, sorted by offset, into the ranges to ask for, in place: pieces that touch, overlap or lie
 * within SF_RANGES_GAP are joined, empty ones dropped; where more than SF_RANGES_FEW are left and exceed half of
 * `size` in all, it is one range, the whole. Every wanted byte is in exactly one range. A piece beyond `size` is
 * SF_ERR_CORRUPT, unsorted pieces are SF_ERR_USAGE; the content of `ranges` is then undefined. Returns the bytes
 * that will be fetched in *ret_bytes. */
int sf_ranges_plan(struct sf_byte_range *ranges, size_t *count, uint64_t size, uint64_t *ret_bytes,
                   struct sf_error *err);

#endif
