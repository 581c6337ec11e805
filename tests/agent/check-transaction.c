/* SPDX-License-Identifier: Apache-2.0 */
/* tests/agent/check-transaction.c - the record of a switch and the memory of what failed survive a round trip. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "agent/switch/transaction.h"
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fs.h"

static char state[] = "/tmp/sf-transaction.XXXXXX";

static int make_state(void **ctx)
{
        (void)ctx;
        return mkdtemp(state) ? 0 : -1;
}

static int remove_state(void **ctx)
{
        (void)ctx;
        return sf_fs_remove_tree(state, NULL);
}

static void record(void **ctx)
{
        struct sf_transaction t = { .verb = "upgrade",
                                    .from = "24.11.5-noble",
                                    .to = "25.11.6-noble",
                                    .home = "24.11.5-noble",
                                    .config = "/etc/site/sf.conf",
                                    .step = SF_STEP_ACTIVATE },
                              back;

        (void)ctx;
        assert_int_equal(sf_transaction_load(state, &back, NULL), SF_ERR_NOT_FOUND);
        assert_int_equal(sf_transaction_write(state, &t, NULL), 0);
        t.step = SF_STEP_RESTART;
        assert_int_equal(sf_transaction_write(state, &t, NULL), 0);
        assert_int_equal(sf_transaction_load(state, &back, NULL), 0);
        assert_string_equal(back.verb, "upgrade");
        assert_string_equal(back.from, "24.11.5-noble");
        assert_string_equal(back.to, "25.11.6-noble");
        assert_string_equal(back.home, "24.11.5-noble");
        assert_int_equal(back.step, SF_STEP_RESTART);
        assert_string_equal(back.time, t.time);
        assert_string_equal(back.config, "/etc/site/sf.conf");
        assert_int_equal(strlen(back.time), 20);
        assert_int_equal(sf_transaction_end(state, NULL), 0);
        assert_int_equal(sf_transaction_end(state, NULL), 0);
        assert_int_equal(sf_transaction_load(state, &back, NULL), SF_ERR_NOT_FOUND);
}

/* A damaged record is not taken for none: nobody would know where home is. */
static void damaged_record(void **ctx)
{
        _cleanup_free_ char *path = sf_fs_join(state, "transaction.json");
        struct sf_transaction back;

        (void)ctx;
        assert_int_equal(sf_fs_write(path, "{\"verb\": \"upgrade\"", 18, 0644, NULL), 0);
        assert_int_equal(sf_transaction_load(state, &back, NULL), SF_ERR_CORRUPT);
        assert_int_equal(sf_fs_write(path, "{\"verb\": \"upgrade\"}", 19, 0644, NULL), 0);
        assert_int_equal(sf_transaction_load(state, &back, NULL), SF_ERR_CORRUPT);
        const char *step =
                "{\"verb\":\"upgrade\",\"from\":\"a\",\"to\":\"b\",\"home\":\"a\",\"step\":\"fly\",\"time\":\"\"}";
        assert_int_equal(sf_fs_write(path, step, strlen(step), 0644, NULL), 0);
        assert_int_equal(sf_transaction_load(state, &back, NULL), SF_ERR_CORRUPT);
        assert_int_equal(sf_transaction_end(state, NULL), 0);
}

static void failures(void **ctx)
{
        struct sf_error err = SF_ERROR_INIT;
        struct sf_digest tree, other;

        (void)ctx;
        sf_digest_of("a", 1, &tree);
        sf_digest_of("b", 1, &other);
        assert_int_equal(sf_transaction_check_failed(state, &tree, &err), 0);
        assert_int_equal(sf_transaction_mark_failed(state, &tree, "slurmd died", NULL), 0);
        assert_int_equal(sf_transaction_check_failed(state, &tree, &err), SF_ERR_FAILED);
        assert_non_null(strstr(err.text, "slurmd died"));
        /* Other content under the same name is another matter. */
        assert_int_equal(sf_transaction_check_failed(state, &other, &err), 0);
        assert_int_equal(sf_transaction_forget_failed(state, &tree, NULL), 0);
        assert_int_equal(sf_transaction_check_failed(state, &tree, &err), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(record),
                cmocka_unit_test(damaged_record),
                cmocka_unit_test(failures),
        };

        return cmocka_run_group_tests(tests, make_state, remove_state);
}
