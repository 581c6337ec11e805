/* delta/replay.c - see replay.h. */
#include "delta/replay.h"

#include <elf.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "delta/cfi.h"
#include "delta/names.h"
#include "delta/relocated.h"

#define DIFFERING_CONTEXTS 6
#define SLOTS_PER_BYTE     16   /* of the model, for each byte that is spelt out */
#define MATCHER_WORTH      64 /* literal bytes in a file for which matches are looked for */
#define FIXED_MEMORY       (UINT64_C(8) << 20)

/* One new file while it is put together. */
struct job {
        struct sf_replay *replay;
        uint8_t *out;
        const uint8_t *truth;
        uint64_t size;
        struct sf_script *script;
        struct sf_predictor predictors[SF_SCRIPT_REFERENCES_MAX];
        struct sf_image image; /* of the new file, once its headers are there */
        bool image_open;
        struct sf_matcher matcher;
        struct sf_relocated relocated;
        struct sf_cfi cfi;
        struct sf_layout layout; /* of the new file */
        struct sf_names names;
        uint8_t last_old, last_new; /* of the last byte that differed */
};

unsigned sf_replay_slots_log(uint64_t coded_bytes)
{
        unsigned log = SF_REPLAY_SLOTS_LOG_MIN;

        while (log < SF_REPLAY_SLOTS_LOG_MAX && coded_bytes * SLOTS_PER_BYTE >> log)
                log++;
        return log;
}

uint64_t sf_replay_memory(const struct sf_delta_files *old, const struct sf_delta_files *new)
{
        uint64_t largest = 0, largest_new = 0;

        for (size_t i = 0; i < old->count; i++)
                if (old->files[i].size > largest)
                        largest = old->files[i].size;
        for (size_t i = 0; i < new->count; i++)
                if (new->files[i].size > largest_new)
                        largest_new = new->files[i].size;
        if (largest_new > largest)
                largest = largest_new;
        uint64_t steps = largest_new / SF_SCRIPT_COPY_MIN;
        if (steps > SF_SCRIPT_STEPS_MAX)
                steps = SF_SCRIPT_STEPS_MAX;
        /* a list of steps grown by doubling, their copies, and the making of a map */
        uint64_t script = steps * (2 * sizeof(struct sf_step) + 4 * sizeof(struct sf_piece));
        return sf_model_memory(SF_REPLAY_SLOTS_LOG_MAX) + script + FIXED_MEMORY + sf_matcher_memory(largest, 0) +
               sf_names_memory(largest) + sf_cfi_memory(largest_new) +
               sf_fields_scratch(largest) + SF_SCRIPT_REFERENCES_MAX * sf_fields_memory(largest);
}

int sf_replay_open(struct sf_replay *r, const struct sf_delta_files *old, const struct sf_delta_files *new,
                   const uint8_t *truth, uint8_t *out, bool predict, unsigned *derived, unsigned slots_log,
                   struct sf_error *err)
{
        *r = (struct sf_replay){
                .old = old, .new = new, .truth = truth, .out = out, .predict = predict, .derived = derived
        };
        int result = sf_model_open(&r->model, slots_log, err);

        if (result < 0 || (result = sf_literals_open(&r->literals, &r->coder, &r->model, err)) < 0 ||
            (result = sf_mixer_open(&r->differing, &r->model, DIFFERING_CONTEXTS, 1, err)) < 0) {
                sf_replay_close(r);
                return result;
        }
        sf_probabilities_start(r->is_derived, SF_DERIVED_KINDS);
        sf_script_model_start(&r->scripts);
        sf_layout_model_start(&r->layouts);
        sf_probabilities_start(r->fields.predicted[0][0], sizeof r->fields.predicted / sizeof(sf_probability));
        sf_probabilities_start(r->fields.alternative[0], sizeof r->fields.alternative / sizeof(sf_probability));
        sf_probabilities_start(r->fields.repeated, SF_FIELD_KINDS);
        for (size_t i = 0; i < SF_FIELD_KINDS; i++)
                sf_number_start(&r->fields.error[i]);
        sf_number_start(&r->gap);
        sf_probabilities_start(r->more, sizeof r->more / sizeof *r->more);
        return 0;
}

void sf_replay_close(struct sf_replay *r)
{
        sf_model_close(&r->model);
        sf_literals_close(&r->literals);
        sf_mixer_close(&r->differing);
}

static void cleanup_job(struct job *j)
{
        for (size_t i = 0; i < SF_SCRIPT_REFERENCES_MAX; i++)
                sf_predictor_close(&j->predictors[i]);
        sf_matcher_close(&j->matcher);
        sf_names_close(&j->names);
        sf_cfi_close(&j->cfi);
}

/* Opens the new file's image as soon as its headers are there. */
static void look_at_headers(struct job *j, uint64_t known)
{
        if (j->image_open || !j->replay->predict || known < sf_image_headers(j->out, known))
                return;
        sf_image_open(j->out, known, &j->image);
        j->image_open = true;
}

/* What the first `known` bytes of the new file reveal that the predictors should know. */
static void look_around(struct job *j, uint64_t known)
{
        look_at_headers(j, known);
        if (known >= j->names.next && j->image_open)
                sf_names_tell(&j->names, j->out, known, &j->image, j->predictors, j->script->reference_count);
}

/* True for where a relocation is to be applied. */
static bool is_place(const struct sf_field *field)
{
        return field->kind == SF_FIELD_RELOCATION && field->form == SF_FORM_ADDRESS;
}

/* True for such a field of a relocation that names no symbol. */
static bool is_relative(const struct sf_predictor *p, const struct sf_field *field)
{
        return p->size - field->position >= sizeof(Elf64_Rela) &&
               sf_get32(p->data + field->position + offsetof(Elf64_Rela, r_info) + 4) == 0;
}

/* The prediction, corrected by what the new file's relocations say about a pointer. */
static void predict_field(struct job *j, const struct sf_predictor *p, const struct sf_field *field, uint64_t position,
                          struct sf_prediction *ret)
{
        uint64_t word;

        sf_predict(p, field, &j->image, j->out, position, ret);
        if (field->kind != SF_FIELD_POINTER || field->width != 8 ||
            !sf_relocated_word(&j->relocated, j->out, sf_image_address(&j->image, position), &word))
                return;
        ret->alternative = ret->value;
        ret->value = word;
        ret->source = SF_PREDICT_RELOCATED;
}

/* One reference field of a copy, to be at `position` of the new file. */
static void code_field(struct job *j, struct sf_predictor *p, const struct sf_field *field, uint64_t position)
{
        struct sf_field_model *m = &j->replay->fields;
        struct sf_coder *c = &j->replay->coder;
        struct sf_prediction guess;
        uint8_t kind = field->kind;

        predict_field(j, p, field, position, &guess);
        uint64_t value = j->truth ? sf_field_get(field, j->truth + position) : 0;
        bool right = sf_coder_bit(c, &m->predicted[kind][guess.source][m->history[kind]], value == guess.value);
        m->history[kind] = (uint8_t)((m->history[kind] << 1 | !right) & 7);
        if (right) {
                value = guess.value;
        } else if (guess.alternative != guess.value &&
                   sf_coder_bit(c, &m->alternative[kind][guess.source], value == guess.alternative)) {
                value = guess.alternative;
        } else {
                /* Places of relocations follow one another, whatever the old ones did. */
                uint64_t from = is_place(field) ? m->last_place : guess.value;
                int64_t error = sf_field_signed(field, value - from);

                if (sf_coder_bit(c, &m->repeated[kind], error == m->last_error[kind]))
                        error = m->last_error[kind];
                else
                        error = sf_coder_signed(c, &m->error[kind], error);
                m->last_error[kind] = error;
                value = from + (uint64_t)error;
        }
        sf_field_put(field, j->out + position, value);
        if (is_place(field)) {
                m->last_place = value;
                if (is_relative(p, field))
                        sf_relocated_note(&j->relocated, position);
        }
        sf_predict_learn(p, field, &j->image, position, value);
}

/* The bytes of a copy that belong to no field, up to the next one that differs. */
struct plain {
        const struct sf_step *step;
        const struct sf_predictor *predictor;
        uint64_t position; /* where the copy goes */
        uint64_t until;    /* plain bytes left before the one that differs; UINT64_MAX: none does any more */
        unsigned found;    /* differing bytes so far */
};

/* Encoding: counts plain bytes from offset `at` of the copy, where field `next` is the next one, to the first that
 * differs. */
static uint64_t count_plain(const struct job *j, const struct plain *p, uint64_t at, size_t next)
{
        const struct sf_fields *fields = &p->predictor->fields;
        const uint8_t *old = p->predictor->data + p->step->from, *new = j->truth + p->position;
        uint64_t count = 0;

        while (at < p->step->copy) {
                uint64_t stop = p->step->copy;
                const struct sf_field *field = next < fields->count ? &fields->fields[next] : NULL;

                if (field && (uint64_t)field->position + field->width <= p->step->from + p->step->copy)
                        stop = field->position - p->step->from;
                for (; at < stop; at++, count++)
                        if (old[at] != new[at])
                                return count;
                if (stop == p->step->copy)
                        break;
                at = stop + field->width;
                next++;
        }
        return UINT64_MAX;
}

/* How far the next differing byte is. */
static void code_gap(struct job *j, struct plain *p, uint64_t at, size_t next)
{
        struct sf_replay *r = j->replay;
        unsigned length = p->step->copy < 64 ? 0 : p->step->copy < 512 ? 1 : p->step->copy < 4096 ? 2 : 3;
        unsigned context = length * 4 + (p->found < 3 ? p->found : 3);

        p->until = j->truth ? count_plain(j, p, at, next) : 0;
        if (sf_coder_bit(&r->coder, &r->more[context], p->until != UINT64_MAX))
                p->until = sf_coder_number(&r->coder, &r->gap, p->until);
        else
                p->until = UINT64_MAX;
        p->found++;
}

static void code_differing(struct job *j, const struct plain *p, uint64_t at)
{
        struct sf_replay *r = j->replay;
        const uint8_t *old = p->predictor->data + p->step->from;
        uint8_t *new = j->out + p->position;
        uint32_t was = old[at], next = at + 1 < p->step->copy ? old[at + 1] : 0;
        uint32_t b1 = at ? new[at - 1] : 0, b2 = at > 1 ? new[at - 2] : 0, b3 = at > 2 ? new[at - 3] : 0;
        uint32_t contexts[DIFFERING_CONTEXTS] = {
                sf_hash(51, was),
                sf_hash(52, was | b1 << 8),
                sf_hash(53, was | b1 << 8 | next << 16),
                sf_hash(54, was | b1 << 8 | b2 << 16),
                sf_hash(55, was | (uint32_t)j->last_old << 8 | (uint32_t)j->last_new << 16),
                sf_hash(56, b1 | b2 << 8 | b3 << 16),
        };

        new[at] = sf_model_byte(&r->model, &r->differing, &r->coder, contexts, 0,
                                j->truth ? j->truth[p->position + at] : 0);
        j->last_old = (uint8_t)was;
        j->last_new = new[at];
}

/* Plain bytes [at, stop) of the copy. */
static void code_plain(struct job *j, struct plain *p, uint64_t at, uint64_t stop, size_t next)
{
        const uint8_t *old = p->predictor->data + p->step->from;

        while (at < stop) {
                uint64_t same = p->until < stop - at ? p->until : stop - at;

                memcpy(j->out + p->position + at, old + at, same);
                at += same;
                if (p->until != UINT64_MAX)
                        p->until -= same;
                if (at == stop)
                        return;
                code_differing(j, p, at);
                at++;
                code_gap(j, p, at, next);
        }
}

static void code_copy(struct job *j, const struct sf_step *step, uint64_t position)
{
        struct sf_predictor *predictor = &j->predictors[step->reference];
        const struct sf_fields *fields = &predictor->fields;
        struct plain plain = { .step = step, .predictor = predictor, .position = position };
        size_t next = sf_fields_first(fields, step->from);
        uint64_t at = 0;

        code_gap(j, &plain, 0, next);
        for (; next < fields->count; next++) {
                const struct sf_field *field = &fields->fields[next];

                if ((uint64_t)field->position + field->width > step->from + step->copy)
                        break;
                uint64_t start = field->position - step->from;
                code_plain(j, &plain, at, start, next);
                look_around(j, position + start);
                code_field(j, predictor, field, position + start);
                at = start + field->width;
        }
        code_plain(j, &plain, at, step->copy, next);
}

static void code_literal(struct job *j, const struct sf_step *step, uint64_t position, const uint64_t *ends)
{
        const struct sf_predictor *p = &j->predictors[step->reference];
        uint64_t left = step->literal, end = ends[step->reference];

        while (left) {
                struct sf_literal_run run = { .out = j->out,
                                              .truth = j->truth,
                                              .position = position,
                                              .length = left,
                                              .image = &j->image,
                                              .matcher = &j->matcher,
                                              .predictor = &j->predictors[0],
                                              .relocated = &j->relocated,
                                              .cfi = &j->cfi };
                uint64_t headers = sf_image_headers(j->out, position);

                if (!j->image_open && headers > position && headers - position < left)
                        run.length = headers - position; /* the rest is coded knowing the headers */
                if (p->data && end < p->size) {
                        run.old = p->data + end;
                        run.old_length = p->size - end;
                }
                sf_literals_code(&j->replay->literals, &run);
                position += run.length;
                end += run.length;
                left -= run.length;
                look_around(j, position);
        }
}

/* The bytes of the file, first to last. */
static int code_content(struct job *j, struct sf_error *err)
{
        uint64_t ends[SF_SCRIPT_REFERENCES_MAX] = { 0 }, position = 0;

        for (size_t i = 0; i < j->script->count; i++) {
                const struct sf_step *step = &j->script->steps[i];

                if (sf_coder_exhausted(&j->replay->coder))
                        return sf_error_set(err, SF_ERR_CORRUPT, "the patch ends too early");
                look_around(j, position);
                code_literal(j, step, position, ends);
                position += step->literal;
                if (step->copy)
                        code_copy(j, step, position);
                position += step->copy;
                ends[step->reference] = step->from + step->copy;
        }
        return 0;
}

/* Data and size of a reference by its number. */
static void find_reference(const struct sf_replay *r, uint32_t reference, const uint8_t **ret_data, uint64_t *ret_size)
{
        uint64_t offset = 0;

        if (reference < r->old->count) {
                *ret_data = r->old->files[reference].data;
                *ret_size = r->old->files[reference].size;
                return;
        }
        for (size_t i = 0; i < reference - r->old->count; i++)
                offset += r->new->files[i].size;
        *ret_data = r->out + offset;
        *ret_size = r->new->files[reference - r->old->count].size;
}

static int set_map(struct job *j, uint32_t reference, struct sf_error *err)
{
        _cleanup_free_ struct sf_piece *copies = calloc(j->script->count + 1, sizeof *copies);
        uint64_t position = 0;
        size_t count = 0;

        if (!copies)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for %zu copies", j->script->count);
        for (size_t i = 0; i < j->script->count; i++) {
                const struct sf_step *step = &j->script->steps[i];

                position += step->literal;
                if (step->copy && step->reference == reference)
                        copies[count++] = (struct sf_piece){ step->from, position, step->copy };
                position += step->copy;
        }
        return sf_predictor_set_map(&j->predictors[reference], copies, count, err);
}

/* A file with next to no literals is not worth an index. */
static int open_matcher(struct job *j, struct sf_error *err)
{
        const struct sf_predictor *first = &j->predictors[0];
        uint64_t literals = 0;

        for (size_t i = 0; i < j->script->count; i++)
                literals += j->script->steps[i].literal;
        if (literals < MATCHER_WORTH)
                return 0;
        return sf_matcher_open(&j->matcher, first->data, first->size, j->size, err);
}

/* Where the new file's tables are, and what is to be made of their names. */
static int open_names(struct job *j, struct sf_error *err)
{
        if (j->truth)
                sf_layout_read(j->truth, j->size, &j->layout);
        if (j->script->reference_count)
                sf_layout_code(&j->replay->coder, &j->replay->layouts, &j->predictors[0].layout, &j->predictors[0].map,
                               j->size, &j->layout);
        else
                j->layout = (struct sf_layout){ 0 };
        return sf_names_open(&j->names, &j->layout, err);
}

/* Which tables of a file are blank. */
static void code_derived(struct sf_replay *r, size_t index)
{
        unsigned which = r->truth ? r->derived[index] : 0, told = 0;

        for (unsigned i = 0; r->predict && i < SF_DERIVED_KINDS; i++)
                told |= sf_coder_bit(&r->coder, &r->is_derived[i], which >> i & 1) << i;
        r->derived[index] = told;
}

int sf_replay_file(struct sf_replay *r, size_t index, uint64_t offset, struct sf_script *script, struct sf_error *err)
{
        _cleanup_(cleanup_job) struct job j = { .replay = r,
                                                .out = r->out + offset,
                                                .script = script,
                                                .truth = r->truth ? r->truth + offset : NULL,
                                                .size = r->new->files[index].size,
                                                .names = { .next = UINT64_MAX },
                                                .cfi = { .over = true } };
        uint64_t sizes[SF_SCRIPT_REFERENCES_MAX] = { 0 };
        uint32_t ancestor = r->new->files[index].ancestor;
        int result = sf_script_code_references(&r->coder, &r->scripts, script, ancestor ? ancestor - 1 : 0,
                                               (uint32_t)(r->old->count + index), err);

        if (result < 0)
                return result;
        code_derived(r, index);
        for (size_t i = 0; i < script->reference_count; i++) {
                const uint8_t *data;

                find_reference(r, script->references[i], &data, &sizes[i]);
                if ((result = sf_predictor_open(&j.predictors[i], data, sizes[i], r->predict, err)) < 0)
                        return result;
        }
        if ((result = sf_script_code_steps(&r->coder, &r->scripts, script, j.size, sizes, err)) < 0)
                return result;
        for (uint32_t i = 0; i < script->reference_count; i++)
                if ((result = set_map(&j, i, err)) < 0)
                        return result;
        if ((result = open_matcher(&j, err)) < 0 || (result = open_names(&j, err)) < 0 ||
            (r->predict && (result = sf_cfi_open(&j.cfi, j.out, j.size, &j.image, &j.relocated, &j.layout, err)) < 0))
                return result;
        return code_content(&j, err);
}
