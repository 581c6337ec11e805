/* SPDX-License-Identifier: Apache-2.0 */
/* delta/predict/string_match.h - what the text of strings says about where they went.
 *
 * Messages are shorter than a copy may be and get shuffled when the linker merges them, but their text is as good as a
 * name: once the new file's strings are decoded (which is done first, see replay.c), every one that both files hold is
 * known, before the first reference to it comes.
 */
#ifndef SF_DELTA_PREDICT_STRING_MATCH_H
#define SF_DELTA_PREDICT_STRING_MATCH_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "delta/predict/table_layout.h"
#include "delta/predict/predict.h"

/* Bytes of memory for a file of this size, at most. */
uint64_t sf_string_match_memory(uint64_t size);
/* Tells the predictors where the strings of one table, `range` of the new file `out`, were in their old files. */
int sf_string_match_tell(const uint8_t *out, enum sf_table table, const struct sf_table_extent *range,
                  struct sf_predictor *predictors, size_t count, struct sf_error *err);

#endif
