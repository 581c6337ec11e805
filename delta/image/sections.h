/* SPDX-License-Identifier: Apache-2.0 */
/* delta/image/sections.h - the section headers of a complete ELF file (System V gABI, chapter 4), believed in
 * nothing. */
#ifndef SF_DELTA_IMAGE_SECTIONS_H
#define SF_DELTA_IMAGE_SECTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SF_SECTIONS_MAX 128

struct sf_section {
        uint32_t name; /* offset in the section name table */
        uint32_t type, link;
        uint64_t flags, address;
        uint64_t position, size; /* inside the file unless it is .bss; 0, 0 where the header says otherwise */
};

struct sf_sections {
        struct sf_section list[SF_SECTIONS_MAX];
        size_t count;
        const char *names; /* section names, NULL where there are none; borrowed from the file */
        uint64_t names_size;
};

/* A file without usable section headers has none. */
void sf_sections_read(const uint8_t *data, uint64_t size, struct sf_sections *ret);
/* True where the section has this name. */
bool sf_section_named(const struct sf_sections *sections, const struct sf_section *s, const char *name);
/* The first section of a name, NULL where there is none. */
const struct sf_section *sf_sections_find(const struct sf_sections *sections, const char *name);
/* The section that holds a position in the file, NULL where none does. */
const struct sf_section *sf_sections_at(const struct sf_sections *sections, uint64_t position);

#endif
