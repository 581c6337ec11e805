/* SPDX-License-Identifier: Apache-2.0 */
/* delta/encode/windows.h - whether some bytes may hold a match of a certain length at all (encoder only).
 *
 * For three lengths, a bit map of the hashes of all windows of that length (a Bloom filter with one hash). It says
 * "none" only where there is none, in the time of one memory access; a search in the suffix array takes some twenty.
 */
#ifndef SF_DELTA_ENCODE_WINDOWS_H
#define SF_DELTA_ENCODE_WINDOWS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

#define SF_WINDOW_LENGTHS 3
#define SF_WINDOW_LONGEST 32

struct sf_windows {
        uint64_t *bits[SF_WINDOW_LENGTHS]; /* owned */
        unsigned log;                      /* of the number of bits in each */
};

int sf_windows_open(struct sf_windows *w, const uint8_t *data, uint64_t size, struct sf_error *err);
void sf_windows_close(struct sf_windows *w);
/* False where the data hold no copy of the first `length` bytes at `bytes`, of which `left` can be read. Only sure for
 * lengths of SF_WINDOW_SHORTEST and more; beyond SF_WINDOW_LONGEST only that many bytes are looked at. */
#define SF_WINDOW_SHORTEST 9
bool sf_windows_may_hold(const struct sf_windows *w, const uint8_t *bytes, uint64_t left, uint64_t length);

#endif
