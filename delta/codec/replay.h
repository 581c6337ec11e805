/* SPDX-License-Identifier: Apache-2.0 */
/* delta/codec/replay.h - the format of the bindiff and elf codecs: one walk over the new files, run by both ends.
 *
 * For every new file in stream order: its references, its script (delta/codec/script.h), then its bytes from first to
 * last. Literal bytes are coded by delta/codec/literal.h. In a copy, every reference field that lies in it whole is
 * predicted (delta/predict/predict.h) and only told where the prediction fails; of the other bytes only those that
 * differ are told. The walk reads nothing of the new file that a decoder has not got yet.
 */
#ifndef SF_DELTA_CODEC_REPLAY_H
#define SF_DELTA_CODEC_REPLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "delta/codec/codec.h"
#include "delta/entropy/coder.h"
#include "delta/codec/linker_tables.h"
#include "delta/codec/literal.h"
#include "delta/entropy/model.h"
#include "delta/predict/predict.h"
#include "delta/codec/script.h"

#define SF_PREDICTED_CONTEXTS 12 /* recent outcomes; with arm64 code also how far the last surprise is */

/* What has been learnt about fields and about bytes that differ. */
struct sf_field_model {
        sf_probability predicted[SF_FIELD_KINDS][SF_PREDICT_SOURCES][SF_PREDICTED_CONTEXTS];
        sf_probability alternative[SF_FIELD_KINDS][SF_PREDICT_SOURCES];
        sf_probability repeated[SF_FIELD_KINDS];
        sf_probability number[SF_FIELD_KINDS]; /* of arm64 instructions: nothing but the number is another */
        struct sf_number error[SF_FIELD_KINDS];
        int64_t last_error[SF_FIELD_KINDS];
        uint64_t last_place;             /* the address that the last relocation was to be applied at */
        uint8_t history[SF_FIELD_KINDS]; /* the last three outcomes of each kind */
};

#define SF_GAP_CONTEXTS  8  /* code or data; the first gap of a copy, or how long the last one was */
#define SF_MORE_CONTEXTS 64 /* the same, how long the copy is, how many bytes differed */

struct sf_replay {
        const struct sf_delta_files *old, *new;
        const uint8_t *truth; /* encoding: all new contents; NULL when decoding */
        uint8_t *out;         /* all new contents, as far as they are there */
        unsigned predict;     /* version of the predictor; 0 for the bindiff codec */
        unsigned *derived;    /* per new file: which tables are blank; borrowed, filled when decoding */
        sf_probability is_derived[SF_LINKER_TABLE_KINDS];
        struct sf_coder coder;
        struct sf_model model;
        struct sf_literals literals;
        uint64_t pretrained; /* bytes of old code read */
        struct sf_mixer differing;
        struct sf_script_model scripts;
        struct sf_field_model fields;
        struct sf_table_layout_model layouts;
        struct sf_number gap[SF_GAP_CONTEXTS];
        sf_probability more[SF_MORE_CONTEXTS];
        sf_probability gap_low[4]; /* the lowest bits of a gap, where arm64 code may be */
};

/* Bytes that a replay takes, at most. */
uint64_t sf_replay_memory(const struct sf_delta_files *old, const struct sf_delta_files *new, bool predict);

/* The size of the model (log2 of its slots) is the encoder's choice, made by the number of literal bytes. */
#define SF_REPLAY_SLOTS_LOG_MIN 12
#define SF_REPLAY_SLOTS_LOG_MAX 20
unsigned sf_replay_slots_log(uint64_t coded_bytes);

/* What a replay is about; everything is borrowed while it is open. */
struct sf_replay_input {
        const struct sf_delta_files *old, *new;
        const uint8_t *truth; /* encoding: all new contents; NULL when decoding */
        uint8_t *out;         /* room for all new contents */
        unsigned predict;     /* version of the predictor; 0 for the bindiff codec */
        unsigned *derived;    /* per new file: which tables are blank; filled when decoding */
        struct sf_model_tape *tape; /* of records, stands for the model; NULL */
};

/* Start r->coder before the first file. */
int sf_replay_open(struct sf_replay *r, const struct sf_replay_input *input, unsigned slots_log, struct sf_error *err);
void sf_replay_close(struct sf_replay *r);

/* Codes new file `index`, which starts `offset` bytes into all new contents. When encoding, `script` says how; when
 * decoding, it is filled. Files go in ascending order. */
int sf_replay_file(struct sf_replay *r, size_t index, uint64_t offset, struct sf_script *script, struct sf_error *err);

#endif
