/* SPDX-License-Identifier: Apache-2.0 */
/* delta/codec/codec.h - the one small interface that every delta codec stands behind.
 *
 * A codec turns (old contents, new contents) into a patch and (old contents, patch) into the new contents. Contents are
 * canonical (placeholder replaced by the canonical prefix), so both ends see the same bytes on every node. Contents are
 * ordered lists of files: the changed set of a release is ONE stream, ordered so that similar files are neighbours, but
 * a codec may look at the borders (the ELF codec parses each file).
 *
 * decode() is given hostile patches by the fuzzers: any input ends in success or a clean error, within the memory
 * stated.
 */
#ifndef SF_DELTA_CODEC_CODEC_H
#define SF_DELTA_CODEC_CODEC_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

struct sf_delta_file {
        const uint8_t *data; /* borrowed */
        uint64_t size;
        uint32_t ancestor; /* new files: 1 + index of the old file it resembles most, 0 = none; old files: 0 */
};

/* The contents lie back to back in memory: files[i + 1].data == files[i].data + files[i].size, so that codecs that know
 * nothing of files see one run of bytes from files[0].data on. */
struct sf_delta_files {
        const struct sf_delta_file *files;
        size_t count;
};

#define SF_DELTA_CONTENT_MAX (UINT64_C(1) << 31) /* bytes of all old, and of all new files of one delta */

struct sf_delta_effort;

struct sf_delta_codec {
        const char *name; /* in the container and the index: "rsync", "zstd", "bindiff", "elf", "parts" */
        /* Bytes of memory decode needs beyond old and new themselves, an upper bound; only sizes are looked at. */
        uint64_t (*decode_memory)(const struct sf_delta_files *old, const struct sf_delta_files *new_files);
        /* Factory only; `effort` (delta/encode/effort.h) may be NULL. SF_ERR_LIMIT: another codec is the better
         * choice. */
        int (*encode)(const struct sf_delta_files *old, const struct sf_delta_files *new,
                      struct sf_delta_effort *effort, struct sf_buffer *ret_patch, struct sf_error *err);
        /* new_files gives sizes and ancestors (data is NULL); contents are written to `out` (capacity = sum of the
         * sizes), every byte of it on success. */
        int (*decode)(const struct sf_delta_files *old, const struct sf_delta_files *new_files, const uint8_t *patch,
                      size_t patch_len, uint8_t *out, struct sf_error *err);
        /* What decode_memory says, for this patch alone. NULL: the same for every patch. */
        uint64_t (*patch_memory)(const struct sf_delta_files *old, const struct sf_delta_files *new_files,
                                 const uint8_t *patch, size_t patch_len);
};

/* Sum of the sizes. */
uint64_t sf_delta_files_size(const struct sf_delta_files *files);
/* Bytes of memory that decoding this patch needs beyond old and new themselves. */
uint64_t sf_delta_patch_memory(const struct sf_delta_codec *codec, const struct sf_delta_files *old,
                               const struct sf_delta_files *new_files, const uint8_t *patch, size_t patch_len);
/* The first byte of the first file; never NULL. */
const uint8_t *sf_delta_files_bytes(const struct sf_delta_files *files);

#endif
