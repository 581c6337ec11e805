/* tests/check-delta-parts.c - the parts of the delta codecs one by one: coder, model, map, instruction lengths, call frame information. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "delta/cfi.h"
#include "delta/coder.h"
#include "delta/map.h"
#include "delta/model.h"
#include "delta/x86.h"

static uint64_t state = 1;

static uint64_t noise(void)
{
        state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        return state >> 20;
}

static void code_numbers(struct sf_coder *c, uint64_t *values, size_t count)
{
        struct sf_number n;

        sf_number_start(&n);
        for (size_t i = 0; i < count; i++)
                values[i] = i % 2 ? sf_coder_number(c, &n, values[i])
                                  : (uint64_t)sf_coder_signed(c, &n, (int64_t)values[i]);
}

static void test_coder(void **unused)
{
        enum { COUNT = 2000 };
        uint64_t values[COUNT], back[COUNT] = { 0 };
        _cleanup_(sf_buffer_free) struct sf_buffer coded = SF_BUFFER_INIT;
        struct sf_coder c;

        (void)unused;
        for (size_t i = 0; i < COUNT; i++)
                values[i] = i % 7 ? noise() >> noise() % 44 : i % 14 ? UINT64_MAX - noise() % 3 : 0;
        memcpy(back, values, sizeof back);
        sf_coder_encode(&c, &coded);
        code_numbers(&c, values, COUNT);
        assert_int_equal(sf_coder_finish(&c, NULL), 0);
        memset(values, 0, sizeof values);
        sf_coder_decode(&c, coded.data, coded.len);
        code_numbers(&c, values, COUNT);
        assert_int_equal(sf_coder_finish(&c, NULL), 0);
        assert_memory_equal(values, back, sizeof back);
        /* Cut in half it must be noticed. */
        sf_coder_decode(&c, coded.data, coded.len / 2);
        code_numbers(&c, values, COUNT);
        assert_int_equal(sf_coder_finish(&c, NULL), SF_ERR_CORRUPT);
}

/* What is certain costs next to nothing: a million bits that never surprise fit into a few bytes. */
static void test_certainty(void **unused)
{
        _cleanup_(sf_buffer_free) struct sf_buffer coded = SF_BUFFER_INIT;
        sf_probability p = SF_PROBABILITY_EVEN;
        struct sf_coder c;

        (void)unused;
        sf_coder_encode(&c, &coded);
        for (unsigned i = 0; i < 1000000; i++)
                sf_coder_bit(&c, &p, 1);
        assert_int_equal(sf_coder_finish(&c, NULL), 0);
        assert_in_range(coded.len, 1, 100);
}

static void code_text(struct sf_coder *c, char *text, size_t len)
{
        _cleanup_(sf_model_close) struct sf_model model = { 0 };
        _cleanup_(sf_mixer_close) struct sf_mixer mixer = { 0 };

        assert_int_equal(sf_model_open(&model, 10, NULL), 0);
        assert_int_equal(sf_mixer_open(&mixer, &model, 2, 1, 1, NULL), 0);
        for (size_t i = 0; i < len; i++) {
                uint32_t before = i ? (uint8_t)text[i - 1] : 0, further = i > 1 ? (uint8_t)text[i - 2] : 0;
                uint32_t contexts[2] = { sf_hash(1, before), sf_hash(2, before << 8 | further) };

                text[i] = (char)sf_model_byte(&model, &mixer, c, contexts, 0, 0, (uint8_t)text[i]);
        }
}

static void test_model(void **unused)
{
        char text[3000], back[sizeof text] = { 0 };
        _cleanup_(sf_buffer_free) struct sf_buffer coded = SF_BUFFER_INIT;
        struct sf_coder c;

        (void)unused;
        for (size_t i = 0; i < sizeof text; i++)
                text[i] = "the quick brown fox "[i % 20];
        sf_coder_encode(&c, &coded);
        code_text(&c, text, sizeof text);
        assert_int_equal(sf_coder_finish(&c, NULL), 0);
        assert_in_range(coded.len, 1, 120);
        sf_coder_decode(&c, coded.data, coded.len);
        code_text(&c, back, sizeof back);
        assert_memory_equal(text, back, sizeof text);
}

/* Every position against the plain reading of the rule: the longest copy that holds it, else the nearest piece. */
static void test_map(void **unused)
{
        enum { COPIES = 40, SPACE = 2000 };

        (void)unused;
        for (unsigned round = 0; round < 50; round++) {
                struct sf_piece copies[COPIES];
                _cleanup_(sf_map_free) struct sf_map_of_file map = { 0 };

                for (size_t i = 0; i < COPIES; i++)
                        copies[i] = (struct sf_piece){ noise() % SPACE, noise() % 100000, noise() % 90 };
                assert_int_equal(sf_map_build(copies, COPIES, &map, NULL), 0);
                for (uint64_t at = 0; at < SPACE + 200; at++) {
                        const struct sf_piece *best = NULL;
                        enum sf_map_quality quality;

                        for (size_t i = 0; i < COPIES; i++)
                                if (at - copies[i].old < copies[i].length && (!best || copies[i].length > best->length))
                                        best = &copies[i];
                        uint64_t mapped = sf_map_position(&map, at, &quality);
                        assert_int_equal(quality == SF_MAP_EXACT, best != NULL);
                        if (best)
                                assert_int_equal(mapped, best->new + (at - best->old));
                }
        }
}

static void test_instructions(void **unused)
{
        static const struct {
                const char *code;
                uint8_t given, length, field;
                enum sf_x86_form form;
        } cases[] = {
                { "\xe8\0\0\0\0", 5, 5, 1, SF_X86_CALL },
                { "\x0f\x84\0\0\0\0", 6, 6, 2, SF_X86_BRANCH },
                { "\x48\x8d\x3d\0\0\0\0", 7, 7, 3, SF_X86_MEMORY },        /* lea rdi,[rip] */
                { "\xc7\x05\0\0\0\0\x01\0\0\0", 3, 10, 2, SF_X86_MEMORY }, /* immediate behind the field */
                { "\x66\xc7\x05\0\0\0\0\x01\0", 9, 9, 3, SF_X86_MEMORY },
                { "\x80\x3d\0\0\0\0\0", 7, 7, 2, SF_X86_MEMORY },
                { "\x48\xb8\0\0\0\0\0\0\0\0", 10, 10, 0, SF_X86_PLAIN },          /* movabs */
                { "\x48\x8b\x84\x24\0\0\0\0", 8, 8, 0, SF_X86_PLAIN },            /* [rsp+disp32] */
                { "\xf6\x05\0\0\0\0\x01", 7, 7, 2, SF_X86_MEMORY },               /* test has an immediate, */
                { "\xf7\x1d\0\0\0\0", 6, 6, 2, SF_X86_MEMORY },                   /* neg has none */
                { "\xf3\x0f\x1e\xfa", 4, 4, 0, SF_X86_PLAIN },                    /* endbr64 */
                { "\xc5\xf8\x77", 3, 3, 0, SF_X86_PLAIN },                        /* vzeroupper */
                { "\xc4\xe3\x7d\x39\x05\0\0\0\0\x01", 10, 10, 5, SF_X86_MEMORY }, /* VEX map 3 has an immediate */
                { "\x66\x0f\x3a\x0f\xc1\x08", 6, 6, 0, SF_X86_PLAIN },            /* palignr */
        };
        struct sf_x86_insn insn;

        (void)unused;
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                assert_true(sf_x86_measure((const uint8_t *)cases[i].code, cases[i].given, &insn));
                assert_int_equal(insn.length, cases[i].length);
                assert_int_equal(insn.field, cases[i].field);
                assert_int_equal(insn.form, cases[i].form);
                for (size_t len = 0; len < insn.head; len++) /* a cut head is never taken for a whole one */
                        assert_false(sf_x86_measure((const uint8_t *)cases[i].code, len, &(struct sf_x86_insn){ 0 }));
        }
        assert_false(sf_x86_measure((const uint8_t *)"\x06", 1, &insn));
}

enum { CODE_AT = 0x270, INDEX_AT = 0x2e8, FRAMES_AT = 0x300, FRAMES_END = 0x364, FILE_END = 0x380 };

static void put(uint8_t *at, uint64_t value, unsigned bytes)
{
        for (unsigned i = 0; i < bytes; i++)
                at[i] = (uint8_t)(value >> (8 * i));
}

/* A file with two functions as gcc 12 compiles them, and what it says about their frames. */
static void make_framed_file(uint8_t *file)
{
        static const char code[] = "\x55\x48\x89\xe5\xe8\xe7\xff\xff\xff\x5d\x83\xc0\x01\xc3\x66\x90"
                                   "\x55\x48\x89\xe5\x41\x54\x4c\x63\xe6\x53\x48\x89\xfb\x48\x83\xec\x10"
                                   "\xe8\xca\xff\xff\xff\x83\xf8\x03\x7f\x25\x4a\x8d\x3c\xa3\xe8\xbc\xff\xff\xff"
                                   "\x48\x8d\x7d\xec\x89\x45\xec\xe8\xb0\xff\xff\xff\x8b\x45\xec"
                                   "\x48\x83\xc4\x10\x5b\x41\x5c\x5d\xc3\x0f\x1f\x40\x00"
                                   "\x48\x8d\x7b\x04\xe8\x97\xff\xff\xff\x48\x83\xc4\x10\x44\x01\xe0"
                                   "\x5b\x41\x5c\x5d\xc3\x66\x2e\x0f\x1f\x84\0\0\0\0\0\x90";
        static const char frames[] = "\x14\0\0\0\0\0\0\0\x01zR\0\x01\x78\x10\x01\x1b\x0c\x07\x08\x90\x01\0\0"
                                     "\x1c\0\0\0\x1c\0\0\0\x50\xff\xff\xff\x0e\0\0\0\0"
                                     "\x41\x0e\x10\x86\x02\x43\x0d\x06\x46\x0c\x07\x08\0\0\0"
                                     "\x28\0\0\0\x3c\0\0\0\x40\xff\xff\xff\x55\0\0\0\0"
                                     "\x41\x0e\x10\x86\x02\x43\x0d\x06\x42\x8c\x03\x44\x83\x04\x71\x0a\x0c\x07\x08"
                                     "\x45\x0b\x54\x0c\x07\x08\0\0";
        memset(file, 0, FILE_END);
        memcpy(file, "\177ELF\2\1\1", 7);
        put(file + 16, 3 | 62 << 16, 4);
        put(file + 32, 64, 8);
        put(file + 56, 2, 2);
        put(file + 64, 1 | UINT64_C(5) << 32, 8); /* PT_LOAD */
        put(file + 96, FILE_END, 8);
        put(file + 104, FILE_END, 8);
        put(file + 120, 0x6474e550, 4); /* PT_GNU_EH_FRAME */
        put(file + 128, INDEX_AT, 8);
        memcpy(file + CODE_AT, code, sizeof code - 1);
        put(file + INDEX_AT, 0x3b031b01, 4);
        put(file + INDEX_AT + 4, FRAMES_AT - INDEX_AT - 4, 4);
        memcpy(file + FRAMES_AT, frames, sizeof frames - 1);
}

/* Asks about every byte; returns how many were not foretold in [from, to). What is not known yet is noise. */
static unsigned count_surprises(const uint8_t *file, uint64_t from, uint64_t to)
{
        uint8_t known[FILE_END];
        struct sf_image image;
        struct sf_relocated relocated = { 0 };
        struct sf_layout layout = { 0 };
        _cleanup_(sf_cfi_close) struct sf_cfi cfi = { .over = true };
        unsigned surprises = 0;

        memset(known, 0xa5, sizeof known);
        memcpy(known, file, FRAMES_AT);
        sf_image_open(file, FRAMES_AT, &image);
        assert_int_equal(sf_cfi_open(&cfi, known, FILE_END, &image, &relocated, &layout, NULL), 0);
        for (uint64_t at = 64; at < FILE_END; at++) {
                sf_cfi_look(&cfi, at);
                if (at >= from && at < to)
                        surprises += cfi.expected != file[at] + 1u;
                known[at] = file[at];
        }
        return surprises;
}

static void test_cfi(void **unused)
{
        uint8_t file[FILE_END];
        const uint64_t second = FRAMES_AT + 0x38;

        (void)unused;
        make_framed_file(file);
        /* The first description cannot know which function it is about, only what is to be said about it. */
        assert_int_equal(count_surprises(file, FRAMES_AT + 0x18 + 16, second), 0);
        assert_int_equal(count_surprises(file, second, FRAMES_END), 0);
        /* After one that is strange, it goes on with what is written. */
        file[second + 17] = 0x42;
        file[second + 22] = 0x42;
        assert_int_equal(count_surprises(file, second, FRAMES_END), 1);
        for (unsigned round = 0; round < 3000; round++) {
                make_framed_file(file);
                for (unsigned i = 0; i < 1 + round % 8; i++)
                        file[noise() % sizeof file] = (uint8_t)noise();
                count_surprises(file, 0, FILE_END);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_coder), cmocka_unit_test(test_certainty),    cmocka_unit_test(test_model),
                cmocka_unit_test(test_map),   cmocka_unit_test(test_instructions), cmocka_unit_test(test_cfi),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
