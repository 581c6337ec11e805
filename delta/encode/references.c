/* SPDX-License-Identifier: Apache-2.0 */
/* delta/encode/references.c - see references.h. */
#include "delta/encode/references.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "base/parallel.h"
#include "delta/predict/predict.h"

/* What a further reference must provide of the samples that are missing: at least so many, and such a share. Below, it
 * costs more time to align with, and more jumps to tell, than it saves. */
#define GAIN_MIN     6
#define GAIN_PERCENT 7

const struct sf_delta_file *sf_reference_file(const struct sf_delta_files *old, const struct sf_delta_files *new,
                                              uint32_t reference)
{
        return reference < old->count ? &old->files[reference] : &new->files[reference - old->count];
}

static int find_fields(const struct sf_delta_file *file, bool elf, struct sf_address_fields *ret, struct sf_error *err)
{
        struct sf_table_layout layout;
        struct sf_image image;

        sf_table_layout_read(file->data, elf ? file->size : 0, &layout);
        sf_predictor_image(file->data, elf ? file->size : 0, SF_PREDICTOR_VERSION, &layout, &image);
        return sf_address_fields_find(file->data, file->size, &image, ret, err);
}

/* Which files' fields are kept may differ from run to run: what is made of them does not. */
static void keep_fields(struct sf_reference_library *l, size_t i, struct sf_address_fields *fields)
{
        size_t bytes = fields->count * sizeof *fields->fields + fields->target_count * sizeof *fields->targets;

        if (atomic_fetch_add(&l->kept, bytes) + bytes > SF_REFERENCE_FIELDS_MAX) {
                atomic_fetch_sub(&l->kept, bytes);
                return;
        }
        /* They were allocated with room for what was found twice. */
        uint64_t *targets = realloc(fields->targets, (fields->target_count + 1) * sizeof *targets);
        if (targets)
                fields->targets = targets;
        l->fields[i] = *fields;
        *fields = (struct sf_address_fields){ 0 };
}

static int take_samples(void *ctx, size_t i, struct sf_error *err)
{
        struct sf_reference_library *l = ctx;
        const struct sf_delta_file *file = sf_reference_file(l->old, l->new, (uint32_t)i);
        _cleanup_(sf_address_fields_free) struct sf_address_fields fields = { 0 };
        int r = find_fields(file, l->elf, &fields, err);

        if (r < 0 || (r = sf_samples_take(file->data, file->size, &fields, &l->samples[i], err)) < 0)
                return r;
        keep_fields(l, i, &fields);
        return 0;
}

int sf_reference_fields(const struct sf_reference_library *l, uint32_t reference, struct sf_address_fields *ret,
                        bool *ret_owned, struct sf_error *err)
{
        *ret_owned = !l->fields[reference].targets;
        if (*ret_owned)
                return find_fields(sf_reference_file(l->old, l->new, reference), l->elf, ret, err);
        *ret = l->fields[reference];
        return 0;
}

int sf_reference_library_open(struct sf_reference_library *l, const struct sf_delta_files *old,
                              const struct sf_delta_files *new, bool elf, unsigned threads, struct sf_error *err)
{
        *l = (struct sf_reference_library){ .old = old, .new = new, .elf = elf };
        l->samples = calloc(old->count + new->count + 1, sizeof *l->samples);
        l->fields = calloc(old->count + new->count + 1, sizeof *l->fields);
        if (!l->samples || !l->fields)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory to compare files");
        return sf_parallel_each(old->count + new->count, threads, take_samples, l, err);
}

void sf_reference_library_close(struct sf_reference_library *l)
{
        for (size_t i = 0; l->samples && i < l->old->count + l->new->count; i++)
                sf_samples_free(&l->samples[i]);
        for (size_t i = 0; l->fields && i < l->old->count + l->new->count; i++)
                sf_address_fields_free(&l->fields[i]);
        free(l->samples);
        free(l->fields);
        *l = (struct sf_reference_library){ 0 };
}

/* The file among the first `count` that has most of the samples; false where none has enough. */
static bool find_provider(const struct sf_reference_library *l, const struct sf_samples *missing, size_t count,
                          uint32_t *ret)
{
        size_t gain = GAIN_MIN - 1;

        for (size_t i = 0; i < count && missing->count > gain; i++) {
                size_t shared = sf_samples_shared(missing, &l->samples[i]);

                if (shared > gain) {
                        gain = shared;
                        *ret = (uint32_t)i;
                }
        }
        return gain >= GAIN_MIN && gain * 100 >= missing->count * GAIN_PERCENT;
}

int sf_references_choose(const struct sf_reference_library *l, size_t index, struct sf_script *script,
                         struct sf_error *err)
{
        _cleanup_(sf_samples_free) struct sf_samples missing = { 0 };
        uint32_t ancestor = l->new->files[index].ancestor, next;
        int r = sf_samples_copy(&l->samples[l->old->count + index], &missing, err);

        if (r < 0)
                return r;
        if (ancestor) {
                script->references[script->reference_count++] = ancestor - 1;
                sf_samples_subtract(&missing, &l->samples[ancestor - 1]);
        }
        while (script->reference_count < SF_SCRIPT_REFERENCES_MAX &&
               find_provider(l, &missing, l->old->count + index, &next)) {
                script->references[script->reference_count++] = next;
                sf_samples_subtract(&missing, &l->samples[next]);
        }
        return 0;
}
