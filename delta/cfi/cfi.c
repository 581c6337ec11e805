/* SPDX-License-Identifier: Apache-2.0 */
/* delta/cfi/cfi.c - see cfi.h. */
#include "delta/cfi/cfi.h"

#include <elf.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define PHDR_BYTES   56
#define EHDR_BYTES   64
#define INDEX_KEPT   8    /* bytes of .eh_frame_hdr up to and with the place of .eh_frame */
#define BUDGET_SHARE 16   /* bytes of code that may be walked, per byte of the file */
#define STARTS_AHEAD 4096 /* bytes in which another function is looked for when it is not the next one */
#define PROGRAM      17   /* where the instructions start in an entry, when nothing else augments it */

enum { OP_NOP, OP_SET = 1, OP_ADVANCE1, OP_ADVANCE2, OP_ADVANCE4, OP_DEFINE = 0x0c };
#define OP_ADVANCE 0x40
#define OP_OFFSET  0x80

uint64_t sf_cfi_memory(uint64_t size)
{
        return size / 8 + 1 + sizeof(struct sf_callframe);
}

int sf_cfi_open(struct sf_cfi *c, const uint8_t *out, uint64_t size, const struct sf_image *image,
                const struct sf_relocated *relocated, const struct sf_table_layout *layout, struct sf_error *err)
{
        *c = (struct sf_cfi){ .out = out,
                              .size = size,
                              .image = image,
                              .relocated = relocated,
                              .layout = layout,
                              .from = EHDR_BYTES,
                              .budget = size * BUDGET_SHARE };
        c->starts = calloc(size / 8 + 1, 1);
        c->frame = calloc(1, sizeof *c->frame);
        if (!c->starts || !c->frame) {
                sf_cfi_close(c);
                return sf_error_set(err, SF_ERR_NOMEM, "no memory to follow call frame information");
        }
        return 0;
}

void sf_cfi_close(struct sf_cfi *c)
{
        free(c->starts);
        free(c->frame);
        *c = (struct sf_cfi){ .over = true };
}

/* --- the section ------------------------------------------------------------------------------------------------ */

/* Where the program headers say the index is; 0 where there is none. */
static uint64_t find_index(const struct sf_cfi *c, uint64_t known)
{
        for (uint64_t at = EHDR_BYTES; at + PHDR_BYTES <= sf_image_headers(c->out, known) && at + PHDR_BYTES <= known;
             at += PHDR_BYTES)
                if (sf_get32(c->out + at) == PT_GNU_EH_FRAME)
                        return sf_get64(c->out + at + offsetof(Elf64_Phdr, p_offset));
        return 0;
}

/* Goes as far as what is known tells where the section is; true once it has started. */
static bool find_section(struct sf_cfi *c, uint64_t known)
{
        if (c->section)
                return known >= c->section;
        if (known < sf_image_headers(c->out, known))
                return false;
        uint64_t index = find_index(c, known);
        if (!c->image->elf || c->image->machine != EM_X86_64 || !index || index > c->size ||
            c->size - index < INDEX_KEPT) {
                c->over = true;
                return false;
        }
        if (known < index + INDEX_KEPT) {
                c->from = index + INDEX_KEPT;
                return false;
        }
        uint64_t way = (uint64_t)(int64_t)(int32_t)sf_get32(c->out + index + 4);
        if (!sf_image_position(c->image, sf_image_address(c->image, index) + 4 + way, &c->section) ||
            c->section < index || c->section >= c->size) {
                c->over = true;
                return false;
        }
        c->from = c->entry = c->section;
        return known >= c->section;
}

/* --- functions -------------------------------------------------------------------------------------------------- */

static void describe(struct sf_cfi *c, uint64_t known, uint64_t first, uint64_t end)
{
        struct sf_functions functions = { c->out, known, c->image, c->starts };

        c->frame->first = c->frame->end = 0;
        if (!c->budget)
                return;
        sf_callframe_describe(c->frame, &functions, first, end);
        c->budget -= c->frame->work < c->budget ? c->frame->work : c->budget;
}

/* Length of an entry with such instructions. */
static uint64_t length_of(const struct sf_cfi_program *f)
{
        uint64_t length = PROGRAM, location = 0;

        for (size_t i = 0; i < f->count; i++) {
                uint64_t way = f->ops[i].at - location;

                length += way == 0 ? 0 : way < 64 ? 1 : way < 256 ? 2 : way < 65536 ? 3 : 5;
                length += f->ops[i].length;
                location = f->ops[i].at;
        }
        return (length + 3) / 4 * 4 - 4;
}

/* --- entries ---------------------------------------------------------------------------------------------------- */

/* Position of the first instruction that the entry says it is about. */
static uint64_t told_first(const struct sf_cfi *c)
{
        uint64_t position, field = c->entry + 8;
        uint64_t way = (uint64_t)(int64_t)(int32_t)sf_get32(c->out + field);

        return sf_image_position(c->image, sf_image_address(c->image, field) + way, &position) ? position : 0;
}

/* Ends an entry that is complete. */
static void finish_entry(struct sf_cfi *c)
{
        uint32_t back = sf_get32(c->out + c->entry + 4);

        if (back == 0) {
                c->parent = c->entry;
        } else if (c->entry_end - c->entry >= PROGRAM) {
                uint64_t first = told_first(c), beside = c->frame->beside;

                c->parent = c->entry + 4 - back;
                c->augmentation = c->out[c->entry + 16];
                if (first && first != beside)
                        c->after = first + sf_get32(c->out + c->entry + 12);
                c->frame->beside = first == c->frame->first && first != beside ? beside : 0;
        }
        c->entry = c->entry_end;
        c->entry_end = 0;
        c->program = c->guessed = false;
        c->wrong = 0;
}

/* Brings the entry up to the one that holds `position`. */
static void catch_up(struct sf_cfi *c, uint64_t position)
{
        while (!c->over && position - c->entry >= 4) {
                uint64_t length = sf_get32(c->out + c->entry);

                c->entry_end = c->entry + 4 + length;
                if (length < 8 || length > c->size - c->entry - 4) {
                        c->over = true; /* the end, or not what was thought */
                        return;
                }
                if (position < c->entry_end)
                        return;
                finish_entry(c);
        }
}

/* --- instructions ----------------------------------------------------------------------------------------------- */

/* Bytes that `count` variable-length numbers from `at` take; 0 where they do not end before `end`. */
static uint64_t skip_ulebs(const uint8_t *out, uint64_t at, uint64_t end, unsigned count)
{
        uint64_t start = at;

        while (count && at < end)
                count -= !(out[at++] & 0x80);
        return count ? 0 : at - start;
}

/* Length of the instruction at `at`, 0 where it is not known whole; UINT64_MAX where it is a strange one. */
static uint64_t op_length(const uint8_t *out, uint64_t at, uint64_t end)
{
        static const uint8_t ulebs[] = { 0, 0, 0, 0, 0, 2, 1, 1, 1, 2, 0, 0, 2, 1, 1 };
        static const uint8_t fixed[] = { 1, 5, 2, 3, 5 };
        uint8_t opcode = out[at], kind = opcode >> 6;
        uint64_t length;

        if (kind == 1 || kind == 3)
                return 1;
        if (kind == 0 && opcode < sizeof fixed)
                return end - at < fixed[opcode] ? 0 : fixed[opcode];
        if (kind == 0 && opcode >= sizeof ulebs)
                return UINT64_MAX;
        unsigned count = kind == 2 ? 1 : ulebs[opcode];
        if (count == 0)
                return 1;
        length = skip_ulebs(out, at + 1, end, count);
        return length ? length + 1 : 0;
}

/* Where an advance instruction leads from `location`; the same where it is none. */
static uint64_t advanced(const uint8_t *op, uint64_t location)
{
        if (op[0] >> 6 == 1)
                return location + (op[0] & 63);
        return op[0] == OP_ADVANCE1   ? location + op[1]
               : op[0] == OP_ADVANCE2 ? location + sf_get16(op + 1)
               : op[0] == OP_ADVANCE4 ? location + sf_get32(op + 1)
                                      : location;
}

/* Notes the instruction [op, op + length) and what it means for those that were worked out. */
static void take_op(struct sf_cfi *c, uint64_t length)
{
        const struct sf_cfi_program *f = &c->frame->program;
        uint64_t location = advanced(c->out + c->op, c->location);

        if (location != c->location) {
                /* What was due here and was not written is not going to be. */
                while (c->next < f->count && f->ops[c->next].at <= c->location)
                        c->next++;
                c->location = location;
                return;
        }
        for (size_t i = c->next; i < f->count && i < c->next + 8; i++)
                if (f->ops[i].length == length && memcmp(f->ops[i].bytes, c->out + c->op, length) == 0) {
                        c->next = i + 1;
                        return;
                }
}

/* Follows the instructions up to `position`. */
static void follow_program(struct sf_cfi *c, uint64_t position)
{
        while (c->op < position) {
                uint64_t length = op_length(c->out, c->op, position);

                if (length == 0 || length == UINT64_MAX)
                        return;
                take_op(c, length);
                c->op += length;
        }
}

/* An advance by `way`, as short as it can be written. */
static uint8_t plan_advance(uint8_t *plan, uint64_t way)
{
        plan[0] = way < 64      ? (uint8_t)(OP_ADVANCE | way)
                  : way < 256   ? OP_ADVANCE1
                  : way < 65536 ? OP_ADVANCE2
                                : OP_ADVANCE4;
        for (unsigned i = 0; i < 4; i++)
                plan[1 + i] = (uint8_t)(way >> (8 * i));
        return way < 64 ? 1 : way < 256 ? 2 : way < 65536 ? 3 : 5;
}

/* The instruction that should come, of which the first `given` bytes are known to be as in `like`. */
static uint8_t plan_op(const struct sf_cfi *c, const uint8_t *like, uint64_t given, uint8_t *plan)
{
        const struct sf_cfi_program *f = &c->frame->program;
        uint64_t location = c->location;

        if (c->next >= f->count && given == 0) {
                plan[0] = OP_NOP;
                return 1;
        }
        for (size_t i = c->next; i < f->count && i < c->next + 64; i++) {
                const struct sf_cfi_program_op *op = &f->ops[i];
                uint8_t length = op->length;

                if (op->at > location) {
                        length = plan_advance(plan, op->at - c->location);
                        if (length > given && memcmp(plan, like, given) == 0)
                                return length;
                        location = op->at;
                }
                memcpy(plan, op->bytes, op->length);
                if (op->length > given && memcmp(plan, like, given) == 0)
                        return op->length;
        }
        return 0;
}

static void expect_op(struct sf_cfi *c, uint64_t position)
{
        uint8_t plan[8];

        if (!c->program) {
                c->program = true;
                c->op = c->entry + PROGRAM + c->out[c->entry + 16];
                c->location = 0;
                c->next = 0;
        }
        c->place = SF_CFI_OPAQUE;
        if (position < c->op)
                return;
        follow_program(c, position);
        if (c->op < position && op_length(c->out, c->op, position) == UINT64_MAX)
                return;
        uint64_t given = position - c->op;
        if (plan_op(c, c->out + c->op, given, plan) > given && given < sizeof plan)
                c->expected = plan[given] + 1u;
        if (given)
                c->place = c->out[c->op] < OP_DEFINE ? SF_CFI_DISTANCE : SF_CFI_OPERAND;
        else
                c->place = c->next >= c->frame->program.count ? SF_CFI_FILL
                           : plan[0] >> 6 == 1 || plan[0] < 5 ? SF_CFI_ADVANCE
                                                              : SF_CFI_OPCODE;
}

/* --- fields ----------------------------------------------------------------------------------------------------- */

/* Byte `i` of a field that should hold `value`, if the bytes before are as they should be. */
static void expect_byte(struct sf_cfi *c, uint64_t field, uint64_t position, uint32_t value)
{
        unsigned i = (unsigned)(position - field);

        for (unsigned k = 0; k < i; k++)
                if (c->out[field + k] != (uint8_t)(value >> (8 * k)))
                        return;
        c->expected = (value >> (8 * i) & 0xff) + 1;
}

/* The field that leads to the function at `first`. */
static uint32_t first_field(const struct sf_cfi *c, uint64_t first)
{
        return (uint32_t)(sf_image_address(c->image, first) - sf_image_address(c->image, c->entry + 8));
}

/* A function the field of which starts with the bytes that are known. */
static void expect_first(struct sf_cfi *c, uint64_t position)
{
        uint64_t first = c->frame->first, field = c->entry + 8;
        struct sf_functions functions = { c->out, position, c->image, c->starts };

        if (!first)
                return;
        expect_byte(c, field, position, first_field(c, first));
        for (uint64_t at = first; !c->expected && at < first + STARTS_AHEAD; at++)
                if (sf_functions_start_at(&functions, at))
                        expect_byte(c, field, position, first_field(c, at));
        if (!c->expected && c->after)
                expect_byte(c, field, position, first_field(c, sf_functions_next(&functions, c->after)));
}

/* What the next entry will be about. */
static void guess_function(struct sf_cfi *c, uint64_t known)
{
        struct sf_functions functions = { c->out, known, c->image, c->starts };
        uint64_t beside = c->frame->beside;

        if (beside)
                describe(c, known, beside, 0);
        else if (c->after)
                describe(c, known, sf_functions_next(&functions, c->after), 0);
        else
                c->frame->first = c->frame->end = 0;
        c->frame->beside = beside;
}

/* Takes over what the entry itself says about its function. */
static void correct_function(struct sf_cfi *c, uint64_t position)
{
        uint64_t first = told_first(c), end = position - c->entry >= 16 ? first + sf_get32(c->out + c->entry + 12) : 0;

        if (first != c->frame->first || (end && end != c->frame->end))
                describe(c, position, first, end);
}

static void expect_field(struct sf_cfi *c, uint64_t position)
{
        uint64_t offset = position - c->entry;
        bool rest = offset & 3;

        if (!c->guessed && offset < 12)
                guess_function(c, position);
        c->guessed = true;
        if (offset < 4) {
                c->place = rest ? SF_CFI_LENGTH_REST : SF_CFI_LENGTH;
                if (c->frame->end)
                        expect_byte(c, c->entry, position, (uint32_t)length_of(&c->frame->program));
        } else if (offset < 8) {
                c->place = SF_CFI_PARENT;
                expect_byte(c, c->entry + 4, position, (uint32_t)(c->entry + 4 - c->parent));
        } else if (offset < 12) {
                c->place = rest ? SF_CFI_FIRST_REST : SF_CFI_FIRST;
                expect_first(c, position);
        } else if (offset < 16) {
                c->place = rest ? SF_CFI_RANGE_REST : SF_CFI_RANGE;
                if (!rest)
                        correct_function(c, position);
                if (c->frame->end)
                        expect_byte(c, c->entry + 12, position, (uint32_t)(c->frame->end - c->frame->first));
        } else {
                c->place = SF_CFI_AUGMENTATION;
                c->expected = c->augmentation + 1u;
        }
}

void sf_cfi_look_at(struct sf_cfi *c, uint64_t position)
{
        uint64_t asked = c->asked;
        uint32_t expected = c->expected;

        c->expected = 0;
        c->place = SF_CFI_NOWHERE;
        if (!find_section(c, position))
                return;
        if (asked < c->section)
                sf_functions_find(&(struct sf_functions){ c->out, position, c->image, c->starts }, c->relocated,
                                  c->layout);
        if (expected && asked < position) {
                bool wrong = c->out[asked] + 1u != expected;

                c->history = (c->history << 1 | wrong) & 0xff;
                c->wrong += wrong;
        }
        c->asked = position;
        catch_up(c, position);
        uint64_t offset = position - c->entry;
        if (c->over || (offset >= 8 && sf_get32(c->out + c->entry + 4) == 0))
                return;
        if (offset < PROGRAM) {
                expect_field(c, position);
                return;
        }
        if (!c->program)
                correct_function(c, position);
        expect_op(c, position);
}
