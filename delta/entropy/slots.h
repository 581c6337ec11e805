/* SPDX-License-Identifier: Apache-2.0 */
/* delta/entropy/slots.h - where the estimates of a model's contexts are kept: slots found by hash.
 *
 * A slot is a check word and the 15 nodes of a nibble's tree. Four of them are a bucket. Its first line of 64 bytes has
 * the check words, roots and children of the roots of its slots, so one line tells whose they are; the lower nodes of
 * the first three slots have a line each, and those of the last one the ends of these. First lines lie side by side: a
 * quarter of the model is what has to be found quickly.
 *
 * Many contexts are met once and never again. The lower nodes of a slot are only written when it is used a second time:
 * until then its root, which has counted one bit, keeps the last two bits of the nibble where its history has room.
 *
 * What a context's estimates are does not depend on any of this; it is docs/DELTA.md's "Bytes under a model". Private
 * to delta/entropy/model.c.
 */
#ifndef SF_DELTA_ENTROPY_SLOTS_H
#define SF_DELTA_ENTROPY_SLOTS_H

#include <stdbool.h>
#include <stdint.h>

#include "delta/entropy/model.h"

/* What the bits of one nibble share. */
struct sf_nibble {
        uint32_t *roots[SF_MODEL_CONTEXTS_MAX];
        uint32_t *children[SF_MODEL_CONTEXTS_MAX]; /* nodes 2 and 3 */
        uint32_t *middle[SF_MODEL_CONTEXTS_MAX];   /* nodes 4 to 7 */
        uint32_t *low[SF_MODEL_CONTEXTS_MAX];      /* nodes 8 to 11 */
        uint8_t to_others[SF_MODEL_CONTEXTS_MAX];  /* words from there to nodes 12 to 15 */
        uint8_t first[SF_MODEL_CONTEXTS_MAX];      /* `once`: the nibble that was the first */
        uint32_t fresh;                            /* contexts that use their slot for the first time, a bit each */
        uint32_t once;                             /* that use it for the second time */
        bool shared;                               /* two contexts have one slot */
        unsigned known;                            /* contexts that were seen before */
        unsigned node;                             /* of the nibble's tree */
        uint32_t unwritten[SF_MODEL_CONTEXTS_MAX]; /* stands for the lower nodes of fresh slots */
};

uint64_t sf_slots_memory(unsigned slots_log);
/* No slot is anybody's. */
void sf_slots_start(struct sf_model *m);
/* The slots of all contexts for one nibble; those that are not there are taken over. */
void sf_slots_find(struct sf_model *m, unsigned count, const uint32_t *hashes, struct sf_nibble *s);
/* The cell of each context for the node that comes behind `bits` bits of the nibble; s->node is that node. */
void sf_slots_cells(const struct sf_model *m, struct sf_nibble *s, unsigned bits, unsigned count, uint32_t **cells);
/* The nibble is complete. */
void sf_slots_leave(struct sf_nibble *s);

#endif
