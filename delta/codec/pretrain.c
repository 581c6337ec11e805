/* SPDX-License-Identifier: Apache-2.0 */
/* delta/codec/pretrain.c - see pretrain.h. */
#include "delta/codec/pretrain.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define AROUND 256 /* bytes read on either side */

/* One old file being read. */
struct reading {
        struct sf_literals *literals;
        const struct sf_predictor *predictor;
        const struct sf_image *successor;
        uint8_t *copy; /* the old file, written over with itself */
        uint64_t done; /* up to where it was read */
        uint64_t *spent;
};

/* Reads around `place`, which is followed by code up to `end`. */
static void read_around(struct reading *r, uint64_t place, uint64_t end)
{
        struct sf_matcher matcher = { 0 };
        struct sf_relocated relocated = { 0 };
        struct sf_cfi cfi = { .over = true };
        uint64_t from = place > AROUND ? place - AROUND : 0, to = end - place > AROUND ? place + AROUND : end;

        if (from < r->done)
                from = r->done;
        if (to > r->predictor->size)
                to = r->predictor->size;
        if (from >= to)
                return;
        sf_literals_code(r->literals, &(struct sf_literal_run){ .out = r->copy,
                                                                .truth = r->predictor->data,
                                                                .position = from,
                                                                .length = to - from,
                                                                .image = &r->predictor->image,
                                                                .matcher = &matcher,
                                                                .predictor = r->predictor,
                                                                .successor = r->successor,
                                                                .relocated = &relocated,
                                                                .cfi = &cfi });
        r->done = to;
        *r->spent += to - from;
}

int sf_pretrain(struct sf_literals *literals, const struct sf_predictor *predictor, const struct sf_image *successor,
                const struct sf_script *script, uint64_t *spent, struct sf_error *err)
{
        struct reading r = { .literals = literals, .predictor = predictor, .successor = successor, .spent = spent };
        _cleanup_free_ uint8_t *copy = NULL;
        uint32_t last_target = literals->last_target;
        struct sf_image whole = predictor->image; /* with the read-only data that is loaded together with the code */
        uint64_t place = 0, end;

        whole.a64_words = false;

        for (size_t i = 0; i < script->count && *spent < SF_PRETRAIN_MAX; i++) {
                const struct sf_step *step = &script->steps[i];

                if (step->reference != 0)
                        continue;
                if (step->literal && sf_image_is_code(&whole, place, &end)) {
                        if (!copy) {
                                copy = malloc(predictor->size + 1);
                                if (!copy)
                                        return sf_error_set(err, SF_ERR_NOMEM, "no memory to read the old code");
                                r.copy = memcpy(copy, predictor->data, predictor->size);
                        }
                        literals->coder->pretraining = true;
                        read_around(&r, place, end);
                        literals->coder->pretraining = false;
                }
                place = step->from + step->copy;
        }
        literals->last_target = last_target;
        return 0;
}
