/* SPDX-License-Identifier: Apache-2.0 */
/* delta/image/find_unwind.c - references in .eh_frame and .eh_frame_hdr (Linux Standard Base, Core, "DWARF
 * Extensions"), in the one encoding that compilers for Linux use: 32-bit signed, relative to the field or to the start
 * of the index.
 */
#include <elf.h>
#include <string.h>

#include "delta/image/field_finders.h"

#define PC_RELATIVE_32 0x1b
#define INDEX_HEADER   "\x01\x1b\x03\x3b" /* version, encodings of frame pointer, count and table */
#define INDEX_TABLE    12                 /* where the table starts */

/* One frame description: which common entry it belongs to, which code it covers. */
static void walk_description(struct sf_field_list *c, uint64_t at, uint64_t size, uint64_t parent)
{
        uint64_t address = sf_image_address(c->image, at + 8), first, length;

        sf_field_list_add(c,
                          (struct sf_raw_field){ parent, 0, (uint32_t)(at + 4), SF_FORM_BACK, SF_FIELD_UNWIND, 4, 0 });
        if (size < 16)
                return;
        address += (uint64_t)(int64_t)(int32_t)sf_get32(c->data + at + 8);
        length = sf_get32(c->data + at + 12);
        if (!sf_image_position(c->image, address, &first))
                return;
        sf_field_list_address(c, at + 8, SF_FORM_RELATIVE, SF_FIELD_UNWIND, 4, 0, address, 0);
        if (length)
                sf_field_list_add(c, (struct sf_raw_field){ first + length - 1, first, (uint32_t)(at + 12),
                                                            SF_FORM_SIZE, SF_FIELD_EXTENT, 4, 0 });
}

static void walk_frames(struct sf_field_list *c, const struct sf_section *s)
{
        uint64_t at = s->position, end = s->position + s->size;

        while (end - at >= 8) {
                uint64_t size = sf_get32(c->data + at), back = sf_get32(c->data + at + 4);

                if (size < 4 || size > end - at - 4)
                        return;
                if (back && back <= at + 4 - s->position)
                        walk_description(c, at, size + 4, at + 4 - back);
                at += size + 4;
        }
}

static void walk_index(struct sf_field_list *c, const struct sf_section *s)
{
        /* Without entries it is blank (delta/codec/linker_tables.h). */
        if (s->size < INDEX_TABLE || memcmp(c->data + s->position, INDEX_HEADER, 4) != 0 ||
            sf_get32(c->data + s->position + 8) == 0)
                return;
        sf_field_list_address(c, s->position + 4, SF_FORM_RELATIVE, SF_FIELD_HEADER, 4, 0,
                              s->address + 4 + (uint64_t)(int64_t)(int32_t)sf_get32(c->data + s->position + 4), 0);
        for (uint64_t at = INDEX_TABLE; at + 4 <= s->size; at += 4)
                sf_field_list_address(c, s->position + at, SF_FORM_TABLE, SF_FIELD_UNWIND_INDEX, 4, 0,
                                      s->address + (uint64_t)(int64_t)(int32_t)sf_get32(c->data + s->position + at),
                                      s->position);
}

void sf_find_unwind_fields(struct sf_field_list *c)
{
        for (size_t i = 0; i < c->sections.count; i++) {
                const struct sf_section *s = &c->sections.list[i];

                if (s->type != SHT_NOBITS && sf_section_named(&c->sections, s, ".eh_frame"))
                        walk_frames(c, s);
                else if (s->type != SHT_NOBITS && sf_section_named(&c->sections, s, ".eh_frame_hdr"))
                        walk_index(c, s);
        }
}
