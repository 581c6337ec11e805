/* SPDX-License-Identifier: Apache-2.0 */
/* delta/entropy/mixing.h - the arithmetic of one bit under all contexts of a mixer: the inner loop of the model.
 *
 * Twice: in plain C for every processor, and with AVX2 for those that have it. Both give the same numbers, bit by bit:
 * what one machine codes any other one decodes. Private to delta/entropy/model.c and its test.
 */
#ifndef SF_DELTA_ENTROPY_MIXING_H
#define SF_DELTA_ENTROPY_MIXING_H

#include <stdbool.h>
#include <stdint.h>

#include "delta/entropy/coder.h"
#include "delta/entropy/model.h"

#define SF_MIXING_LANES   8 /* numbers of 32 bits that are dealt with at a time */
#define SF_MIXING_INPUTS  (2 * SF_MODEL_CONTEXTS_MAX)
#define SF_MIXING_ROWS    3
#define SF_HISTORIES      32 /* of up to four outcomes: a 1, then the outcomes, latest last */
#define SF_CELL_KINDS     1024 /* history and count */
#define SF_HISTORY_COUNTS 6  /* sorts of counts that a history is looked up with */
#define SF_ODDS_UNIT      128 /* stretch units per factor of two in the odds */
#define SF_ESTIMATE_MAX   30  /* observations after which a cell's estimate moves by a constant share, */
#define SF_HISTORY_MAX    500 /* and that of a history */

#define SF_MIXING_VALUE_MAX ((UINT32_C(1) << 22) - 1)

/* One bit. */
struct sf_mixing {
        uint32_t *cells[SF_MODEL_CONTEXTS_MAX];           /* one for each context; all different where `wide` is used */
        sf_probability *histories[SF_MODEL_CONTEXTS_MAX]; /* filled by predict */
        int32_t *rows[SF_MIXING_ROWS];                    /* of weights, aligned; different ones */
        uint32_t p; /* how probable a 1 was, refined */
        /* Estimates of all contexts, then what their histories say. */
        _Alignas(32) int32_t inputs[SF_MIXING_INPUTS];
        /* What the cells and histories were, and the shares by which they move; wide only. */
        _Alignas(32) uint32_t was[2 * SF_MODEL_CONTEXTS_MAX], shares[2 * SF_MODEL_CONTEXTS_MAX];
};

/* Weights in a row: the inputs, filled up; the last one is that of the constant input. */
static inline unsigned sf_mixing_stride(unsigned contexts)
{
        return (2 * contexts + 1 + SF_MIXING_LANES - 1) / SF_MIXING_LANES * SF_MIXING_LANES;
}

/* The weighed sum of the inputs, which are gathered from cells and histories. */
int64_t sf_mixing_predict(const struct sf_model *m, const struct sf_mixer *x, struct sf_mixing *s);
/* Moves weights, cells and histories. `error` is the bit less its probability, in 1/65536; a weight moves by its share
 * shifted right by `shift`. */
void sf_mixing_learn(const struct sf_model *m, const struct sf_mixer *x, const struct sf_mixing *s, unsigned bit,
                     int32_t error, unsigned shift);

/* The same with AVX2, for so many contexts. */
#define SF_MIXING_WIDE_CONTEXTS 12
bool sf_mixing_is_wide(unsigned contexts);
int64_t sf_mixing_predict_wide(const struct sf_model *m, const struct sf_mixer *x, struct sf_mixing *s);
void sf_mixing_learn_wide(const struct sf_mixing *s, unsigned bit, int32_t error, unsigned shift);

/* A cell: 22 bits estimate, 5 bits history, 5 bits count. */
static inline uint32_t sf_cell_count(uint32_t cell)
{
        return cell & 31;
}

/* What usually follows, under this context, after outcomes like those of the cell. */
static inline sf_probability *sf_mixing_history(const struct sf_model *m, const struct sf_mixer *x, unsigned context,
                                                uint32_t cell)
{
        return &x->histories[context * SF_HISTORY_COUNTS * SF_HISTORIES + m->kinds[cell % SF_CELL_KINDS]];
}

/* A value of 22 bits moved towards the bit, by 2 / (2 * seen + 3) of the way, rounded down. */
static inline uint32_t sf_mixing_moved(const struct sf_model *m, uint32_t value, unsigned bit, uint32_t seen)
{
        uint32_t flip = bit ? SF_MIXING_VALUE_MAX : 0, way = value ^ flip;

        return (way - (uint32_t)((uint64_t)way * m->shares[seen % SF_MODEL_SHARES] >> 32)) ^ flip;
}

static inline uint32_t sf_mixing_learnt_cell(const struct sf_model *m, uint32_t cell, unsigned bit)
{
        uint32_t count = sf_cell_count(cell), history = cell >> 5 & (SF_HISTORIES - 1);

        history = (history ? history : 1) << 1 | bit;
        if (history >= SF_HISTORIES)
                history = SF_HISTORIES / 2 | (history & (SF_HISTORIES / 2 - 1));
        return sf_mixing_moved(m, cell >> 10, bit, count) << 10 | history << 5 |
               (count < SF_ESTIMATE_MAX ? count + 1 : SF_ESTIMATE_MAX);
}

/* An estimate that has counted `limit` moves by a constant share. */
static inline sf_probability sf_mixing_learnt(const struct sf_model *m, sf_probability p, unsigned bit, uint32_t limit)
{
        uint32_t seen = p & 1023;

        return sf_mixing_moved(m, p >> 10, bit, seen) << 10 | (seen < limit ? seen + 1 : limit);
}

#endif
