/* SPDX-License-Identifier: Apache-2.0 */
/* delta/codec/parts.h - large changed sets part by part: the split, which both ends make alike.
 *
 * A part is a run of new files with their ancestors; it is a small delta of its own under one of the other codecs. So
 * memory depends on the largest part and not on the whole, and the factory makes several parts at a time. What two
 * parts have in common is told twice: small sets are better off with the elf codec alone.
 *
 * Patch: where parts are not limited as SF_PART_LOG says, one byte more in front (16 to 31): log2 of what limits them;
 * it is no codec's number. Then for each part in order the number of its codec (1 byte, enum sf_part_codec), the length
 * of its patch (4 bytes, little-endian), the patch.
 *
 * Memory: a patch without that byte states what any patch of its files may take; one with it what its parts take under
 * the codecs that they name.
 */
#ifndef SF_DELTA_CODEC_PARTS_H
#define SF_DELTA_CODEC_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "delta/codec/codec.h"

#define SF_PART_LOG       25 /* log2 of bytes of new files and their ancestors, unless one file has more */
#define SF_PART_LOG_MIN   16 /* of what the patch may say instead */
#define SF_PART_LOG_MAX   31
#define SF_PART_ELF_BYTES (UINT64_C(160) << 20) /* a larger part takes zstd or rsync, which need less memory and time */
#define SF_PARTS_MAX      4096
#define SF_PART_HEADER    5

enum sf_part_codec { SF_PART_ELF, SF_PART_BINDIFF, SF_PART_ZSTD, SF_PART_RSYNC, SF_PART_CODECS };

/* One part as a delta of its own. */
struct sf_part {
        size_t first;                   /* index of its first new file */
        struct sf_delta_files old, new; /* the arrays are owned */
        uint8_t *bases;                 /* owned; contents of the ancestors, back to back; NULL in outline */
        uint64_t old_size, new_size;
};

/* The index behind the last new file of the part that starts with `first`; `log`: parts have 2^log bytes at most. */
size_t sf_part_end(const struct sf_delta_files *old, const struct sf_delta_files *new_files, size_t first,
                   unsigned log);
/* True where elf and bindiff may be used. */
bool sf_part_is_small(const struct sf_part *part);
/* Which files it has, of what sizes; their contents are not looked at, and may not be there. For sizes only: ancestors
 * need not lie back to back. */
int sf_part_outline(struct sf_part *part, const struct sf_delta_files *old, const struct sf_delta_files *new_files,
                    size_t first, unsigned log, struct sf_error *err);
/* The same, with copies of the ancestors' contents. */
int sf_part_open(struct sf_part *part, const struct sf_delta_files *old, const struct sf_delta_files *new_files,
                 size_t first, unsigned log, struct sf_error *err);
void sf_part_close(struct sf_part *part);

/* Bytes of memory that decoding takes: a part, open or in outline, under a codec; what the walk over the parts takes
 * besides; any patch that does not limit its parts itself; this patch. */
uint64_t sf_part_memory(const struct sf_part *part, enum sf_part_codec codec);
uint64_t sf_parts_tables(const struct sf_delta_files *old, const struct sf_delta_files *new_files, size_t parts);
uint64_t sf_parts_memory(const struct sf_delta_files *old, const struct sf_delta_files *new_files);
uint64_t sf_parts_patch_memory(const struct sf_delta_files *old, const struct sf_delta_files *new_files,
                               const uint8_t *patch, size_t patch_len);

#endif
