/* SPDX-License-Identifier: Apache-2.0 */
/* tests/delta/check-parts.c - the parts of the delta codecs one by one: coder, model, map, instructions, matches,
 * scripts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "delta/entropy/coder.h"
#include "delta/image/image.h"
#include "delta/predict/map.h"
#include "delta/entropy/match.h"
#include "delta/entropy/model.h"
#include "delta/encode/prune.h"
#include "delta/image/relocated.h"
#include "delta/image/x86.h"

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

/* Operands that are no 32-bit reference: offset and length of each. */
static void test_operands(void **unused)
{
        static const struct {
                const char *code;
                uint8_t length, near, displacement, displacement_bytes, immediate, immediate_bytes;
        } cases[] = {
                { "\xeb\5", 2, 1, 0, 0, 0, 0 },                    /* jmp */
                { "\x74\5", 2, 1, 0, 0, 0, 0 },                    /* je */
                { "\xe3\5", 2, 1, 0, 0, 0, 0 },                    /* jrcxz */
                { "\x8b\x45\xf8", 3, 0, 2, 1, 0, 0 },              /* mov eax,[rbp-8] */
                { "\x8b\x80\0\1\0\0", 6, 0, 2, 4, 0, 0 },          /* mov eax,[rax+256] */
                { "\x8b\x84\x24\0\1\0\0", 7, 0, 3, 4, 0, 0 },      /* mov eax,[rsp+256] */
                { "\x8b\4\x25\0\1\0\0", 7, 0, 3, 4, 0, 0 },        /* mov eax,[256] */
                { "\xba\1\0\0\0", 5, 0, 0, 0, 1, 4 },              /* mov edx,1 */
                { "\x48\xb8\0\0\0\0\0\0\0\0", 10, 0, 0, 0, 2, 8 }, /* movabs */
                { "\xc7\x40\x08\1\0\0\0", 7, 0, 2, 1, 3, 4 },      /* mov dword [rax+8],1 */
                { "\x83\xc0\5", 3, 0, 0, 0, 2, 1 },                /* add eax,5 */
                { "\x66\x81\xc0\1\0", 5, 0, 0, 0, 3, 2 },          /* add ax,1 */
                { "\x48\x8d\x3d\0\0\0\0", 7, 0, 0, 0, 0, 0 },      /* rip-relative: that is a reference */
                { "\xc7\5\0\0\0\0\1\0\0\0", 10, 0, 0, 0, 6, 4 },   /* behind one */
                { "\xe8\0\0\0\0", 5, 0, 0, 0, 0, 0 },              /* the distance of a call is none, either */
                { "\x0f\x84\0\0\0\0", 6, 0, 0, 0, 0, 0 },
                { "\x89\xd8", 2, 0, 0, 0, 0, 0 },
        };
        struct sf_x86_insn insn;

        (void)unused;
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                assert_true(sf_x86_measure((const uint8_t *)cases[i].code, cases[i].length, &insn));
                assert_int_equal(insn.length, cases[i].length);
                assert_int_equal(insn.near, cases[i].near);
                assert_int_equal(insn.displacement, cases[i].displacement);
                assert_int_equal(insn.displacement_bytes, cases[i].displacement_bytes);
                assert_int_equal(insn.immediate, cases[i].immediate);
                assert_int_equal(insn.immediate_bytes, cases[i].immediate_bytes);
        }
}

/* Between two copies both have an opinion; the better one keeps what was aligned, else is that of the nearer copy. */
static void test_both_guesses(void **unused)
{
        static const struct sf_piece copies[] = { { 16, 16, 84 }, { 200, 260, 100 } };
        static const struct {
                uint64_t old, best, other;
                enum sf_map_quality quality;
        } cases[] = {
                { 50, 50, 50, SF_MAP_EXACT },
                { 250, 310, 310, SF_MAP_EXACT },
                { 110, 110, 170, SF_MAP_NEAREST },
                { 190, 250, 190, SF_MAP_NEAREST },
                { 176, 176, 236, SF_MAP_NEAREST }, /* nearer to the second, but 176 is a multiple of 16 */
                { 10, 10, 10, SF_MAP_NEAREST },
                { 500, 560, 560, SF_MAP_NEAREST },
                { SF_IMAGE_BSS + 3, SF_IMAGE_BSS + 3, SF_IMAGE_BSS + 3, SF_MAP_OUTSIDE },
        };
        _cleanup_(sf_map_free) struct sf_map_of_file map;
        enum sf_map_quality quality;
        uint64_t other;

        (void)unused;
        assert_int_equal(sf_map_build(copies, 2, &map, NULL), 0);
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                assert_int_equal(sf_map_positions(&map, cases[i].old, &quality, &other), cases[i].best);
                assert_int_equal(other, cases[i].other);
                assert_int_equal(quality, cases[i].quality);
        }
}

/* What pretraining teaches is known at both ends, and takes no bytes. */
static void code_pretrained(struct sf_coder *c, unsigned *bits, size_t count)
{
        sf_probability p = SF_PROBABILITY_EVEN;

        c->pretraining = true;
        for (unsigned i = 0; i < 500; i++)
                assert_int_equal(sf_coder_bit(c, &p, 1), 1);
        c->pretraining = false;
        for (size_t i = 0; i < count; i++)
                bits[i] = sf_coder_bit(c, &p, bits[i]);
}

static void test_rehearsing(void **unused)
{
        enum { COUNT = 50 };
        _cleanup_(sf_buffer_free) struct sf_buffer coded = SF_BUFFER_INIT;
        unsigned bits[COUNT], back[COUNT] = { 0 };
        struct sf_coder c;

        (void)unused;
        for (size_t i = 0; i < COUNT; i++)
                bits[i] = i != 33;
        sf_coder_encode(&c, &coded);
        code_pretrained(&c, bits, COUNT);
        assert_int_equal(sf_coder_finish(&c, NULL), 0);
        sf_coder_decode(&c, coded.data, coded.len);
        code_pretrained(&c, back, COUNT);
        assert_int_equal(sf_coder_finish(&c, NULL), 0);
        assert_memory_equal(bits, back, sizeof bits);
        for (size_t i = 0; i < COUNT; i++)
                bits[i] = 1;
        coded.len = 0;
        sf_coder_encode(&c, &coded);
        code_pretrained(&c, bits, COUNT);
        assert_int_equal(sf_coder_finish(&c, NULL), 0);
        assert_int_equal(coded.len, 1);
}

/* The new file's end may be known before its beginning: what is followed there must not lead behind it. */
static void test_match_at_end(void **unused)
{
        static const char text[] = "0123456789abcdef";
        enum { SIZE = 64 };
        _cleanup_(sf_matcher_close) struct sf_matcher m;
        _cleanup_free_ uint8_t *new = calloc(SIZE, 1); /* to the byte */

        (void)unused;
        assert_non_null(new);
        assert_int_equal(sf_matcher_open(&m, (const uint8_t *)"", 0, SIZE, NULL), 0);
        for (unsigned i = 0; i < 16; i++) {
                new[SIZE - 16 + i] = (uint8_t)text[i];
                sf_matcher_look(&m, new, SIZE - 16 + i + 1);
        }
        sf_matcher_restart(&m);
        for (unsigned i = 0; i < 16; i++) {
                sf_matcher_look(&m, new, i);
                assert_true(i < 8 || sf_matcher_expected(&m) == (uint8_t)text[i] + 1u);
                new[i] = (uint8_t)text[i];
                sf_matcher_advance(&m, new, i + 1, 1, true);
        }
        assert_int_equal(sf_matcher_expected(&m), 0);
}

/* Places of relocations ascend. Where a hostile layout notes one backwards, the table starts anew. */
static void test_relocated(void **unused)
{
        enum { RECORD = 24, COUNT = 20 };
        uint8_t out[RECORD * (COUNT + 1)] = { 0 };
        struct sf_relocated r = { 0 };
        uint64_t word;

        (void)unused;
        for (unsigned i = 1; i <= COUNT; i++) {
                uint64_t place = 1000 + 8 * i, addend = 77 * i;

                memcpy(out + RECORD * i, &place, 8);
                memcpy(out + RECORD * i + 16, &addend, 8);
        }
        sf_relocated_note(&r, RECORD * COUNT);
        for (unsigned i = 1; i <= COUNT; i++) {
                sf_relocated_note(&r, RECORD * i);
                assert_true(r.first == RECORD && r.last == RECORD * i);
                for (unsigned k = 1; k < i; k++) {
                        assert_true(sf_relocated_word(&r, out, 1000 + 8 * k, &word));
                        assert_int_equal(word, 77 * k);
                        assert_false(sf_relocated_word(&r, out, 1000 + 8 * k + 4, &word));
                }
                assert_false(sf_relocated_word(&r, out, 1000 + 8 * i, &word)); /* not complete yet */
        }
}

/* Whatever is dropped, the script makes up the same file; long copies and those that go on stay, short ones far off
 * go. */
static void test_prune(void **unused)
{
        static const struct sf_step steps[] = {
                { 10, 5000, 0, 0 }, { 4, 16, 900000, 0 },  { 3, 4000, 5023, 0 }, /* far off, and back to the diagonal */
                { 2, 20, 9025, 0 }, { 1, 600, 500000, 0 }, { 7, 16, 70, 0 },     { 9, 0, 0, 0 },
        };
        _cleanup_(sf_script_free) struct sf_script script = { .reference_count = 1 };
        uint64_t before = 0, after = 0, copied = 0;

        (void)unused;
        for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
                assert_int_equal(sf_script_add(&script, steps[i], NULL), 0);
                before += steps[i].literal + steps[i].copy;
        }
        sf_prune_script(&script, false);
        for (size_t i = 0; i < script.count; i++) {
                const struct sf_step *s = &script.steps[i];
                bool known = false;

                after += s->literal;
                for (uint64_t k = 0, at = 0; k < sizeof steps / sizeof *steps; k++) {
                        at += steps[k].literal;
                        known |= s->copy && at == after && steps[k].from == s->from && steps[k].copy == s->copy;
                        at += steps[k].copy;
                }
                assert_true(known || !s->copy); /* to where it always went */
                assert_true(s->copy != 16);
                after += s->copy;
                copied += s->copy;
        }
        assert_int_equal(before, after);
        assert_int_equal(copied, 5000 + 4000 + 20 + 600);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_coder),        cmocka_unit_test(test_certainty),
                cmocka_unit_test(test_model),        cmocka_unit_test(test_map),
                cmocka_unit_test(test_instructions), cmocka_unit_test(test_operands),
                cmocka_unit_test(test_both_guesses), cmocka_unit_test(test_rehearsing),
                cmocka_unit_test(test_match_at_end), cmocka_unit_test(test_relocated),
                cmocka_unit_test(test_prune),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
