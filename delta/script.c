/* delta/script.c - see script.h. */
#include "delta/script.h"

#include <stdlib.h>

int sf_script_add(struct sf_script *s, struct sf_step step, struct sf_error *err)
{
        if (s->count == SF_SCRIPT_STEPS_MAX)
                return sf_error_set(err, SF_ERR_LIMIT, "a file has more than %u steps", SF_SCRIPT_STEPS_MAX);
        if (s->count == s->room) {
                size_t room = s->room ? s->room * 2 : 64;
                struct sf_step *steps = realloc(s->steps, room * sizeof *steps);

                if (!steps)
                        return sf_error_set(err, SF_ERR_NOMEM, "no memory for %zu steps", room);
                s->steps = steps;
                s->room = room;
        }
        s->steps[s->count++] = step;
        return 0;
}

void sf_script_free(struct sf_script *s)
{
        free(s->steps);
        *s = (struct sf_script){ 0 };
}

void sf_script_model_start(struct sf_script_model *m)
{
        sf_number_start(&m->count);
        sf_number_start(&m->reference);
        for (int i = 0; i < 2; i++) {
                sf_number_start(&m->literal[i]);
                sf_number_start(&m->copy[i]);
                sf_number_start(&m->jump[i]);
        }
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

/* Where a copy starts: right behind the last one, or near where it would be had the literal replaced as many bytes. */
static uint64_t code_from(struct sf_coder *c, struct sf_script_model *m, uint64_t end, const struct sf_step *step,
                          unsigned short_literal)
{
        unsigned context = step->literal == 0 ? 0 : 1 + short_literal;

        if (sf_coder_bit(c, &m->straight[context], step->from == end))
                return end;
        return end + step->literal +
               (uint64_t)sf_coder_signed(c, &m->jump[short_literal], (int64_t)(step->from - end - step->literal));
}

int sf_script_code_steps(struct sf_coder *c, struct sf_script_model *m, struct sf_script *s, uint64_t size,
                         const uint64_t *sizes, struct sf_error *err)
{
        uint64_t ends[SF_SCRIPT_REFERENCES_MAX] = { 0 }, done = 0;
        unsigned short_copy = 0;
        uint32_t last = 0;

        for (size_t i = 0; done < size; i++) {
                struct sf_step step = c->encoding ? s->steps[i] : (struct sf_step){ 0 };

                step.literal = s->reference_count ? sf_coder_number(c, &m->literal[short_copy], step.literal) : size;
                if (step.literal > size - done || sf_coder_exhausted(c))
                        return sf_error_set(err, SF_ERR_CORRUPT, "a step is longer than its file");
                done += step.literal;
                if (done < size) {
                        unsigned short_literal = step.literal < 16;

                        step.copy = sf_coder_number(c, &m->copy[short_literal], step.copy - SF_SCRIPT_COPY_MIN) +
                                    SF_SCRIPT_COPY_MIN;
                        step.reference = code_which(c, m, s, last, step.reference);
                        step.from = code_from(c, m, ends[step.reference], &step, short_literal);
                        if (step.copy < SF_SCRIPT_COPY_MIN || step.copy > size - done ||
                            step.from > sizes[step.reference] || step.copy > sizes[step.reference] - step.from)
                                return sf_error_set(err, SF_ERR_CORRUPT, "a step copies what is not there");
                        short_copy = step.copy < 64;
                        last = step.reference;
                        ends[last] = step.from + step.copy;
                        done += step.copy;
                }
                int r = c->encoding ? 0 : sf_script_add(s, step, err);
                if (r < 0)
                        return r;
        }
        return 0;
}
