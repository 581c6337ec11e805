/* SPDX-License-Identifier: Apache-2.0 */
/* tests/delta/check-a64.c - arm64 code: which operands are found, what becomes of them, and what a delta is worth where
 * code moved. Instruction words are GNU as' of the text beside them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <elf.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "delta/codec/bindiff.h"
#include "delta/codec/codecs.h"
#include "delta/image/a64.h"
#include "delta/predict/predict.h"

#define BASE      0x400000u /* address of the first byte: no page of the file starts where one of memory does */
#define CODE      0x1000u   /* position of .text */
#define FUNCTIONS 300u
#define WORDS     11u /* of a function */
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
        static const char names[] = "\0.text\0.rodata\0.shstrtab";
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
        put32(d + 60, 4 | 3u << 16);
        put32(d + 64, PT_LOAD);
        put32(d + 68, PF_R | PF_X);
        put64(d + 80, BASE);
        put64(d + 96, BYTES - 0x400);
        put64(d + 104, BYTES - 0x400);
        memcpy(d + BYTES - 0x300, names, sizeof names);
        section(p, 1, 1, SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, CODE, p->code_bytes);
        section(p, 2, 7, SHT_PROGBITS, SHF_ALLOC, p->text, FUNCTIONS * 16);
        section(p, 3, 15, SHT_STRTAB, 0, BYTES - 0x300, sizeof names);
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

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_instructions),
                cmocka_unit_test(test_inverse),
                cmocka_unit_test(test_fields),
                cmocka_unit_test(test_moved_code),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
