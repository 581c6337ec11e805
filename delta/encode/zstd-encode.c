/* SPDX-License-Identifier: Apache-2.0 */
/* delta/encode/zstd-encode.c - the encoder of delta/codec/zstd.c: apart, so that a node does not link a compressor. */
#include <zstd.h>

#include "base/cleanup.h"
#include "delta/codec/codecs.h"

#define LEVEL          19
#define LEVEL_PROBE    1
#define WINDOW_LOG_MIN 10
#define WINDOW_LOG_MAX 31 /* of the decoder on 64-bit machines */

static int window_log(uint64_t bytes)
{
        int log = WINDOW_LOG_MIN;

        while (log < WINDOW_LOG_MAX && (UINT64_C(1) << log) < bytes)
                log++;
        return log;
}

static void cleanup_cctx(ZSTD_CCtx **cctx)
{
        ZSTD_freeCCtx(*cctx);
}

static int compress(const struct sf_delta_files *old, const struct sf_delta_files *new, int level,
                    struct sf_buffer *ret_patch, struct sf_error *err)
{
        _cleanup_(cleanup_cctx) ZSTD_CCtx *cctx = ZSTD_createCCtx();
        size_t old_size = sf_delta_files_size(old), new_size = sf_delta_files_size(new);
        size_t bound = ZSTD_compressBound(new_size);

        if (!cctx)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for zstd");
        int r = sf_buffer_reserve(ret_patch, bound, err);
        if (r < 0)
                return r;
        ZSTD_CCtx_setParameter(cctx, ZSTD_c_compressionLevel, level);
        ZSTD_CCtx_setParameter(cctx, ZSTD_c_enableLongDistanceMatching, 1);
        ZSTD_CCtx_setParameter(cctx, ZSTD_c_windowLog, window_log(old_size + new_size));
        ZSTD_CCtx_setParameter(cctx, ZSTD_c_contentSizeFlag, 0);
        ZSTD_CCtx_refPrefix(cctx, sf_delta_files_bytes(old), old_size);
        size_t n = ZSTD_compress2(cctx, ret_patch->data + ret_patch->len, bound, sf_delta_files_bytes(new), new_size);
        if (ZSTD_isError(n))
                return sf_error_set(err, SF_ERR_FAILED, "zstd: %s", ZSTD_getErrorName(n));
        ret_patch->len += n;
        return 0;
}

static int encode(const struct sf_delta_files *old, const struct sf_delta_files *new, struct sf_delta_effort *effort,
                  struct sf_buffer *ret_patch, struct sf_error *err)
{
        (void)effort;
        return compress(old, new, LEVEL, ret_patch, err);
}

uint64_t sf_delta_zstd_probe(const struct sf_delta_files *old, const struct sf_delta_files *new_files)
{
        _cleanup_(sf_buffer_free) struct sf_buffer patch = SF_BUFFER_INIT;

        return compress(old, new_files, LEVEL_PROBE, &patch, NULL) < 0 ? UINT64_MAX : patch.len;
}

const struct sf_delta_codec sf_delta_zstd_encoder = { "zstd", sf_delta_zstd_memory, encode, NULL, NULL };
