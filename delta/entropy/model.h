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

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "delta/entropy/coder.h"

#define SF_MODEL_CONTEXTS_MAX 16
#define SF_MODEL_SHARES       512 /* more than an estimate of the model counts */

/* What was coded once: enough to code it again without the model, under the same contexts. */
struct sf_model_record {
        uint64_t contexts; /* a hash of all that the model was asked with */
        uint16_t p[8];     /* per bit: how probable a 1 was, in 1/65536 */
};

/* Where records go, or come from (delta/encode/proof.h); one of the two functions is NULL. */
struct sf_model_tape {
        void (*note)(struct sf_model_tape *tape, const struct sf_model_record *record);
        /* False where there is none. */
        bool (*recall)(struct sf_model_tape *tape, struct sf_model_record *ret);
        void *ctx;    /* of these two */
        bool differs; /* recalling: something else was asked than when it was noted */
};

/* Estimates of all contexts, each with its last outcomes, found by hash; contexts that collide only spoil each
 * other's estimates. */
struct sf_model {
        uint32_t *buckets;     /* owned; the first lines of four slots each, then */
        uint32_t *lower;       /* what more belongs to them */
        unsigned slots_log;
        int16_t stretch[4096]; /* probability (12 bits) -> log2 of its odds, in 1/128 */
        uint16_t squash[4096]; /* the inverse, 16 bits */
        /* 2^33 / (2 * seen + 3), rounded up: for a value below 2^22, value * share >> 32 is 2 * value / (2 * seen + 3)
         * without a remainder, as a division gives it. */
        uint32_t shares[SF_MODEL_SHARES];
        struct sf_model_tape *tape; /* borrowed; NULL where nothing is noted or recalled */
        uint8_t kinds[1024]; /* history and count of a cell -> its place among the histories of its context */
};

/* Weights for one kind of byte. */
struct sf_mixer {
        unsigned contexts, selects, details;
        uint32_t seen;         /* bits coded; weights move less the more there were */
        bool wide;             /* the processor has AVX2, and it fits */
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

/* Asks the processor for what sf_model_byte() looks at first under these contexts. */
void sf_model_prefetch(const struct sf_model *m, const uint32_t *contexts, unsigned count);

/* Mixes a value into a hash. */
static inline uint32_t sf_hash(uint32_t hash, uint32_t value)
{
        hash = (hash ^ value) * UINT32_C(0x9e3779b1);
        return hash ^ hash >> 15;
}

#endif
