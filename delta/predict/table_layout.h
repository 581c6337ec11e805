/* SPDX-License-Identifier: Apache-2.0 */
/* delta/predict/table_layout.h - where the linker's tables lie in a file.
 *
 * A decoder needs to know it before it has the section headers, which come last: so the places in the new file travel
 * in front of its content, as corrections to what the map of copies says of the old file's tables.
 */
#ifndef SF_DELTA_PREDICT_TABLE_LAYOUT_H
#define SF_DELTA_PREDICT_TABLE_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

#include "delta/entropy/coder.h"
#include "delta/predict/map.h"

enum sf_table {
        SF_TABLE_SYMBOLS,         /* .dynsym */
        SF_TABLE_STRINGS,         /* .dynstr */
        SF_TABLE_RELOCATIONS,     /* .rela.dyn */
        SF_TABLE_PLT_RELOCATIONS, /* .rela.plt */
        SF_TABLE_PLT,             /* .plt: a header of 16 bytes, then 16 for each of .rela.plt */
        SF_TABLE_PLT_SECOND,      /* .plt.sec: 16 bytes for each of .rela.plt */
        SF_TABLE_TEXTS,           /* .rodata: strings, among other things */
        SF_TABLES
};

struct sf_table_extent {
        uint64_t position, size; /* 0, 0: the file has no such table */
};

struct sf_table_layout {
        struct sf_table_extent tables[SF_TABLES];
};

struct sf_table_layout_model {
        sf_probability as_mapped[SF_TABLES][2];
        struct sf_number error[2];
};

/* The tables of a complete file, inside it; none where it is not an ELF file. */
void sf_table_layout_read(const uint8_t *data, uint64_t size, struct sf_table_layout *ret);

void sf_table_layout_model_start(struct sf_table_layout_model *m);
/* Codes the layout of a new file of `size` bytes by that of the old one and the map between them. Tables that the
 * old one has not are taken for absent. What is decoded lies inside the file. */
void sf_table_layout_code(struct sf_coder *c, struct sf_table_layout_model *m, const struct sf_table_layout *old,
                    const struct sf_map_of_file *map, uint64_t size, struct sf_table_layout *layout);

#endif
