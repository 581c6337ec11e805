/* tests/check-delta-parts.c - the parts of the delta codecs one by one: coder, model, map, instruction lengths. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
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

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_coder), cmocka_unit_test(test_certainty),    cmocka_unit_test(test_model),
                cmocka_unit_test(test_map),   cmocka_unit_test(test_instructions),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
