/* SPDX-License-Identifier: Apache-2.0 */
/* delta/predict/symbol_match.h - what symbol names say about where things went.
 *
 * The linker sorts symbols by hash bucket, global offset table and PLT by first use: one symbol more and all of them
 * change places, which no copy shows. But a name stays a name. As soon as the new file's symbols and relocations are
 * decoded (they lie in front of all code), every function, table slot and PLT entry that has a name in both files is
 * known, before the first reference to it comes.
 */
#ifndef SF_DELTA_PREDICT_SYMBOL_MATCH_H
#define SF_DELTA_PREDICT_SYMBOL_MATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "delta/predict/table_layout.h"
#include "delta/predict/predict.h"

/* The names of one new file. */
struct sf_symbol_match {
        const struct sf_table_layout *layout; /* of the new file; borrowed */
        uint32_t *by_name;     /* owned; hash table of symbol numbers + 1 */
        uint32_t *plt_of;      /* owned; per symbol its place in .rela.plt + 1 */
        uint32_t *slot_of;     /* owned; per symbol its place in .rela.dyn + 1, if that is a table slot */
        size_t table_mask, symbols;
        uint64_t next; /* position from which on sf_symbol_match_tell() has something to tell; UINT64_MAX = no more */
        bool symbols_told;
};

/* Bytes of memory for a file of this size, at most. */
uint64_t sf_symbol_match_memory(uint64_t size);
int sf_symbol_match_open(struct sf_symbol_match *n, const struct sf_table_layout *layout, struct sf_error *err);
void sf_symbol_match_close(struct sf_symbol_match *n);
/* Before anything of the new file is known: tells a reference what the map of another one says of things that both
 * name and it does not provide itself. */
int sf_symbol_match_relate(const struct sf_predictor *other, struct sf_predictor *reference, struct sf_error *err);
/* The position behind the last table that names are made from. */
uint64_t sf_symbol_match_end(const struct sf_table_layout *layout);
/* Tells the predictors what the first `known` bytes of the new file `out` reveal. Call it when known >= n->next.
 * `image` is the new file's. */
void sf_symbol_match_tell(struct sf_symbol_match *n, const uint8_t *out, uint64_t known, const struct sf_image *image,
                   struct sf_predictor *predictors, size_t count);

#endif
