/* SPDX-License-Identifier: Apache-2.0 */
/* delta/image/image.h - an ELF file seen as positions that have addresses.
 *
 * A *position* is a byte offset in the file; bytes of .bss, which no file holds, have positions from SF_IMAGE_BSS on.
 * References between parts of a file are thought of in positions, because that is what a delta moves. Only the ELF
 * header and the program headers are read, so that a decoder can do it as soon as it has the first bytes of a file.
 *
 * Total: anything that is not an ELF64 little-endian file with at most SF_IMAGE_SEGMENTS_MAX loaded segments simply has
 * no addresses. Nothing in the file is believed.
 */
#ifndef SF_DELTA_IMAGE_IMAGE_H
#define SF_DELTA_IMAGE_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SF_IMAGE_SEGMENTS_MAX 16
#define SF_IMAGE_BSS          (UINT64_C(1) << 40)
#define SF_IMAGE_HEADERS_MAX  (64 + 56 * 64) /* where the program headers end at the latest */

struct sf_segment {
        uint64_t position, address, length; /* bytes */
        bool executable;
};

struct sf_image {
        bool elf;
        bool a64_words;              /* arm64 code whose literals and call frames are told by its instructions */
        uint64_t code_from, code_to; /* then code is loaded between these positions only */
        uint16_t machine;
        struct sf_segment segments[SF_IMAGE_SEGMENTS_MAX];
        size_t count;
};

/* How many bytes from the start must be known to open the image: 64 before e_phnum can be read, then the end of the
 * program headers. `known` bytes are there; reads no more. */
uint64_t sf_image_headers(const uint8_t *data, uint64_t known);
/* Opens the image of a file of which the first `known` bytes are there. */
void sf_image_open(const uint8_t *data, uint64_t known, struct sf_image *ret);

/* False where no segment holds it. */
bool sf_image_position(const struct sf_image *image, uint64_t address, uint64_t *ret);
/* True where a position is loaded as code. *ret_end: the position up to which the answer stays the same. */
bool sf_image_is_code(const struct sf_image *image, uint64_t position, uint64_t *ret_end);
/* The address of a position; outside all segments it continues the last one that starts below. */
uint64_t sf_image_address(const struct sf_image *image, uint64_t position);

/* Little-endian reads, and a write, without alignment. */
static inline uint16_t sf_get16(const uint8_t *p)
{
        return (uint16_t)(p[0] | p[1] << 8);
}
static inline uint32_t sf_get32(const uint8_t *p)
{
        return (uint32_t)sf_get16(p) | (uint32_t)sf_get16(p + 2) << 16;
}
static inline uint64_t sf_get64(const uint8_t *p)
{
        return (uint64_t)sf_get32(p) | (uint64_t)sf_get32(p + 4) << 32;
}
static inline void sf_put32(uint8_t *p, uint32_t value)
{
        for (unsigned i = 0; i < 4; i++)
                p[i] = (uint8_t)(value >> (8 * i));
}

#endif
