/* SPDX-License-Identifier: Apache-2.0 */
/* delta/image/address_fields.c - see address_fields.h. Runs the finders, then sorts what they found and numbers the
 * targets. */
#include "delta/image/address_fields.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "delta/image/field_finders.h"

/* What a file has beyond these is left out; dense machine code holds one field in 8 bytes. */
#define BYTES_PER_FIELD    5
#define INSTRUCTIONS_SHARE 32 /* find_a64.c marks them, and knows something at every target of a branch */
#define FLOW_BYTES         (UINT64_C(256) << 10)
#define FIELDS_MAX         (1u << 20) /* the largest program of Slurm has a quarter of that */

static uint64_t most_fields(uint64_t size)
{
        return size / BYTES_PER_FIELD < FIELDS_MAX ? size / BYTES_PER_FIELD : FIELDS_MAX;
}

uint64_t sf_address_fields_memory(uint64_t size)
{
        /* a field, and up to two targets with what is learnt of each */
        return most_fields(size) * (sizeof(struct sf_field) + 4 * sizeof(uint64_t)) + sizeof(struct sf_address_fields);
}

uint64_t sf_address_fields_scratch(uint64_t size)
{
        /* the list and either its smaller predecessor or what qsort takes; the same for the starts of jump tables */
        return (most_fields(size) + SF_FIELD_LIST_ROOM) * 2 * (sizeof(struct sf_raw_field) + sizeof(uint64_t)) +
               sizeof(struct sf_field_list) + size / INSTRUCTIONS_SHARE + FLOW_BYTES;
}

static int compare_raw(const void *a, const void *b)
{
        const struct sf_raw_field *x = a, *y = b;

        if (x->position != y->position)
                return x->position < y->position ? -1 : 1;
        /* The same bytes found twice: any order would do, but it must be one order. */
        return memcmp(x, y, sizeof *x);
}

static int compare_u64(const void *a, const void *b)
{
        uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

        return (x > y) - (x < y);
}

static uint32_t number_of(const struct sf_address_fields *fields, uint64_t target)
{
        const uint64_t *found = bsearch(&target, fields->targets, fields->target_count, sizeof target, compare_u64);

        return (uint32_t)(found - fields->targets);
}

static size_t keep_unique(uint64_t *sorted, size_t count)
{
        size_t kept = 0;

        for (size_t i = 0; i < count; i++)
                if (!kept || sorted[kept - 1] != sorted[i])
                        sorted[kept++] = sorted[i];
        return kept;
}

static int number_targets(struct sf_field_list *c, struct sf_address_fields *ret, struct sf_error *err)
{
        uint64_t end = 0;
        size_t kept = 0;

        if (c->raw_count)
                qsort(c->raw, c->raw_count, sizeof *c->raw, compare_raw);
        for (size_t i = 0; i < c->raw_count; i++) {
                if (c->raw[i].position < end)
                        continue;
                end = (uint64_t)c->raw[i].position + c->raw[i].width;
                c->raw[kept++] = c->raw[i];
        }
        ret->fields = calloc(kept + 1, sizeof *ret->fields);
        ret->targets = calloc(2 * kept + 1, sizeof *ret->targets);
        if (!ret->fields || !ret->targets)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for %zu fields", kept);
        for (size_t i = 0; i < kept; i++) {
                if (c->raw[i].form == SF_FORM_NUMBER)
                        continue;
                ret->targets[ret->target_count++] = c->raw[i].target;
                if (c->raw[i].base)
                        ret->targets[ret->target_count++] = c->raw[i].base;
        }
        ret->targets[ret->target_count++] = 0;
        qsort(ret->targets, ret->target_count, sizeof *ret->targets, compare_u64);
        ret->target_count = keep_unique(ret->targets, ret->target_count);
        for (size_t i = 0; i < kept; i++) {
                const struct sf_raw_field *r = &c->raw[i];

                ret->fields[i] = (struct sf_field){ .position = r->position,
                                                    .target = number_of(ret, r->target),
                                                    .base = r->base ? number_of(ret, r->base) : 0,
                                                    .form = r->form,
                                                    .kind = r->kind,
                                                    .width = r->width,
                                                    .bias = r->bias };
        }
        ret->count = kept;
        return 0;
}

static void cleanup_collector(struct sf_field_list **c)
{
        if (*c)
                free((*c)->raw);
        free(*c);
}

int sf_address_fields_find(const uint8_t *data, uint64_t size, const struct sf_image *image,
                           struct sf_address_fields *ret, struct sf_error *err)
{
        _cleanup_(cleanup_collector) struct sf_field_list *c = calloc(1, sizeof *c);

        *ret = (struct sf_address_fields){ 0 };
        if (!c)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory to look for fields");
        c->data = data;
        c->size = size;
        c->image = image;
        c->raw_max = most_fields(size);
        if (image->elf && size <= UINT32_MAX) {
                sf_sections_read(data, size, &c->sections);
                sf_find_table_fields(c);
                sf_find_unwind_fields(c);
                sf_find_code_fields(c);
                sf_find_a64_fields(c);
        }
        if (c->failure)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for %zu fields", c->raw_count);
        int r = number_targets(c, ret, err);
        if (r < 0)
                sf_address_fields_free(ret);
        return r;
}

size_t sf_address_fields_first(const struct sf_address_fields *fields, uint64_t position)
{
        size_t low = 0, high = fields->count;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (fields->fields[middle].position < position)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

const struct sf_field *sf_address_fields_at(const struct sf_address_fields *fields, uint64_t position)
{
        size_t i = sf_address_fields_first(fields, position);

        return i < fields->count && fields->fields[i].position == position ? &fields->fields[i] : NULL;
}

void sf_address_fields_free(struct sf_address_fields *fields)
{
        free(fields->fields);
        free(fields->targets);
        *fields = (struct sf_address_fields){ 0 };
}
