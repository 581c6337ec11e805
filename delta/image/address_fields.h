/* SPDX-License-Identifier: Apache-2.0 */
/* delta/image/address_fields.h - the fields of an old file that change when nothing but places changed: references, and
 * a few numbers.
 *
 * Found by walking the structures that linkers and compilers write (gABI chapters 4 and 5, LSB .eh_frame, the x86-64
 * psABI) and the instructions of x86-64 and arm64 code. A field that is missed or imagined costs bytes, never
 * correctness: both ends find the same fields in the same old bytes.
 */
#ifndef SF_DELTA_IMAGE_ADDRESS_FIELDS_H
#define SF_DELTA_IMAGE_ADDRESS_FIELDS_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "delta/image/field.h"
#include "delta/image/image.h"

struct sf_address_fields {
        struct sf_field *fields; /* owned; ascending, not overlapping */
        size_t count;
        uint64_t *targets;       /* owned; positions, ascending, each once */
        size_t target_count;
};

/* Bytes a file of this size may need for its fields, at most; those above are not recorded. */
uint64_t sf_address_fields_memory(uint64_t size);
/* And those it takes on top while they are looked for. */
uint64_t sf_address_fields_scratch(uint64_t size);
/* `image` is that of `data`. A file that is no ELF file has no fields. Only fails without memory. */
int sf_address_fields_find(const uint8_t *data, uint64_t size, const struct sf_image *image,
                           struct sf_address_fields *ret, struct sf_error *err);
/* The index of the first field at or behind a position; count where there is none. */
size_t sf_address_fields_first(const struct sf_address_fields *fields, uint64_t position);
/* The field that starts at a position, NULL where none does. */
const struct sf_field *sf_address_fields_at(const struct sf_address_fields *fields, uint64_t position);
void sf_address_fields_free(struct sf_address_fields *fields);

#endif
