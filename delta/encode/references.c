/* SPDX-License-Identifier: Apache-2.0 */
/* delta/encode/references.c - see references.h. */
#include "delta/encode/references.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "base/parallel.h"

#define GAIN_MIN 6 /* samples that a further reference must add */

const struct sf_delta_file *sf_reference_file(const struct sf_delta_files *old, const struct sf_delta_files *new,
                                              uint32_t reference)
{
        return reference < old->count ? &old->files[reference] : &new->files[reference - old->count];
}

static int take_samples(void *ctx, size_t i, struct sf_error *err)
{
        struct sf_reference_library *l = ctx;
        const struct sf_delta_file *file = sf_reference_file(l->old, l->new, (uint32_t)i);

        return sf_samples_take(file->data, file->size, l->elf, &l->samples[i], err);
}

int sf_reference_library_open(struct sf_reference_library *l, const struct sf_delta_files *old,
                              const struct sf_delta_files *new, bool elf, unsigned threads, struct sf_error *err)
{
        *l = (struct sf_reference_library){ .old = old, .new = new, .elf = elf };
        l->samples = calloc(old->count + new->count + 1, sizeof *l->samples);
        if (!l->samples)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory to compare files");
        return sf_parallel_each(old->count + new->count, threads, take_samples, l, err);
}

void sf_reference_library_close(struct sf_reference_library *l)
{
        for (size_t i = 0; l->samples && i < l->old->count + l->new->count; i++)
                sf_samples_free(&l->samples[i]);
        free(l->samples);
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
        return gain >= GAIN_MIN;
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
