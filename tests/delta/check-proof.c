/* SPDX-License-Identifier: Apache-2.0 */
/* tests/delta/check-proof.c - a patch is tried while it is made: what a node would not rebuild is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "delta/encode/proof.h"

#define OLD_BYTES 60000
#define NEW_BYTES 90000
#define COPIED    50000 /* the rest is literals: several pieces of records */

static uint8_t old_bytes[OLD_BYTES], new_bytes[NEW_BYTES];

static void make_contents(void)
{
        uint64_t state = 5;

        for (size_t i = 0; i < OLD_BYTES; i++) {
                state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
                old_bytes[i] = (uint8_t) "abcdefgh12345678"[state >> 60];
        }
        memcpy(new_bytes, old_bytes, OLD_BYTES);
        for (size_t i = 0; i < OLD_BYTES; i += 1000)
                new_bytes[i] ^= 1;
        for (size_t i = OLD_BYTES; i < NEW_BYTES; i++)
                new_bytes[i] = i % 7 ? new_bytes[i - 7] : old_bytes[i % 1009];
}

/* Codes the new bytes and tries them on `held`, which is what the decoder has of the old ones, against `truth`;
 * NULL: the patch is given up as soon as it is begun. */
static int code_and_prove(const uint8_t *held, const uint8_t *truth, struct sf_buffer *patch)
{
        const uint8_t header[] = { SF_PREDICTOR_OLDEST, SF_REPLAY_SLOTS_LOG_MIN };
        const struct sf_delta_file old = { old_bytes, OLD_BYTES, 0 }, other = { held, OLD_BYTES, 0 },
                                   new = { new_bytes, NEW_BYTES, 1 };
        const struct sf_delta_files all_old = { &old, 1 }, all_other = { &other, 1 }, all_new = { &new, 1 };
        _cleanup_(sf_script_free) struct sf_script script = { .references = { 0 }, .reference_count = 1 };
        _cleanup_(sf_replay_close) struct sf_replay replay = { 0 };
        _cleanup_(sf_proof_close) struct sf_proof proof = { 0 };
        _cleanup_free_ uint8_t *out = calloc(NEW_BYTES, 1);
        struct sf_error err = SF_ERROR_INIT;
        unsigned derived = 0;
        const struct sf_replay_input input = {
                .old = &all_old, .new = &all_new, .truth = new_bytes, .out = out, .derived = &derived
        };

        assert_int_equal(sf_script_add(&script, (struct sf_step){ .copy = COPIED }, NULL), 0);
        assert_int_equal(sf_script_add(&script, (struct sf_step){ .literal = NEW_BYTES - COPIED }, NULL), 0);
        assert_int_equal(sf_replay_open(&replay, &input, header[1], NULL), 0);
        assert_int_equal(sf_buffer_append(patch, header, sizeof header, NULL), 0);
        sf_coder_encode(&replay.coder, patch);
        assert_int_equal(sf_proof_start(&proof, &all_other, &all_new, false, &replay), 0);
        if (!truth)
                return 0;
        assert_int_equal(sf_replay_file(&replay, 0, 0, &script, NULL), 0);
        assert_int_equal(sf_coder_finish(&replay.coder, NULL), 0);
        return sf_proof_finish(&proof, truth, &err);
}

static void test_right(void **unused)
{
        _cleanup_(sf_buffer_free) struct sf_buffer patch = SF_BUFFER_INIT;
        const struct sf_delta_file old = { old_bytes, OLD_BYTES, 0 }, new = { new_bytes, NEW_BYTES, 1 };

        (void)unused;
        assert_int_equal(code_and_prove(old_bytes, new_bytes, &patch), 0);
        /* A node says the same. */
        assert_int_equal(sf_proof_apply(sf_delta_codec_find("bindiff"), &(struct sf_delta_files){ &old, 1 },
                                        &(struct sf_delta_files){ &new, 1 }, &patch, NULL),
                         0);
}

/* A decoder that knows something else than the encoder took for granted. It is only a context: the coded bits and the
 * encoder's probabilities give the right bytes, which a node's own model would not. */
static void test_other_knowledge(void **unused)
{
        _cleanup_(sf_buffer_free) struct sf_buffer patch = SF_BUFFER_INIT;
        static uint8_t held[OLD_BYTES];

        (void)unused;
        memcpy(held, old_bytes, OLD_BYTES);
        held[OLD_BYTES - 3000] ^= 1;
        assert_int_equal(code_and_prove(held, new_bytes, &patch), SF_ERR_FAILED);
}

static void test_other_truth(void **unused)
{
        _cleanup_(sf_buffer_free) struct sf_buffer patch = SF_BUFFER_INIT;
        static uint8_t truth[NEW_BYTES];

        (void)unused;
        memcpy(truth, new_bytes, NEW_BYTES);
        truth[NEW_BYTES - 1] ^= 1;
        assert_int_equal(code_and_prove(old_bytes, truth, &patch), SF_ERR_FAILED);
}

/* Nothing is left behind where making the patch fails half-way. */
static void test_abandoned(void **unused)
{
        _cleanup_(sf_buffer_free) struct sf_buffer patch = SF_BUFFER_INIT;

        (void)unused;
        assert_int_equal(code_and_prove(old_bytes, NULL, &patch), 0);
}

static int set_up(void **unused)
{
        (void)unused;
        make_contents();
        return 0;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_right),
                cmocka_unit_test(test_other_knowledge),
                cmocka_unit_test(test_other_truth),
                cmocka_unit_test(test_abandoned),
        };

        return cmocka_run_group_tests(tests, set_up, NULL);
}
