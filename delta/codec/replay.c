/* SPDX-License-Identifier: Apache-2.0 */
/* delta/codec/replay.c - see replay.h. */
#include "delta/codec/replay.h"

#include <elf.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "delta/codec/pretrain.h"
#include "delta/codec/replay-job.h"
#include "delta/predict/string_match.h"

#define SLOTS_PER_BYTE 16                  /* of the model, for each byte that is coded as a literal */
#define MATCHER_WORTH  64                  /* literal bytes in a file for which matches are looked for */
#define FIXED_MEMORY   (UINT64_C(4) << 20) /* mixers and their like */

unsigned sf_replay_slots_log(uint64_t coded_bytes)
{
        unsigned log = SF_REPLAY_SLOTS_LOG_MIN;

        while (log < SF_REPLAY_SLOTS_LOG_MAX && coded_bytes * SLOTS_PER_BYTE >> log)
                log++;
        return log;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
        return a > b ? a : b;
}

static uint64_t largest_of(const struct sf_delta_files *files)
{
        uint64_t largest = 0;

        for (size_t i = 0; i < files->count; i++)
                largest = larger(largest, files->files[i].size);
        return largest;
}

/* For one file after the other: fields are looked for, the map is made, bytes are coded. */
static uint64_t elf_memory(uint64_t largest, uint64_t mapping)
{
        uint64_t coding = sf_matcher_memory(largest, 0) + sf_symbol_match_memory(largest) + sf_cfi_memory(largest) +
                          larger(sf_string_match_memory(largest), largest); /* old code is read in a copy of its file */

        return SF_SCRIPT_REFERENCES_MAX * sf_address_fields_memory(largest) +
               larger(sf_address_fields_scratch(largest), larger(mapping, coding));
}

uint64_t sf_replay_memory(const struct sf_delta_files *old, const struct sf_delta_files *new, bool predict)
{
        uint64_t largest_new = largest_of(new), largest = larger(largest_of(old), largest_new);
        uint64_t steps = sf_script_most_steps(largest_new);
        uint64_t mapping = steps * sizeof(struct sf_piece) + sf_map_scratch(steps);

        return sf_model_memory(SF_REPLAY_SLOTS_LOG_MAX) + FIXED_MEMORY + sf_script_memory(largest_new) +
               sf_map_memory(steps) +
               (predict ? elf_memory(largest, mapping) : larger(sf_matcher_memory(largest, 0), mapping));
}

int sf_replay_open(struct sf_replay *r, const struct sf_replay_input *input, unsigned slots_log, struct sf_error *err)
{
        *r = (struct sf_replay){ .old = input->old,
                                 .new = input->new,
                                 .truth = input->truth,
                                 .out = input->out,
                                 .predict = input->predict,
                                 .derived = input->derived };
        int result = sf_model_open(&r->model, input->tape ? SF_REPLAY_SLOTS_LOG_MIN : slots_log, err);

        r->model.tape = input->tape;
        if (result < 0 ||
            (result = sf_literals_open(&r->literals, &r->coder, &r->model, input->predict >= SF_PREDICTOR_WORDS, err)) <
                    0 ||
            (result = sf_mixer_open(&r->differing, &r->model, SF_DIFFERING_CONTEXTS, 1, SF_DIFFERING_DETAILS, err)) <
                    0) {
                sf_replay_close(r);
                return result;
        }
        sf_probabilities_start(r->is_derived, SF_LINKER_TABLE_KINDS);
        sf_script_model_start(&r->scripts, input->predict >= SF_PREDICTOR_WORDS);
        sf_table_layout_model_start(&r->layouts);
        sf_probabilities_start(r->fields.predicted[0][0], sizeof r->fields.predicted / sizeof(sf_probability));
        sf_probabilities_start(r->fields.alternative[0], sizeof r->fields.alternative / sizeof(sf_probability));
        sf_probabilities_start(r->fields.repeated, SF_FIELD_KINDS);
        for (size_t i = 0; i < SF_FIELD_KINDS; i++)
                sf_number_start(&r->fields.error[i]);
        for (size_t i = 0; i < SF_GAP_CONTEXTS; i++)
                sf_number_start(&r->gap[i]);
        sf_probabilities_start(r->more, SF_MORE_CONTEXTS);
        sf_probabilities_start(r->gap_low, sizeof r->gap_low / sizeof(sf_probability));
        sf_probabilities_start(r->fields.number, SF_FIELD_KINDS);
        return 0;
}

void sf_replay_close(struct sf_replay *r)
{
        sf_model_close(&r->model);
        sf_literals_close(&r->literals);
        sf_mixer_close(&r->differing);
}

static void cleanup_job(struct sf_replay_job *j)
{
        for (size_t i = 0; i < SF_SCRIPT_REFERENCES_MAX; i++)
                sf_predictor_close(&j->predictors[i]);
        sf_matcher_close(&j->matcher);
        sf_symbol_match_close(&j->names);
        sf_cfi_close(&j->cfi);
}

/* `end`: what stood here in the reference, for all that is known, starts there. */
static void code_literal(struct sf_replay_job *j, uint32_t reference, uint64_t position, uint64_t left, uint64_t end)
{
        const struct sf_predictor *p = &j->predictors[reference];

        sf_replay_look(j, position);
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
                        run.foreign = reference != 0;
                }
                sf_literals_code(&j->replay->literals, &run);
                position += run.length;
                end += run.length;
                left -= run.length;
                sf_replay_look(j, position);
        }
}

/* The part of [start, start + length) that lies inside a window. */
struct part {
        uint64_t skipped, length;
};

static struct part clip(uint64_t start, uint64_t length, uint64_t from, uint64_t to)
{
        uint64_t end = start + length < to ? start + length : to, first = start > from ? start : from;

        return first < end ? (struct part){ first - start, end - first } : (struct part){ 0, 0 };
}

/* The bytes at positions [from, to) of the file. A copy that reaches across a border is two. */
static int code_window(struct sf_replay_job *j, uint64_t from, uint64_t to, struct sf_error *err)
{
        uint64_t ends[SF_SCRIPT_REFERENCES_MAX] = { 0 }, position = 0;

        for (size_t i = 0; i < j->script->count && position < to; i++) {
                struct sf_step step = j->script->steps[i];
                struct part literal = clip(position, step.literal, from, to);
                struct part copy = clip(position + step.literal, step.copy, from, to);

                if (sf_coder_exhausted(&j->replay->coder))
                        return sf_error_set(err, SF_ERR_CORRUPT, "the patch ends too early");
                if (literal.length)
                        code_literal(j, step.reference, position + literal.skipped, literal.length,
                                     ends[step.reference] + literal.skipped);
                position += step.literal;
                if (copy.length)
                        sf_replay_copy(j,
                                       &(struct sf_step){ .reference = step.reference,
                                                          .from = step.from + copy.skipped,
                                                          .copy = copy.length },
                                       position + copy.skipped);
                position += step.copy;
                ends[step.reference] = step.from + step.copy;
        }
        return 0;
}

/* Tables of strings, in the order that linkers put them: done before what refers to them. */
static const enum sf_table early[] = { SF_TABLE_STRINGS, SF_TABLE_TEXTS };
#define EARLY (sizeof early / sizeof *early)

/* What of [from, to) is no early table. */
static int code_late(struct sf_replay_job *j, const struct sf_table_extent *ranges, uint64_t from, uint64_t to,
                     struct sf_error *err)
{
        for (size_t i = 0; i <= EARLY && from < to; i++) {
                uint64_t stop = i < EARLY && ranges[i].position < to ? ranges[i].position : to;
                int r = stop > from ? code_window(j, from, stop, err) : 0;

                if (r < 0)
                        return r;
                if (i < EARLY && ranges[i].position + ranges[i].size > from)
                        from = ranges[i].position + ranges[i].size;
        }
        return 0;
}

static int code_early(struct sf_replay_job *j, uint64_t done, struct sf_table_extent *ret_ranges, struct sf_error *err)
{
        int r = 0;

        j->out_of_order = true;
        for (size_t i = 0; i < EARLY && r == 0; i++) {
                struct sf_table_extent *range = &ret_ranges[i];

                *range = j->layout.tables[early[i]];
                if (range->position < done)
                        *range = (struct sf_table_extent){ done, 0 }; /* lies otherwise: waits its turn */
                done = range->position + range->size;
                r = code_window(j, range->position, done, err);
                if (r == 0)
                        r = sf_string_match_tell(j->out, early[i], range, j->predictors, j->script->reference_count,
                                                 err);
        }
        j->out_of_order = false;
        return r;
}

/* Headers first, because everything is understood through them; then strings; then all the rest, with pretraining as
 * soon as names are known. */
static int code_content(struct sf_replay_job *j, struct sf_error *err)
{
        struct sf_replay *replay = j->replay;
        struct sf_table_extent ranges[EARLY];
        uint64_t head = j->size < SF_IMAGE_HEADERS_MAX ? j->size : SF_IMAGE_HEADERS_MAX;
        uint64_t tables = sf_symbol_match_end(&j->layout) > head ? sf_symbol_match_end(&j->layout) : head;
        int r = code_window(j, 0, head, err);

        if (r < 0 || (r = code_early(j, head, ranges, err)) < 0 || (r = code_late(j, ranges, head, tables, err)) < 0)
                return r;
        if (j->predictors[0].image.elf &&
            (r = sf_pretrain(&replay->literals, &j->predictors[0], &j->image, j->script, &replay->pretrained, err)) < 0)
                return r;
        return code_late(j, ranges, tables, j->size, err);
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

static int set_map(struct sf_replay_job *j, uint32_t reference, struct sf_error *err)
{
        _cleanup_free_ struct sf_piece *copies = calloc(j->script->count + 1, sizeof *copies);

        if (!copies)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for %zu copies", j->script->count);
        size_t count = sf_script_copies(j->script, reference, copies);
        return sf_predictor_set_map(&j->predictors[reference], copies, count, err);
}

/* A file with next to no literals is not worth an index. */
static int open_matcher(struct sf_replay_job *j, struct sf_error *err)
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
static int open_names(struct sf_replay_job *j, struct sf_error *err)
{
        if (j->truth)
                sf_table_layout_read(j->truth, j->size, &j->layout);
        if (j->script->reference_count)
                sf_table_layout_code(&j->replay->coder, &j->replay->layouts, &j->predictors[0].layout,
                                     &j->predictors[0].map, j->size, &j->layout);
        else
                j->layout = (struct sf_table_layout){ 0 };
        if (j->script->reference_count > 1) {
                int r = sf_symbol_match_relate(&j->predictors[0], &j->predictors[1], err);
                if (r == 0)
                        r = sf_symbol_match_relate(&j->predictors[1], &j->predictors[0], err);
                if (r < 0)
                        return r;
        }
        return sf_symbol_match_open(&j->names, &j->layout, err);
}

/* Which tables of a file are blank. */
static void code_derived(struct sf_replay *r, size_t index)
{
        unsigned which = r->truth ? r->derived[index] : 0, told = 0;

        for (unsigned i = 0; r->predict && i < SF_LINKER_TABLE_KINDS; i++)
                told |= sf_coder_bit(&r->coder, &r->is_derived[i], which >> i & 1) << i;
        r->derived[index] = told;
}

int sf_replay_file(struct sf_replay *r, size_t index, uint64_t offset, struct sf_script *script, struct sf_error *err)
{
        _cleanup_(cleanup_job) struct sf_replay_job j = { .replay = r,
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
