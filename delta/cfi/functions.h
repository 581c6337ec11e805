/* SPDX-License-Identifier: Apache-2.0 */
/* delta/cfi/functions.h - where functions start in the code that is known of a file, as far as references tell: calls,
 * addresses that are taken, symbols, relocations. A guess, for x86-64 only; total on any bytes.
 */
#ifndef SF_DELTA_CFI_FUNCTIONS_H
#define SF_DELTA_CFI_FUNCTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "delta/image/image.h"
#include "delta/predict/table_layout.h"
#include "delta/image/relocated.h"

/* Code that is known. */
struct sf_functions {
        const uint8_t *out;
        uint64_t known; /* bytes of it that are there */
        const struct sf_image *image;
        uint8_t *starts; /* a bit per position: a function starts there */
};

/* True where the positions say that a function starts. */
static inline bool sf_functions_start_at(const struct sf_functions *f, uint64_t position)
{
        return position < f->known && f->starts[position >> 3] >> (position & 7) & 1;
}

/* Sets the bits. */
void sf_functions_find(struct sf_functions *f, const struct sf_relocated *relocated,
                       const struct sf_table_layout *layout);

/* Behind what fills the space up to aligned code; not behind `limit`. */
uint64_t sf_functions_skip_padding(const struct sf_functions *f, uint64_t at, uint64_t limit);

/* Where behind `position` the next function probably starts. */
uint64_t sf_functions_next(const struct sf_functions *f, uint64_t position);

#endif
