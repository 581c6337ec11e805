/* SPDX-License-Identifier: Apache-2.0 */
/* delta/encode/rsync-encode.c - the encoder of delta/codec/rsync.c: apart, so that a node does not link a
 * compressor. */
#include <librsync.h>
#include <zstd.h>

#include "base/cleanup.h"
#include "delta/codec/codecs.h"

#define BLOCK_BYTES  1024
#define STRONG_BYTES 16
#define ZSTD_LEVEL   19
#define PIECE_BYTES  65536

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

static int encode(const struct sf_delta_files *old, const struct sf_delta_files *new, struct sf_delta_effort *effort,
                  struct sf_buffer *ret_patch, struct sf_error *err)
{
        (void)effort;
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

const struct sf_delta_codec sf_delta_rsync_encoder = { "rsync", sf_delta_rsync_memory, encode, NULL, NULL };
