/* SPDX-License-Identifier: Apache-2.0 */
/* delta/codec/codecs.h - the codecs themselves, for the two tables (codecs.c, encode/make.c) that list them. */
#ifndef SF_DELTA_CODEC_CODECS_H
#define SF_DELTA_CODEC_CODECS_H

#include "delta/codec/codec.h"

extern const struct sf_delta_codec sf_delta_rsync;   /* librsync: little memory, always there */
extern const struct sf_delta_codec sf_delta_zstd;    /* the old content as the prefix of one zstd frame */
extern const struct sf_delta_codec sf_delta_bindiff; /* suffix-sorted difference */
extern const struct sf_delta_codec sf_delta_elf;     /* the same, predicting what an address becomes */
extern const struct sf_delta_codec sf_delta_parts;   /* large sets part by part, each under one of these */

/* Bytes of memory that decoding takes, see sf_delta_codec.decode_memory. */
uint64_t sf_delta_rsync_memory(const struct sf_delta_files *old, const struct sf_delta_files *new_files);
uint64_t sf_delta_zstd_memory(const struct sf_delta_files *old, const struct sf_delta_files *new_files);

/* The encoders (delta/encode/): a node links none of them. The last three link libdivsufsort. */
extern const struct sf_delta_codec sf_delta_rsync_encoder;
extern const struct sf_delta_codec sf_delta_zstd_encoder;
extern const struct sf_delta_codec sf_delta_bindiff_encoder;
extern const struct sf_delta_codec sf_delta_elf_encoder;
extern const struct sf_delta_codec sf_delta_parts_encoder;

/* What zstd would give, roughly and at most: the same at its quickest level. UINT64_MAX where it fails. */
uint64_t sf_delta_zstd_probe(const struct sf_delta_files *old, const struct sf_delta_files *new_files);

/* Decoders, NULL-terminated. */
extern const struct sf_delta_codec *const sf_delta_codecs[];
/* NULL where no codec has that name. */
const struct sf_delta_codec *sf_delta_codec_find(const char *name);

#endif
