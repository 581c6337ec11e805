/* SPDX-License-Identifier: Apache-2.0 */
/* delta/encode/prune.c - see prune.h. All costs are in sixteenths of a bit, and rough. */
#include "delta/encode/prune.h"

#include <stdbool.h>
#include <stdlib.h>

#define BIT        16
#define STRAIGHT   (BIT / 2) /* telling that a copy goes on along its diagonal */
#define LOOK_AHEAD 8         /* steps in which the next copy from the same reference is looked for */
#define ROUNDS     3
#define SPELL      (BIT * 9 / 8) /* a literal byte that some copy could have provided */
#define STEP       (BIT * 6)     /* lengths of literal and copy, */
#define STEP_A64   (BIT * 10)    /* where instructions are told better than bytes */

/* What it takes to tell a jump from one diagonal to another. */
static int64_t jump_cost(uint64_t from, uint64_t to)
{
        int64_t way = (int64_t)(to - from);
        uint64_t length = (uint64_t)(way < 0 ? -way : way);

        return length ? (4 + 64 - __builtin_clzll(length)) * BIT : STRAIGHT;
}

/* One walk over the steps of a script. */
struct walk {
        struct sf_script *script;
        int64_t step;                                 /* what it takes to tell lengths */
        uint64_t diagonals[SF_SCRIPT_REFERENCES_MAX]; /* old - new position of the last copy that was kept */
        uint64_t at;                                  /* new position */
};

/* The diagonal of the next copy from the same reference behind step i; false where none is near. */
static bool next_diagonal(const struct walk *w, size_t i, uint64_t *ret)
{
        const struct sf_step *steps = w->script->steps;
        uint64_t at = w->at + steps[i].literal + steps[i].copy;

        for (size_t k = i + 1; k < w->script->count && k < i + LOOK_AHEAD; k++) {
                at += steps[k].literal;
                if (steps[k].copy && steps[k].reference == steps[i].reference) {
                        *ret = steps[k].from - at;
                        return true;
                }
                at += steps[k].copy;
        }
        return false;
}

static bool is_worth_it(const struct walk *w, size_t i)
{
        const struct sf_step *step = &w->script->steps[i];
        uint64_t before = w->diagonals[step->reference], after, here = step->from - (w->at + step->literal);
        int64_t with = w->step + jump_cost(before, here), without = (int64_t)step->copy * SPELL;

        if (next_diagonal(w, i, &after)) {
                with += jump_cost(here, after);
                without += jump_cost(before, after);
        }
        return with <= without;
}

/* True where something was dropped. */
static bool prune_once(struct sf_script *script, bool a64)
{
        struct walk w = { .script = script, .step = a64 ? STEP_A64 : STEP };
        uint64_t carried = 0; /* dropped bytes: part of the next literal */
        size_t kept = 0;

        for (size_t i = 0; i < script->count; i++) {
                struct sf_step step = script->steps[i];

                if (step.copy && !is_worth_it(&w, i)) {
                        carried += step.literal + step.copy;
                } else {
                        if (step.copy)
                                w.diagonals[step.reference] = step.from - (w.at + step.literal);
                        w.at += step.literal + step.copy;
                        step.literal += carried;
                        script->steps[kept++] = step;
                        carried = 0;
                        continue;
                }
                w.at += step.literal + step.copy;
        }
        bool dropped = kept < script->count;
        if (carried)
                script->steps[kept++] = (struct sf_step){ .literal = carried };
        script->count = kept;
        return dropped;
}

void sf_prune_script(struct sf_script *script, bool a64)
{
        for (int i = 0; i < ROUNDS && prune_once(script, a64); i++)
                ;
}
