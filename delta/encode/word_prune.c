/* SPDX-License-Identifier: Apache-2.0 */
/* delta/encode/word_prune.c - see word_prune.h. */
#include "delta/encode/word_prune.h"

#include <string.h>

#define WORD 4

static bool is_code(const struct sf_image *image, uint64_t position)
{
        uint64_t end;

        return sf_image_is_code(image, position, &end);
}

/* True where the instruction at `new` is the one that a copy on this diagonal (old - new position) provides. */
static bool is_same(const struct sf_align *a, const struct sf_step *step, uint64_t diagonal, uint64_t new)
{
        uint64_t start = a->starts[step->reference], old = new + diagonal;

        return old % WORD == 0 && old <= a->starts[step->reference + 1] - start &&
               a->starts[step->reference + 1] - start - old >= WORD &&
               new + WORD <= a->new_size &&memcmp(a->old + start + old, a->new + new, WORD) == 0;
}

/* Moves the border between a copy that ends at `end` of the new file and the next one, which starts `next->literal`
 * bytes behind: by whole instructions, as long as the first copy provides them; else the second one. Returns the end
 * of the first. */
static uint64_t settle(const struct sf_align *a, const struct sf_image *image, struct sf_step *step,
                       struct sf_step *next, uint64_t end)
{
        uint64_t start = end + next->literal, diagonal = step->from + step->copy - end;
        uint64_t next_diagonal = next->from - start, most = start + next->copy, stop = end - end % WORD;

        if (!next->copy || !is_code(image, end) || !is_code(image, start))
                return end;
        while (stop < start && is_same(a, step, diagonal, stop) && stop + WORD + SF_SCRIPT_COPY_MIN <= most)
                stop += WORD;
        uint64_t from = start < stop ? stop : (start + WORD - 1) / WORD * WORD;
        while (from > stop && from >= WORD && is_same(a, next, next_diagonal, from - WORD))
                from -= WORD;
        if (from + SF_SCRIPT_COPY_MIN > most || stop < end - step->copy + SF_SCRIPT_COPY_MIN)
                return end;
        step->copy = stop - (end - step->copy);
        next->literal = from - stop;
        next->from = from + next_diagonal;
        next->copy = most - from;
        return stop;
}

/* Takes what is still no whole instruction from the ends of copies: part of the next literal. */
static void trim(const struct sf_image *image, struct sf_script *script)
{
        uint64_t at = 0, carried = 0;
        size_t kept = 0;

        for (size_t i = 0; i < script->count; i++) {
                struct sf_step step = script->steps[i];
                uint64_t start = at + step.literal, end = start + step.copy;
                uint64_t head = step.copy && is_code(image, start) ? (0 - start) % WORD : 0;
                uint64_t tail = step.copy && i + 1 < script->count && is_code(image, end) ? end % WORD : 0;
                bool moved = head && (step.from + head) % WORD; /* not by whole instructions */

                at = end;
                if (step.copy && (moved || step.copy < SF_SCRIPT_COPY_MIN + head + tail)) {
                        carried += step.literal + step.copy;
                        continue;
                }
                step.literal += carried + head;
                step.from += head;
                step.copy -= head + tail;
                carried = tail;
                script->steps[kept++] = step;
        }
        if (carried)
                script->steps[kept++] = (struct sf_step){ .literal = carried };
        script->count = kept;
}

void sf_word_prune(const struct sf_align *align, const struct sf_image *image, struct sf_script *script)
{
        uint64_t end = 0;

        if (!image->a64_words)
                return;
        for (size_t i = 0; i + 1 < script->count; i++) {
                end += script->steps[i].literal + script->steps[i].copy;
                if (script->steps[i].copy)
                        end = settle(align, image, &script->steps[i], &script->steps[i + 1], end);
        }
        trim(image, script);
}
