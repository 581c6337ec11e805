/* SPDX-License-Identifier: Apache-2.0 */
/* tests/kit/deltaelf.h - small shared objects that have all the tables a delta codec looks at: symbols, relocations,
 * PLT, code, strings, frames. Two of them whose parts lie in another order tell what the codec makes of names and
 * texts; one of them is the old file of fuzzers. Not meant to be loaded.
 */
#ifndef SF_TESTS_KIT_DELTAELF_H
#define SF_TESTS_KIT_DELTAELF_H

#include <stdint.h>

#define DELTAELF_FUNCTIONS 24
#define DELTAELF_IMPORTS   8
#define DELTAELF_TEXTS     12
#define DELTAELF_RECORD    48       /* bytes of a function */
#define DELTAELF_BASE      0x10000u /* address of the first byte */
#define DELTAELF_MAX       0x3000

/* In which order things lie. */
struct deltaelf_order {
        unsigned turn; /* symbols, PLT entries and strings are rotated by that many */
        unsigned gap;  /* bytes, a multiple of 16, inserted in front of function `gap_at` */
        unsigned gap_at;
        uint32_t lines; /* added to the line numbers of all functions behind the gap */
};

struct deltaelf {
        uint8_t data[DELTAELF_MAX];
        uint64_t size;
        /* positions in the file */
        uint64_t symbol_of[DELTAELF_FUNCTIONS], function[DELTAELF_FUNCTIONS], text[DELTAELF_TEXTS];
        uint64_t plt_header; /* the section header of .rela.plt */
        uint64_t stub[DELTAELF_IMPORTS], lazy_stub[DELTAELF_IMPORTS], slot[DELTAELF_IMPORTS];
};

void deltaelf_make(struct deltaelf *e, const struct deltaelf_order *order);
/* Positions of operands in a function: of the call of an import, the address of a text, the line number, the call of
 * another function; and whom function `i` means by them. */
#define DELTAELF_AT_IMPORT      5
#define DELTAELF_AT_TEXT        12
#define DELTAELF_AT_LINE        17
#define DELTAELF_AT_FUNCTION    22
#define deltaelf_import_of(i)   ((i) % DELTAELF_IMPORTS)
#define deltaelf_text_of(i)     ((i) % DELTAELF_TEXTS)
#define deltaelf_function_of(i) (((i) + 5) % DELTAELF_FUNCTIONS)

#endif
