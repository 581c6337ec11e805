/* SPDX-License-Identifier: Apache-2.0 */
/* delta/codec/zstd.c - the old content as the prefix of one zstd frame. What every distribution can decode; the mark
 * that the other codecs have to beat.
 *
 * Patch: one zstd frame (RFC 8878) whose window reaches over old and new.
 */
#include <zstd.h>

#include "base/cleanup.h"
#include "delta/codec/codecs.h"

#define WINDOW_LOG_MAX 31 /* of the decoder on 64-bit machines */

/* Decoding into one buffer needs no window, only the context. */
uint64_t sf_delta_zstd_memory(const struct sf_delta_files *old, const struct sf_delta_files *new_files)
{
        (void)old;
        (void)new_files;
        return UINT64_C(1) << 20;
}

static void cleanup_dctx(ZSTD_DCtx **dctx)
{
        ZSTD_freeDCtx(*dctx);
}

static int decode(const struct sf_delta_files *old, const struct sf_delta_files *new_files, const uint8_t *patch,
                  size_t patch_len, uint8_t *out, struct sf_error *err)
{
        _cleanup_(cleanup_dctx) ZSTD_DCtx *dctx = ZSTD_createDCtx();
        uint64_t new_size = sf_delta_files_size(new_files);

        if (!dctx)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for zstd");
        ZSTD_DCtx_setParameter(dctx, ZSTD_d_windowLogMax, WINDOW_LOG_MAX);
        ZSTD_DCtx_refPrefix(dctx, sf_delta_files_bytes(old), sf_delta_files_size(old));
        size_t n = ZSTD_decompressDCtx(dctx, out, new_size, patch, patch_len);
        if (ZSTD_isError(n))
                return sf_error_set(err, SF_ERR_CORRUPT, "zstd: %s", ZSTD_getErrorName(n));
        if (n != new_size)
                return sf_error_set(err, SF_ERR_CORRUPT, "the patch gives %zu bytes instead of %llu", n,
                                    (unsigned long long)new_size);
        return 0;
}

const struct sf_delta_codec sf_delta_zstd = { "zstd", sf_delta_zstd_memory, NULL, decode, NULL };
