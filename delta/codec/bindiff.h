/* SPDX-License-Identifier: Apache-2.0 */
/* delta/codec/bindiff.h - what the bindiff and elf codecs share: all files of a delta through one replay.
 *
 * They differ in one thing, whether references are predicted. Private to the codecs.
 *
 * Patch: SF_PREDICTOR_VERSION (1 byte), log2 of the model's slots (1 byte), then one run of coded bits.
 */
#ifndef SF_DELTA_CODEC_BINDIFF_H
#define SF_DELTA_CODEC_BINDIFF_H

#include <stdbool.h>

#include "delta/codec/codecs.h"
#include "delta/codec/replay.h"

#define SF_BINDIFF_HEADER 2 /* bytes in front of the coded ones */

int sf_bindiff_decode(const struct sf_delta_files *old, const struct sf_delta_files *new_files, const uint8_t *patch,
                     size_t patch_len, bool predict, uint8_t *out, struct sf_error *err);
/* The same behind the header, with a coder that was started. */
struct sf_bindiff_decoding {
        const struct sf_delta_files *old, *new;
        uint8_t header[SF_BINDIFF_HEADER];
        bool predict;
        uint8_t *out;
        struct sf_model_tape *tape; /* stands for the model; NULL: it decodes by itself */
};
int sf_bindiff_decode_from(const struct sf_bindiff_decoding *d, const struct sf_coder *coder, struct sf_error *err);
/* Bytes of memory that takes. */
uint64_t sf_bindiff_memory_plain(const struct sf_delta_files *old, const struct sf_delta_files *new_files);
uint64_t sf_bindiff_memory_elf(const struct sf_delta_files *old, const struct sf_delta_files *new_files);
/* Encoder only (delta/encode/bindiff-encode.c). SF_ERR_LIMIT where most of the new content would have to be coded as
 * literals. */
int sf_bindiff_encode(const struct sf_delta_files *old, const struct sf_delta_files *new_files, bool predict,
                      struct sf_delta_effort *effort, struct sf_buffer *ret_patch, struct sf_error *err);

#endif
