/* SPDX-License-Identifier: Apache-2.0 */
/* tests/delta/check-model.c - what the model of contexts codes is part of the format: the same bytes as ever, on every
 * processor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "delta/entropy/coder.h"
#include "delta/entropy/mixing.h"
#include "delta/entropy/model.h"

#define BYTES     60000
#define SLOTS_LOG 12 /* far too few for so many bytes: slots are taken over all the time */
#define SELECTS   3
#define DETAILS   256

static uint64_t state;

static uint32_t noise(void)
{
        state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        return (uint32_t)(state >> 32);
}

/* Text that repeats itself with changes, like code does. */
static void make_text(uint8_t *text)
{
        state = 7;
        for (size_t i = 0; i < BYTES; i++)
                text[i] = i > 300 && noise() % 40 ? text[i - 1 - noise() % 3 * 97] : (uint8_t)(noise() % 90);
}

/* Codes the text under `count` contexts; two of them are the same one, as hashes that collide are. */
static void code_text(struct sf_coder *c, uint8_t *text, unsigned count, bool plain)
{
        _cleanup_(sf_model_close) struct sf_model model = { 0 };
        _cleanup_(sf_mixer_close) struct sf_mixer mixer = { 0 };

        assert_int_equal(sf_model_open(&model, SLOTS_LOG, NULL), 0);
        assert_int_equal(sf_mixer_open(&mixer, &model, count, SELECTS, DETAILS, NULL), 0);
        if (plain)
                mixer.wide = false;
        for (size_t i = 0; i < BYTES; i++) {
                uint32_t contexts[SF_MODEL_CONTEXTS_MAX], before = i ? text[i - 1] : 0;

                for (unsigned k = 0; k < count; k++) {
                        contexts[k] = k;
                        for (size_t back = 1; back <= k && back <= i; back++)
                                contexts[k] = sf_hash(contexts[k], text[i - back]);
                }
                contexts[count - 1] = i % 5 ? contexts[count - 1] : contexts[2];
                text[i] = sf_model_byte(&model, &mixer, c, contexts, before % SELECTS, before, text[i]);
        }
}

static void check_coded(unsigned count, bool plain, const char *digest)
{
        _cleanup_(sf_buffer_free) struct sf_buffer coded = SF_BUFFER_INIT;
        static uint8_t text[BYTES], back[BYTES];
        struct sf_digest got;
        struct sf_coder c;
        char hex[SF_DIGEST_HEX + 1];

        make_text(text);
        sf_coder_encode(&c, &coded);
        code_text(&c, text, count, plain);
        assert_int_equal(sf_coder_finish(&c, NULL), 0);
        sf_digest_of(coded.data, coded.len, &got);
        assert_string_equal(sf_digest_hex(&got, hex), digest);
        sf_coder_decode(&c, coded.data, coded.len);
        memset(back, 0, sizeof back);
        code_text(&c, back, count, !plain);
        assert_int_equal(sf_coder_finish(&c, NULL), 0);
        assert_memory_equal(text, back, sizeof text);
}

/* Digests of what the first version of the model coded. */
static void test_same_as_ever(void **unused)
{
        static const struct {
                unsigned contexts;
                const char *digest;
        } rows[] = { { 5, "91a74b5d9b11e5e746a88710c5ae7d49bc2821394142eff1b82b91136cb88e18" },
                     { 6, "c8e7442c5f6cdac2e3aa1d3c96e5e5a12bd092936709007e509cfa2b5cb57dc6" },
                     { 8, "3d140295c90390ea43626668ef83365ba8d17b529b12e1fb647e73a06db3e9f8" },
                     { 12, "292652a260f9ae7d5e8ccd5f37e90dca2b21016b43da98402f2bf66249e8b0c0" } };

        (void)unused;
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                check_coded(rows[i].contexts, false, rows[i].digest);
                check_coded(rows[i].contexts, true, rows[i].digest);
        }
}

/* All that a bit reads and changes. */
struct bench {
        struct sf_mixer mixer;
        uint32_t cells[SF_MODEL_CONTEXTS_MAX];
        struct sf_mixing mixing;
};

static void open_bench(struct bench *b, const struct sf_model *model, unsigned contexts)
{
        assert_int_equal(sf_mixer_open(&b->mixer, model, contexts, 1, 1, NULL), 0);
        for (unsigned i = 0; i < contexts; i++) {
                b->mixing.cells[i] = &b->cells[i];
                b->cells[i] = noise();
                if (sf_cell_count(b->cells[i]) > SF_ESTIMATE_MAX || i % 4 == 1)
                        b->cells[i] &= ~UINT32_C(31);
        }
        for (unsigned k = 0; k < SF_MIXING_ROWS; k++) {
                b->mixing.rows[k] = b->mixer.weights + k * sf_mixing_stride(contexts);
                for (unsigned i = 0; i < sf_mixing_stride(contexts); i++)
                        b->mixing.rows[k][i] = (int32_t)noise();
        }
        for (unsigned i = 0; i < contexts * SF_HISTORY_COUNTS * SF_HISTORIES; i++)
                b->mixer.histories[i] = (noise() & ~UINT32_C(1023)) | noise() % (SF_HISTORY_MAX + 1);
}

static void compare_benches(const struct bench *a, const struct bench *b, unsigned contexts)
{
        assert_memory_equal(a->cells, b->cells, contexts * sizeof *a->cells);
        assert_memory_equal(a->mixer.weights, b->mixer.weights,
                            SF_MIXING_ROWS * sf_mixing_stride(contexts) * sizeof *a->mixer.weights);
        assert_memory_equal(a->mixer.histories, b->mixer.histories,
                            (size_t)contexts * SF_HISTORY_COUNTS * SF_HISTORIES * sizeof *a->mixer.histories);
}

/* Any weights, as a hostile patch may bring them about, and any cells. */
static void test_wide_like_plain(void **unused)
{
        _cleanup_(sf_model_close) struct sf_model model = { 0 };

        (void)unused;
        if (!sf_mixing_is_wide(SF_MIXING_WIDE_CONTEXTS)) {
                print_message("this processor has no AVX2: nothing to compare\n");
                skip();
        }
        assert_int_equal(sf_model_open(&model, SLOTS_LOG, NULL), 0);
        for (unsigned round = 0; round < 2000; round++) {
                unsigned contexts = SF_MIXING_WIDE_CONTEXTS, bit = round / 2 % 2, shift = 14 + round / 4 % 4;
                struct bench plain = { 0 }, wide = { 0 };

                state = round;
                open_bench(&plain, &model, contexts);
                state = round;
                open_bench(&wide, &model, contexts);
                int32_t error = (int32_t)(bit << 16) - (int32_t)(noise() % 65535 + 1);
                assert_true(sf_mixing_predict(&model, &plain.mixer, &plain.mixing) ==
                            sf_mixing_predict_wide(&model, &wide.mixer, &wide.mixing));
                sf_mixing_learn(&model, &plain.mixer, &plain.mixing, bit, error, shift);
                sf_mixing_learn_wide(&wide.mixing, bit, error, shift);
                compare_benches(&plain, &wide, contexts);
                sf_mixer_close(&plain.mixer);
                sf_mixer_close(&wide.mixer);
        }
}

/* The share of the way that an estimate moves is what a division would give. */
static void test_shares(void **unused)
{
        _cleanup_(sf_model_close) struct sf_model model = { 0 };

        (void)unused;
        assert_int_equal(sf_model_open(&model, SLOTS_LOG, NULL), 0);
        for (uint32_t seen = 0; seen <= SF_HISTORY_MAX; seen++)
                for (uint32_t value = seen; value <= SF_MIXING_VALUE_MAX; value += 1 + seen % 97 * 31) {
                        int64_t target = value & 1 ? SF_MIXING_VALUE_MAX : 0, was = value;

                        assert_true(sf_mixing_moved(&model, value, value & 1, seen) ==
                                    was + (target - was) * 2 / (2 * (int64_t)seen + 3));
                }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_shares),
                cmocka_unit_test(test_wide_like_plain),
                cmocka_unit_test(test_same_as_ever),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
