/* SPDX-License-Identifier: Apache-2.0 */
/* tests/transport/check-fetch-file.c - repositories in a directory, and options that are refused: fetching without a
 * server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "transport/fetch-state.h"
#include "transport/fetch.h"

#define SIZE 100000

static uint8_t content[SIZE];
static char directory[] = "/tmp/sf-check-fetch-XXXXXX", *base_url;
static struct sf_fetcher *fetcher;

static int set_up(void **state)
{
        struct sf_fetch_options options;
        struct sf_error err = SF_ERROR_INIT;

        (void)state;
        for (size_t i = 0; i < SIZE; i++)
                content[i] = (uint8_t)(i * 31 + (i >> 8) * 17);
        if (!mkdtemp(directory))
                return -1;
        _cleanup_free_ char *blob = sf_format("%s/blob", directory);
        base_url = sf_format("file://%s/", directory);
        sf_fetch_options_default(&options);
        options.bases = (const char *[]){ base_url, NULL };
        int r = sf_fs_write(blob, content, SIZE, 0644, &err);
        r = r < 0 ? r : sf_fetcher_open(&options, &fetcher, &err);
        return r;
}

static int tear_down(void **state)
{
        (void)state;
        sf_fetcher_close(fetcher);
        sf_fs_remove_tree(directory, NULL);
        free(base_url);
        return 0;
}

static int fetch_part(uint64_t size, uint64_t offset, uint64_t length, struct sf_buffer *ret)
{
        _cleanup_stream_ struct sf_stream *stream = NULL;
        int r = sf_fetch_range(fetcher, "blob", size, offset, length, &stream, NULL);

        return r < 0 ? r : sf_stream_read_all(stream, SIZE, ret, NULL);
}

static void fetches_parts_and_wholes(void **state)
{
        static const struct {
                uint64_t offset, length;
        } parts[] = { { 0, SIZE }, { 0, 1 }, { 5000, 70000 }, { SIZE - 1, 1 }, { SIZE, 0 }, { 7, 0 } };

        (void)state;
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
                _cleanup_(sf_buffer_free) struct sf_buffer got = SF_BUFFER_INIT;
                assert_int_equal(fetch_part(SIZE, parts[i].offset, parts[i].length, &got), 0);
                assert_int_equal(got.len, parts[i].length);
                if (got.len)
                        assert_memory_equal(got.data, content + parts[i].offset, got.len);
        }
        assert_int_equal(sf_fetcher_ranges(fetcher), 1);
}

static void refuses_what_is_not_as_known(void **state)
{
        _cleanup_(sf_buffer_free) struct sf_buffer got = SF_BUFFER_INIT;

        (void)state;
        assert_int_equal(fetch_part(SIZE + 1, 0, SIZE + 1, &got), SF_ERR_CORRUPT);
        assert_int_equal(fetch_part(SIZE - 1, 0, SIZE - 1, &got), SF_ERR_CORRUPT);
        assert_int_equal(fetch_part(SIZE, SIZE, 1, &got), SF_ERR_USAGE);
        assert_int_equal(fetch_part(SIZE, 1, UINT64_MAX, &got), SF_ERR_USAGE);
        assert_int_equal(sf_fetch_small(fetcher, "blob", SIZE - 1, &got, NULL), SF_ERR_LIMIT);
        assert_int_equal(got.len, 0);
}

static void small_files_are_appended(void **state)
{
        _cleanup_(sf_buffer_free) struct sf_buffer got = SF_BUFFER_INIT;

        (void)state;
        assert_int_equal(sf_buffer_puts(&got, "x", NULL), 0);
        assert_int_equal(sf_fetch_small(fetcher, "%62lob", SIZE, &got, NULL), 0);
        assert_int_equal(got.len, SIZE + 1);
        assert_int_equal(got.data[0], 'x');
        assert_memory_equal(got.data + 1, content, SIZE);
}

static void finds_only_files_below_the_base(void **state)
{
        _cleanup_(sf_buffer_free) struct sf_buffer got = SF_BUFFER_INIT;
        _cleanup_free_ char *fifo = sf_format("%s/fifo", directory);

        (void)state;
        assert_int_equal(mkfifo(fifo, 0600), 0);
        assert_int_equal(sf_fetch_small(fetcher, "missing", 100, &got, NULL), SF_ERR_NOT_FOUND);
        assert_int_equal(sf_fetch_small(fetcher, "blob/below", 100, &got, NULL), SF_ERR_IO);
        assert_int_equal(sf_fetch_small(fetcher, "fifo", 100, &got, NULL), SF_ERR_CORRUPT);
        assert_int_equal(sf_fetch_small(fetcher, "", 100, &got, NULL), SF_ERR_CORRUPT);
        assert_int_equal(sf_fetch_small(fetcher, "../blob", SIZE, &got, NULL), SF_ERR_USAGE);
        assert_int_equal(sf_fetch_small(fetcher, "a/%2e%2E/blob", SIZE, &got, NULL), SF_ERR_USAGE);
}

static void goes_on_at_the_second_directory(void **state)
{
        struct sf_fetch_options options;
        _cleanup_fetcher_ struct sf_fetcher *f = NULL;
        _cleanup_(sf_buffer_free) struct sf_buffer got = SF_BUFFER_INIT;

        (void)state;
        sf_fetch_options_default(&options);
        options.bases = (const char *[]){ "file:///nonexistent/mirror", base_url, NULL };
        assert_int_equal(sf_fetcher_open(&options, &f, NULL), 0);
        assert_int_equal(sf_fetch_small(f, "blob", SIZE, &got, NULL), 0);
        assert_int_equal(sf_fetcher_requests(f), 2);
        assert_int_equal(sf_fetcher_bytes(f), SIZE);
}

static void stops_when_told(void **state)
{
        struct sf_fetch_options options;
        _cleanup_fetcher_ struct sf_fetcher *f = NULL;
        _cleanup_stream_ struct sf_stream *stream = NULL;
        volatile sig_atomic_t stop = 0;
        char byte;

        (void)state;
        sf_fetch_options_default(&options);
        options.bases = (const char *[]){ base_url, NULL };
        options.stop = &stop;
        assert_int_equal(sf_fetcher_open(&options, &f, NULL), 0);
        assert_int_equal(sf_fetch_range(f, "blob", SIZE, 0, SIZE, &stream, NULL), 0);
        assert_int_equal(sf_stream_read(stream, &byte, 1, NULL), 1);
        stop = 1;
        assert_int_equal(sf_stream_read(stream, &byte, 1, NULL), SF_ERR_INTERRUPTED);
}

static void refuses_options(void **state)
{
        static const struct {
                const char *base;
                const char *ca_bundle;
        } cases[] = {
                { "https://127.0.0.1/", "/nonexistent/ca.pem" },
                { "ftp://127.0.0.1/", NULL },
                { "127.0.0.1", NULL },
                { "http://127.0.0.1/?query", NULL },
                { "file:///a#b", NULL },
                { NULL, NULL },
        };

        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                struct sf_fetch_options options;
                struct sf_fetcher *f = NULL;
                sf_fetch_options_default(&options);
                options.bases = (const char *[]){ cases[i].base, NULL };
                options.ca_bundle = cases[i].ca_bundle;
                assert_int_equal(sf_fetcher_open(&options, &f, NULL), SF_ERR_USAGE);
                assert_null(f);
        }
        const char *many[SF_FETCH_BASES_MAX + 2] = { NULL };
        struct sf_fetch_options options;
        struct sf_fetcher *f = NULL;
        sf_fetch_options_default(&options);
        for (size_t i = 0; i <= SF_FETCH_BASES_MAX; i++)
                many[i] = "file:///";
        options.bases = many;
        assert_int_equal(sf_fetcher_open(&options, &f, NULL), SF_ERR_USAGE);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(fetches_parts_and_wholes),
                cmocka_unit_test(refuses_what_is_not_as_known),
                cmocka_unit_test(small_files_are_appended),
                cmocka_unit_test(finds_only_files_below_the_base),
                cmocka_unit_test(goes_on_at_the_second_directory),
                cmocka_unit_test(stops_when_told),
                cmocka_unit_test(refuses_options),
        };

        return cmocka_run_group_tests(tests, set_up, tear_down);
}
