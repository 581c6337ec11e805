/* SPDX-License-Identifier: Apache-2.0 */
/* delta/image/relocated.c - see relocated.h. */
#include "delta/image/relocated.h"

#include "delta/image/image.h"

#define RELA_BYTES  24
#define RELA_ADDEND 16

void sf_relocated_note(struct sf_relocated *r, uint64_t position)
{
        if (!r->last || position < r->last)
                r->first = position; /* they ascend, or they are no table */
        r->last = position;
}

bool sf_relocated_word(const struct sf_relocated *r, const uint8_t *out, uint64_t address, uint64_t *ret)
{
        uint64_t low = 0, high = r->last ? (r->last - r->first) / RELA_BYTES : 0;

        /* The record at `last` may not be complete yet: it is left out. */
        while (low < high) {
                uint64_t middle = low + (high - low) / 2;

                if (sf_get64(out + r->first + middle * RELA_BYTES) < address)
                        low = middle + 1;
                else
                        high = middle;
        }
        const uint8_t *record = out + r->first + low * RELA_BYTES;
        if (!r->last || low >= (r->last - r->first) / RELA_BYTES || sf_get64(record) != address)
                return false;
        *ret = sf_get64(record + RELA_ADDEND);
        return true;
}
