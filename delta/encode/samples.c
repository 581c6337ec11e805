/* SPDX-License-Identifier: Apache-2.0 */
/* delta/encode/samples.c - see samples.h. */
#include "delta/encode/samples.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "delta/predict/predict.h"

#define WINDOW 16

static void blank_fields(const uint8_t *data, const struct sf_address_fields *fields, uint8_t *copy)
{
        for (size_t i = 0; i < fields->count; i++)
                sf_field_put(&fields->fields[i], copy + fields->fields[i].position,
                             sf_field_get(&fields->fields[i], data + fields->fields[i].position) &
                                     ~sf_field_bits(&fields->fields[i]));
}

static int compare_u64(const void *a, const void *b)
{
        uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

        return (x > y) - (x < y);
}

static uint64_t mix(uint64_t x)
{
        x = (x ^ x >> 31) * UINT64_C(0x7fb5d329728ea185);
        x = (x ^ x >> 27) * UINT64_C(0x81dadef4bc2dd44d);
        return x ^ x >> 33;
}

int sf_samples_take(const uint8_t *data, uint64_t size, const struct sf_address_fields *fields, struct sf_samples *ret,
                    struct sf_error *err)
{
        _cleanup_free_ uint8_t *copy = malloc(size + 1);
        struct sf_samples samples = { 0 };

        if (!copy || !(samples.hashes = malloc((size + 1) * sizeof *samples.hashes)))
                return sf_error_set(err, SF_ERR_NOMEM, "no memory to compare files");
        memcpy(copy, data, size);
        blank_fields(data, fields, copy);
        for (uint64_t i = 0; i + WINDOW <= size; i++) {
                uint64_t words[2];

                memcpy(words, copy + i, sizeof words);
                uint64_t hash = mix(words[0] + mix(words[1]));
                if (hash <= UINT64_MAX / SF_SIMILAR_STEP && words[0] != words[1])
                        samples.hashes[samples.count++] = hash;
        }
        size_t kept = 0;
        qsort(samples.hashes, samples.count, sizeof *samples.hashes, compare_u64);
        for (size_t i = 0; i < samples.count; i++)
                if (!kept || samples.hashes[kept - 1] != samples.hashes[i])
                        samples.hashes[kept++] = samples.hashes[i];
        uint64_t *less = realloc(samples.hashes, (kept + 1) * sizeof *less);
        *ret = (struct sf_samples){ less ? less : samples.hashes, kept };
        return 0;
}

size_t sf_samples_shared(const struct sf_samples *a, const struct sf_samples *b)
{
        size_t shared = 0;

        for (size_t i = 0, k = 0; i < a->count && k < b->count;) {
                shared += a->hashes[i] == b->hashes[k];
                if (a->hashes[i] <= b->hashes[k])
                        i++;
                else
                        k++;
        }
        return shared;
}

void sf_samples_subtract(struct sf_samples *a, const struct sf_samples *b)
{
        size_t kept = 0;

        for (size_t i = 0, k = 0; i < a->count; i++) {
                while (k < b->count && b->hashes[k] < a->hashes[i])
                        k++;
                if (k == b->count || b->hashes[k] != a->hashes[i])
                        a->hashes[kept++] = a->hashes[i];
        }
        a->count = kept;
}

int sf_samples_copy(const struct sf_samples *from, struct sf_samples *ret, struct sf_error *err)
{
        uint64_t *hashes = malloc((from->count + 1) * sizeof *hashes);

        if (!hashes)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory to compare files");
        if (from->count)
                memcpy(hashes, from->hashes, from->count * sizeof *hashes);
        *ret = (struct sf_samples){ hashes, from->count };
        return 0;
}

void sf_samples_free(struct sf_samples *s)
{
        free(s->hashes);
        *s = (struct sf_samples){ 0 };
}
