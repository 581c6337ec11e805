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

/* Operands of call frame instructions below 0x40: how many variable-length numbers follow; FIXED + how many bytes;
 * BLOCK for bytes preceded by their number, 2 * BLOCK with one number more in front. DWARF 5, 7.24. */
enum { FIXED = 16, BLOCK = 32, STRANGE = 255 };
static const uint8_t operands[] = { 0, STRANGE, FIXED + 1, FIXED + 2, FIXED + 4, 2, 1, 1, 1, 2, 0,        0,
                                    2, 1,       1,         BLOCK,     2 * BLOCK, 2, 2, 1, 2, 2, 2 * BLOCK };

/* Behind a variable-length number at `at`, `end` where that is cut off. */
static uint64_t skip_number(const struct sf_field_list *c, uint64_t at, uint64_t end, uint64_t *ret)
{
        uint64_t value = 0;

        for (unsigned shift = 0; at < end; shift += 7) {
                uint8_t byte = c->data[at++];

                value |= shift < 63 ? (uint64_t)(byte & 127) << shift : 0;
                if (!(byte & 128))
                        break;
        }
        *ret = value;
        return at;
}

/* Behind the operands of an instruction, `end` where they are not known. */
static uint64_t skip_operands(const struct sf_field_list *c, uint8_t opcode, uint64_t at, uint64_t end)
{
        uint8_t kind = opcode >> 6 == 2 ? 1 : opcode >> 6 || opcode == 0x2d ? 0 : opcode == 0x2e ? 1 : STRANGE;
        uint64_t number = 0;

        if (opcode < sizeof operands)
                kind = operands[opcode];
        if (kind == STRANGE)
                return end;
        if (kind >= FIXED && kind < BLOCK)
                return end - at < (uint64_t)kind - FIXED ? end : at + kind - FIXED;
        for (unsigned i = 0; i < (kind < FIXED ? kind : kind / BLOCK); i++)
                at = skip_number(c, at, end, &number);
        return kind < BLOCK ? at : number < end - at ? at + number : end;
}

/* One that goes on to another place in the code: how far, from the place before. */
struct advance {
        uint8_t width, form;
        uint64_t way; /* in units of the code */
};

static struct advance read_advance(const uint8_t *op, uint64_t left)
{
        if (op[0] >> 6 == 1)
                return (struct advance){ 1, SF_FORM_ADVANCE, op[0] & 63 };
        if (op[0] == 2 && left > 1)
                return (struct advance){ 1, SF_FORM_INDEX, op[1] };
        if (op[0] == 3 && left > 2)
                return (struct advance){ 2, SF_FORM_INDEX, sf_get16(op + 1) };
        return (struct advance){ 0 };
}

/* The call frame instructions [at, end) of the function at `first`. */
static void walk_program(struct sf_field_list *c, uint64_t at, uint64_t end, uint64_t first, uint8_t scale)
{
        while (at < end) {
                uint8_t opcode = c->data[at];
                struct advance advance = read_advance(c->data + at, end - at);
                uint64_t next = skip_operands(c, opcode, at + 1, end);

                if (advance.way) {
                        uint64_t to = first + advance.way * scale;

                        sf_field_list_add(c, (struct sf_raw_field){ to, first, (uint32_t)(next - advance.width),
                                                                    advance.form, SF_FIELD_ADVANCE, advance.width,
                                                                    scale });
                        first = to;
                }
                at = next;
        }
}

/* The units of the code in which descriptions of the common entry at `parent` count; 0 where it is a strange one. */
static uint8_t scale_of(const struct sf_field_list *c, uint64_t parent)
{
        uint64_t end = c->size - parent < 64 ? c->size : parent + 64, at = parent + 9;

        if (at >= end || c->data[parent + 8] != 1 || c->data[at] != 'z')
                return 0;
        while (at < end && c->data[at])
                at++;
        return end - at > 1 && c->data[at + 1] < 128 ? c->data[at + 1] : 0;
}

/* One frame description: which common entry it belongs to, which code it covers. */
static void walk_description(struct sf_field_list *c, uint64_t at, uint64_t size, uint64_t parent)
{
        uint64_t address = sf_image_address(c->image, at + 8), first, length, end = at + size;

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
        uint8_t scale = c->image->a64_words ? scale_of(c, parent) : 0;
        if (scale && first && at + 16 < end && c->data[at + 16] < 128)
                walk_program(c, at + 17 + c->data[at + 16], end, first, scale);
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
