/* SPDX-License-Identifier: Apache-2.0 */
/* delta/codec/rsync.c - librsync between the two contents: the codec that needs next to no memory on the node.
 *
 * Patch: a librsync delta (magic 0x72730236) inside one zstd frame, so that new bytes do not travel plain.
 */
#include <librsync.h>
#include <zstd.h>

#include "base/cleanup.h"
#include "delta/codec/codecs.h"

#define DELTA_SLACK (UINT64_C(1) << 20) /* a delta is at most this much longer than the new content, plus an eighth */

static uint64_t delta_max(uint64_t new_size)
{
        return new_size + new_size / 8 + DELTA_SLACK;
}

uint64_t sf_delta_rsync_memory(const struct sf_delta_files *old, const struct sf_delta_files *new_files)
{
        (void)old;
        return delta_max(sf_delta_files_size(new_files)) + (UINT64_C(8) << 20);
}

static void cleanup_job(rs_job_t **job)
{
        if (*job)
                rs_job_free(*job);
}

/* librsync would report on standard error; here the caller gets the error. */
static void stay_silent(rs_loglevel level, const char *text)
{
        (void)level;
        (void)text;
}

static int unpack_delta(const uint8_t *patch, size_t len, uint64_t max, struct sf_buffer *ret, struct sf_error *err)
{
        unsigned long long size = ZSTD_getFrameContentSize(patch, len);

        if (size == ZSTD_CONTENTSIZE_ERROR || size == ZSTD_CONTENTSIZE_UNKNOWN || size > max)
                return sf_error_set(err, SF_ERR_CORRUPT, "the patch holds no delta of an acceptable size");
        int r = sf_buffer_reserve(ret, (size_t)size, err);
        if (r < 0)
                return r;
        size_t n = ZSTD_decompress(ret->data, (size_t)size, patch, len);
        if (ZSTD_isError(n) || n != size)
                return sf_error_set(err, SF_ERR_CORRUPT, "zstd: %s",
                                    ZSTD_isError(n) ? ZSTD_getErrorName(n) : "wrong size");
        ret->len = n;
        return 0;
}

/* Where librsync reads the old content from. */
struct basis {
        const uint8_t *data;
        uint64_t size;
};

static rs_result read_basis(void *ctx, rs_long_t position, size_t *len, void **buffer)
{
        const struct basis *basis = ctx;

        if (position < 0 || (uint64_t)position >= basis->size)
                return RS_INPUT_ENDED;
        if (*len > basis->size - (uint64_t)position)
                *len = (size_t)(basis->size - (uint64_t)position);
        *buffer = (void *)(uintptr_t)(basis->data + position);
        return RS_DONE;
}

static int decode(const struct sf_delta_files *old, const struct sf_delta_files *new_files, const uint8_t *patch,
                  size_t patch_len, uint8_t *out, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer delta = SF_BUFFER_INIT;
        uint64_t new_size = sf_delta_files_size(new_files);
        struct basis basis = { sf_delta_files_bytes(old), sf_delta_files_size(old) };
        rs_trace_to(stay_silent);
        int r = unpack_delta(patch, patch_len, delta_max(new_size), &delta, err);

        if (r < 0)
                return r;
        _cleanup_(cleanup_job) rs_job_t *job = rs_patch_begin(read_basis, &basis);
        rs_buffers_t io = { .next_in = (char *)delta.data,
                            .avail_in = delta.len,
                            .eof_in = 1,
                            .next_out = (char *)out,
                            .avail_out = new_size };
        rs_result result = rs_job_iter(job, &io);
        if (result != RS_DONE || io.avail_out)
                return sf_error_set(err, SF_ERR_CORRUPT, "librsync: %s",
                                    result == RS_DONE ? "the delta gives too few bytes" : rs_strerror(result));
        return 0;
}

const struct sf_delta_codec sf_delta_rsync = { "rsync", sf_delta_rsync_memory, NULL, decode, NULL };
