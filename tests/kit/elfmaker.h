/* SPDX-License-Identifier: Apache-2.0 */
/* tests/kit/elfmaker.h - odd ELF files by hand: a shared object of one loaded segment whose parts lie at fixed
 * places, so that a test can break any of them. */
#ifndef SF_TESTS_KIT_ELFMAKER_H
#define SF_TESTS_KIT_ELFMAKER_H

#include <elf.h>
#include <stdint.h>

#define ELFMAKER_SEGMENTS 0x40  /* two program headers: PT_LOAD, PT_DYNAMIC */
#define ELFMAKER_DYNAMIC 0x100  /* up to 31 entries */
#define ELFMAKER_SYMBOLS 0x300  /* up to 10 */
#define ELFMAKER_NEEDS 0x400    /* one needed version, or a defined one */
#define ELFMAKER_SECTIONS 0x500 /* two section headers */
#define ELFMAKER_STRINGS 0x600  /* to the end of the file */
#define ELFMAKER_MAX 0x2000
#define ELFMAKER_BASE 0x10000   /* virtual address of the first byte */

struct elfmaker {
        uint8_t data[ELFMAKER_MAX];
        uint64_t size;
        unsigned dynamic_count, symbol_count;
};

void elfmaker_start(struct elfmaker *m);
/* Appends a string to the string table; returns its offset in the table. */
uint64_t elfmaker_string(struct elfmaker *m, const char *text);
void elfmaker_dynamic(struct elfmaker *m, int64_t tag, uint64_t value);
void elfmaker_symbol(struct elfmaker *m, uint64_t name);
/* One needed (DT_VERNEED) or defined (DT_VERDEF) version: offsets of the file's and the version's name. */
void elfmaker_version_need(struct elfmaker *m, uint64_t file, uint64_t version);
void elfmaker_version_definition(struct elfmaker *m, uint64_t version);
/* Section header 1 describes the symbols. */
void elfmaker_sections(struct elfmaker *m);
/* Adds string table, symbol table and the end to the dynamic section, and writes all headers. */
void elfmaker_finish(struct elfmaker *m);

/* The string at an offset of the table. */
const char *elfmaker_text(const struct elfmaker *m, uint64_t offset);

#endif
