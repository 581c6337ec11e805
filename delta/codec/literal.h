/* SPDX-License-Identifier: Apache-2.0 */
/* delta/codec/literal.h - bytes that no copy provides, coded under what surrounds them.
 *
 * In x86-64 code the instruction is followed as it appears, so that opcodes predict opcodes, and a pc-relative field
 * is coded as the address it refers to: the same function called twice is the same four bytes.
 */
#ifndef SF_DELTA_CODEC_LITERAL_H
#define SF_DELTA_CODEC_LITERAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "delta/cfi/cfi.h"
#include "delta/entropy/coder.h"
#include "delta/image/image.h"
#include "delta/entropy/match.h"
#include "delta/entropy/model.h"
#include "delta/predict/predict.h"
#include "delta/image/relocated.h"

#define SF_A64_CONTEXTS 10 /* of the mixer for arm64 code */
#define SF_A64_SELECTS  15
#define SF_A64_DETAILS  64

struct sf_literals {
        struct sf_coder *coder; /* borrowed */
        struct sf_model *model; /* borrowed */
        struct sf_mixer bytes, targets, cfi;
        struct sf_mixer words; /* of arm64 code; not open where the predictor knows none */
        uint32_t last_target;
};

/* A run of literal bytes of one file. */
struct sf_literal_run {
        uint8_t *out;         /* the new file; bytes before `position` are there */
        const uint8_t *truth; /* the same file complete; NULL when decoding */
        uint64_t position, length;
        const uint8_t *old; /* what stood here in the old file, `old_length` bytes; may be NULL */
        uint64_t old_length;
        bool foreign; /* that file is not the predictor's */
        const struct sf_image *image;
        struct sf_matcher *matcher;           /* of this file */
        const struct sf_relocated *relocated; /* of this file */
        struct sf_cfi *cfi;                   /* of this file */
        const struct sf_predictor *predictor; /* that of the old file the matcher looks at; NULL where there is none */
        const struct sf_image *successor;     /* pretraining old code: the new file, where what it refers to will be */
};

/* `words`: instructions of arm64 code are coded as such. */
int sf_literals_open(struct sf_literals *l, struct sf_coder *coder, struct sf_model *model, bool words,
                     struct sf_error *err);
void sf_literals_close(struct sf_literals *l);
void sf_literals_code(struct sf_literals *l, const struct sf_literal_run *run);

#endif
