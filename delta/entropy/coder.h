/* SPDX-License-Identifier: Apache-2.0 */
/* delta/entropy/coder.h - an adaptive binary arithmetic coder whose two directions are one function.
 *
 * sf_coder_bit(c, p, bit) writes `bit` when encoding and returns it; when decoding it ignores `bit` and returns the one
 * that was written. So the traversal that describes a format is written once and run by both ends: they cannot
 * disagree.
 *
 * Arithmetic is integer only and gives the same result on every machine. Reading past the end of the input yields
 * zeros; sf_coder_finish() tells whether more was asked for than the encoder can have written.
 */
#ifndef SF_DELTA_ENTROPY_CODER_H
#define SF_DELTA_ENTROPY_CODER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

struct sf_coder {
        bool encoding;
        bool pretraining;        /* bits are given at both ends: learnt from, neither written nor read */
        uint64_t low, high;     /* the interval left, both inclusive */
        uint64_t code;          /* decoding: the number being located */
        const uint8_t *in, *end;
        size_t overrun;         /* bytes read past the end */
        struct sf_buffer *out;  /* encoding; borrowed */
        int failure;            /* encoding: first SF_ERR_NOMEM, else 0 */
        /* Where one end runs beside the other: called when all bytes there are were read, sets in and end or returns
         * false; called whenever `out` has grown by SF_CODER_PIECE bytes. NULL: nobody waits. */
        bool (*more)(struct sf_coder *c);
        void (*grown)(struct sf_coder *c);
        void *ctx; /* of these two */
};

#define SF_CODER_PIECE 4096

void sf_coder_encode(struct sf_coder *c, struct sf_buffer *out);
void sf_coder_decode(struct sf_coder *c, const void *in, size_t len);
/* The same with bytes that `more` gives. */
void sf_coder_decode_from(struct sf_coder *c, bool (*more)(struct sf_coder *c), void *ctx);
/* Encoding: writes what is pending. Decoding: SF_ERR_CORRUPT where the input was too short. */
int sf_coder_finish(struct sf_coder *c, struct sf_error *err);
/* True once the input has been overrun: whatever is decoded from here on is noise. */
bool sf_coder_exhausted(const struct sf_coder *c);

/* An estimate that the next bit is 1: 22 bits of probability, 10 bits counting what it has seen. */
typedef uint32_t sf_probability;
#define SF_PROBABILITY_EVEN ((sf_probability)1 << 31)

/* One bit at probability p / 65536 of being 1; 0 < p < 65536. */
unsigned sf_coder_raw(struct sf_coder *c, uint32_t p, unsigned bit);
/* One bit under an estimate that learns from it. */
unsigned sf_coder_bit(struct sf_coder *c, sf_probability *p, unsigned bit);
/* The lowest two bits of a value, the upper one first, under low[1], low[2] or low[3]; returns them. */
uint64_t sf_coder_low(struct sf_coder *c, sf_probability *low, uint64_t value);

/* A number of any size: its length in bits, then the bits below the leading one; the upper three of those are
 * learnt. */
struct sf_number {
        sf_probability length[128];
        sf_probability mantissa[65][8];
};
void sf_number_start(struct sf_number *n);
uint64_t sf_coder_number(struct sf_coder *c, struct sf_number *n, uint64_t value);

/* A signed number as (zigzag) unsigned. */
int64_t sf_coder_signed(struct sf_coder *c, struct sf_number *n, int64_t value);

/* Sets `count` estimates to even. */
void sf_probabilities_start(sf_probability *p, size_t count);

#endif
