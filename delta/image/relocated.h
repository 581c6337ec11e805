/* SPDX-License-Identifier: Apache-2.0 */
/* delta/image/relocated.h - words of the new file that its own relocations predict.
 *
 * Linkers write the addend of a relative relocation a second time where it will be applied. The relocations lie in
 * front, sorted by place: once they are known, so are the pointers in the data behind.
 */
#ifndef SF_DELTA_IMAGE_RELOCATED_H
#define SF_DELTA_IMAGE_RELOCATED_H

#include <stdbool.h>
#include <stdint.h>

/* Elf64_Rela records without a symbol seen so far, at positions [first, last] of the new file; none while last is 0. */
struct sf_relocated {
        uint64_t first, last;
};

/* Takes notice of a record that starts at `position`. */
void sf_relocated_note(struct sf_relocated *r, uint64_t position);
/* The word that the records in `out` put at an address; false where there is none. Whatever they hold, nothing behind
 * them is read. */
bool sf_relocated_word(const struct sf_relocated *r, const uint8_t *out, uint64_t address, uint64_t *ret);

#endif
