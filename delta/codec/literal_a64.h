/* SPDX-License-Identifier: Apache-2.0 */
/* delta/codec/literal_a64.h - arm64 instructions that no copy provides, word by word. Private to delta/codec/literal.c
 * and replay-copy.c.
 *
 * A word is coded in parts: what instruction it is, then registers and numbers, each under what stood before. An
 * operand that is an address (BL, ADRP) is coded as that address, so that the same function called twice is the same
 * operand. Every word has parts, whatever it is.
 */
#ifndef SF_DELTA_CODEC_LITERAL_A64_H
#define SF_DELTA_CODEC_LITERAL_A64_H

#include "delta/codec/literal.h"

#define SF_A64_REGISTERS 32

/* Follows the instructions of one run. */
struct sf_a64_follower {
        uint32_t before[3];               /* hashes of the last instructions, the latest first: what they are, */
        uint32_t entire[2];               /* and with their registers and numbers */
        uint8_t registers;                /* of the last one: the one written, and 3 bits of the one read */
        uint64_t branch;                  /* address that the last branch went to */
        uint32_t called;                  /* address of the last function called, in instructions */
        uint32_t pages[SF_A64_REGISTERS]; /* the page that an ADRP has put into the register, + 1; 0 = none */
};

/* True where a whole instruction of arm64 code starts at `at`, and is among the next `left` bytes. */
bool sf_a64_is_word(const struct sf_image *image, uint64_t at, uint64_t left);
/* Takes notice of the instructions in front of position `at` of `out`, which starts a word. */
void sf_a64_follow(struct sf_a64_follower *f, const struct sf_image *image, const uint8_t *out, uint64_t at);
/* Codes the word at `at`: 4 bytes of run->out. */
void sf_a64_literal(struct sf_literals *l, const struct sf_literal_run *run, struct sf_a64_follower *f, uint64_t at);

/* An instruction that a copy provides and that is not as expected. */
struct sf_a64_correction {
        const struct sf_predictor *predictor; /* of the reference, */
        uint64_t old;                         /* where it stood there, */
        uint32_t expected;                    /* and what was expected */
};

/* Codes it: 4 bytes of out at `at`, which starts a word. `truth` is the new file, NULL when decoding. */
void sf_a64_correct(struct sf_literals *l, const struct sf_a64_correction *correction, const struct sf_image *image,
                    uint8_t *out, const uint8_t *truth, uint64_t at);

#endif
