/* SPDX-License-Identifier: Apache-2.0 */
/* delta/encode/bindiff-encode.c - the encoder of the bindiff and elf codecs: chooses references, aligns, realigns,
 * replays.
 *
 * Realignment is what makes predicted references pay: once a first alignment tells where old functions and objects
 * went, every reference field of both files is overwritten by a label of what it refers to, and the files are aligned
 * again. Code that merely moved is then equal byte for byte.
 */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "delta/encode/align.h"
#include "delta/codec/bindiff.h"
#include "delta/predict/symbol_match.h"
#include "delta/encode/samples.h"
#include "delta/encode/cfi_prune.h"
#include "delta/predict/string_match.h"

#define GAIN_MIN 6 /* samples that a further reference must add */
#define PASSES   5 /* alignments of an ELF file: plain, then by labels */

/* One file being aligned. */
struct pairing {
        struct sf_align align;
        uint8_t *old, *new; /* owned; the contents with labels instead of references */
        const uint8_t *plain_new;
        struct sf_predictor predictors[SF_SCRIPT_REFERENCES_MAX]; /* old files; `learned` is the label of each target */
        struct sf_image image;                                    /* of the new file */
        uint64_t
                *numbers[SF_SCRIPT_REFERENCES_MAX]; /* owned; per old field, if a number: what the new file has there */
        struct sf_address_fields fields;            /* of the new file */
};

static void cleanup_pairing(struct pairing *p)
{
        free(p->old);
        free(p->new);
        for (size_t i = 0; i < SF_SCRIPT_REFERENCES_MAX; i++)
                sf_predictor_close(&p->predictors[i]), free(p->numbers[i]);
        sf_address_fields_free(&p->fields);
}

/* Field of the new file at a position, NULL where none starts there. */
static const struct sf_field *field_at(const struct sf_address_fields *fields, uint64_t position)
{
        size_t i = sf_address_fields_first(fields, position);

        return i < fields->count && fields->fields[i].position == position ? &fields->fields[i] : NULL;
}

/* What the fields inside one copy say about where old targets went: the last one wins. */
static void learn_from_copy(struct pairing *p, uint32_t reference, const struct sf_piece *copy)
{
        struct sf_predictor *predictor = &p->predictors[reference];

        for (size_t i = sf_address_fields_first(&predictor->fields, copy->old); i < predictor->fields.count; i++) {
                const struct sf_field *old = &predictor->fields.fields[i], *new;

                if ((uint64_t)old->position + old->width > copy->old + copy->length)
                        return;
                new = field_at(&p->fields, copy->new + (old->position - copy->old));
                if (!new || new->form != old->form || new->kind != old->kind)
                        continue;
                if (old->form == SF_FORM_NUMBER)
                        p->numbers[reference][i] = sf_field_get(new, p->plain_new + new->position);
                else
                        predictor->learned[old->target] = p->fields.targets[new->target] + 1;
        }
}

static int tell_names(struct pairing *p, size_t references, struct sf_error *err)
{
        _cleanup_(sf_symbol_match_close) struct sf_symbol_match names = { 0 };
        struct sf_table_layout layout;

        sf_table_layout_read(p->plain_new, p->align.new_size, &layout);
        int r = sf_symbol_match_open(&names, &layout, err);
        if (r < 0)
                return r;
        if (names.next <= p->align.new_size)
                sf_symbol_match_tell(&names, p->plain_new, p->align.new_size, &p->image, p->predictors, references);
        r = sf_string_match_tell(p->plain_new, SF_TABLE_STRINGS, &layout.tables[SF_TABLE_STRINGS], p->predictors,
                                 references, err);
        return r < 0 ? r
                     : sf_string_match_tell(p->plain_new, SF_TABLE_TEXTS, &layout.tables[SF_TABLE_TEXTS], p->predictors,
                                            references, err);
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

        sf_field_put(field, content + field->position, label >> 24);
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

/* Data of a reference by its number. */
static const struct sf_delta_file *reference_file(const struct sf_delta_files *old, const struct sf_delta_files *new,
                                                  uint32_t reference)
{
        return reference < old->count ? &old->files[reference] : &new->files[reference - old->count];
}

static int open_pairing(struct pairing *p, const struct sf_delta_files *old, const struct sf_delta_files *new,
                        size_t index, const struct sf_script *script, bool predict, struct sf_error *err)
{
        const struct sf_delta_file *file = &new->files[index];
        uint64_t size = 0;
        int r;

        for (size_t i = 0; i < script->reference_count; i++)
                size += reference_file(old, new, script->references[i])->size;
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
                const struct sf_delta_file *reference = reference_file(old, new, script->references[i]);

                memcpy(p->old + size, reference->data, reference->size);
                size += reference->size;
                p->align.starts[i + 1] = size;
                if ((r = sf_predictor_open(&p->predictors[i], reference->data, reference->size, predict, err)) < 0)
                        return r;
                p->numbers[i] = calloc(p->predictors[i].fields.count + 1, sizeof *p->numbers[i]);
                if (!p->numbers[i])
                        return sf_error_set(err, SF_ERR_NOMEM, "no memory to align a file");
        }
        sf_image_open(file->data, predict ? file->size : 0, &p->image);
        return sf_address_fields_find(file->data, file->size, &p->image, &p->fields, err);
}

/* The samples of all files of a delta, old ones first: numbered like references. */
struct library {
        struct sf_samples *samples; /* owned */
        size_t count;
};

static void cleanup_library(struct library *l)
{
        for (size_t i = 0; i < l->count; i++)
                sf_samples_free(&l->samples[i]);
        free(l->samples);
}

static int open_library(struct library *l, const struct sf_delta_files *old, const struct sf_delta_files *new, bool elf,
                        struct sf_error *err)
{
        size_t count = old->count + new->count;

        l->samples = calloc(count + 1, sizeof *l->samples);
        if (!l->samples)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory to compare files");
        for (; l->count < count; l->count++) {
                const struct sf_delta_file *file = reference_file(old, new, (uint32_t)l->count);
                int r = sf_samples_take(file->data, file->size, elf, &l->samples[l->count], err);

                if (r < 0)
                        return r;
        }
        return 0;
}

/* The ancestor, then those old or already rebuilt files that provide most of what is still missing. */
static int choose_references(const struct library *l, size_t old_count, size_t index, uint32_t ancestor,
                             struct sf_script *script, struct sf_error *err)
{
        _cleanup_(sf_samples_free) struct sf_samples missing = { 0 };
        int r = sf_samples_copy(&l->samples[old_count + index], &missing, err);

        if (r < 0)
                return r;
        if (ancestor) {
                script->references[script->reference_count++] = ancestor - 1;
                sf_samples_subtract(&missing, &l->samples[ancestor - 1]);
        }
        while (script->reference_count < SF_SCRIPT_REFERENCES_MAX) {
                size_t best = 0, gain = GAIN_MIN - 1;

                for (size_t i = 0; i < old_count + index; i++) {
                        size_t shared = sf_samples_shared(&missing, &l->samples[i]);

                        if (shared > gain) {
                                gain = shared;
                                best = i;
                        }
                }
                if (gain < GAIN_MIN)
                        break;
                script->references[script->reference_count++] = (uint32_t)best;
                sf_samples_subtract(&missing, &l->samples[best]);
        }
        return 0;
}

static int make_script(const struct sf_delta_files *old, const struct sf_delta_files *new, size_t index, bool predict,
                       const struct library *library, struct sf_script *script, struct sf_error *err)
{
        _cleanup_(cleanup_pairing) struct pairing p = { 0 };
        const struct sf_delta_file *file = &new->files[index];
        int r = choose_references(library, old->count, index, file->ancestor, script, err);

        if (r < 0)
                return r;
        if ((r = open_pairing(&p, old, new, index, script, predict, err)) < 0 ||
            (r = sf_align_files(&p.align, script, err)) < 0)
                return r;
        for (int pass = 1; pass < PASSES && p.fields.count; pass++) {
                if ((r = learn(&p, script, err)) < 0)
                        return r;
                label_fields(&p, script);
                if ((r = sf_align_files(&p.align, script, err)) < 0)
                        return r;
        }
        return predict ? sf_cfi_prune(&p.align, file->data, &p.image, script, err) : 0;
}

/* How all new files are put together. */
struct scripts {
        struct sf_script *scripts; /* owned */
        size_t count;
        uint64_t literals; /* bytes spelt out, in all */
};

static void cleanup_scripts(struct scripts *s)
{
        for (size_t i = 0; i < s->count; i++)
                sf_script_free(&s->scripts[i]);
        free(s->scripts);
}

static int make_scripts(const struct sf_delta_files *old, const struct sf_delta_files *new, bool predict,
                        struct scripts *ret, struct sf_error *err)
{
        _cleanup_(cleanup_library) struct library library = { 0 };
        int r = open_library(&library, old, new, predict, err);

        if (r < 0)
                return r;
        ret->scripts = calloc(new->count + 1, sizeof *ret->scripts);
        if (!ret->scripts)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory to make a delta");
        for (; ret->count < new->count; ret->count++) {
                struct sf_script *script = &ret->scripts[ret->count];

                if ((r = make_script(old, new, ret->count, predict, &library, script, err)) < 0) {
                        sf_script_free(script);
                        return r;
                }
                for (size_t i = 0; i < script->count; i++)
                        ret->literals += script->steps[i].literal;
        }
        return 0;
}

static int encode(const struct sf_delta_files *old, const struct sf_delta_files *new, bool predict, unsigned *derived,
                  struct sf_buffer *ret_patch, struct sf_error *err)
{
        _cleanup_(sf_replay_close) struct sf_replay replay = { 0 };
        _cleanup_(cleanup_scripts) struct scripts scripts = { 0 };
        _cleanup_free_ uint8_t *out = calloc(sf_delta_files_size(new) + 1, 1);
        uint64_t offset = 0;
        int r;

        if (!out)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory to make a delta");
        if ((r = make_scripts(old, new, predict, &scripts, err)) < 0)
                return r;
        const uint8_t header[SF_BINDIFF_HEADER] = { SF_PREDICTOR_VERSION,
                                                    (uint8_t)sf_replay_slots_log(scripts.literals) };
        if ((r = sf_replay_open(&replay, old, new, sf_delta_files_bytes(new), out, predict, derived, header[1], err)) <
                    0 ||
            (r = sf_buffer_append(ret_patch, header, sizeof header, err)) < 0)
                return r;
        sf_coder_encode(&replay.coder, ret_patch);
        for (size_t i = 0; i < new->count; i++) {
                if ((r = sf_replay_file(&replay, i, offset, &scripts.scripts[i], err)) < 0)
                        return r;
                offset += new->files[i].size;
        }
        return sf_coder_finish(&replay.coder, err);
}

int sf_bindiff_encode(const struct sf_delta_files *old, const struct sf_delta_files *new, bool predict,
                      struct sf_buffer *ret_patch, struct sf_error *err)
{
        _cleanup_(sf_blanked_free) struct sf_blanked before = { 0 }, after = { 0 };
        int r;

        if ((r = sf_blanked_copy(old, predict, &before, err)) < 0 ||
            (r = sf_blanked_copy(new, predict, &after, err)) < 0)
                return r;
        return encode(&(struct sf_delta_files){ before.files, before.count },
                      &(struct sf_delta_files){ after.files, after.count }, predict, after.which, ret_patch, err);
}
