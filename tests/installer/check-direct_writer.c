/* SPDX-License-Identifier: Apache-2.0 */
/* tests/installer/check-direct_writer.c - whole files written beside their decoder: every length, and failures by
 * name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "installer/direct_writer.h"
#include "tests/kit/layer-scratch.h"

#define FILES 100
#define ROOM  (400u << 10)

static size_t length_of(size_t i)
{
        return i < 10 ? i : i < 50 ? 4096 * (i / 4) + i % 4 - 1 : 7001 * (i - 50);
}

static void test_lengths(void **state)
{
        _cleanup_direct_writer_ struct sf_direct_writer *writer = NULL;
        _cleanup_free_ uint8_t *content = malloc(FILES + ROOM + 512 * FILES);
        struct sf_direct_writer_batch batch = { 0 };
        struct sf_error err = SF_ERROR_INIT;
        struct scratch s = make_scratch();
        char names[FILES][8];

        (void)state;
        for (size_t i = 0; i < FILES + ROOM + 512 * FILES; i++)
                content[i] = (uint8_t)(i * 2654435761u >> 13);
        assert_int_equal(sf_direct_writer_open(&writer, &err), 0);
        for (size_t i = 0; i < FILES; i++) {
                snprintf(names[i], sizeof names[i], "%zu", i);
                int fd = openat(s.dirfd, names[i], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
                /* Aligned as in a tar file, and not at all. */
                assert_int_equal(sf_direct_writer_put(writer, &batch, fd, content + (i % 2 ? i : 512 * i), length_of(i),
                                                      names[i], &err),
                                 0);
                if (i % 7 == 0)
                        assert_int_equal(sf_direct_writer_wait(writer, &batch, &err), 0);
        }
        assert_int_equal(sf_direct_writer_wait(writer, &batch, &err), 0);
        for (size_t i = 0; i < FILES; i++) {
                _cleanup_(sf_buffer_free) struct sf_buffer got = SF_BUFFER_INIT;
                assert_int_equal(sf_fs_read_at(s.dirfd, names[i], ROOM * 2, &got, &err), 0);
                assert_int_equal(got.len, length_of(i));
                assert_true(got.len == 0 || memcmp(got.data, content + (i % 2 ? i : 512 * i), got.len) == 0);
        }
        drop_scratch(&s);
}

/* The first failure is told by the next put or wait of the same batch, and nobody else's. */
static void test_failure(void **state)
{
        static uint8_t content[200000];
        _cleanup_direct_writer_ struct sf_direct_writer *writer = NULL;
        struct sf_direct_writer_batch bad = { 0 }, good = { 0 };
        struct sf_error err = SF_ERROR_INIT;

        (void)state;
        assert_int_equal(sf_direct_writer_open(&writer, &err), 0);
        int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
        assert_int_equal(sf_direct_writer_put(writer, &bad, full, content, sizeof content, "lib/victim", &err), 0);
        assert_int_equal(sf_direct_writer_put(writer, &good, open("/dev/null", O_WRONLY | O_CLOEXEC), content,
                                              sizeof content, "lib/other", &err),
                         0);
        assert_int_equal(sf_direct_writer_wait(writer, &good, &err), 0);
        assert_int_equal(sf_direct_writer_wait(writer, &bad, &err), SF_ERR_NO_SPACE);
        assert_non_null(strstr(err.text, "lib/victim"));
        int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
        assert_int_equal(sf_direct_writer_put(writer, &bad, fd, content, 1, "lib/next", &err), SF_ERR_NO_SPACE);
        assert_int_equal(fcntl(fd, F_GETFD), -1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_lengths),
                cmocka_unit_test(test_failure),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
