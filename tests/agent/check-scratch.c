/* SPDX-License-Identifier: Apache-2.0 */
/* tests/agent/check-scratch.c - directories of a run: what a killed run left goes, what is in use stays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/node/scratch.h"
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fs.h"

static void clears_what_nobody_holds(void **ctx)
{
        char place[] = "/tmp/sf-scratch-test.XXXXXX";
        _cleanup_free_ char *held = NULL, *left = NULL, *before = NULL, *link = NULL, *other = NULL;

        (void)ctx;
        assert_non_null(mkdtemp(place));
        int lock = sf_scratch_make(place, "trial", &held, NULL), dead = sf_scratch_make(place, "conf", &left, NULL);
        assert_true(lock >= 0 && dead >= 0);
        /* What an agent that knew no locks left, a link of that name, and a name of nobody's. */
        before = sf_format("%s/sf-node-trial.abcdef", place);
        link = sf_format("%s/sf-node-trial.ghijkl", place);
        other = sf_format("%s/sf-node-cache", place);
        _cleanup_free_ char *inside = sf_format("%s/spool", before), *kept = sf_format("%s/keep", place);
        assert_int_equal(sf_fs_mkdirs(inside, 0755, NULL), 0);
        assert_int_equal(sf_fs_mkdirs(kept, 0755, NULL), 0);
        assert_int_equal(sf_fs_mkdirs(other, 0755, NULL), 0);
        assert_int_equal(symlink("keep", link), 0);
        close(dead);
        sf_scratch_clear(place);
        assert_true(sf_fs_exists(held) && sf_fs_exists(link) && sf_fs_exists(kept) && sf_fs_exists(other));
        assert_false(sf_fs_exists(left) || sf_fs_exists(before));
        close(lock);
        sf_scratch_clear(place);
        assert_false(sf_fs_exists(held));
        sf_scratch_clear("/nowhere");
        assert_int_equal(sf_scratch_make("/nowhere", "conf", &before, NULL), SF_ERR_NOT_FOUND);
        assert_int_equal(sf_fs_remove_tree(place, NULL), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(clears_what_nobody_holds) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
