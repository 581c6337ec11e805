/* SPDX-License-Identifier: Apache-2.0 */
/* delta/encode/realign.c - see realign.h. */
#include "delta/encode/realign.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "delta/encode/align.h"
#include "delta/encode/cfi_prune.h"
#include "delta/encode/word_prune.h"
#include "delta/predict/string_match.h"
#include "delta/predict/symbol_match.h"

#define SMALL_BYTES  (UINT64_C(12) << 20) /* of a file and its references: aligned plain and 3 or 4 times by labels, */
#define MEDIUM_BYTES (UINT64_C(48) << 20) /* up to here twice, beyond once */

/* One file being aligned. */
struct pairing {
        struct sf_align align;
        uint8_t *old, *new; /* owned; the contents with labels instead of references */
        const uint8_t *plain_new;
        struct sf_predictor predictors[SF_SCRIPT_REFERENCES_MAX]; /* old files; `learned` is the label of each target */
        struct sf_image image;                                    /* of the new file */
        struct sf_table_layout layout;                            /* likewise */
        uint64_t
                *numbers[SF_SCRIPT_REFERENCES_MAX]; /* owned; per old field, if a number: what the new file has there */
        struct sf_address_fields fields;            /* of the new file */
        bool owns_fields, owns_old_fields[SF_SCRIPT_REFERENCES_MAX];
};

static void cleanup_pairing(struct pairing *p)
{
        free(p->old);
        free(p->new);
        for (size_t i = 0; i < SF_SCRIPT_REFERENCES_MAX; i++) {
                if (!p->owns_old_fields[i])
                        p->predictors[i].fields = (struct sf_address_fields){ 0 };
                sf_predictor_close(&p->predictors[i]);
                free(p->numbers[i]);
        }
        if (p->owns_fields)
                sf_address_fields_free(&p->fields);
}

/* A field's value with its operand from another one. */
static uint64_t mixed(const struct sf_field *field, uint64_t value, uint64_t operand)
{
        uint64_t bits = sf_field_bits(field);

        return (value & ~bits) | (operand & bits);
}

/* What the fields inside one copy say about where old targets went: the last one wins. */
static void learn_from_copy(struct pairing *p, uint32_t reference, const struct sf_piece *copy)
{
        struct sf_predictor *predictor = &p->predictors[reference];

        for (size_t i = sf_address_fields_first(&predictor->fields, copy->old); i < predictor->fields.count; i++) {
                const struct sf_field *old = &predictor->fields.fields[i], *new;

                if ((uint64_t)old->position + old->width > copy->old + copy->length)
                        return;
                new = sf_address_fields_at(&p->fields, copy->new + (old->position - copy->old));
                if (!new || new->form != old->form || new->kind != old->kind ||
                    sf_field_bits(new) != sf_field_bits(old))
                        continue;
                if (old->form == SF_FORM_NUMBER)
                        p->numbers[reference][i] = mixed(old, p->numbers[reference][i],
                                                         sf_field_get(new, p->plain_new + new->position));
                else
                        predictor->learned[old->target] = p->fields.targets[new->target] + 1;
        }
}

static int tell_names(struct pairing *p, size_t references, struct sf_error *err)
{
        _cleanup_(sf_symbol_match_close) struct sf_symbol_match names = { 0 };
        int r = sf_symbol_match_open(&names, &p->layout, err);

        if (r < 0)
                return r;
        if (names.next <= p->align.new_size)
                sf_symbol_match_tell(&names, p->plain_new, p->align.new_size, &p->image, p->predictors, references);
        r = sf_string_match_tell(p->plain_new, SF_TABLE_STRINGS, &p->layout.tables[SF_TABLE_STRINGS], p->predictors,
                                 references, err);
        return r < 0 ? r
                     : sf_string_match_tell(p->plain_new, SF_TABLE_TEXTS, &p->layout.tables[SF_TABLE_TEXTS],
                                            p->predictors, references, err);
}

static int learn(struct pairing *p, const struct sf_script *script, struct sf_error *err)
{
        for (uint32_t reference = 0; reference < script->reference_count; reference++) {
                struct sf_predictor *predictor = &p->predictors[reference];
                _cleanup_free_ struct sf_piece *copies = calloc(script->count + 1, sizeof *copies);

                if (!copies)
                        return sf_error_set(err, SF_ERR_NOMEM, "no memory to realign");
                size_t count = sf_script_copies(script, reference, copies);
                for (size_t i = 0; i < predictor->fields.count; i++)
                        p->numbers[reference][i] = sf_field_get(&predictor->fields.fields[i],
                                                                predictor->data + predictor->fields.fields[i].position);
                memset(predictor->learned, 0, predictor->fields.target_count * sizeof *predictor->learned);
                for (size_t i = 0; i < count; i++)
                        learn_from_copy(p, reference, &copies[i]);
                int r = sf_predictor_set_map(predictor, copies, count, err);
                if (r < 0)
                        return r;
        }
        return tell_names(p, script->reference_count, err);
}

static void put_label(const struct sf_field *field, uint8_t *content, uint64_t target)
{
        uint64_t label = (target + 1) * UINT64_C(0x9e3779b97f4a7c15);

        sf_field_put(field, content + field->position,
                     mixed(field, sf_field_get(field, content + field->position), label >> 24));
}

static void label_fields(struct pairing *p, const struct sf_script *script)
{
        for (uint32_t i = 0; i < script->reference_count; i++) {
                const struct sf_predictor *predictor = &p->predictors[i];

                for (size_t k = 0; k < predictor->fields.count; k++) {
                        const struct sf_field *field = &predictor->fields.fields[k];

                        if (field->form == SF_FORM_NUMBER)
                                sf_field_put(field, p->old + p->align.starts[i] + field->position, p->numbers[i][k]);
                        else
                                put_label(field, p->old + p->align.starts[i],
                                          sf_predict_place(predictor, field->target));
                }
        }
        for (size_t k = 0; k < p->fields.count; k++)
                if (p->fields.fields[k].form != SF_FORM_NUMBER)
                        put_label(&p->fields.fields[k], p->new, p->fields.targets[p->fields.fields[k].target]);
}

static int open_reference(struct pairing *p, const struct sf_reference_library *l, size_t i, uint32_t reference,
                          struct sf_error *err)
{
        const struct sf_delta_file *file = sf_reference_file(l->old, l->new, reference);
        const struct sf_predictor_file predicted = { file->data, file->size, l->elf ? SF_PREDICTOR_VERSION : 0 };
        struct sf_address_fields fields;
        int r = sf_reference_fields(l, reference, &fields, &p->owns_old_fields[i], err);

        if (r < 0 || (r = sf_predictor_start(&p->predictors[i], &predicted, &fields, err)) < 0)
                return r;
        p->numbers[i] = calloc(fields.count + 1, sizeof *p->numbers[i]);
        return p->numbers[i] ? 0 : sf_error_set(err, SF_ERR_NOMEM, "no memory to align a file");
}

static int open_pairing(struct pairing *p, const struct sf_reference_library *l, size_t index,
                        const struct sf_script *script, struct sf_error *err)
{
        const struct sf_delta_file *file = &l->new->files[index];
        uint64_t size = 0;
        int r;

        for (size_t i = 0; i < script->reference_count; i++)
                size += sf_reference_file(l->old, l->new, script->references[i])->size;
        p->old = malloc(size + 1);
        p->new = malloc(file->size + 1);
        if (!p->old || !p->new)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory to align a file");
        memcpy(p->new, file->data, file->size);
        p->plain_new = file->data;
        p->align = (struct sf_align){
                .old = p->old, .new = p->new, .new_size = file->size, .reference_count = script->reference_count
        };
        size = 0;
        for (size_t i = 0; i < script->reference_count; i++) {
                const struct sf_delta_file *reference = sf_reference_file(l->old, l->new, script->references[i]);

                memcpy(p->old + size, reference->data, reference->size);
                size += reference->size;
                p->align.starts[i + 1] = size;
                if ((r = open_reference(p, l, i, script->references[i], err)) < 0)
                        return r;
        }
        sf_table_layout_read(file->data, l->elf ? file->size : 0, &p->layout);
        sf_predictor_image(file->data, l->elf ? file->size : 0, SF_PREDICTOR_VERSION, &p->layout, &p->image);
        p->align.a64 = p->image.a64_words;
        return sf_reference_fields(l, (uint32_t)(l->old->count + index), &p->fields, &p->owns_fields, err);
}

/* How often a file is aligned. More is better by some percent where code comes from two references; for large files
 * that is not worth its time. */
static int count_passes(const struct pairing *p)
{
        uint64_t size = p->align.starts[p->align.reference_count] + p->align.new_size;

        if (!p->fields.count)
                return 1;
        if (size <= SMALL_BYTES)
                return p->align.reference_count > 1 || p->align.a64 ? 5 : 4;
        return size <= MEDIUM_BYTES ? 3 : 2;
}

int sf_realign_file(const struct sf_reference_library *l, size_t index, struct sf_script *script, struct sf_error *err)
{
        _cleanup_(cleanup_pairing) struct pairing p = { 0 };
        int r = open_pairing(&p, l, index, script, err);

        if (r < 0 || (r = sf_align_files(&p.align, script, err)) < 0)
                return r;
        for (int pass = 1; pass < count_passes(&p); pass++) {
                if ((r = learn(&p, script, err)) < 0)
                        return r;
                label_fields(&p, script);
                if ((r = sf_align_files(&p.align, script, err)) < 0)
                        return r;
        }
        sf_word_prune(&p.align, &p.image, script);
        return l->elf ? sf_cfi_prune(&p.align, l->new->files[index].data, &p.image, script, err) : 0;
}
