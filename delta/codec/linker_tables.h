/* SPDX-License-Identifier: Apache-2.0 */
/* delta/codec/linker_tables.h - tables that a linker computed from other parts of the same file.
 *
 * .eh_frame_hdr lists the functions of .eh_frame in order of address, .gnu.hash the hashes of the names in .dynsym.
 * Both change all over when anything moves, and say nothing new: a delta is made between files in which they are blank,
 * and the node computes them. Whether that gives the very bytes is tried when the delta is made, table by table.
 *
 * Sources: Linux Standard Base, Core, "DWARF Extensions"; for .gnu.hash the GNU linker's own layout (ELF header of four
 * words, Bloom filter of 64-bit words, buckets, chains; U. Drepper, "How To Write Shared Libraries", 2011).
 */
#ifndef SF_DELTA_CODEC_LINKER_TABLES_H
#define SF_DELTA_CODEC_LINKER_TABLES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "delta/codec/codec.h"

#define SF_LINKER_TABLE_UNWIND 1u /* .eh_frame_hdr, but for its first 8 bytes */
#define SF_LINKER_TABLE_HASH   2u /* .gnu.hash, but for its header of 16 bytes */
#define SF_LINKER_TABLE_KINDS  2

/* Fills with zeros what sf_linker_tables_restore() would give back, and tells which. Any bytes may be given. */
int sf_linker_tables_blank(uint8_t *data, uint64_t size, unsigned *ret, struct sf_error *err);
/* Computes the tables of `which` and puts them where they belong. A file that has no room for one is left alone. */
int sf_linker_tables_restore(uint8_t *data, uint64_t size, unsigned which, struct sf_error *err);

/* Bytes of memory that either takes for a file of this size, at most. */
uint64_t sf_linker_tables_memory(uint64_t size);

/* Contents with their tables blanked. */
struct sf_blanked {
        uint8_t *bytes;              /* owned */
        struct sf_delta_file *files; /* owned; what each `files` entry points to lies in bytes */
        unsigned *which;             /* owned; per file */
        size_t count;
};

/* Copies contents; blanks the copy where `blank` is set. */
int sf_blanked_copy(const struct sf_delta_files *files, bool blank, struct sf_blanked *ret, struct sf_error *err);
void sf_blanked_free(struct sf_blanked *b);
/* Bytes of memory for the copy. */
uint64_t sf_blanked_memory(const struct sf_delta_files *files);

#endif
