/* SPDX-License-Identifier: Apache-2.0 */
/* delta/codec/replay-copy.c - see replay.h. What is copied is never just copied: references in it are predicted. */
#include "delta/codec/replay-job.h"

#include <elf.h>
#include <stddef.h>
#include <string.h>

#include "delta/codec/literal_a64.h"

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
static void predict_field(struct sf_replay_job *j, const struct sf_predictor *p, const struct sf_field *field,
                          uint64_t position, struct sf_prediction *ret)
{
        uint64_t word;

        sf_predict(p, field, &j->image, j->out, position, ret);
        if (is_place(field) && field->position >= sizeof(Elf64_Rela))
                ret->alternative = j->replay->fields.last_place + sf_field_get(field, p->data + field->position) -
                                   sf_field_get(field, p->data + field->position - sizeof(Elf64_Rela));
        if (field->kind != SF_FIELD_POINTER || field->width != 8 ||
            !sf_relocated_word(&j->relocated, j->out, sf_image_address(&j->image, position), &word))
                return;
        ret->alternative = ret->value;
        ret->value = word;
        ret->source = SF_PREDICT_RELOCATED;
}

/* True for one in arm64 code that is coded as such. */
static bool is_instruction(const struct sf_replay_job *j, const struct sf_field *field, uint64_t position)
{
        return j->image.a64_words && position % 4 == 0 && sf_field_bits(field) != UINT64_MAX;
}

/* Whether nothing but the number in an instruction is another. */
static bool is_other_number(struct sf_replay_job *j, const struct sf_field *field, const struct sf_prediction *guess,
                            uint64_t value)
{
        if (field->form != SF_FORM_NUMBER)
                return false;
        return sf_coder_bit(&j->replay->coder, &j->replay->fields.number[field->kind],
                            ((value ^ guess->value) & ~sf_field_bits(field)) == 0);
}

/* An instruction that is neither as guessed nor as the second guess has it: not only its operand may be another. */
static uint64_t correct(struct sf_replay_job *j, const struct sf_predictor *p, const struct sf_field *field,
                        uint64_t position, uint64_t guess)
{
        uint8_t word[4];

        sf_field_put(field, word, guess);
        sf_a64_correct(&j->replay->literals, &(struct sf_a64_correction){ p, field->position, sf_get32(word) },
                       &j->image, j->out, j->truth, position);
        return sf_field_get(field, j->out + position);
}

/* What the last predictions were worth; in arm64 code also how far in front of `position` something was not as expected
 * or the copy started: where one instruction is another, its neighbours are, too. */
static unsigned context_of(const struct sf_replay_job *j, uint8_t kind, uint64_t position)
{
        uint64_t distance = position - j->trouble;
        unsigned history = j->replay->fields.history[kind];

        if (!j->image.a64_words)
                return history;
        return (distance < 32 ? 2u : distance < 256 ? 1u : 0u) * 4 + (history & 3);
}

/* One reference field of a copy, to be at `position` of the new file. */
static void code_field(struct sf_replay_job *j, struct sf_predictor *p, const struct sf_field *field, uint64_t position)
{
        struct sf_field_model *m = &j->replay->fields;
        struct sf_coder *c = &j->replay->coder;
        struct sf_prediction guess;
        uint8_t kind = field->kind;

        predict_field(j, p, field, position, &guess);
        uint64_t value = j->truth ? sf_field_get(field, j->truth + position) : 0;
        bool right = sf_coder_bit(c, &m->predicted[kind][guess.source][context_of(j, kind, position)],
                                  value == guess.value);
        if (!right)
                j->trouble = position;
        m->history[kind] = (uint8_t)((m->history[kind] << 1 | !right) & 7);
        if (right) {
                value = guess.value;
        } else if (guess.alternative != guess.value &&
                   sf_coder_bit(c, &m->alternative[kind][guess.source], value == guess.alternative)) {
                value = guess.alternative;
        } else if (is_instruction(j, field, position) && !is_other_number(j, field, &guess, value)) {
                value = correct(j, p, field, position, guess.value);
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
        uint64_t last_gap; /* plain bytes between the last two that differed */
        unsigned found;    /* differing bytes so far */
};

/* True where plain bytes of arm64 code from offset `at` of the copy up to `stop` start with an instruction. */
static bool is_word(const struct sf_replay_job *j, const struct plain *p, uint64_t at, uint64_t stop)
{
        return (p->step->from + at) % 4 == 0 && sf_a64_is_word(&j->image, p->position + at, stop - at);
}

/* Encoding: counts plain bytes from offset `at` of the copy, where field `next` is the next one, to the first that
 * differs. */
static uint64_t count_plain(const struct sf_replay_job *j, const struct plain *p, uint64_t at, size_t next)
{
        const struct sf_address_fields *fields = &p->predictor->fields;
        const uint8_t *old = p->predictor->data + p->step->from, *new = j->truth + p->position;
        uint64_t count = 0;

        while (at < p->step->copy) {
                uint64_t stop = p->step->copy;
                const struct sf_field *field = next < fields->count ? &fields->fields[next] : NULL;

                if (field && (uint64_t)field->position + field->width <= p->step->from + p->step->copy)
                        stop = field->position - p->step->from;
                uint64_t start = at;
                for (; at < stop; at++, count++)
                        if (old[at] != new[at]) {
                                uint64_t inside = (p->position + at) % 4; /* its instruction, told as a whole */

                                return count - (at - start >= inside && is_word(j, p, at - inside, stop) ? inside : 0);
                        }
                if (stop == p->step->copy)
                        break;
                at = stop + field->width;
                next++;
        }
        return UINT64_MAX;
}

/* As many plain bytes; in arm64 code they come in fours. */
static uint64_t code_distance(struct sf_replay_job *j, unsigned code, struct sf_number *number, uint64_t distance)
{
        struct sf_replay *r = j->replay;

        if (!j->image.a64_words || !code)
                return sf_coder_number(&r->coder, number, distance);
        uint64_t words = sf_coder_number(&r->coder, number, distance >> 2);
        return words << 2 | sf_coder_low(&r->coder, r->gap_low, distance);
}

/* How far the next differing byte is. */
static void code_gap(struct sf_replay_job *j, struct plain *p, uint64_t at, size_t next)
{
        struct sf_replay *r = j->replay;
        uint64_t end;
        unsigned code = sf_image_is_code(&j->image, p->position + at, &end);
        unsigned length = p->step->copy < 64 ? 0 : p->step->copy < 512 ? 1 : p->step->copy < 4096 ? 2 : 3;
        unsigned close = !p->found ? 0 : p->last_gap < 4 ? 1 : p->last_gap < 64 ? 2 : 3;
        unsigned more = (length * 4 + (p->found < 3 ? p->found : 3)) * 4 + code * 2 + (close == 1);

        p->until = j->truth ? count_plain(j, p, at, next) : 0;
        if (sf_coder_bit(&r->coder, &r->more[more], p->until != UINT64_MAX))
                p->until = p->last_gap = code_distance(j, code, &r->gap[code * 4 + close], p->until);
        else
                p->until = UINT64_MAX;
        p->found++;
}

static void code_differing(struct sf_replay_job *j, const struct plain *p, uint64_t at)
{
        struct sf_replay *r = j->replay;
        const uint8_t *old = p->predictor->data + p->step->from;
        uint8_t *new = j->out + p->position;
        uint32_t was = old[at], next = at + 1 < p->step->copy ? old[at + 1] : 0;
        uint32_t b1 = at ? new[at - 1] : 0, b2 = at > 1 ? new[at - 2] : 0, b3 = at > 2 ? new[at - 3] : 0;
        uint32_t gap = p->last_gap < 7 ? (uint32_t)p->last_gap : 7;
        uint32_t contexts[SF_DIFFERING_CONTEXTS] = {
                sf_hash(51, was),
                sf_hash(52, was | b1 << 8),
                sf_hash(53, was | b1 << 8 | next << 16),
                sf_hash(54, was | b1 << 8 | b2 << 16),
                sf_hash(55, was | (uint32_t)j->last_old << 8 | (uint32_t)j->last_new << 16),
                sf_hash(56, b1 | b2 << 8 | b3 << 16),
                sf_hash(57, was | (uint32_t)((p->position + at) & 7) << 8 | gap << 16 | (uint32_t)(p->found < 2) << 20),
                sf_hash(58, was | (uint32_t)(at ? old[at - 1] : 0) << 8 | b1 << 16 | next << 24),
        };

        new[at] = sf_model_byte(&r->model, &r->differing, &r->coder, contexts, 0, was,
                                j->truth ? j->truth[p->position + at] : 0);
        j->last_old = (uint8_t)was;
        j->last_new = new[at];
}

static void code_differing_word(struct sf_replay_job *j, const struct plain *p, uint64_t at)
{
        uint64_t old = p->step->from + at;

        j->trouble = p->position + at;
        sf_a64_correct(&j->replay->literals,
                       &(struct sf_a64_correction){ p->predictor, old, sf_get32(p->predictor->data + old) }, &j->image,
                       j->out, j->truth, p->position + at);
}

/* Plain bytes [at, stop) of the copy. */
static void code_plain(struct sf_replay_job *j, struct plain *p, uint64_t at, uint64_t stop, size_t next)
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
                if (is_word(j, p, at, stop)) {
                        code_differing_word(j, p, at);
                        at += 4;
                } else {
                        code_differing(j, p, at);
                        at++;
                }
                code_gap(j, p, at, next);
        }
}

void sf_replay_copy(struct sf_replay_job *j, const struct sf_step *step, uint64_t position)
{
        struct sf_predictor *predictor = &j->predictors[step->reference];
        const struct sf_address_fields *fields = &predictor->fields;
        struct plain plain = { .step = step, .predictor = predictor, .position = position };
        size_t next = sf_address_fields_first(fields, step->from);
        uint64_t at = 0;

        j->trouble = position;
        code_gap(j, &plain, 0, next);
        for (; next < fields->count; next++) {
                const struct sf_field *field = &fields->fields[next];

                if ((uint64_t)field->position + field->width > step->from + step->copy)
                        break;
                uint64_t start = field->position - step->from;
                code_plain(j, &plain, at, start, next);
                sf_replay_look(j, position + start);
                code_field(j, predictor, field, position + start);
                at = start + field->width;
        }
        code_plain(j, &plain, at, step->copy, next);
}
