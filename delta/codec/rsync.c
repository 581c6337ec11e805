/* SPDX-License-Identifier: Apache-2.0 */
/* delta/codec/rsync.c - librsync between the two contents: the codec that needs next to no memory on the node.
 *
 * Patch: a librsync delta (magic 0x72730236) inside one zstd frame, so that new bytes do not travel plain.
 */
#include <librsync.h>
#include <string.h>
#include <zstd.h>

#include "base/cleanup.h"
#include "delta/codec/codecs.h"

#define BLOCK_BYTES  1024
#define STRONG_BYTES 16
#define ZSTD_LEVEL   19
#define PIECE_BYTES  65536
#define DELTA_SLACK  (UINT64_C(1) << 20) /* a delta is at most this much longer than the new content, plus an eighth */

static uint64_t delta_max(uint64_t new_size)
{
        return new_size + new_size / 8 + DELTA_SLACK;
}

static uint64_t decode_memory(const struct sf_delta_files *old, const struct sf_delta_files *new_files)
{
        (void)old;
        return delta_max(sf_delta_files_size(new_files)) + (UINT64_C(8) << 20);
}

static void cleanup_job(rs_job_t **job)
{
        if (*job)
                rs_job_free(*job);
}

static void cleanup_signature(rs_signature_t **signature)
{
        if (*signature)
                rs_free_sumset(*signature);
}

/* librsync would report on standard error; here the caller gets the error. */
static void stay_silent(rs_loglevel level, const char *text)
{
        (void)level;
        (void)text;
}

/* Runs a job over a whole input. `ret` may be NULL for a job without output. */
static int run_job(rs_job_t *job, const uint8_t *in, size_t len, struct sf_buffer *ret, struct sf_error *err)
{
        char piece[PIECE_BYTES];
        rs_buffers_t io = { .next_in = (char *)(uintptr_t)in, .avail_in = len, .eof_in = 1 };
        rs_result result;

        do {
                io.next_out = piece;
                io.avail_out = sizeof piece;
                result = rs_job_iter(job, &io);
                if (result != RS_DONE && result != RS_BLOCKED)
                        return sf_error_set(err, SF_ERR_CORRUPT, "librsync: %s", rs_strerror(result));
                int r = ret ? sf_buffer_append(ret, piece, sizeof piece - io.avail_out, err) : 0;
                if (r < 0)
                        return r;
        } while (result == RS_BLOCKED && (io.avail_out == 0 || io.avail_in));
        if (result != RS_DONE)
                return sf_error_set(err, SF_ERR_CORRUPT, "librsync: the delta ends too early");
        return 0;
}

static int make_signature(const struct sf_delta_files *old, rs_signature_t **ret, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        _cleanup_(cleanup_job) rs_job_t *sign = rs_sig_begin(BLOCK_BYTES, STRONG_BYTES, RS_RK_BLAKE2_SIG_MAGIC);
        int r = run_job(sign, sf_delta_files_bytes(old), sf_delta_files_size(old), &text, err);

        if (r < 0)
                return r;
        _cleanup_(cleanup_job) rs_job_t *load = rs_loadsig_begin(ret);
        if ((r = run_job(load, text.data, text.len, NULL, err)) < 0)
                return r;
        if (rs_build_hash_table(*ret) != RS_DONE)
                return sf_error_set(err, SF_ERR_NOMEM, "librsync: no memory for the signature");
        return 0;
}

static int encode(const struct sf_delta_files *old, const struct sf_delta_files *new, struct sf_buffer *ret_patch,
                  struct sf_error *err)
{
        _cleanup_(cleanup_signature) rs_signature_t *signature = NULL;
        _cleanup_(sf_buffer_free) struct sf_buffer delta = SF_BUFFER_INIT;
        rs_trace_to(stay_silent);
        int r = make_signature(old, &signature, err);

        if (r < 0)
                return r;
        _cleanup_(cleanup_job) rs_job_t *job = rs_delta_begin(signature);
        if ((r = run_job(job, sf_delta_files_bytes(new), sf_delta_files_size(new), &delta, err)) < 0)
                return r;
        size_t bound = ZSTD_compressBound(delta.len);
        if ((r = sf_buffer_reserve(ret_patch, bound, err)) < 0)
                return r;
        size_t n = ZSTD_compress(ret_patch->data + ret_patch->len, bound, delta.data, delta.len, ZSTD_LEVEL);
        if (ZSTD_isError(n))
                return sf_error_set(err, SF_ERR_FAILED, "zstd: %s", ZSTD_getErrorName(n));
        ret_patch->len += n;
        return 0;
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

const struct sf_delta_codec sf_delta_rsync = { "rsync", decode_memory, encode, decode };
