/* SPDX-License-Identifier: Apache-2.0 */
/* delta/entropy/model.h - bytes coded under several contexts at once (context mixing).
 *
 * Each context is a hash of whatever may predict the byte: the bytes before it, the byte that stood there in the old
 * file, the instruction it belongs to. Every context keeps its own estimates; a small online-trained network weighs
 * them by how well they did under the same circumstances. The theory is in M. Mahoney, "Adaptive Weighing of Context
 * Models for Lossless Data Compression", 2005. All arithmetic is integer: both ends compute the same on every machine.
 */
#ifndef SF_DELTA_ENTROPY_MODEL_H
#define SF_DELTA_ENTROPY_MODEL_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "delta/entropy/coder.h"

#define SF_MODEL_CONTEXTS_MAX 16

/* Estimates of all contexts, each with its last outcomes, found by hash; contexts that collide only spoil each
 * other's estimates. */
struct sf_model {
        uint32_t *slots;       /* owned; SLOT_CELLS cells each */
        unsigned slots_log;
        int16_t stretch[4096]; /* probability (12 bits) -> log2 of its odds, in 1/128 */
        uint16_t squash[4096]; /* the inverse, 16 bits */
};

/* Weights for one kind of byte. */
struct sf_mixer {
        unsigned contexts, selects, details;
        uint32_t seen;         /* bits coded; weights move less the more there were */
        int32_t *weights;      /* owned */
        sf_probability *histories; /* owned: per context, what followed after the same last outcomes */
        sf_probability *refine;    /* owned: corrects the mixed estimate by what it was worth before */
};

/* Memory of a model with 2^slots_log slots, bytes. */
uint64_t sf_model_memory(unsigned slots_log);
int sf_model_open(struct sf_model *m, unsigned slots_log, struct sf_error *err);
void sf_model_close(struct sf_model *m);

/* The mixer goes with that model. */
int sf_mixer_open(struct sf_mixer *x, const struct sf_model *m, unsigned contexts, unsigned selects, unsigned details,
                  struct sf_error *err);
void sf_mixer_close(struct sf_mixer *x);

/* Codes one byte. contexts[mixer->contexts] are hashes, different for different kinds of context. select < selects and
 * detail < details say, coarsely and finely, under which circumstances: weights are kept for each. */
uint8_t sf_model_byte(struct sf_model *m, struct sf_mixer *x, struct sf_coder *c, const uint32_t *contexts,
                      unsigned select, unsigned detail, uint8_t value);

/* Mixes a value into a hash. */
static inline uint32_t sf_hash(uint32_t hash, uint32_t value)
{
        hash = (hash ^ value) * UINT32_C(0x9e3779b1);
        return hash ^ hash >> 15;
}

#endif
