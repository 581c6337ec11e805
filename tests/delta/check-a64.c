/* SPDX-License-Identifier: Apache-2.0 */
/* tests/delta/check-a64.c - arm64 code: which operands are found, what becomes of them, and what a delta is worth where
 * code moved. Instruction words are GNU as' of the text beside them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <elf.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "delta/codec/bindiff.h"
#include "delta/codec/codecs.h"
#include "delta/image/a64.h"
#include "delta/predict/predict.h"

#define BASE      0x400000u /* address of the first byte: no page of the file starts where one of memory does */
#define CODE      0x1000u   /* position of .text */
#define FUNCTIONS 300u
#define WORDS     11u     /* of a function */
#define FRAMES    0xf000u /* position of .eh_frame */
#define BYTES     0x10000u

static void test_instructions(void **unused)
{
        static const struct {
                uint32_t word;
                enum sf_a64_kind kind;
                enum sf_a64_layout layout;
                uint32_t operand;
                uint8_t scale, written;
        } cases[] = {
                { 0x94000002, SF_A64_CALL, SF_A64_BRANCH26, 2, 0, 32 },         /* bl .+8 */
                { 0x17ffffff, SF_A64_JUMP, SF_A64_BRANCH26, 0x3ffffff, 0, 32 }, /* b .-4 */
                { 0x54000080, SF_A64_BRANCH, SF_A64_BRANCH19, 4, 0, 32 },       /* b.eq .+16 */
                { 0xb4000040, SF_A64_BRANCH, SF_A64_BRANCH19, 2, 0, 32 },       /* cbz x0, .+8 */
                { 0x36180041, SF_A64_BRANCH, SF_A64_BRANCH14, 2, 0, 32 },       /* tbz w1, #3, .+8 */
                { 0xb0000000, SF_A64_PAGED, SF_A64_PAGE, 1, 0, 0 },             /* adrp x0, the next page */
                { 0x10000020, SF_A64_LITERAL, SF_A64_ADDRESS, 4, 0, 0 },        /* adr x0, .+4 */
                { 0x91004000, SF_A64_OFFSET, SF_A64_LOW12, 16, 0, 0 },          /* add x0, x0, #0x10 */
                { 0xf9400401, SF_A64_OFFSET, SF_A64_LOW12, 1, 3, 1 },           /* ldr x1, [x0, #8] */
                { 0xb9000462, SF_A64_OFFSET, SF_A64_LOW12, 1, 2, 32 },          /* str w2, [x3, #4] */
                { 0x3dc00420, SF_A64_OFFSET, SF_A64_LOW12, 1, 4, 32 },          /* ldr q0, [x1, #16] */
                { 0x39400ca4, SF_A64_OFFSET, SF_A64_LOW12, 3, 0, 4 },           /* ldrb w4, [x5, #3] */
                { 0x52802582, SF_A64_CONSTANT, SF_A64_WIDE16, 300, 0, 2 },      /* mov w2, #300 */
                { 0xd10103ff, SF_A64_CONSTANT, SF_A64_LOW12, 64, 0, 31 },       /* sub sp, sp, #64 */
                { 0xa9417bfd, SF_A64_CONSTANT, SF_A64_PAIR7, 2, 3, 29 },        /* ldp x29, x30, [sp, #16] */
                { 0xa9be7bfd, SF_A64_CONSTANT, SF_A64_PAIR7, 0x7c, 3, 32 },     /* stp x29, x30, [sp, #-32]! */
                { 0xad0107e0, SF_A64_CONSTANT, SF_A64_PAIR7, 2, 4, 32 },        /* stp q0, q1, [sp, #32] */
                { 0x58000040, SF_A64_LITERAL, SF_A64_BRANCH19, 2, 0, 0 },       /* ldr x0, .+8 */
                { 0xd65f03c0, SF_A64_LEAVE, SF_A64_NONE, 0, 0, 32 },            /* ret */
                { 0xd61f0200, SF_A64_LEAVE, SF_A64_NONE, 0, 0, 32 },            /* br x16 */
                { 0xd63f0020, SF_A64_INDIRECT, SF_A64_NONE, 0, 0, 32 },         /* blr x1 */
        };

        (void)unused;
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                struct sf_a64_insn insn;
                uint32_t mask = (uint32_t)((UINT64_C(1) << sf_a64_bits(cases[i].layout)) - 1);

                sf_a64_decode(cases[i].word, &insn);
                assert_int_equal(insn.kind, cases[i].kind);
                assert_int_equal(insn.layout, cases[i].layout);
                assert_int_equal(insn.scale, cases[i].scale);
                assert_int_equal(insn.written, cases[i].written);
                if (insn.layout != SF_A64_NONE)
                        assert_int_equal(sf_a64_split(insn.layout, cases[i].word) & mask, cases[i].operand);
        }
}

static uint32_t noise(uint32_t *state)
{
        *state = *state * 1664525 + 1013904223;
        return *state >> 8;
}

/* Any word comes back, whatever it is taken for; and what an operand refers to is what it was made from. */
static void test_inverse(void **unused)
{
        uint32_t word = 1;

        (void)unused;
        for (int i = 0; i < 20000; i++, word = word * 1664525 + 1013904223)
                for (int k = 0; k < SF_A64_LAYOUTS; k++) {
                        enum sf_a64_layout layout = (enum sf_a64_layout)k;

                        assert_int_equal(sf_a64_join(layout, sf_a64_split(layout, word)), word);
                }
        for (uint64_t place = 0x7ff0; place < 0x9010; place += 4)
                for (uint64_t target = 0x7ff8; target < 0x8018; target += 8) {
                        uint32_t page = sf_a64_operand(SF_A64_PAGE, 0, place, target);
                        uint32_t low = sf_a64_operand(SF_A64_LOW12, 3, place, target);

                        /* A guess on the other side of a page's border is mended by both halves. */
                        assert_int_equal(sf_a64_target(SF_A64_PAGE, 0, place, page, 0x123, false),
                                         (target & ~0xfffull) | 0x123);
                        assert_int_equal(sf_a64_target(SF_A64_LOW12, 3, place, low, target - 0x40, false), target);
                        assert_int_equal(sf_a64_target(SF_A64_LOW12, 3, place, low, target | 0xff8, true), target);
                        assert_int_equal(sf_a64_target(SF_A64_BRANCH26, 0, place,
                                                       sf_a64_operand(SF_A64_BRANCH26, 0, place, target & ~3ull), 0,
                                                       false),
                                         target & ~3ull);
                        assert_int_equal(sf_a64_target(SF_A64_ADDRESS, 0, place,
                                                       sf_a64_operand(SF_A64_ADDRESS, 0, place, target), 0, false),
                                         target);
                }
}

struct program {
        uint8_t data[BYTES];
        uint64_t code_bytes, text; /* position of the texts */
        uint64_t frames_bytes;     /* of call frame information, at FRAMES */
};

static void put32(uint8_t *at, uint32_t v)
{
        for (int i = 0; i < 4; i++)
                at[i] = (uint8_t)(v >> (8 * i));
}

static void put64(uint8_t *at, uint64_t v)
{
        put32(at, (uint32_t)v);
        put32(at + 4, (uint32_t)(v >> 32));
}

static void section(struct program *p, unsigned index, uint32_t name, uint32_t type, uint64_t flags, uint64_t position,
                    uint64_t size)
{
        uint8_t *at = p->data + BYTES - 0x200 + 64 * index;

        put32(at, name);
        put32(at + 4, type);
        put64(at + 8, flags);
        put64(at + 16, flags ? BASE + position : 0);
        put64(at + 24, position);
        put64(at + 32, size);
}

static void headers(struct program *p, uint16_t machine)
{
        static const char names[] = "\0.text\0.rodata\0.shstrtab\0.eh_frame";
        uint8_t *d = p->data;

        memcpy(d, ELFMAG, SELFMAG);
        d[EI_CLASS] = ELFCLASS64;
        d[EI_DATA] = ELFDATA2LSB;
        d[EI_VERSION] = 1;
        put32(d + 16, ET_DYN | (uint32_t)machine << 16);
        put64(d + 32, 64);
        put64(d + 40, BYTES - 0x200);
        put32(d + 52, 64 | 56u << 16);
        put32(d + 56, 1 | 64u << 16);
        put32(d + 60, 5 | 3u << 16);
        put32(d + 64, PT_LOAD);
        put32(d + 68, PF_R | PF_X);
        put64(d + 80, BASE);
        put64(d + 96, BYTES - 0x400);
        put64(d + 104, BYTES - 0x400);
        memcpy(d + BYTES - 0x300, names, sizeof names);
        section(p, 1, 1, SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, CODE, p->code_bytes);
        section(p, 2, 7, SHT_PROGBITS, SHF_ALLOC, p->text, FUNCTIONS * 16);
        section(p, 3, 15, SHT_STRTAB, 0, BYTES - 0x300, sizeof names);
        section(p, 4, 25, SHT_PROGBITS, SHF_ALLOC, FRAMES, p->frames_bytes);
}

static uint32_t operand(uint32_t word, enum sf_a64_layout layout, uint64_t place, uint64_t target)
{
        struct sf_a64_insn insn;

        sf_a64_decode(word, &insn);
        return sf_a64_join(layout, sf_a64_split(layout, word) | sf_a64_operand(layout, insn.scale, place, target));
}

/* Functions that load the address of a text, mention a line, call another function, branch and return. With `gap` bytes
 * of other code behind the ninth, and later texts and lines behind. */
static void make(struct program *p, uint16_t machine, uint32_t gap, uint32_t lines)
{
        uint64_t start[FUNCTIONS];

        memset(p, 0, sizeof *p);
        p->code_bytes = FUNCTIONS * WORDS * 4 + gap;
        p->text = (CODE + p->code_bytes + 63) & ~63ull;
        for (uint32_t i = 0; i < FUNCTIONS; i++) {
                start[i] = CODE + i * WORDS * 4 + (i < 9 ? 0 : gap);
                snprintf((char *)p->data + p->text + 16 * i, 16, "text %u", i * i);
        }
        for (uint32_t i = 0; i < gap / 4; i++)
                put32(p->data + start[8] + WORDS * 4 + 4 * i, 0x8b000000 + i * 0x10421); /* add x.., x.., x.. */
        for (uint32_t i = 0; i < FUNCTIONS; i++) {
                uint64_t at = BASE + start[i], text = BASE + p->text + 16 * (i * 7 % FUNCTIONS);
                uint64_t called = BASE + start[i * 13 % FUNCTIONS];
                const uint32_t words[WORDS] = {
                        0xa9be7bfd, /* stp x29, x30, [sp, #-32]! */
                        operand(0x90000000, SF_A64_PAGE, at + 4, text),
                        0x52800001 + (i * 11 + (i < 9 ? 0 : lines)) * 32, /* mov w1, #line */
                        operand(0x91000000, SF_A64_LOW12, at + 12, text),
                        operand(0x94000000, SF_A64_BRANCH26, at + 16, called),
                        operand(0xb4000000, SF_A64_BRANCH19, at + 20, at + 40),
                        0xf9400000 + (i % 30) * 1024, /* ldr x0, [x0, #..] */
                        operand(0x90000003, SF_A64_PAGE, at + 28, text + 8),
                        operand(0xf9400062, SF_A64_LOW12, at + 32, text + 8), /* ldr x2, [x3, ..] */
                        0xa8c27bfd,                                           /* ldp x29, x30, [sp], #32 */
                        0xd65f03c0,                                           /* ret */
                };
                for (uint32_t k = 0; k < WORDS; k++)
                        put32(p->data + start[i] + 4 * k, words[k]);
        }
        headers(p, machine);
}

static void test_fields(void **unused)
{
        static struct program p;
        _cleanup_(sf_predictor_close) struct sf_predictor new_one = { 0 }, old_one = { 0 };

        (void)unused;
        make(&p, EM_AARCH64, 0, 0);
        assert_int_equal(sf_predictor_open(&new_one, p.data, BYTES, SF_PREDICTOR_VERSION, NULL), 0);
        /* stp, adrp, mov, add, bl, cbz, ldr, adrp, ldr and ldp of each function */
        size_t first = sf_address_fields_first(&new_one.fields, CODE);
        size_t behind = sf_address_fields_first(&new_one.fields, CODE + p.code_bytes);
        assert_int_equal(behind - first, FUNCTIONS * 10);
        static const uint8_t forms[] = { SF_FORM_NUMBER,  SF_FORM_OPERAND, SF_FORM_NUMBER, SF_FORM_OPERAND,
                                         SF_FORM_OPERAND, SF_FORM_OPERAND, SF_FORM_NUMBER, SF_FORM_OPERAND,
                                         SF_FORM_OPERAND, SF_FORM_NUMBER };
        for (size_t i = 0; i < FUNCTIONS * 10; i++)
                assert_int_equal(new_one.fields.fields[first + i].form, forms[i % 10]);
        const struct sf_field *page = &new_one.fields.fields[first + 11], *add = &new_one.fields.fields[first + 13];
        assert_int_equal(page->target, add->target);
        assert_int_equal(new_one.fields.targets[add->target], p.text + 16 * 7);
        /* Without the instructions, as before. */
        assert_int_equal(sf_predictor_open(&old_one, p.data, BYTES, SF_PREDICTOR_OLDEST, NULL), 0);
        assert_int_equal(sf_address_fields_first(&old_one.fields, CODE + p.code_bytes),
                         sf_address_fields_first(&old_one.fields, CODE));
}

/* Hand-made code at CODE, nothing else. */
static void make_code(struct program *p, const uint32_t *words, size_t count)
{
        memset(p, 0, sizeof *p);
        p->code_bytes = 4 * count;
        p->text = 0x2000;
        for (size_t i = 0; i < count; i++)
                put32(p->data + CODE + 4 * i, words[i]);
        headers(p, EM_AARCH64);
}

/* What a field becomes when everything from position `at` on moves by `by` bytes. */
static uint64_t predicted(struct sf_predictor *p, const struct sf_field *field, uint64_t at, uint64_t by)
{
        const struct sf_piece copies[] = { { 0, 0, at }, { at, at + by, BYTES - at } };
        enum sf_map_quality quality;
        struct sf_prediction guess;

        assert_non_null(field);
        assert_int_equal(sf_predictor_set_map(p, copies, 2, NULL), 0);
        sf_predict(p, field, &p->image, p->data, sf_map_position(&p->map, field->position, &quality), &guess);
        return guess.value;
}

/* A switch: entries of its table are distances from a label in the code. */
static void test_jump_table(void **unused)
{
        static const uint32_t words[] = {
                0x7100101f,               /* cmp w0, #4 */
                0x540000e8,               /* b.hi .+28 */
                0xf0000001,               /* adrp x1, the page of the table */
                0x91000021 | 0x100 << 10, /* add x1, x1, #0x100 */
                0x38604821,               /* ldrb w1, [x1, w0, uxtw] */
                0x10000062,               /* adr x2, .+12 */
                0x8b218841,               /* add x1, x2, w1, sxtb #2 */
                0xd61f0020,               /* br x1 */
                0xd503201f,
                0xd503201f,
                0xd503201f,
                0xd503201f,
                0xd503201f,
                0xd65f03c0,
        };
        static const uint8_t entries[] = { 0, 2, 0xff, 4, 1, 3 }; /* the last one is behind the table */
        static struct program program;
        _cleanup_(sf_predictor_close) struct sf_predictor p = { 0 };
        uint64_t table, label = CODE + 32;

        (void)unused;
        make_code(&program, words, sizeof words / sizeof *words);
        table = ((CODE + 8) & ~0xfffull) + 0x3000 + 0x100;
        memcpy(program.data + table, entries, sizeof entries);
        assert_int_equal(sf_predictor_open(&p, program.data, BYTES, SF_PREDICTOR_VERSION, NULL), 0);
        for (size_t i = 0; i < 5; i++) {
                const struct sf_field *f = sf_address_fields_at(&p.fields, table + i);

                assert_non_null(f);
                assert_int_equal(f->form, SF_FORM_CASE);
                assert_int_equal(p.fields.targets[f->target], label + (uint64_t)(int64_t)(int8_t)entries[i] * 4);
                /* Eight bytes more behind the second instruction after the label. */
                assert_int_equal(predicted(&p, f, label + 8, 8), (uint8_t)(entries[i] + (i == 1 || i == 3 ? 2 : 0)));
        }
        assert_null(sf_address_fields_at(&p.fields, table + 5));
        /* An older predictor knows none, and without the comparison there is none. */
        sf_predictor_close(&p);
        assert_int_equal(sf_predictor_open(&p, program.data, BYTES, SF_PREDICTOR_A64, NULL), 0);
        assert_null(sf_address_fields_at(&p.fields, table));
        sf_predictor_close(&p);
        put32(program.data + CODE, 0xd503201f);
        assert_int_equal(sf_predictor_open(&p, program.data, BYTES, SF_PREDICTOR_VERSION, NULL), 0);
        assert_null(sf_address_fields_at(&p.fields, table));
}

/* Code behind an epilogue goes on with what was known where the branch to it came from, or where nothing says so, with
 * pages in registers that survive calls, and those that were stored in the frame. */
static void test_flow(void **unused)
{
        static const uint32_t words[] = {
                0xa9ba7bfd, /* stp x29, x30, [sp, #-96]! */
                0xf000001b, /* adrp x27, .. */
                0xf0000000, /* adrp x0, .. */
                0xf90033e0, /* str x0, [sp, #96] */
                0xb40000e1, /* cbz x1, .+28: to word 11 */
                0x94000000, /* bl . */
                0xa94573fb, /* ldp x27, x28, [sp, #80] */
                0xa8c67bfd, /* ldp x29, x30, [sp], #96 */
                0xd65f03c0, /* ret */
                0x91040361, /* add x1, x27, #0x100: the branch does not lead here, the register survives */
                0xd65f03c0, /* ret */
                0x91080002, /* add x2, x0, #0x200: known from the branch */
                0x91018043, /* add x3, x2, #0x60: from there on */
                0x94000000, /* bl . */
                0xf94033e4, /* ldr x4, [sp, #96] */
                0x910c0084, /* add x4, x4, #0x300: from the frame */
                0xaa1b03e5, /* mov x5, x27 */
                0x910200a5, /* add x5, x5, #0x80 */
                0xd65f03c0, /* ret */
                0xa9be7bfd, /* stp x29, x30, [sp, #-32]! */
                0x91040361, /* add x1, x27, #0x100: another function, a number */
                0xd65f03c0, /* ret */
        };
        static struct program program;
        _cleanup_(sf_predictor_close) struct sf_predictor p = { 0 };
        const uint64_t page = (CODE & ~0xfffull) + 0x3000;
        const struct {
                unsigned word;
                uint8_t form;
                uint64_t target;
        } expected[] = { { 9, SF_FORM_OPERAND, page + 0x100 },   { 11, SF_FORM_OPERAND, page + 0x200 },
                         { 12, SF_FORM_ANCHORED, page + 0x260 }, { 15, SF_FORM_OPERAND, page + 0x300 },
                         { 17, SF_FORM_OPERAND, page + 0x80 },   { 20, SF_FORM_NUMBER, 0 } };

        (void)unused;
        make_code(&program, words, sizeof words / sizeof *words);
        assert_int_equal(sf_predictor_open(&p, program.data, BYTES, SF_PREDICTOR_VERSION, NULL), 0);
        for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
                const struct sf_field *f = sf_address_fields_at(&p.fields, CODE + 4 * expected[i].word);

                assert_non_null(f);
                assert_int_equal(f->form, expected[i].form);
                if (f->form != SF_FORM_NUMBER)
                        assert_int_equal(p.fields.targets[f->target], expected[i].target);
        }
        /* What lies between an anchor and what is counted from it moves the offset. */
        const struct sf_field *anchored = sf_address_fields_at(&p.fields, CODE + 48);
        assert_int_equal(p.fields.targets[anchored->base], page + 0x200);
        assert_int_equal(predicted(&p, anchored, page + 0x230, 16) & 0xfff, 0x70);
        sf_predict_learn(&p, anchored, &p.image, CODE + 48,
                         (sf_field_get(anchored, p.data + CODE + 48) & ~0xfffull) | 0x78);
        assert_int_equal(sf_predict_place(&p, anchored->target), page + 0x278);
        /* Each page is told once, by what is added to it first. */
        assert_int_equal(p.fields.targets[sf_address_fields_at(&p.fields, CODE + 4)->target], page + 0x100);
        assert_int_equal(p.fields.targets[sf_address_fields_at(&p.fields, CODE + 8)->target], page + 0x200);
}

static void test_call_frames(void **unused)
{
        static const uint32_t words[] = { 0xa9be7bfd, 0xf9000bf3, 0xd503201f, 0xf9400bf3, 0xa8c27bfd, 0xd65f03c0 };
        /* A common entry, then a description: advance 1, def_cfa_offset 32, offset x29, offset x30, advance1 1, offset
         * x19, advance2 3, restore x19, restore x30, restore x29, def_cfa_offset 0. */
        static const uint8_t frames[] = {
                0x10, 0, 0,    0, 0, 0, 0, 0,    1,    0x7a, 0x52, 0, 4, 0x78, 0x1e, 1,    0x1b, 0x0c, 0x1f, 0, 0x28, 0,
                0,    0, 0x18, 0, 0, 0, 0, 0,    0,    0,    0x18, 0, 0, 0,    0,    0x41, 0x0e, 0x20, 0x9d, 4, 0x9e, 3,
                2,    1, 0x93, 2, 3, 3, 0, 0xd3, 0xde, 0xdd, 0x0e, 0, 0, 0,    0,    0,    0,    0,    0,    0,
        };
        const struct {
                uint64_t at;
                uint8_t width, form;
                uint64_t place, later;
        } expected[] = { { FRAMES + 37, 1, SF_FORM_ADVANCE, CODE + 4, 0x41 },
                         { FRAMES + 45, 1, SF_FORM_INDEX, CODE + 8, 1 },
                         { FRAMES + 49, 2, SF_FORM_INDEX, CODE + 20, 5 } };
        static struct program program;
        _cleanup_(sf_predictor_close) struct sf_predictor p = { 0 };

        (void)unused;
        make_code(&program, words, sizeof words / sizeof *words);
        memcpy(program.data + FRAMES, frames, sizeof frames);
        put32(program.data + FRAMES + 28, CODE - (FRAMES + 28));
        program.frames_bytes = sizeof frames;
        headers(&program, EM_AARCH64);
        assert_int_equal(sf_predictor_open(&p, program.data, BYTES, SF_PREDICTOR_VERSION, NULL), 0);
        for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
                const struct sf_field *f = sf_address_fields_at(&p.fields, expected[i].at);

                assert_non_null(f);
                assert_int_equal(f->form, expected[i].form);
                assert_int_equal(f->width, expected[i].width);
                assert_int_equal(p.fields.targets[f->target], expected[i].place);
                /* Two more instructions in the middle. */
                assert_int_equal(predicted(&p, f, CODE + 12, 8), expected[i].later);
        }
        /* Instructions that are cut off, or unknown, end the walk. */
        put32(program.data + FRAMES + 20, 0x1e);
        program.data[FRAMES + 37] = 0x3f;
        sf_predictor_close(&p);
        assert_int_equal(sf_predictor_open(&p, program.data, BYTES, SF_PREDICTOR_VERSION, NULL), 0);
        assert_null(sf_address_fields_at(&p.fields, FRAMES + 37));
        assert_null(sf_address_fields_at(&p.fields, FRAMES + 45));
        sf_predictor_close(&p);
        assert_int_equal(sf_predictor_open(&p, program.data, BYTES, SF_PREDICTOR_A64, NULL), 0);
        assert_null(sf_address_fields_at(&p.fields, FRAMES + 45));
}

static size_t encode(const struct sf_delta_codec *encoder, const struct program *old, const struct program *new,
                     struct sf_buffer *patch)
{
        static uint8_t out[BYTES];
        const struct sf_delta_file before = { old->data, BYTES, 0 }, after = { new->data, BYTES, 1 },
                                   unknown = { NULL, BYTES, 1 };
        const struct sf_delta_files all_old = { &before, 1 };

        patch->len = 0;
        assert_int_equal(encoder->encode(&all_old, &(struct sf_delta_files){ &after, 1 }, NULL, patch, NULL), 0);
        assert_int_equal(
                sf_delta_codec_find(encoder->name)
                        ->decode(&all_old, &(struct sf_delta_files){ &unknown, 1 }, patch->data, patch->len, out, NULL),
                0);
        assert_memory_equal(out, new->data, BYTES);
        return patch->len;
}

static void test_moved_code(void **unused)
{
        static struct program old, new;
        static uint8_t out[BYTES];
        _cleanup_(sf_buffer_free) struct sf_buffer patch = SF_BUFFER_INIT;
        const struct sf_delta_file before = { old.data, BYTES, 0 }, unknown = { NULL, BYTES, 1 };
        struct sf_error err = SF_ERROR_INIT;

        (void)unused;
        make(&old, EM_AARCH64, 0, 0);
        make(&new, EM_AARCH64, 52, 5);
        size_t plain = encode(&sf_delta_bindiff_encoder, &old, &new, &patch);
        assert_int_equal(((uint8_t *)patch.data)[0], SF_PREDICTOR_OLDEST); /* nothing is predicted in it */
        size_t elf = encode(&sf_delta_elf_encoder, &old, &new, &patch);
        fprintf(stderr, "bindiff %zu, elf %zu bytes\n", plain, elf);
        assert_true(elf < 200 && elf * 8 < plain);
        assert_int_equal(((uint8_t *)patch.data)[0], SF_PREDICTOR_VERSION);
        /* A newer predictor's patch is refused by name of the reason. */
        ((uint8_t *)patch.data)[0] = SF_PREDICTOR_VERSION + 1;
        assert_int_equal(sf_delta_codec_find("elf")->decode(&(struct sf_delta_files){ &before, 1 },
                                                            &(struct sf_delta_files){ &unknown, 1 }, patch.data,
                                                            patch.len, out, &err),
                         SF_ERR_UNSUPPORTED);
        assert_non_null(strstr(err.text, "another version of the predictor"));
        sf_error_clear(&err);
        /* What is not for arm64 stays readable for older programs. */
        make(&old, EM_X86_64, 0, 0);
        make(&new, EM_X86_64, 52, 5);
        encode(&sf_delta_elf_encoder, &old, &new, &patch);
        assert_int_equal(((uint8_t *)patch.data)[0], SF_PREDICTOR_OLDEST);
}

/* Instructions of every sort that are new, and others that differ in place: whatever the words are, they come back. */
static void test_new_code(void **unused)
{
        static struct program old, new;
        _cleanup_(sf_buffer_free) struct sf_buffer patch = SF_BUFFER_INIT;
        uint32_t state = 7;

        (void)unused;
        make(&old, EM_AARCH64, 400, 0);
        for (unsigned round = 0; round < 40; round++) {
                make(&new, EM_AARCH64, 400 + round % 5 * 4, round);
                for (unsigned i = 0; i < 100 + round; i++) {
                        uint64_t at = CODE + (i < 90 ? 9 * WORDS * 4 + 4 * i : noise(&state) % new.code_bytes);

                        state = state * 1664525 + 1013904223;
                        put32(new.data + (i % 16 == 15 ? at : at & ~3ull), state ^ state >> 13);
                }
                encode(&sf_delta_elf_encoder, &old, &new, &patch);
        }
}

/* Made by the encoder of predictor 4 for make(0, 0) and make(52, 5). */
static void test_older_patch(void **unused)
{
        static const uint8_t patch[] = {
                0x04, 0x0c, 0xfd, 0xff, 0xff, 0xcb, 0xa0, 0xd1, 0x73, 0x22, 0xee, 0xcc, 0x8d, 0x64,
                0xcd, 0x3c, 0xc9, 0xad, 0x7e, 0x86, 0x71, 0xf4, 0x2c, 0x3e, 0x35, 0x9b, 0xd3, 0xff,
                0xf3, 0x0d, 0x47, 0x86, 0xd7, 0x0a, 0xf3, 0x02, 0x97, 0xbd, 0xac, 0x25, 0x5e, 0xbe,
                0xe2, 0xd9, 0x8b, 0x2d, 0x33, 0x5f, 0xee, 0x48, 0x3c, 0xad, 0xc9, 0x11, 0x13, 0x8d,
                0xcd, 0x2d, 0x24, 0xca, 0xa6, 0x41, 0x9f, 0xfc, 0x4f, 0x8f, 0x91, 0x38, 0xb8,
        };
        static struct program old, new;
        static uint8_t out[BYTES];
        const struct sf_delta_file before = { old.data, BYTES, 0 }, unknown = { NULL, BYTES, 1 };

        (void)unused;
        make(&old, EM_AARCH64, 0, 0);
        make(&new, EM_AARCH64, 52, 5);
        assert_int_equal(patch[0], SF_PREDICTOR_A64);
        assert_int_equal(sf_delta_codec_find("elf")->decode(&(struct sf_delta_files){ &before, 1 },
                                                            &(struct sf_delta_files){ &unknown, 1 }, patch,
                                                            sizeof patch, out, NULL),
                         0);
        assert_memory_equal(out, new.data, BYTES);
}

/* SF_TEST_A64_PAIR="OLD NEW": two versions of a real program. */
static void test_real_pair(void **unused)
{
        _cleanup_(sf_buffer_free) struct sf_buffer old = SF_BUFFER_INIT, new = SF_BUFFER_INIT, patch = SF_BUFFER_INIT;
        _cleanup_free_ char *paths = getenv("SF_TEST_A64_PAIR") ? strdup(getenv("SF_TEST_A64_PAIR")) : NULL;
        _cleanup_free_ uint8_t *out = NULL;
        char *second = paths ? strchr(paths, ' ') : NULL;

        (void)unused;
        if (!second) {
                fprintf(stderr, "skipped: SF_TEST_A64_PAIR names no two programs\n");
                return;
        }
        *second++ = 0;
        assert_int_equal(sf_fs_read(paths, SIZE_MAX / 4, &old, NULL), 0);
        assert_int_equal(sf_fs_read(second, SIZE_MAX / 4, &new, NULL), 0);
        const struct sf_delta_file before = { old.data, old.len, 0 }, after = { new.data, new.len, 1 },
                                   unknown = { NULL, new.len, 1 };
        const struct sf_delta_files all_old = { &before, 1 };
        assert_int_equal(
                sf_delta_elf_encoder.encode(&all_old, &(struct sf_delta_files){ &after, 1 }, NULL, &patch, NULL), 0);
        assert_non_null(out = malloc(new.len));
        assert_int_equal(sf_delta_codec_find("elf")->decode(&all_old, &(struct sf_delta_files){ &unknown, 1 },
                                                            patch.data, patch.len, out, NULL),
                         0);
        assert_memory_equal(out, new.data, new.len);
        fprintf(stderr, "%zu bytes for %zu\n", patch.len, new.len);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_instructions), cmocka_unit_test(test_inverse),
                cmocka_unit_test(test_fields),       cmocka_unit_test(test_jump_table),
                cmocka_unit_test(test_flow),         cmocka_unit_test(test_call_frames),
                cmocka_unit_test(test_moved_code),   cmocka_unit_test(test_new_code),
                cmocka_unit_test(test_older_patch),  cmocka_unit_test(test_real_pair),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
