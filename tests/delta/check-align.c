/* SPDX-License-Identifier: Apache-2.0 */
/* tests/delta/check-align.c - the encoder's search: the same matches as a search through everything, and in time that
 * grows with the size, whatever the bytes are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "delta/encode/align.h"
#include "delta/encode/suffixes.h"
#include "delta/encode/windows.h"

#define SMALL 400
#define LARGE ((uint64_t)1 << 20)

static uint64_t state;

static uint32_t chance(uint32_t below)
{
        state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        return (uint32_t)(state >> 33) % below;
}

/* Old bytes of few letters, new ones that share runs with them. */
static void make_bytes(uint64_t seed, uint8_t *old, uint64_t old_size, uint8_t *new, uint64_t new_size)
{
        state = seed;
        uint32_t letters = 2 + chance(5);
        for (uint64_t i = 0; i < old_size; i++)
                old[i] = (uint8_t)(chance(letters) * 85);
        for (uint64_t i = 0; i < new_size; i++)
                new[i] = (uint8_t)(chance(letters) * 85);
        for (unsigned k = chance(6); k > 0; k--) {
                uint64_t length = chance((uint32_t)(old_size < new_size ? old_size : new_size));

                memcpy(new + chance((uint32_t)(new_size - length)), old + chance((uint32_t)(old_size - length)),
                       length);
        }
}

static uint64_t distance(uint64_t a, uint64_t b)
{
        return a > b ? a - b : b - a;
}

static uint64_t common(const uint8_t *old, uint64_t old_left, const uint8_t *new, uint64_t new_left)
{
        uint64_t n = 0;

        while (n < old_left && n < new_left && old[n] == new[n])
                n++;
        return n;
}

/* What a search has to give: worth and distance of the best match among all places. */
static void search_everything(const uint8_t *old, uint64_t old_size, const struct sf_pattern *p,
                              const struct sf_suffix_preference *preference, uint64_t *ret_worth, uint64_t *ret_away)
{
        *ret_worth = 0;
        *ret_away = distance(0, preference->expected);
        for (uint64_t at = 0; at < old_size; at++) {
                uint64_t length = common(old + at, old_size - at, p->data + p->at, p->size - p->at);
                uint64_t away = distance(at, preference->expected);
                uint64_t worth = length + (length && away <= preference->window ? preference->worth : 0);

                if (worth > *ret_worth || (worth == *ret_worth && away < *ret_away)) {
                        *ret_worth = worth;
                        *ret_away = away;
                }
        }
}

/* With all suffixes looked at, the search finds what a search through everything does. */
static void test_search(void **unused)
{
        (void)unused;
        for (uint64_t seed = 1; seed <= 60; seed++) {
                _cleanup_(sf_suffixes_close) struct sf_suffixes s = { 0 };
                uint8_t old[SMALL], new[SMALL];
                uint64_t size = 1 + seed * 6;

                make_bytes(seed, old, size, new, size);
                assert_int_equal(sf_suffixes_open(&s, old, size, NULL, NULL), 0);
                for (uint64_t at = 0; at < size; at++) {
                        const struct sf_pattern pattern = { new, at, size };
                        const struct sf_suffix_preference preference = { chance(SMALL), chance(40), chance(13), SMALL };
                        uint64_t worth, away;
                        struct sf_suffix_match m = sf_suffixes_find(&s, &pattern, &preference);

                        search_everything(old, size, &pattern, &preference, &worth, &away);
                        assert_int_equal(m.length, common(old + m.at, size - m.at, new + at, size - at));
                        uint64_t near = distance(m.at, preference.expected);
                        assert_int_equal(m.length + (m.length && near <= preference.window ? preference.worth : 0),
                                         worth);
                        assert_int_equal(near, away);
                }
        }
}

/* "None" is only said where there is none; and said often enough to be of use. */
static void test_windows(void **unused)
{
        const struct sf_runs none = { 0 };
        uint64_t denied = 0, asked = 0;

        (void)unused;
        for (uint64_t seed = 1; seed <= 20; seed++) {
                _cleanup_(sf_windows_close) struct sf_windows w = { 0 };
                uint8_t old[SMALL], new[SMALL];

                make_bytes(seed, old, SMALL, new, SMALL);
                assert_int_equal(sf_windows_open(&w, &(struct sf_window_sides){ old, new, SMALL, SMALL, &none }, NULL),
                                 0);
                for (uint64_t at = 0; at < SMALL; at++) {
                        uint64_t longest = 0;

                        for (uint64_t k = 0; k < SMALL; k++) {
                                uint64_t n = common(old + k, SMALL - k, new + at, SMALL - at);
                                longest = n > longest ? n : longest;
                        }
                        for (uint64_t n = SF_WINDOW_SHORTEST; n <= longest; n++)
                                assert_true(sf_windows_may_hold(&w, new + at, SMALL - at, n));
                        asked += longest < SF_WINDOW_SHORTEST;
                        denied += !sf_windows_may_hold(&w, new + at, SMALL - at, longest + SF_WINDOW_SHORTEST);
                }
        }
        assert_true(asked > 0 && denied * 10 > asked * 9);
}

/* Where only marked places are sorted, the longest match of any place is found that has the length of a window. */
static void test_marked(void **unused)
{
        const struct sf_runs none = { 0 };
        uint64_t sorted = 0, found = 0;

        (void)unused;
        for (uint64_t seed = 1; seed <= 60; seed++) {
                _cleanup_(sf_suffixes_close) struct sf_suffixes s = { 0 };
                _cleanup_(sf_windows_close) struct sf_windows w = { 0 };
                uint8_t old[SMALL], new[SMALL];

                make_bytes(seed, old, SMALL, new, SMALL);
                for (uint64_t i = 0; i < SMALL; i++)
                        old[i] ^= (uint8_t)(i % 64 < 32 ? chance(256) : 0);
                assert_int_equal(sf_windows_open(&w, &(struct sf_window_sides){ old, new, SMALL, SMALL, &none }, NULL),
                                 0);
                const struct sf_suffix_marks marks = { w.marks, 1 };
                assert_int_equal(sf_suffixes_open(&s, old, SMALL, &marks, NULL), 0);
                sorted += s.count;
                for (uint64_t at = 0; at < SMALL; at++) {
                        const struct sf_pattern pattern = { new, at, SMALL };
                        const struct sf_suffix_preference preference = { 0, 0, 0, SMALL };
                        struct sf_suffix_match m = sf_suffixes_find(&s, &pattern, &preference);
                        uint64_t worth, away;

                        search_everything(old, SMALL, &pattern, &preference, &worth, &away);
                        if (worth < SF_WINDOW_SHORTEST)
                                continue;
                        assert_int_equal(m.length, worth);
                        found++;
                }
        }
        assert_true(sorted < 60 * SMALL / 2 && found > 1000);
}

/* A script covers the new file and copies what is there. */
static void check_script(const struct sf_align *job, const struct sf_script *script)
{
        uint64_t at = 0;

        for (size_t i = 0; i < script->count; i++) {
                const struct sf_step *step = &script->steps[i];

                at += step->literal + step->copy;
                if (step->copy)
                        assert_true(step->copy >= SF_SCRIPT_COPY_MIN && step->reference < job->reference_count &&
                                    job->starts[step->reference] + step->from + step->copy <=
                                            job->starts[step->reference + 1]);
        }
        assert_int_equal(at, job->new_size);
}

static uint64_t count_literals(const struct sf_script *script)
{
        uint64_t literals = 0;

        for (size_t i = 0; i < script->count; i++)
                literals += script->steps[i].literal;
        return literals;
}

/* A second alignment that knows the first one's script gives one as good, and sorts and looks for next to nothing where
 * the files are nearly equal: counted, not timed. */
static void test_again(void **unused)
{
        _cleanup_(sf_script_free) struct sf_script script = { .reference_count = 1 };
        _cleanup_free_ uint8_t *old = malloc(LARGE), *new = malloc(LARGE);
        _cleanup_(sf_runs_close) struct sf_runs runs = { 0 };
        _cleanup_(sf_windows_close) struct sf_windows w = { 0 };
        uint64_t marked = 0;

        (void)unused;
        assert_non_null(old);
        assert_non_null(new);
        state = 11;
        for (uint64_t i = 0; i < LARGE; i++)
                old[i] = (uint8_t)chance(256);
        for (uint64_t i = 0; i < LARGE; i++)
                new[i] = (uint8_t)(old[(i + 70001) % LARGE] ^ (i % 5003 == 0));
        const struct sf_align job = {
                .old = old, .starts = { 0, LARGE }, .reference_count = 1, .new = new, .new_size = LARGE
        };
        assert_int_equal(sf_align_files(&job, &script, NULL), 0);
        uint64_t literals = count_literals(&script);
        assert_true(literals < LARGE / 1000);
        assert_int_equal(sf_runs_open(&runs, &job, &script, NULL), 0);
        const struct sf_window_sides sides = { old, new, LARGE, LARGE, &runs };
        assert_int_equal(sf_windows_open(&w, &sides, NULL), 0);
        for (uint64_t i = 0; i < LARGE; i++)
                marked += sf_windows_marked(w.marks, i);
        assert_true(marked < LARGE / 16);
        assert_int_equal(sf_align_files(&job, &script, NULL), 0);
        check_script(&job, &script);
        assert_int_equal(count_literals(&script), literals);
}

static void test_scripts(void **unused)
{
        (void)unused;
        for (uint64_t seed = 1; seed <= 200; seed++) {
                _cleanup_(sf_script_free) struct sf_script script = { .reference_count = 2 };
                uint8_t old[SMALL], new[SMALL];

                make_bytes(seed, old, SMALL, new, SMALL);
                const struct sf_align job = {
                        .old = old, .starts = { 0, seed, SMALL }, .reference_count = 2, .new = new, .new_size = SMALL
                };
                assert_int_equal(sf_align_files(&job, &script, NULL), 0);
                check_script(&job, &script);
                /* again, with what is known of these bytes and then of others */
                assert_int_equal(sf_align_files(&job, &script, NULL), 0);
                check_script(&job, &script);
                new[seed % SMALL] ^= 1;
                old[SMALL / 2] ^= 1;
                assert_int_equal(sf_align_files(&job, &script, NULL), 0);
                check_script(&job, &script);
        }
}

static double cpu_seconds(void)
{
        struct timespec t;

        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* 1 MiB against 1 MiB in at most 20 s of one processor, generously: it takes under 1 s. The bytes are those that take a
 * search the longest which compares long matches anew at every byte. */
static void test_linear(void **unused)
{
        static const char *const kinds[] = { "zeros", "a short period", "a long period", "two letters" };

        (void)unused;
        for (unsigned kind = 0; kind < sizeof kinds / sizeof *kinds; kind++) {
                _cleanup_(sf_script_free) struct sf_script script = { .reference_count = 1 };
                _cleanup_free_ uint8_t *old = malloc(LARGE), *new = malloc(LARGE);

                assert_non_null(old);
                assert_non_null(new);
                state = 7;
                for (uint64_t i = 0; i < LARGE; i++) {
                        old[i] = kind == 0 ? 0 : kind == 1 ? (uint8_t)(i % 7) : (uint8_t)(i % 4099 * 31 % 251);
                        if (kind == 3)
                                old[i] = (uint8_t)chance(2);
                }
                /* the same, moved, with a byte that differs now and then */
                for (uint64_t i = 0; i < LARGE; i++)
                        new[i] = (uint8_t)(old[(i + 1003) % LARGE] ^ (i % 5003 == 0));
                const struct sf_align job = {
                        .old = old, .starts = { 0, LARGE }, .reference_count = 1, .new = new, .new_size = LARGE
                };
                double start = cpu_seconds();
                assert_int_equal(sf_align_files(&job, &script, NULL), 0);
                double took = cpu_seconds() - start;
                check_script(&job, &script);
                assert_true(count_literals(&script) < LARGE / 100);
                if (took > 20)
                        fail_msg("%s: %.1f s", kinds[kind], took);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_search), cmocka_unit_test(test_windows), cmocka_unit_test(test_marked),
                cmocka_unit_test(test_again),  cmocka_unit_test(test_scripts), cmocka_unit_test(test_linear),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
