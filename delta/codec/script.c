/* SPDX-License-Identifier: Apache-2.0 */
/* delta/codec/script.c - see script.h. */
#include "delta/codec/script.h"

#include <stdlib.h>

#define STEPS_ROOM 64 /* at first */

uint64_t sf_script_most_steps(uint64_t size)
{
        uint64_t steps = size / SF_SCRIPT_COPY_MIN + 1;

        return steps < SF_SCRIPT_STEPS_MAX ? steps : SF_SCRIPT_STEPS_MAX;
}

uint64_t sf_script_memory(uint64_t size)
{
        /* twice as many as there are, and their predecessors */
        return (3 * sf_script_most_steps(size) + STEPS_ROOM) * sizeof(struct sf_step);
}

int sf_script_add(struct sf_script *s, struct sf_step step, struct sf_error *err)
{
        if (s->count == SF_SCRIPT_STEPS_MAX)
                return sf_error_set(err, SF_ERR_LIMIT, "a file has more than %u steps", SF_SCRIPT_STEPS_MAX);
        if (s->count == s->room) {
                size_t room = s->room ? s->room * 2 : STEPS_ROOM;
                struct sf_step *steps = realloc(s->steps, room * sizeof *steps);

                if (!steps)
                        return sf_error_set(err, SF_ERR_NOMEM, "no memory for %zu steps", room);
                s->steps = steps;
                s->room = room;
        }
        s->steps[s->count++] = step;
        return 0;
}

size_t sf_script_copies(const struct sf_script *s, uint32_t reference, struct sf_piece *ret)
{
        uint64_t position = 0;
        size_t count = 0;

        for (size_t i = 0; i < s->count; i++) {
                const struct sf_step *step = &s->steps[i];

                position += step->literal;
                if (step->copy && step->reference == reference)
                        ret[count++] = (struct sf_piece){ step->from, position, step->copy };
                position += step->copy;
        }
        return count;
}

void sf_script_free(struct sf_script *s)
{
        free(s->steps);
        *s = (struct sf_script){ 0 };
}

void sf_script_model_start(struct sf_script_model *m, bool words)
{
        m->words = words;
        sf_probabilities_start(m->low[0], SF_SCRIPT_LOW_CONTEXTS * 4);
        sf_number_start(&m->count);
        sf_number_start(&m->reference);
        for (int i = 0; i < 2; i++) {
                sf_number_start(&m->literal[i]);
                sf_number_start(&m->copy[i]);
                for (int k = 0; k < SF_SCRIPT_DIAGONALS; k++)
                        sf_number_start(&m->jump[k][i]);
        }
        sf_probabilities_start(m->back[0], 2 * SF_SCRIPT_DIAGONALS);
        sf_probabilities_start(m->straight, 3);
        sf_probabilities_start(m->which[0], 3 * SF_SCRIPT_REFERENCES_MAX);
}

int sf_script_code_references(struct sf_coder *c, struct sf_script_model *m, struct sf_script *s, uint32_t expected,
                              uint32_t limit, struct sf_error *err)
{
        uint64_t count = sf_coder_number(c, &m->count, s->reference_count);

        if (count > SF_SCRIPT_REFERENCES_MAX)
                return sf_error_set(err, SF_ERR_CORRUPT, "a file has too many references");
        for (size_t i = 0; i < count; i++) {
                int64_t step = sf_coder_signed(c, &m->reference, (int64_t)s->references[i] - expected);
                uint64_t reference = expected + (uint64_t)step;

                if (reference >= limit)
                        return sf_error_set(err, SF_ERR_CORRUPT, "a file refers to one that is not there yet");
                s->references[i] = (uint32_t)reference;
        }
        s->reference_count = (size_t)count;
        return 0;
}

enum { LOW_LITERAL, LOW_COPY, LOW_JUMP };

/* The lowest two bits of a number whose others are known. `done`: where in the new file it matters. */
static uint64_t code_low(struct sf_coder *c, struct sf_script_model *m, unsigned what, uint64_t done, uint64_t value)
{
        return sf_coder_low(c, m->low[what * 4 + done % 4], value);
}

static uint64_t code_length(struct sf_coder *c, struct sf_script_model *m, struct sf_number *n, unsigned what,
                            uint64_t done, uint64_t value)
{
        if (!m->words)
                return sf_coder_number(c, n, value);
        uint64_t units = sf_coder_number(c, n, value >> 2);
        return units << 2 | code_low(c, m, what, done, value);
}

/* What is left of the lowest bits is that of a multiple of four, rounded down. */
static int64_t code_jump(struct sf_coder *c, struct sf_script_model *m, struct sf_number *n, int64_t value)
{
        if (!m->words)
                return sf_coder_signed(c, n, value);
        uint64_t low = (uint64_t)value & 3;
        uint64_t units = (uint64_t)sf_coder_signed(c, n, (int64_t)((uint64_t)value - low) / 4);
        return (int64_t)(units * 4 + code_low(c, m, LOW_JUMP, 0, low));
}

/* A number below SF_SCRIPT_REFERENCES_MAX; nearly always that of the step before. */
static uint32_t code_which(struct sf_coder *c, struct sf_script_model *m, const struct sf_script *s, uint32_t last,
                           uint32_t which)
{
        for (uint32_t i = 0, tried = 0; i + 1 < s->reference_count; i++, tried++) {
                uint32_t guess = i == 0 ? last : i - 1 < last ? i - 1 : i;

                if (sf_coder_bit(c, &m->which[tried ? 2 : last == 0][last], which == guess))
                        return guess;
        }
        return last == s->reference_count - 1 && s->reference_count > 1 ? last - 1 : (uint32_t)s->reference_count - 1;
}

/* The differences old - new position of a reference's last copies, latest first. */
struct diagonals {
        uint64_t last[SF_SCRIPT_DIAGONALS];
        uint64_t end; /* of the last copy, in the reference */
};

static void note_diagonal(struct diagonals *d, uint64_t diagonal)
{
        unsigned i = 0;

        while (i < SF_SCRIPT_DIAGONALS - 1 && d->last[i] != diagonal)
                i++;
        for (; i > 0; i--)
                d->last[i] = d->last[i - 1];
        d->last[0] = diagonal;
}

static unsigned bits(int64_t value)
{
        return 64 - (unsigned)__builtin_clzll((uint64_t)(value < 0 ? -value : value) | 1);
}

/* The diagonal from which the way to `diagonal` is shortest; an earlier one must save more than the telling costs. */
static unsigned choose_diagonal(const struct diagonals *d, uint64_t diagonal)
{
        unsigned best = 0, least = bits((int64_t)(diagonal - d->last[0]));

        for (unsigned i = 1; i < SF_SCRIPT_DIAGONALS; i++) {
                unsigned cost = bits((int64_t)(diagonal - d->last[i])) + 2 + i;

                if (cost < least) {
                        least = cost;
                        best = i;
                }
        }
        return best;
}

/* Where a copy to new position `at` starts: right behind the last one, or near the diagonal of one of the last. */
static uint64_t code_from(struct sf_coder *c, struct sf_script_model *m, struct diagonals *d, uint64_t at,
                          const struct sf_step *step, unsigned short_literal)
{
        unsigned context = step->literal == 0 ? 0 : 1 + short_literal, best, i = 0;

        if (sf_coder_bit(c, &m->straight[context], step->from == d->end))
                return d->end;
        best = choose_diagonal(d, step->from - at);
        while (i < SF_SCRIPT_DIAGONALS - 1 && sf_coder_bit(c, &m->back[i][short_literal], best != i))
                i++;
        uint64_t near = at + d->last[i];
        return near + (uint64_t)code_jump(c, m, &m->jump[i][short_literal], (int64_t)(step->from - near));
}

int sf_script_code_steps(struct sf_coder *c, struct sf_script_model *m, struct sf_script *s, uint64_t size,
                         const uint64_t *sizes, struct sf_error *err)
{
        struct diagonals diagonals[SF_SCRIPT_REFERENCES_MAX] = { 0 };
        uint64_t done = 0;
        unsigned short_copy = 0;
        uint32_t last = 0;

        for (size_t i = 0; done < size; i++) {
                struct sf_step step = c->encoding ? s->steps[i] : (struct sf_step){ 0 };

                step.literal = s->reference_count
                                       ? code_length(c, m, &m->literal[short_copy], LOW_LITERAL, done, step.literal)
                                       : size;
                if (step.literal > size - done || sf_coder_exhausted(c))
                        return sf_error_set(err, SF_ERR_CORRUPT, "a step is longer than its file");
                done += step.literal;
                if (done < size) {
                        unsigned short_literal = step.literal < 16;

                        step.copy = code_length(c, m, &m->copy[short_literal], LOW_COPY, done,
                                                step.copy - SF_SCRIPT_COPY_MIN) +
                                    SF_SCRIPT_COPY_MIN;
                        step.reference = code_which(c, m, s, last, step.reference);
                        step.from = code_from(c, m, &diagonals[step.reference], done, &step, short_literal);
                        if (step.copy < SF_SCRIPT_COPY_MIN || step.copy > size - done ||
                            step.from > sizes[step.reference] || step.copy > sizes[step.reference] - step.from)
                                return sf_error_set(err, SF_ERR_CORRUPT, "a step copies what is not there");
                        short_copy = step.copy < 64;
                        last = step.reference;
                        note_diagonal(&diagonals[last], step.from - done);
                        diagonals[last].end = step.from + step.copy;
                        done += step.copy;
                }
                int r = c->encoding ? 0 : sf_script_add(s, step, err);
                if (r < 0)
                        return r;
        }
        return 0;
}
