/* fuzz/fuzz-delta-fields.c - any bytes as an old file: what is found in them must lie inside, in order, and predict
 * something without reading anything else. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "delta/predict.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool truth)
{
        if (!truth)
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct sf_predictor p = { 0 };
        struct sf_piece copies[] = { { 0, 64, size / 2 }, { size / 3, 0, size / 4 } };
        _cleanup_free_ uint8_t *out = calloc(size + 128, 1);
        uint64_t end = 0;

        require(out && sf_predictor_open(&p, data, size, true, NULL) == 0);
        require(sf_predictor_set_map(&p, copies, 2, NULL) == 0);
        for (size_t i = 0; i < p.fields.count; i++) {
                const struct sf_field *f = &p.fields.fields[i];
                struct sf_prediction guess;

                require(f->position >= end && f->position + (uint64_t)f->width <= size);
                require(f->target < p.fields.target_count && f->base < p.fields.target_count);
                end = f->position + (uint64_t)f->width;
                sf_predict(&p, f, &p.image, out, f->position, &guess);
                sf_predict_learn(&p, f, &p.image, f->position, guess.value + (i & 1));
        }
        sf_predictor_close(&p);
        return 0;
}
