/* SPDX-License-Identifier: Apache-2.0 */
/* delta/encode/suffixes.h - where the longest match of some bytes is in others: a suffix array with an index of
 * prefixes (encoder only).
 *
 * Only suffixes that start at marked places are kept (delta/encode/windows.h): the others cannot match. Where few are
 * marked, only these places and the bytes that their windows reach over are sorted, so a large reference costs little
 * to a small file. One search takes about log2(size / 2^20) + 10 comparisons, whatever the bytes are.
 */
#ifndef SF_DELTA_ENCODE_SUFFIXES_H
#define SF_DELTA_ENCODE_SUFFIXES_H

#include <stdint.h>

#include "base/error.h"

#define SF_SUFFIXES_MAX (UINT64_C(1) << 30) /* bytes that can be indexed */

struct sf_suffixes {
        const uint8_t *data; /* borrowed */
        uint64_t size;
        int32_t *order;   /* owned; where the suffixes start, in the order of their bytes */
        uint64_t count;   /* of them */
        uint32_t *firsts; /* owned; per prefix: the first suffix that does not sort before it */
        unsigned prefix_bits;
};

/* Bytes [at, size) of `data` as what is looked for. */
struct sf_pattern {
        const uint8_t *data;
        uint64_t at, size;
};

/* `length` bytes at `at` of the indexed data equal the first ones of the pattern. */
struct sf_suffix_match {
        uint64_t at, length;
};

/* Which places of the data can be looked for: a bit per byte, set where a window of SF_WINDOW_SHORTEST bytes starts
 * that may be. `context`: bytes behind such a window that take part in the order; 1 is enough where all parts of what
 * is looked for are marked. */
struct sf_suffix_marks {
        const uint64_t *marks;
        uint64_t context;
};

/* With marks, a search finds matches of SF_WINDOW_SHORTEST bytes and more; NULL: all places can be looked for.
 * SF_ERR_LIMIT for more than SF_SUFFIXES_MAX bytes. */
int sf_suffixes_open(struct sf_suffixes *s, const uint8_t *data, uint64_t size, const struct sf_suffix_marks *marks,
                     struct sf_error *err);
void sf_suffixes_close(struct sf_suffixes *s);

/* The best match. A match within `window` bytes of `expected` counts as `worth` bytes longer; of equals the one
 * closest to `expected` is taken. Looked at are the `look` suffixes on either side of the pattern's place. */
struct sf_suffix_preference {
        uint64_t expected, window, worth;
        unsigned look;
};
struct sf_suffix_match sf_suffixes_find(const struct sf_suffixes *s, const struct sf_pattern *pattern,
                                        const struct sf_suffix_preference *preference);

#endif
