/* SPDX-License-Identifier: Apache-2.0 */
/* delta/predict/map.h - where each part of an old file went, as the copies of a delta tell it. */
#ifndef SF_DELTA_PREDICT_MAP_H
#define SF_DELTA_PREDICT_MAP_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* `length` bytes of the new file, from position `new` on, were copied from position `old` of the old one. */
struct sf_piece {
        uint64_t old, new, length;
};

struct sf_map_of_file {
        struct sf_piece *pieces; /* owned; ascending by old position, disjoint there */
        size_t count;
};

enum sf_map_quality {
        SF_MAP_EXACT,   /* a copy holds the position */
        SF_MAP_NEAREST, /* it lies in a gap: the nearest copy is continued, or the one that keeps it aligned */
        SF_MAP_OUTSIDE, /* beyond all copies, or in .bss: stays where it is */
};

/* Where copies overlap in the old file, the longest counts, of equals the one that comes first in `copies`. */
int sf_map_build(const struct sf_piece *copies, size_t count, struct sf_map_of_file *ret, struct sf_error *err);
/* The new position of an old one. */
uint64_t sf_map_position(const struct sf_map_of_file *map, uint64_t old, enum sf_map_quality *ret_quality);
/* The same; between two copies, *ret_other is what the other one says, else the same. */
uint64_t sf_map_positions(const struct sf_map_of_file *map, uint64_t old, enum sf_map_quality *ret_quality,
                          uint64_t *ret_other);
/* Bytes of memory for the map of so many copies, and those it takes on top to make it; at most. */
uint64_t sf_map_memory(uint64_t copies);
uint64_t sf_map_scratch(uint64_t copies);
void sf_map_free(struct sf_map_of_file *map);

#endif
