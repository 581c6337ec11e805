/* SPDX-License-Identifier: Apache-2.0 */
/* tests/installer/check-ring.c - the memory in which compressed frames wait: bounded, never shared, never lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "installer/ring.h"

static void test_full_and_empty(void **state)
{
        struct sf_ring ring = SF_RING_INIT;

        (void)state;
        assert_int_equal(sf_ring_open(&ring, 1000, NULL), 0);
        assert_null(sf_ring_take(&ring, 1001));
        uint8_t *all = sf_ring_take(&ring, 1000);
        assert_non_null(all);
        assert_null(sf_ring_take(&ring, 1));
        sf_ring_give(&ring, all);
        assert_non_null(sf_ring_take(&ring, 1000));
        sf_ring_close(&ring);
}

/* What is given back in the middle can be used once everything older is back too. */
static void test_out_of_order(void **state)
{
        struct sf_ring ring = SF_RING_INIT;

        (void)state;
        assert_int_equal(sf_ring_open(&ring, 1000, NULL), 0);
        uint8_t *a = sf_ring_take(&ring, 400), *b = sf_ring_take(&ring, 400);
        sf_ring_give(&ring, b);
        assert_null(sf_ring_take(&ring, 300));
        sf_ring_give(&ring, a);
        a = sf_ring_take(&ring, 600);
        assert_non_null(a);
        b = sf_ring_take(&ring, 300);
        assert_ptr_equal(b, a + 600);
        sf_ring_give(&ring, a);
        assert_ptr_equal(sf_ring_take(&ring, 500), a); /* behind b there are 100 only */
        assert_null(sf_ring_take(&ring, 101));
        assert_ptr_equal(sf_ring_take(&ring, 100), a + 500);
        assert_null(sf_ring_take(&ring, 1));
        sf_ring_close(&ring);
}

/* Many pieces of any size, in any order: none overlaps another, and the ring is never stuck when it is empty. */
static void test_random(void **state)
{
        struct sf_ring ring = SF_RING_INIT;
        struct {
                uint8_t *at;
                size_t len;
                uint8_t mark;
        } held[SF_RING_PIECES];
        size_t count = 0, refused = 0;
        uint32_t random = 1;

        (void)state;
        assert_int_equal(sf_ring_open(&ring, 10000, NULL), 0);
        for (unsigned i = 0; i < 100000; i++) {
                random = random * 1664525u + 1013904223u;
                size_t len = 1 + (random >> 8) % (random >> 30 ? 500 : 10000);
                uint8_t *at = sf_ring_take(&ring, len);
                assert_true(at || count);
                if (at) {
                        memset(at, (int)(i & 0xff), len);
                        held[count].at = at;
                        held[count].len = len;
                        held[count++].mark = (uint8_t)i;
                        continue;
                }
                refused++;
                size_t back = (random >> 4) % count;
                for (size_t j = 0; j < held[back].len; j++)
                        assert_int_equal(held[back].at[j], held[back].mark);
                sf_ring_give(&ring, held[back].at);
                held[back] = held[--count];
        }
        assert_true(refused > 1000);
        sf_ring_close(&ring);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_full_and_empty),
                cmocka_unit_test(test_out_of_order),
                cmocka_unit_test(test_random),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
