/* SPDX-License-Identifier: Apache-2.0 */
/* rpath/elf.h - a bounds-checked view of an ELF64 little-endian file in memory (System V gABI, chapters 4 and 5).
 *
 * Nothing in the file is believed: every offset, count and string is checked against the mapped length when it is used.
 */
#ifndef SF_RPATH_ELF_H
#define SF_RPATH_ELF_H

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Borrowed view; data must outlive it. */
struct sf_elf {
        const uint8_t *data;
        uint64_t size;               /* bytes */
        Elf64_Ehdr header;           /* copied, so alignment does not matter */
        uint64_t dynamic_offset;     /* file offset of the dynamic section's entries */
        uint64_t dynamic_count;      /* entries before DT_NULL; 0 = not dynamic */
        uint64_t dynstr_offset;      /* file offset and size of the dynamic string table */
        uint64_t dynstr_size;
};

/* True where the first bytes say ELF, whatever the class. */
bool sf_elf_is(const void *data, uint64_t size);
/* `name` is for errors. SF_ERR_UNSUPPORTED: an ELF file, but not 64-bit little-endian; SF_ERR_CORRUPT: a structure that
 * points outside the file (the text says which, and where). */
int sf_elf_open(const void *data, uint64_t size, const char *name, struct sf_elf *ret, struct sf_error *err);

/* The i-th dynamic entry; i < dynamic_count. */
Elf64_Dyn sf_elf_dynamic(const struct sf_elf *elf, uint64_t i);
/* The first dynamic entry with this tag; false where there is none. */
bool sf_elf_dynamic_find(const struct sf_elf *elf, int64_t tag, Elf64_Dyn *ret);
/* A string of the dynamic string table, NULL where it does not end inside the table. */
const char *sf_elf_dynstr(const struct sf_elf *elf, uint64_t offset);
/* Translates a virtual address to a file offset through PT_LOAD; UINT64_MAX where no segment holds it. */
uint64_t sf_elf_offset_of(const struct sf_elf *elf, uint64_t address);
/* True where the file holds len bytes at this offset. */
bool sf_elf_holds(const struct sf_elf *elf, uint64_t offset, uint64_t len);

#endif
