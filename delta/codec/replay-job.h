/* SPDX-License-Identifier: Apache-2.0 */
/* delta/codec/replay-job.h - one new file while it is put together: what replay.c and replay-copy.c share. Private
 * to them. */
#ifndef SF_DELTA_CODEC_REPLAY_JOB_H
#define SF_DELTA_CODEC_REPLAY_JOB_H

#include "delta/cfi/cfi.h"
#include "delta/predict/symbol_match.h"
#include "delta/image/relocated.h"
#include "delta/codec/replay.h"

#define SF_DIFFERING_CONTEXTS 8   /* of the mixer for bytes that differ, */
#define SF_DIFFERING_DETAILS  256 /* by the byte that stood there */

struct sf_replay_job {
        struct sf_replay *replay;
        uint8_t *out;
        const uint8_t *truth;
        uint64_t size;
        struct sf_script *script;
        struct sf_predictor predictors[SF_SCRIPT_REFERENCES_MAX];
        struct sf_image image; /* of the new file, once its headers are there */
        bool image_open;
        bool out_of_order; /* what lies in front is not there yet */
        struct sf_matcher matcher;
        struct sf_relocated relocated;
        struct sf_cfi cfi;
        struct sf_table_layout layout; /* of the new file */
        struct sf_symbol_match names;
        uint64_t trouble;           /* position of the last surprise */
        uint8_t last_old, last_new; /* of the last byte that differed */
};

/* Takes notice of what the first `known` bytes of the new file reveal: its image, then its names. */
void sf_replay_look(struct sf_replay_job *j, uint64_t known);
/* The bytes that a step copies, to `position` of the new file: fields as predicted or corrected, others told where they
 * differ. */
void sf_replay_copy(struct sf_replay_job *j, const struct sf_step *step, uint64_t position);

#endif
