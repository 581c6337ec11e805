/* SPDX-License-Identifier: Apache-2.0 */
/* delta/encode/part_plan.h - how large the parts of a changed set are, which codec each takes, and in which order they
 * are made (encoder only).
 *
 * Three bounds decide. A node's memory: parts are as large as the format allows, half of that, or less, until the
 * better codec has room. A node's time, and the factory's: of all parts, those that differ least take the better codec,
 * as far as `model_bytes` (delta/encode/effort.h) goes; the others take zstd, which a node applies in no time. And the
 * factory's memory. No clock and no number of threads has a say: the same contents give the same plan.
 */
#ifndef SF_DELTA_ENCODE_PART_PLAN_H
#define SF_DELTA_ENCODE_PART_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "delta/codec/codec.h"
#include "delta/codec/parts.h"
#include "delta/encode/effort.h"

struct sf_planned_part {
        size_t first;
        uint64_t size;     /* of its new files, bytes */
        uint64_t estimate; /* of what zstd would give, see sf_delta_zstd_probe */
        uint64_t making;   /* bytes of memory that elf takes to make it on one thread */
        uint64_t decoding; /* bytes of memory that a node needs for it under elf, without `tables` */
        bool large;        /* too large for elf by the format */
        enum sf_part_codec codec;
};

struct sf_part_plan {
        unsigned log;                  /* of the parts, see sf_part_end */
        bool limited;                  /* the patch tells it */
        struct sf_planned_part *parts; /* owned */
        size_t *order;                 /* owned; the dearest first */
        size_t count;
        uint64_t cheaper, bounded; /* see delta/encode/effort.h */
};

/* Only sizes are looked at: log2 of the largest parts of which a node with `memory` bytes besides the contents decodes
 * nearly as much under elf as of the smallest parts; what one file takes stays. 0 = any memory. */
int sf_part_plan_log(const struct sf_delta_files *old, const struct sf_delta_files *new_files, uint64_t memory,
                     unsigned *ret, struct sf_error *err);
/* Bytes of memory that decoding takes at least: small parts, all of them under zstd. */
uint64_t sf_part_plan_least_memory(const struct sf_delta_files *old, const struct sf_delta_files *new_files);

/* SF_ERR_LIMIT where parts are of no use: zstd makes a better delta of the whole. */
int sf_part_plan_make(const struct sf_delta_files *old, const struct sf_delta_files *new_files,
                      const struct sf_delta_effort *effort, struct sf_part_plan *ret, struct sf_error *err);
void sf_part_plan_free(struct sf_part_plan *plan);

#endif
