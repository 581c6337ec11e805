/* SPDX-License-Identifier: Apache-2.0 */
/* delta/image/field_list.h - the fields of a file while they are looked for: the file, its sections, and the list that
 * grows. Shared by the finders (field_finders.h). */
#ifndef SF_DELTA_IMAGE_FIELD_LIST_H
#define SF_DELTA_IMAGE_FIELD_LIST_H

#include <stdbool.h>

#include "base/error.h"
#include "delta/image/field.h"
#include "delta/image/image.h"
#include "delta/image/sections.h"

#define SF_FIELD_LIST_ROOM 1024 /* fields, the room a list starts with */

/* A field before targets are numbered. */
struct sf_raw_field {
        uint64_t target, base;
        uint32_t position;
        uint8_t form, kind, width, bias;
};

struct sf_field_list {
        const uint8_t *data;
        uint64_t size;
        const struct sf_image *image;
        struct sf_sections sections;
        struct sf_raw_field *raw;  /* owned */
        size_t raw_count, raw_room, raw_max;
        int failure;               /* SF_ERR_NOMEM once memory ran out */
};

/* True where `len` bytes at `position` lie inside the file. */
static inline bool sf_field_list_inside(const struct sf_field_list *c, uint64_t position, uint64_t len)
{
        return position <= c->size && len <= c->size - position;
}

/* The room of a list that has grown out of `room`: raw_max at most, unless that is next to nothing. */
size_t sf_field_list_room(const struct sf_field_list *c, size_t room);
/* Each records one field; ignored where it does not lie inside the file. */
void sf_field_list_add(struct sf_field_list *c, struct sf_raw_field field);
/* A field whose value refers to an address; ignored where no segment holds that. */
void sf_field_list_address(struct sf_field_list *c, uint64_t position, uint8_t form, uint8_t kind, uint8_t width,
                        uint8_t bias, uint64_t address, uint64_t base);

/* An operand of an instruction that is no reference. */
void sf_field_list_number(struct sf_field_list *c, uint64_t position, uint8_t kind, uint8_t width);

#endif
