/* SPDX-License-Identifier: Apache-2.0 */
/* tests/delta/check-scripts.c - files are coded while others are aligned: what comes out does not depend on when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "delta/codec/bindiff.h"
#include "delta/codec/replay.h"
#include "delta/encode/memory.h"
#include "delta/encode/proof.h"
#include "delta/encode/scripts.h"

#define FILES    7
#define SIZE     120000
#define NEW_PART 30000 /* bytes at the end of each new file that no old one has */

static uint8_t old_bytes[FILES][SIZE], new_bytes[FILES][SIZE];
static struct sf_delta_file old_files[FILES], new_files[FILES];
static const struct sf_delta_files all_old = { old_files, FILES }, all_new = { new_files, FILES };

static uint8_t noise(void)
{
        static uint64_t state = 5;

        state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        return (uint8_t)(state >> 56);
}

static int set_up(void **unused)
{
        (void)unused;
        for (size_t i = 0; i < FILES; i++) {
                for (size_t k = 0; k < SIZE; k++) {
                        old_bytes[i][k] = noise();
                        new_bytes[i][k] = k < SIZE - NEW_PART ? old_bytes[i][k] : noise();
                }
                for (size_t k = 0; k < SIZE; k += 500 + 100 * i)
                        new_bytes[i][k] ^= 1;
                old_files[i] = (struct sf_delta_file){ old_bytes[i], SIZE, 0 };
                new_files[i] = (struct sf_delta_file){ new_bytes[i], SIZE, (uint32_t)i + 1 };
        }
        return 0;
}

static bool is_same(const struct sf_script *a, const struct sf_script *b)
{
        bool same = a->count == b->count && a->reference_count == b->reference_count;

        for (size_t i = 0; same && i < a->count; i++)
                same = a->steps[i].literal == b->steps[i].literal && a->steps[i].copy == b->steps[i].copy &&
                       a->steps[i].from == b->steps[i].from && a->steps[i].reference == b->steps[i].reference;
        return same;
}

/* In order, and counted in order, on any number of threads. */
static void test_order(void **unused)
{
        (void)unused;
        for (unsigned at_a_time = 1; at_a_time <= FILES + 2; at_a_time++) {
                _cleanup_(sf_scripts_close) struct sf_scripts alone = { 0 }, s = { 0 };
                struct sf_error err = SF_ERROR_INIT;

                assert_int_equal(sf_scripts_start(&alone, &all_old, &all_new, false, 1, NULL, &err), 0);
                assert_int_equal(alone.running, 0);
                assert_int_equal(sf_scripts_start(&s, &all_old, &all_new, false, at_a_time, NULL, &err), 0);
                assert_int_equal(s.running, at_a_time - 1 < FILES ? at_a_time - 1 : FILES);
                for (size_t i = 0; i < FILES; i++) {
                        assert_int_equal(sf_scripts_wait(&alone, &err), 0);
                        assert_int_equal(sf_scripts_wait(&s, &err), 0);
                        assert_int_equal(s.known, i + 1);
                        assert_int_equal(s.bytes, (i + 1) * SIZE);
                        assert_int_equal(s.literals, alone.literals);
                        assert_true(s.literals >= (i + 1) * NEW_PART);
                        assert_true(is_same(&s.scripts[i], &alone.scripts[i]));
                }
        }
}

/* Nothing runs on, and nothing is left, where nobody waits. */
static void test_abandoned(void **unused)
{
        _cleanup_(sf_scripts_close) struct sf_scripts s = { 0 };
        struct sf_error err = SF_ERROR_INIT;

        (void)unused;
        assert_int_equal(sf_scripts_start(&s, &all_old, &all_new, false, 3, NULL, &err), 0);
        assert_int_equal(sf_scripts_wait(&s, &err), 0);
}

/* The failure of one file, which only want of memory can be, ends it for who waits. */
static void test_failure(void **unused)
{
        (void)unused;
        for (unsigned at_a_time = 1; at_a_time <= 4; at_a_time++) {
                _cleanup_(sf_scripts_close) struct sf_scripts s = { 0 };
                struct sf_error err = SF_ERROR_INIT;

                assert_int_equal(sf_scripts_start(&s, &all_old, &all_new, false, at_a_time, NULL, &err), 0);
                assert_int_equal(sf_scripts_wait(&s, &err), 0);
                pthread_mutex_lock(&s.lock);
                s.failed = sf_error_set(&s.error, SF_ERR_NOMEM, "no memory for file 4");
                pthread_mutex_unlock(&s.lock);
                assert_int_equal(sf_scripts_wait(&s, &err), SF_ERR_NOMEM);
                assert_string_equal(err.text, "no memory for file 4");
                assert_int_equal(s.known, 1);
        }
}

/* The elf codec, so that there is a model of full size before the last file is aligned. */
static int encode(const struct sf_delta_files *old, unsigned threads, uint64_t memory, bool *ret_proved,
                  struct sf_buffer *ret)
{
        struct sf_delta_effort effort = { .threads = threads, .memory = memory, .lock = PTHREAD_MUTEX_INITIALIZER };
        int r = sf_bindiff_encode(old, &all_new, true, &effort, ret, NULL);

        *ret_proved = effort.proved;
        return r;
}

static void test_bytes(void **unused)
{
        const uint64_t proof = sf_proof_memory(&all_old, &all_new, true);
        const struct {
                unsigned threads;
                uint64_t memory;
                bool proved;
        } ways[] = {
                { 1, 0, true },
                { 2, 0, true },
                { 5, 0, true },
                { 2, sf_encode_memory(&all_old, &all_new, 2) + proof, true },
                { 2, sf_encode_memory(&all_old, &all_new, 1) + proof, true },
                { 2, sf_encode_memory(&all_old, &all_new, 1), false },
        };
        _cleanup_(sf_buffer_free) struct sf_buffer first = SF_BUFFER_INIT;
        bool proved;

        (void)unused;
        for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
                _cleanup_(sf_buffer_free) struct sf_buffer patch = SF_BUFFER_INIT;

                assert_int_equal(encode(&all_old, ways[i].threads, ways[i].memory, &proved, &patch), 0);
                assert_int_equal(proved, ways[i].proved);
                assert_int_equal(patch.data[1], SF_REPLAY_SLOTS_LOG_MAX);
                if (i == 0)
                        assert_int_equal(sf_buffer_append(&first, patch.data, patch.len, NULL), 0);
                assert_int_equal(patch.len, first.len);
                assert_memory_equal(patch.data, first.data, first.len);
        }
        assert_int_equal(encode(&all_old, 2, sf_encode_memory(&all_old, &all_new, 1) - 1, &proved, &first),
                         SF_ERR_LIMIT);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_order),
                cmocka_unit_test(test_abandoned),
                cmocka_unit_test(test_failure),
                cmocka_unit_test(test_bytes),
        };

        return cmocka_run_group_tests(tests, set_up, NULL);
}
