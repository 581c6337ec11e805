/* SPDX-License-Identifier: Apache-2.0 */
/* delta/codec/script.h - how one new file is put together: literal bytes, then bytes copied, and so on. */
#ifndef SF_DELTA_CODEC_SCRIPT_H
#define SF_DELTA_CODEC_SCRIPT_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "delta/entropy/coder.h"
#include "delta/predict/map.h"

#define SF_SCRIPT_REFERENCES_MAX 2  /* more cost the decoder memory and gain little */
#define SF_SCRIPT_COPY_MIN       16 /* bytes; this and the next bound the memory of a hostile script */
#define SF_SCRIPT_STEPS_MAX      (1u << 18)

#define SF_SCRIPT_DIAGONALS 3 /* differences between old and new positions that a copy may return to */

/* `literal` literal bytes, then `copy` bytes from position `from` of a reference. */
struct sf_step {
        uint64_t literal, copy, from;
        uint32_t reference; /* index into the script's references */
};

struct sf_script {
        struct sf_step *steps; /* owned */
        size_t count, room;
        /* Files that may be copied from: old file i is i, rebuilt file k is (number of old files) + k. */
        uint32_t references[SF_SCRIPT_REFERENCES_MAX];
        size_t reference_count;
};

#define SF_SCRIPT_LOW_CONTEXTS 12

/* What has been learnt about scripts so far. */
struct sf_script_model {
        struct sf_number count, reference, literal[2], copy[2], jump[SF_SCRIPT_DIAGONALS][2];
        sf_probability straight[3], which[3][SF_SCRIPT_REFERENCES_MAX], back[SF_SCRIPT_DIAGONALS][2];
        /* The lowest two bits of lengths and jumps, which arm64 instructions do not use, apart from the others. */
        bool words;
        sf_probability low[SF_SCRIPT_LOW_CONTEXTS][4];
};

/* `words`: most copies are of arm64 code. */
void sf_script_model_start(struct sf_script_model *m, bool words);
/* Codes the references of a script; `expected` is the most probable first one, `limit` bounds them all. */
int sf_script_code_references(struct sf_coder *c, struct sf_script_model *m, struct sf_script *s, uint32_t expected,
                              uint32_t limit, struct sf_error *err);
/* Codes the steps. They make up exactly `size` bytes; `sizes` are those of the references. */
int sf_script_code_steps(struct sf_coder *c, struct sf_script_model *m, struct sf_script *s, uint64_t size,
                         const uint64_t *sizes, struct sf_error *err);

/* Bytes of memory for the steps of a file of this size, while the list grows; at most. */
uint64_t sf_script_memory(uint64_t size);
/* Steps of a file of this size, at most. */
uint64_t sf_script_most_steps(uint64_t size);
/* What a script copies from one of its references, in order of new position; `ret` has room for as many pieces as
 * there are steps. Returns how many there are. */
size_t sf_script_copies(const struct sf_script *s, uint32_t reference, struct sf_piece *ret);
int sf_script_add(struct sf_script *s, struct sf_step step, struct sf_error *err);
void sf_script_free(struct sf_script *s);

#endif
