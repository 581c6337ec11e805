/* SPDX-License-Identifier: Apache-2.0 */
/* tests/base/check-stream.c - sources and filters: exact sizes and digests, zstd frames, ends in odd places. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "base/stream.h"

static struct sf_stream *memory(const void *data, size_t len)
{
        struct sf_stream *s;

        assert_int_equal(sf_stream_from_memory(data, len, &s, NULL), 0);
        return s;
}

/* Reads to the end through `s` in pieces of `step` bytes; returns the length or the error, closes the stack. */
static int drain(struct sf_stream *s, size_t step, char *out, size_t room, struct sf_error *err)
{
        size_t have = 0;
        ssize_t n = 0;

        while (have + step <= room && (n = sf_stream_read(s, out + have, step, err)) > 0)
                have += (size_t)n;
        sf_stream_close(s);
        return n < 0 ? (int)n : (int)have;
}

static void exact_passes_what_is_listed(void **state)
{
        struct sf_digest d;
        char out[64];

        (void)state;
        sf_digest_of("slurmd", 6, &d);
        for (size_t step = 1; step < 9; step++) {
                struct sf_stream *s;
                assert_int_equal(sf_stream_exact(memory("slurmd", 6), "x", 6, &d, &s, NULL), 0);
                assert_int_equal(drain(s, step, out, sizeof out, NULL), 6);
                assert_memory_equal(out, "slurmd", 6);
        }
}

static void exact_refuses_everything_else(void **state)
{
        static const struct {
                const char *content;
                uint64_t size;
                const char *says;
        } rows[] = {
                { "slurmd", 5, "longer than its listed 5 bytes" },
                { "slurmd", 7, "ends after 6 of 7 bytes" },
                { "slurmD", 6, "sha256 mismatch" },
                { "", 6, "ends after 0 of 6 bytes" },
        };
        struct sf_digest d;
        char out[64];

        (void)state;
        sf_digest_of("slurmd", 6, &d);
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                struct sf_error err = SF_ERROR_INIT;
                struct sf_stream *s;
                struct sf_stream *inner = memory(rows[i].content, strlen(rows[i].content));
                assert_int_equal(sf_stream_exact(inner, "blob", rows[i].size, &d, &s, NULL), 0);
                assert_int_equal(drain(s, 4, out, sizeof out, &err), SF_ERR_CORRUPT);
                assert_non_null(strstr(err.text, rows[i].says));
                assert_non_null(strstr(err.text, "blob"));
        }
}

static void read_all_is_bounded(void **state)
{
        struct sf_buffer b = SF_BUFFER_INIT;
        struct sf_stream *s = memory("0123456789", 10);

        (void)state;
        assert_int_equal(sf_stream_read_all(s, 9, &b, NULL), SF_ERR_LIMIT);
        sf_stream_close(s);
        sf_buffer_free(&b);
        s = memory("0123456789", 10);
        assert_int_equal(sf_stream_read_all(s, 10, &b, NULL), 0);
        assert_string_equal(sf_buffer_text(&b), "0123456789");
        sf_stream_close(s);
        sf_buffer_free(&b);
}

/* Two frames behind one another, as a layer has them. */
static size_t two_frames(char *out, size_t room, const char *a, const char *b)
{
        size_t n = ZSTD_compress(out, room, a, strlen(a), 3);

        return n + ZSTD_compress(out + n, room - n, b, strlen(b), 3);
}

static void zstd_reads_frames(void **state)
{
        char packed[512], out[64];
        size_t len = two_frames(packed, sizeof packed, "deps,", "slurm");

        (void)state;
        for (size_t step = 1; step < 20; step++) {
                struct sf_stream *s;
                assert_int_equal(sf_stream_zstd(memory(packed, len), 24, &s, NULL), 0);
                assert_int_equal(drain(s, step, out, sizeof out, NULL), 10);
                assert_memory_equal(out, "deps,slurm", 10);
        }
}

static void zstd_refuses_damage(void **state)
{
        char packed[512], out[64];
        size_t len = two_frames(packed, sizeof packed, "deps,", "slurm");
        struct sf_error err = SF_ERROR_INIT;
        struct sf_stream *s;

        (void)state;
        size_t first = ZSTD_findFrameCompressedSize(packed, len);
        for (size_t cut = 1; cut < len; cut++) {
                assert_int_equal(sf_stream_zstd(memory(packed, cut), 24, &s, NULL), 0);
                int r = drain(s, 16, out, sizeof out, &err);
                if (cut == first)
                        assert_int_equal(r, 5);
                else
                        assert_int_equal(r, SF_ERR_CORRUPT);
        }
        memcpy(packed + len, "trailing", 8);
        assert_int_equal(sf_stream_zstd(memory(packed, len + 8), 24, &s, NULL), 0);
        assert_int_equal(drain(s, 16, out, sizeof out, &err), SF_ERR_CORRUPT);
}

static void zstd_refuses_large_windows(void **state)
{
        size_t size = 4u << 20, room = ZSTD_compressBound(size);
        char *content = calloc(1, size), *packed = malloc(room), *out = malloc(size + 65536);
        ZSTD_CCtx *c = ZSTD_createCCtx();
        struct sf_stream *s;

        (void)state;
        assert_true(content && packed && out && c);
        for (size_t i = 0; i < size; i++)
                content[i] = (char)(i * 2654435761u >> 13);
        ZSTD_CCtx_setParameter(c, ZSTD_c_windowLog, 22);
        ZSTD_CCtx_setParameter(c, ZSTD_c_contentSizeFlag, 0);
        size_t len = ZSTD_compress2(c, packed, room, content, size);
        assert_false(ZSTD_isError(len));
        assert_int_equal(sf_stream_zstd(memory(packed, len), 20, &s, NULL), 0);
        assert_int_equal(drain(s, 65536, out, size + 65536, NULL), SF_ERR_CORRUPT);
        assert_int_equal(sf_stream_zstd(memory(packed, len), 22, &s, NULL), 0);
        assert_int_equal(drain(s, 65536, out, size + 65536, NULL), (int)size);
        assert_memory_equal(out, content, size);
        ZSTD_freeCCtx(c);
        free(content);
        free(packed);
        free(out);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(exact_passes_what_is_listed), cmocka_unit_test(exact_refuses_everything_else),
                cmocka_unit_test(read_all_is_bounded),         cmocka_unit_test(zstd_reads_frames),
                cmocka_unit_test(zstd_refuses_damage),         cmocka_unit_test(zstd_refuses_large_windows),
        };

        return cmocka_run_group_tests_name("base-stream", tests, NULL, NULL);
}
