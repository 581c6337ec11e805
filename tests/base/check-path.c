/* SPDX-License-Identifier: Apache-2.0 */
/* tests/base/check-path.c - links that stay, links that only look as if they did; memory pools. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/path.h"
#include "base/pool.h"

static void judges_links(void **state)
{
        static const struct {
                const char *path, *target;
                bool stays;
        } links[] = {
                { "lib/a.so", "a.so.1", true },
                { "lib/a.so", "sub/a.so.1", true },
                { "lib/a.so", "../bin/a", true },
                { "lib/slurm/a.so", "../../bin/a", true },
                { "lib/x", "..", true }, /* the tree itself */
                { "lib64", "lib", true },
                { "include", ".", true },
                { "lib/a...", "..a/...", true },
                { "lib/a.so", "/etc/passwd", false },
                { "lib/a.so", "../../etc", false },
                { "a", "..", false },
                { "a", "../a", false },
                { "lib/a", "", false },
                { "lib/a", "b//c", false },
                { "lib/a", "b/", false },
                { "lib/a", "./b", false },
                { "lib/a", "b/./c", false },
                { "a/b/c/d", "up/../..", false }, /* stays by its text, but not where up is a link to ../.. */
                { "a/b/c/d", "../up/../x", false },
        };

        (void)state;
        for (size_t i = 0; i < sizeof links / sizeof *links; i++)
                assert_int_equal(sf_path_link_stays(links[i].path, links[i].target), links[i].stays);
        assert_int_equal(sf_path_parent_length("lib/slurm/a.so"), 9);
        assert_int_equal(sf_path_parent_length("a"), 0);
}

static void gives_zeroed_aligned_memory(void **state)
{
        struct sf_pool *pool = sf_pool_new();

        (void)state;
        assert_non_null(pool);
        for (size_t size = 1; size < 300000; size = size * 3 + 1) {
                unsigned char *piece = sf_pool_alloc(pool, size, 1);
                assert_non_null(piece);
                assert_int_equal((uintptr_t)piece % _Alignof(max_align_t), 0);
                for (size_t i = 0; i < size; i++)
                        assert_int_equal(piece[i], 0);
                memset(piece, 0xff, size);
        }
        assert_null(sf_pool_alloc(pool, SIZE_MAX / 2, 3));
        assert_null(sf_pool_alloc(pool, SIZE_MAX, 1));
        assert_string_equal(sf_pool_copy(pool, "abcdef", 3), "abc");
        sf_pool_free(pool);
        sf_pool_free(NULL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(judges_links),
                cmocka_unit_test(gives_zeroed_aligned_memory),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
