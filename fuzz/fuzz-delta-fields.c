/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz/fuzz-delta-fields.c - any bytes as an old file: what is found in them must lie inside, in order, and predict
 * something without reading anything else; no more is kept than memory was stated for. Then the same bytes as the
 * new file: what its names and strings tell. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "delta/predict/symbol_match.h"
#include "delta/predict/predict.h"
#include "delta/predict/string_match.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool truth)
{
        if (!truth)
                abort();
}

static void tell(struct sf_predictor *p, const uint8_t *data, size_t size)
{
        _cleanup_(sf_symbol_match_close) struct sf_symbol_match names;
        struct sf_table_layout layout;

        sf_table_layout_read(data, size, &layout);
        for (size_t i = 0; i < SF_TABLES; i++)
                require(layout.tables[i].position <= size && layout.tables[i].size <= size - layout.tables[i].position);
        require(sf_symbol_match_open(&names, &layout, NULL) == 0);
        require(names.next == UINT64_MAX || names.next <= size);
        sf_symbol_match_tell(&names, data, size, &p->image, p, 1);
        for (enum sf_table i = 0; i < SF_TABLES; i++)
                require(sf_string_match_tell(data, i, &layout.tables[i], p, 1, NULL) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct sf_predictor p = { 0 };
        struct sf_piece copies[] = { { 0, 64, size / 2 }, { size / 3, 0, size / 4 } };
        _cleanup_free_ uint8_t *out = calloc(size + 128, 1);
        uint64_t end = 0;

        require(out && sf_predictor_open(&p, data, size, SF_PREDICTOR_VERSION, NULL) == 0);
        require(sf_predictor_set_map(&p, copies, 2, NULL) == 0);
        require(p.fields.count * sizeof *p.fields.fields + p.fields.target_count * 2 * sizeof *p.fields.targets <=
                sf_address_fields_memory(size));
        for (size_t i = 0; i < p.fields.count; i++) {
                const struct sf_field *f = &p.fields.fields[i];
                struct sf_prediction guess;

                require(f->position >= end && f->position + (uint64_t)f->width <= size);
                require(f->target < p.fields.target_count && f->base < p.fields.target_count);
                end = f->position + (uint64_t)f->width;
                sf_predict(&p, f, &p.image, out, f->position, &guess);
                sf_predict_learn(&p, f, &p.image, f->position, guess.value + (i & 1));
        }
        tell(&p, data, size);
        sf_predictor_close(&p);
        return 0;
}
