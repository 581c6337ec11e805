/* SPDX-License-Identifier: Apache-2.0 */
/* delta/entropy/slots.c - see slots.h. */
#include "delta/entropy/slots.h"

#include <string.h>

#include "delta/entropy/mixing.h"

#define BUCKET_SLOTS 4  /* that a context may have */
#define LINE_WORDS   16 /* a cache line */
#define LOWER_LINES  3  /* of a bucket, behind the first lines of all of them */
#define ROOTS        4u /* where the roots of the slots' trees start in a bucket: behind the check words, */
#define CHILDREN     8u /* and what is below them */
#define KEPT_SHIFT   8  /* in a root that counted one bit */

uint64_t sf_slots_memory(unsigned slots_log)
{
        return (UINT64_C(1) << slots_log) / BUCKET_SLOTS * (1 + LOWER_LINES) * LINE_WORDS * sizeof(uint32_t);
}

void sf_slots_start(struct sf_model *m)
{
        size_t words = sf_slots_memory(m->slots_log) / sizeof *m->buckets;

        sf_probabilities_start(m->buckets, words);
        m->lower = m->buckets + ((size_t)1 << m->slots_log) / BUCKET_SLOTS * LINE_WORDS;
        for (uint32_t *bucket = m->buckets; bucket < m->lower; bucket += LINE_WORDS)
                memset(bucket, 0, BUCKET_SLOTS * sizeof *bucket);
}

/* The first place of a context's slot. */
static size_t slot_place(const struct sf_model *m, uint32_t hash)
{
        return hash * UINT32_C(0x85ebca6b) >> (32 - m->slots_log);
}

static uint32_t *bucket_of(const struct sf_model *m, size_t place)
{
        return m->buckets + place / BUCKET_SLOTS * LINE_WORDS;
}

static void set_even(uint32_t *cells, unsigned count)
{
        for (unsigned i = 0; i < count; i++)
                cells[i] = SF_PROBABILITY_EVEN;
}

static uint32_t use_of(const uint32_t *bucket, unsigned first, unsigned way)
{
        return sf_cell_count(bucket[ROOTS + way]) << 4 | (way ^ first) << 2 | way;
}

/* The slot that was used least; of equals the first in the context's order. */
static unsigned least_used(const uint32_t *bucket, unsigned first)
{
        uint32_t a = use_of(bucket, first, 0), b = use_of(bucket, first, 1), c = use_of(bucket, first, 2),
                 d = use_of(bucket, first, 3);

        a = a < b ? a : b;
        c = c < d ? c : d;
        return (a < c ? a : c) & 3;
}

/* The slot of a context: one of a bucket's, tried in an order of its own. Where none is the context's, the least used
 * one is taken over. */
static unsigned find_slot(struct sf_nibble *s, uint32_t *bucket, unsigned first, uint32_t check)
{
        unsigned hits = (unsigned)(bucket[0] == check) | (unsigned)(bucket[1] == check) << 1 |
                        (unsigned)(bucket[2] == check) << 2 | (unsigned)(bucket[3] == check) << 3,
                 way;

        if (hits) {
                s->known++;
                if (!(hits & (hits - 1)))
                        return (unsigned)__builtin_ctz(hits);
                for (way = first; bucket[way] != check; way = first ^ ((first ^ way) + 1))
                        ;
                return way;
        }
        way = least_used(bucket, first);
        bucket[way] = check;
        bucket[ROOTS + way] = SF_PROBABILITY_EVEN;
        set_even(bucket + CHILDREN + 2 * way, 2);
        return way;
}

void sf_model_prefetch(const struct sf_model *m, const uint32_t *contexts, unsigned count)
{
        for (unsigned i = 0; i < count; i++)
                __builtin_prefetch(bucket_of(m, slot_place(m, contexts[i])), 1);
}

/* Where the lower nodes of a slot are. */
static void find_lower(struct sf_model *m, struct sf_nibble *s, unsigned i, size_t bucket, unsigned way)
{
        uint32_t *lower = m->lower + bucket * LOWER_LINES * LINE_WORDS;

        s->middle[i] = way < LOWER_LINES ? lower + way * LINE_WORDS : lower + LINE_WORDS - 4;
        s->low[i] = s->middle[i] + (way < LOWER_LINES ? 4 : LINE_WORDS);
        s->to_others[i] = way < LOWER_LINES ? 4 : LINE_WORDS;
}

static bool is_shared(const struct sf_nibble *s, unsigned count)
{
        for (unsigned i = 1; i < count; i++)
                for (unsigned k = 0; k < i; k++)
                        if (s->roots[i] == s->roots[k])
                                return true;
        return false;
}

/* The last bit that a cell learnt. */
static unsigned last_bit(uint32_t cell)
{
        return cell >> 5 & 1;
}

/* The nibble that a slot has behind it; its root reads like any other from now on. */
static unsigned take_kept(uint32_t *root, const uint32_t *children)
{
        unsigned kept = *root >> KEPT_SHIFT & 3, first = last_bit(*root);

        *root &= ~(UINT32_C(3) << KEPT_SHIFT);
        return first << 3 | last_bit(children[first]) << 2 | kept;
}

void sf_slots_leave(struct sf_nibble *s)
{
        for (uint32_t left = s->fresh; left; left &= left - 1) {
                uint32_t *root = s->roots[__builtin_ctz(left)];

                if (sf_cell_count(*root) == 1)
                        *root |= (s->node & 3) << KEPT_SHIFT;
        }
}

static void clear_lower(const struct sf_nibble *s, unsigned i)
{
        set_even(s->middle[i], 4);
        set_even(s->low[i], 4);
        set_even(s->low[i] + s->to_others[i], 4);
}

/* Writes the lower nodes of a slot that has one nibble behind it. */
static void write_lower(const struct sf_model *m, const struct sf_nibble *s, unsigned i)
{
        unsigned first = s->first[i];
        uint32_t *low = s->low[i] + (first & 8 ? s->to_others[i] : 0);

        clear_lower(s, i);
        s->middle[i][first >> 2] = sf_mixing_learnt_cell(m, SF_PROBABILITY_EVEN, first >> 1 & 1);
        low[first >> 1 & 3] = sf_mixing_learnt_cell(m, SF_PROBABILITY_EVEN, first & 1);
}

static void write_all_lower(const struct sf_model *m, struct sf_nibble *s)
{
        for (; s->once; s->once &= s->once - 1)
                write_lower(m, s, (unsigned)__builtin_ctz(s->once));
}

/* Where two contexts have one slot, all lower nodes are written at once; what is learnt by one is seen by the other.
 * Some may have taken a slot over that others had found. */
static void write_shared(const struct sf_model *m, struct sf_nibble *s, unsigned count)
{
        for (unsigned i = 0; i < count; i++) {
                bool again = false;

                for (unsigned k = 0; k < i; k++)
                        again |= s->roots[i] == s->roots[k];
                if (!again && sf_cell_count(*s->roots[i]) == 0)
                        clear_lower(s, i);
                else if (!again && s->once >> i & 1)
                        write_lower(m, s, i);
        }
        s->once = 0;
}

static void note_use(struct sf_nibble *s, unsigned i)
{
        unsigned use = sf_cell_count(*s->roots[i]);

        s->fresh |= (uint32_t)(use == 0) << i;
        if (use == 1) {
                s->once |= UINT32_C(1) << i;
                s->first[i] = (uint8_t)take_kept(s->roots[i], s->children[i]);
        }
        if (use)
                __builtin_prefetch(s->middle[i], 1);
}

/* The slots of all contexts for one nibble. They lie anywhere in memory: the processor is asked for all of them
 * before the first one is looked at, and for their lower nodes before these are. */
void sf_slots_find(struct sf_model *m, unsigned count, const uint32_t *hashes, struct sf_nibble *s)
{
        uint64_t taken[4] = { 0 }, again = 0;

        s->fresh = s->once = s->known = 0;
        s->node = 1;
        sf_model_prefetch(m, hashes, count);
        for (unsigned i = 0; i < count; i++) {
                size_t place = slot_place(m, hashes[i]);
                uint32_t *bucket = bucket_of(m, place);
                unsigned way = find_slot(s, bucket, place % BUCKET_SLOTS, hashes[i] ^ hashes[i] >> 16);
                size_t mark = place / BUCKET_SLOTS * BUCKET_SLOTS + way;

                s->roots[i] = bucket + ROOTS + way;
                s->children[i] = bucket + CHILDREN + 2 * way;
                find_lower(m, s, i, place / BUCKET_SLOTS, way);
                again |= taken[mark >> 6 & 3] & UINT64_C(1) << (mark & 63);
                taken[mark >> 6 & 3] |= UINT64_C(1) << (mark & 63);
        }
        s->shared = again && is_shared(s, count);
        for (unsigned i = 0; i < count; i++)
                note_use(s, i);
        if (s->shared)
                write_shared(m, s, count);
}

static void set_unwritten(struct sf_nibble *s, uint32_t **cells)
{
        for (uint32_t left = s->shared ? 0 : s->fresh; left; left &= left - 1) {
                unsigned i = (unsigned)__builtin_ctz(left);

                s->unwritten[i] = SF_PROBABILITY_EVEN;
                cells[i] = &s->unwritten[i];
        }
}

void sf_slots_cells(const struct sf_model *m, struct sf_nibble *s, unsigned bits, unsigned count, uint32_t **cells)
{
        unsigned node = s->node & 3;

        switch (bits) {
        case 0:
                for (unsigned i = 0; i < count; i++)
                        cells[i] = s->roots[i];
                break;
        case 1:
                for (unsigned i = 0; i < count; i++) {
                        cells[i] = s->children[i] + (node & 1);
                        if (s->to_others[i] != 4)
                                __builtin_prefetch(s->low[i] + (node & 1 ? s->to_others[i] : 0), 1);
                }
                break;
        case 2:
                write_all_lower(m, s);
                for (unsigned i = 0; i < count; i++)
                        cells[i] = s->middle[i] + node;
                set_unwritten(s, cells);
                break;
        case 3:
                for (unsigned i = 0; i < count; i++)
                        cells[i] = s->low[i] + (s->node & 4 ? s->to_others[i] : 0) + node;
                set_unwritten(s, cells);
                break;
        }
}
