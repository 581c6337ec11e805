/* SPDX-License-Identifier: Apache-2.0 */
/* delta/image/image.c - see image.h. Structures: System V gABI, chapters 4 and 5. */
#include "delta/image/image.h"

#include <elf.h>
#include <stddef.h>
#include <string.h>

#define EHDR_BYTES 64
#define PHDR_BYTES 56

uint64_t sf_image_headers(const uint8_t *data, uint64_t known)
{
        if (known < EHDR_BYTES)
                return EHDR_BYTES;
        if (memcmp(data, ELFMAG, SELFMAG) != 0 || sf_get64(data + offsetof(Elf64_Ehdr, e_phoff)) != EHDR_BYTES)
                return EHDR_BYTES;
        uint64_t end = EHDR_BYTES + (uint64_t)PHDR_BYTES * sf_get16(data + offsetof(Elf64_Ehdr, e_phnum));
        return end < SF_IMAGE_HEADERS_MAX ? end : SF_IMAGE_HEADERS_MAX;
}

static void add_segment(struct sf_image *image, uint64_t position, uint64_t address, uint64_t length, bool executable)
{
        if (length && image->count < SF_IMAGE_SEGMENTS_MAX)
                image->segments[image->count++] = (struct sf_segment){ position, address, length, executable };
}

void sf_image_open(const uint8_t *data, uint64_t known, struct sf_image *ret)
{
        *ret = (struct sf_image){ 0 };
        if (known < EHDR_BYTES || memcmp(data, ELFMAG, SELFMAG) != 0 || data[EI_CLASS] != ELFCLASS64 ||
            data[EI_DATA] != ELFDATA2LSB || sf_get64(data + offsetof(Elf64_Ehdr, e_phoff)) != EHDR_BYTES)
                return;
        ret->elf = true;
        ret->machine = sf_get16(data + offsetof(Elf64_Ehdr, e_machine));
        for (uint64_t at = EHDR_BYTES; at + PHDR_BYTES <= sf_image_headers(data, known) && at + PHDR_BYTES <= known;
             at += PHDR_BYTES) {
                uint64_t position = sf_get64(data + at + offsetof(Elf64_Phdr, p_offset));
                uint64_t address = sf_get64(data + at + offsetof(Elf64_Phdr, p_vaddr));
                uint64_t in_file = sf_get64(data + at + offsetof(Elf64_Phdr, p_filesz));
                uint64_t in_memory = sf_get64(data + at + offsetof(Elf64_Phdr, p_memsz));

                if (sf_get32(data + at) != PT_LOAD || position >= SF_IMAGE_BSS || in_file >= SF_IMAGE_BSS ||
                    in_memory >= SF_IMAGE_BSS)
                        continue;
                add_segment(ret, position, address, in_file, sf_get32(data + at + 4) & PF_X);
                if (in_memory > in_file)
                        add_segment(ret, SF_IMAGE_BSS, address + in_file, in_memory - in_file, false);
        }
}

bool sf_image_position(const struct sf_image *image, uint64_t address, uint64_t *ret)
{
        for (size_t i = 0; i < image->count; i++) {
                const struct sf_segment *s = &image->segments[i];

                if (address - s->address < s->length) {
                        *ret = s->position + (address - s->address);
                        return true;
                }
        }
        return false;
}

/* The part of an executable segment that is code: [*ret_start, the result). Where arm64 linkers put read-only data in
 * the same segment, that is known to be none. */
static uint64_t code_of(const struct sf_image *image, const struct sf_segment *s, uint64_t *ret_start)
{
        uint64_t start = s->position, end = s->position + s->length;

        if (image->a64_words) {
                start = image->code_from > start ? image->code_from : start;
                end = image->code_to < end ? image->code_to : end;
        }
        *ret_start = start;
        return end > start ? end : start;
}

bool sf_image_is_code(const struct sf_image *image, uint64_t position, uint64_t *ret_end)
{
        *ret_end = UINT64_MAX;
        for (size_t i = 0; i < image->count; i++) {
                const struct sf_segment *s = &image->segments[i];
                uint64_t start, end = code_of(image, s, &start);

                if (!s->executable)
                        continue;
                if (position >= start && position < end) {
                        *ret_end = end;
                        return true;
                }
                if (start > position && start < *ret_end)
                        *ret_end = start;
        }
        return false;
}

uint64_t sf_image_address(const struct sf_image *image, uint64_t position)
{
        const struct sf_segment *below = NULL;

        for (size_t i = 0; i < image->count; i++) {
                const struct sf_segment *s = &image->segments[i];

                if (s->position <= position && (!below || s->position >= below->position))
                        below = s;
        }
        return below ? position - below->position + below->address : position;
}
