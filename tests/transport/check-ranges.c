/* SPDX-License-Identifier: Apache-2.0 */
/* tests/transport/check-ranges.c - asking for parts of a blob: joined across small gaps, many for more than half:
 * the whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "transport/ranges.h"

#define MEG ((uint64_t)1 << 20)

static void check_plan(const struct sf_byte_range *wanted, size_t count, uint64_t size,
                       const struct sf_byte_range *expected, size_t expected_count)
{
        struct sf_byte_range ranges[16];
        uint64_t bytes, sum = 0;

        if (count)
                memcpy(ranges, wanted, count * sizeof *wanted);
        assert_int_equal(sf_ranges_plan(ranges, &count, size, &bytes, NULL), 0);
        assert_int_equal(count, expected_count);
        for (size_t i = 0; i < count; i++) {
                assert_int_equal(ranges[i].offset, expected[i].offset);
                assert_int_equal(ranges[i].length, expected[i].length);
                sum += ranges[i].length;
        }
        assert_int_equal(bytes, sum);
}

static void joins_small_gaps(void **state)
{
        (void)state;
        const struct sf_byte_range wanted[] = { { 0, 10 }, { 10 + SF_RANGES_GAP, 5 }, { 16 + 2 * SF_RANGES_GAP, 1 } };
        const struct sf_byte_range expected[] = { { 0, 15 + SF_RANGES_GAP }, { 16 + 2 * SF_RANGES_GAP, 1 } };

        check_plan(wanted, 3, MEG, expected, 2);
}

static void overlaps_and_empty_pieces(void **state)
{
        (void)state;
        const struct sf_byte_range wanted[] = { { 5, 0 }, { 100, 50 }, { 100, 20 }, { 120, 100 }, { MEG, 0 } };
        const struct sf_byte_range expected[] = { { 100, 120 } };

        check_plan(wanted, 5, MEG, expected, 1);
        check_plan(wanted, 1, MEG, NULL, 0);
        check_plan(NULL, 0, 0, NULL, 0);
}

static void takes_the_whole_above_half(void **state)
{
        (void)state;
        const uint64_t step = 150000, tenth = MEG / 10;
        const struct sf_byte_range half[] = { { 0, MEG / 2 - 4 * tenth },
                                              { step * 2, tenth },
                                              { step * 3, tenth },
                                              { step * 4, tenth },
                                              { step * 5, tenth } };
        struct sf_byte_range more[5];
        const struct sf_byte_range whole[] = { { 0, MEG } }, tail[] = { { 1000, MEG - 1000 } };

        memcpy(more, half, sizeof more);
        more[0].length++;
        check_plan(half, 5, MEG, half, 5);
        check_plan(more, 5, MEG, whole, 1);
        /* A few requests are never too many: what an interrupted download lacks is mostly one long tail. */
        check_plan(half, 4, MEG, half, 4);
        check_plan(tail, 1, MEG, tail, 1);
}

static void refuses_nonsense(void **state)
{
        (void)state;
        struct sf_byte_range beyond[] = { { 5, 6 } }, wraps[] = { { 5, UINT64_MAX } },
                             unsorted[] = { { 5, 1 }, { 4, 1 } };
        size_t one = 1, two = 2;
        uint64_t bytes;

        assert_int_equal(sf_ranges_plan(beyond, &one, 10, &bytes, NULL), SF_ERR_CORRUPT);
        assert_int_equal(sf_ranges_plan(wraps, &one, 10, &bytes, NULL), SF_ERR_CORRUPT);
        assert_int_equal(sf_ranges_plan(unsorted, &two, 10, &bytes, NULL), SF_ERR_USAGE);
}

static int by_offset(const void *a, const void *b)
{
        const struct sf_byte_range *x = a, *y = b;

        return (x->offset > y->offset) - (x->offset < y->offset);
}

/* Random pieces: every wanted byte is covered once, ranges are sorted and further apart than a gap. */
static void covers_everything_once(void **state)
{
        (void)state;
        srand(1);
        for (int round = 0; round < 2000; round++) {
                struct sf_byte_range wanted[16], ranges[16];
                size_t count = (size_t)rand() % 17, used = count;
                uint64_t size = 100 * MEG, bytes;
                for (size_t i = 0; i < count; i++) {
                        wanted[i].offset = (uint64_t)rand() % (8 * MEG);
                        wanted[i].length = (uint64_t)rand() % (round % 2 ? 100000 : 10);
                }
                qsort(wanted, count, sizeof *wanted, by_offset);
                memcpy(ranges, wanted, sizeof ranges);
                assert_int_equal(sf_ranges_plan(ranges, &used, size, &bytes, NULL), 0);
                for (size_t i = 1; i < used; i++)
                        assert_true(ranges[i].offset > ranges[i - 1].offset + ranges[i - 1].length + SF_RANGES_GAP);
                for (size_t i = 0; i < count; i++) {
                        int covering = wanted[i].length ? 0 : 1;
                        for (size_t k = 0; k < used && wanted[i].length; k++)
                                covering += ranges[k].offset <= wanted[i].offset &&
                                            wanted[i].offset + wanted[i].length <= ranges[k].offset + ranges[k].length;
                        assert_int_equal(covering, 1);
                }
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(joins_small_gaps),           cmocka_unit_test(overlaps_and_empty_pieces),
                cmocka_unit_test(takes_the_whole_above_half), cmocka_unit_test(refuses_nonsense),
                cmocka_unit_test(covers_everything_once),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
