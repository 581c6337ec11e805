/* SPDX-License-Identifier: Apache-2.0 */
/* delta/encode/windows.h - what two runs of bytes can share at all (encoder only).
 *
 * Most of a large reference has nothing in common with a small new file. All windows of SF_WINDOW_SHORTEST bytes of the
 * new bytes are put into a bit map (a Bloom filter, with three bits in one word for each); one walk over the old bytes
 * marks where such a window starts. Only there can a match begin, and only these places are sorted
 * (delta/encode/suffixes.h). The marked windows fill three more bit maps, which answer the opposite question for three
 * lengths: whether the old bytes may hold what stands at a place of the new ones. "None" is only said where there is
 * none. The maps grow with what is looked for. */
#ifndef SF_DELTA_ENCODE_WINDOWS_H
#define SF_DELTA_ENCODE_WINDOWS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "delta/encode/runs.h"

#define SF_WINDOW_LENGTHS  3
#define SF_WINDOW_SHORTEST 9
#define SF_WINDOW_LONGEST  32

struct sf_windows {
        uint64_t *marks; /* owned; a bit per old byte: a window that the new bytes hold starts there */
        uint64_t *bits[SF_WINDOW_LENGTHS]; /* owned */
        unsigned log;                      /* of the number of bits in each */
};

/* What is compared; borrowed. Nothing is looked for inside of the runs (delta/encode/runs.h), which may be none. */
struct sf_window_sides {
        const uint8_t *old, *new;
        uint64_t old_size, new_size;
        const struct sf_runs *runs;
};

int sf_windows_open(struct sf_windows *w, const struct sf_window_sides *sides, struct sf_error *err);
void sf_windows_close(struct sf_windows *w);
/* False where the old bytes hold no copy of the first `length` ones at `bytes`, a place in the new bytes of which
 * `left` can be read. Only sure for lengths of SF_WINDOW_SHORTEST and more; beyond SF_WINDOW_LONGEST only that many
 * bytes are looked at. */
bool sf_windows_may_hold(const struct sf_windows *w, const uint8_t *bytes, uint64_t left, uint64_t length);

static inline bool sf_windows_marked(const uint64_t *marks, uint64_t at)
{
        return marks[at >> 6] >> (at & 63) & 1;
}

#endif
