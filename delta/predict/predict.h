/* SPDX-License-Identifier: Apache-2.0 */
/* delta/predict/predict.h - what a reference in an old file has become: the one predictor that both ends run.
 *
 * A field of the old file refers to a position. The map says where that position went; references decoded earlier may
 * know better (a function that was rewritten is in no copy, but its first caller tells where it is). From the new
 * position follows the value the field should have in the new file.
 *
 * Total and deterministic: any bytes give some prediction, arithmetic wraps, nothing depends on the host. A wrong
 * prediction costs the bytes that correct it.
 */
#ifndef SF_DELTA_PREDICT_PREDICT_H
#define SF_DELTA_PREDICT_PREDICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "delta/image/address_fields.h"
#include "delta/image/image.h"
#include "delta/predict/table_layout.h"
#include "delta/predict/map.h"
#include "delta/predict/operand_history.h"

/* Raised by every change that alters a prediction; travels in each patch. 3 knows no operands of arm64 code and is
 * otherwise the same, so patches for other machines say 3, which older programs read. */
#define SF_PREDICTOR_VERSION 5
#define SF_PREDICTOR_OLDEST  3
#define SF_PREDICTOR_A64     4 /* knows operands of arm64 code, */
#define SF_PREDICTOR_WORDS   5 /* and what follows from its instructions for literals and call frames */

#define SF_PREDICT_TOLD (UINT64_C(1) << 62)

/* One old file as a source of predictions for one new file. */
struct sf_predictor {
        const uint8_t *data; /* the old file; borrowed */
        uint64_t size;
        struct sf_image image;
        struct sf_table_layout layout;
        struct sf_address_fields fields;
        struct sf_map_of_file map;
        struct sf_operand_history numbers[SF_FIELD_KINDS - SF_FIELD_NUMBERS];
        /* owned; per target the new position + 1, 0 = unknown; with SF_PREDICT_TOLD where a name said so */
        uint64_t *learned;
};

enum sf_prediction_source {
        SF_PREDICT_AGREED,    /* an earlier reference to the same target and the map say the same */
        SF_PREDICT_LEARNED,   /* an earlier reference to the same target, the map says otherwise */
        SF_PREDICT_NAMED,     /* a name says where the target is, the map says otherwise */
        SF_PREDICT_MAPPED,    /* the target lies in a copy */
        SF_PREDICT_NEIGHBOUR, /* an earlier reference to a target close by */
        SF_PREDICT_GUESSED,   /* the nearest copy is continued */
        SF_PREDICT_RELOCATED, /* a relocation of the new file says so (delta/image/relocated.h) */
        SF_PREDICT_SOURCES
};

struct sf_prediction {
        enum sf_prediction_source source;
        uint64_t value;       /* best guess, truncated to the field's width */
        uint64_t alternative; /* second guess; equal to value where there is none */
};

/* The image of a file of which the first `known` bytes are there, as this version of the predictor sees it. `layout` is
 * the file's. */
void sf_predictor_image(const uint8_t *data, uint64_t known, unsigned version, const struct sf_table_layout *layout,
                        struct sf_image *ret);

/* A file of any kind. */
struct sf_predictor_file {
        const uint8_t *data;
        uint64_t size;
        unsigned version; /* of the predictor, from SF_PREDICTOR_OLDEST on; 0: plain differences, nothing predicted */
};
/* With fields that were found before. p->fields is a copy of the struct: whoever owns them takes it out before
 * sf_predictor_close, and closes p also where this fails. */
int sf_predictor_start(struct sf_predictor *p, const struct sf_predictor_file *file,
                       const struct sf_address_fields *fields, struct sf_error *err);
/* Finds the fields, and owns them. */
int sf_predictor_open(struct sf_predictor *p, const uint8_t *data, uint64_t size, unsigned version,
                      struct sf_error *err);
/* The copies that the new file takes from this old file. */
int sf_predictor_set_map(struct sf_predictor *p, const struct sf_piece *copies, size_t count, struct sf_error *err);
void sf_predictor_close(struct sf_predictor *p);

/* What `field` of the old file becomes at `position` of the new file. `out` is the new file as far as it is known, that
 * is up to position; `image` its image (no segments while the headers are not known yet). */
void sf_predict(const struct sf_predictor *p, const struct sf_field *field, const struct sf_image *image,
                const uint8_t *out, uint64_t position, struct sf_prediction *ret);
/* Tells the predictor what the value turned out to be. */
void sf_predict_learn(struct sf_predictor *p, const struct sf_field *field, const struct sf_image *image,
                      uint64_t position, uint64_t value);

/* The new position of a target of the old file's fields, by its number: what was learnt of it, else what the map
 * says. */
uint64_t sf_predict_place(const struct sf_predictor *p, uint32_t target);
/* Tells the predictor where something went. Ignored where no field refers to it. */
void sf_predict_told(struct sf_predictor *p, uint64_t old_position, uint64_t new_position);

/* The new address that the arm64 instruction at a position of the old file refers to; false where it refers to none. */
bool sf_predict_reference(const struct sf_predictor *p, const struct sf_image *image, uint64_t position, uint64_t *ret);
/* The new address that the field at a position of the old file refers to; 0 where there is no field. */
uint64_t sf_predict_address(const struct sf_predictor *p, const struct sf_image *image, uint64_t position);

/* A field's value in a file: 1, 2, 4 or 8 bytes, little-endian, taken apart where it is an operand of an arm64
 * instruction; and a value of its width with its sign. */
uint64_t sf_field_get(const struct sf_field *field, const uint8_t *at);
int64_t sf_field_signed(const struct sf_field *field, uint64_t value);
void sf_field_put(const struct sf_field *field, uint8_t *at, uint64_t value);
/* The bits of a value that change with what it refers to: all, but for an instruction's other bits. */
uint64_t sf_field_bits(const struct sf_field *field);

#endif
