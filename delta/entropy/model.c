/* SPDX-License-Identifier: Apache-2.0 */
/* delta/entropy/model.c - see model.h. */
#include "delta/entropy/model.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "delta/entropy/mixing.h"
#include "delta/entropy/slots.h"

#define NIBBLE_BITS  4
#define ALIGNMENT    64
#define HUGE_PAGE    ((size_t)2 << 20)
#define NODES        256 /* of a byte's binary tree */
#define WEIGHT_ONE   65536
#define REFINE_MAX   255
#define REFINE_STEPS 33
#define STRETCH_MAX  2047

/* log2(x) in 1/65536, x > 0: the integer part is the bit length, each squaring yields one more bit. */
static int32_t log2_fixed(uint32_t x)
{
        int32_t whole = 31 - __builtin_clz(x), result = whole << 16;
        uint64_t mantissa = ((uint64_t)x << 31) >> whole; /* 1.0 = 2^31 */

        for (int32_t bit = 1 << 15; bit; bit >>= 1) {
                mantissa = mantissa * mantissa >> 31;
                if (mantissa >> 32) {
                        mantissa >>= 1;
                        result += bit;
                }
        }
        return result;
}

static void fill_tables(struct sf_model *m)
{
        const uint64_t root = 1079572132; /* 2^(1/128), 1.0 = 2^30 */
        uint64_t power = UINT64_C(1) << 30;

        for (uint32_t i = 0; i < 4096; i++) {
                int32_t odds = log2_fixed(2 * i + 1) - log2_fixed(8191 - 2 * i);
                m->stretch[i] = (int16_t)(odds / (65536 / SF_ODDS_UNIT));
        }
        /* odds 2^(x/128) = 2^whole * power; p = odds / (1 + odds) */
        for (int x = 0; x <= 2047; x++) {
                if (x % SF_ODDS_UNIT == 0)
                        power = UINT64_C(1) << 30;
                uint64_t odds = power << (x / SF_ODDS_UNIT);
                uint64_t other = 65536 * (UINT64_C(1) << 30) / (odds + (UINT64_C(1) << 30));

                m->squash[2048 + x] = (uint16_t)(other ? 65536 - other : 65535);
                m->squash[2048 - x] = (uint16_t)(other ? other : 1);
                power = power * root >> 30;
        }
        m->squash[0] = m->squash[1];
        if (m->squash[2048] == 0)
                m->squash[2048] = 32768;
        for (uint32_t i = 0; i < SF_MODEL_SHARES; i++)
                m->shares[i] = (uint32_t)(((UINT64_C(1) << 33) + 2 * i + 2) / (2 * i + 3));
        for (uint32_t i = 0; i < SF_CELL_KINDS; i++) {
                uint32_t n = sf_cell_count(i), sort = n < 3 ? n : n < 8 ? 3 : n < 20 ? 4 : 5;

                m->kinds[i] = (uint8_t)(sort * SF_HISTORIES + (i >> 5));
        }
}

uint64_t sf_model_memory(unsigned slots_log)
{
        return sf_slots_memory(slots_log);
}

int sf_model_open(struct sf_model *m, unsigned slots_log, struct sf_error *err)
{
        size_t size = sf_model_memory(slots_log);

        m->buckets = aligned_alloc(size < HUGE_PAGE ? ALIGNMENT : HUGE_PAGE, size);
        if (!m->buckets)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a model of 2^%u slots", slots_log);
        /* Slots are read in no order: where the kernel has large pages, their addresses are found sooner. */
        if (size >= HUGE_PAGE)
                (void)madvise(m->buckets, size, MADV_HUGEPAGE);
        m->slots_log = slots_log;
        m->tape = NULL;
        sf_slots_start(m);
        fill_tables(m);
        return 0;
}

void sf_model_close(struct sf_model *m)
{
        free(m->buckets);
        m->buckets = NULL;
}

/* Rows of weights for each select: one for each node of the byte's tree, for each number of contexts seen before,
 * and for each detail. A bit is mixed by the sum of one of each. */
static size_t mixer_rows(const struct sf_mixer *x)
{
        return NODES + 2 * ((size_t)x->contexts + 1) + x->details;
}

int sf_mixer_open(struct sf_mixer *x, const struct sf_model *m, unsigned contexts, unsigned selects, unsigned details,
                  struct sf_error *err)
{
        *x = (struct sf_mixer){ .contexts = contexts, .selects = selects, .details = details };
        size_t weights = sf_mixing_stride(contexts) * selects * mixer_rows(x),
               histories = (size_t)contexts * SF_HISTORY_COUNTS * SF_HISTORIES,
               refine = (size_t)REFINE_STEPS * selects * NODES;

        x->wide = sf_mixing_is_wide(contexts);
        x->weights = aligned_alloc(ALIGNMENT, (weights * sizeof *x->weights + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
        x->histories = calloc(histories, sizeof *x->histories);
        x->refine = calloc(refine, sizeof *x->refine);
        if (!x->weights || !x->histories || !x->refine)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a mixer");
        sf_probabilities_start(x->histories, histories);
        for (size_t i = 0; i < weights; i++)
                x->weights[i] = (int32_t)(WEIGHT_ONE / 16);
        for (size_t i = 0; i < refine; i++)
                x->refine[i] =
                        (uint32_t)m->squash[i % REFINE_STEPS ? i % REFINE_STEPS * 128 - (i % REFINE_STEPS == 32) : 1]
                        << 16;
        return 0;
}

void sf_mixer_close(struct sf_mixer *x)
{
        free(x->weights);
        free(x->histories);
        free(x->refine);
        *x = (struct sf_mixer){ 0 };
}

static int32_t clamp(int64_t value)
{
        return value > STRETCH_MAX ? STRETCH_MAX : value < -STRETCH_MAX ? -STRETCH_MAX : (int32_t)value;
}

/* The estimate that a mixed one turned out to be worth: 33 steps, interpolated. */
static uint32_t refine(sf_probability *steps, int32_t stretched, uint32_t p, sf_probability **ret_near)
{
        uint32_t at = (uint32_t)(stretched + 2048), low = at >> 7, part = at & 127;
        uint32_t refined = (uint32_t)(((uint64_t)(steps[low] >> 10) * (128 - part) +
                                       (uint64_t)(steps[low + 1] >> 10) * part) >>
                                      13);

        *ret_near = &steps[low + (part >= 64)];
        p = (p + refined) / 2;
        return p ? p : 1;
}

/* Bits by which the correction of a weight is shifted: quick at first, then steady. */
static unsigned learn_shift(const struct sf_mixer *x)
{
        return x->seen < 50000 ? 14 : x->seen < 500000 ? 15 : x->seen < 8000000 ? 16 : 17;
}

static unsigned code_bit(struct sf_model *m, struct sf_mixer *x, struct sf_coder *c, struct sf_mixing *s, bool wide,
                         sf_probability *steps, unsigned bit)
{
        int64_t sum = wide ? sf_mixing_predict_wide(m, x, s) : sf_mixing_predict(m, x, s);
        int32_t stretched = clamp(sum >> 16);
        uint32_t p = m->squash[2048 + stretched];
        sf_probability *near;

        s->p = refine(steps, stretched, p, &near);
        bit = sf_coder_raw(c, s->p, bit);
        int32_t error = (int32_t)(bit << 16) - (int32_t)p;
        if (wide)
                sf_mixing_learn_wide(s, bit, error, learn_shift(x));
        else
                sf_mixing_learn(m, x, s, bit, error, learn_shift(x));
        *near = sf_mixing_learnt(m, *near, bit, REFINE_MAX);
        x->seen += x->seen < UINT32_MAX;
        return bit;
}

/* The contexts of the second nibble, behind the first one. */
static void hash_contexts(const uint32_t *contexts, unsigned count, unsigned node, uint32_t *ret)
{
        for (unsigned i = 0; i < count; i++)
                ret[i] = sf_hash(contexts[i], node);
}

static uint64_t hash_request(const struct sf_mixer *x, const uint32_t *contexts, unsigned select, unsigned detail)
{
        uint64_t hash = (uint64_t)select << 40 | (uint64_t)detail << 8 | x->contexts;

        for (unsigned i = 0; i < x->contexts; i++) {
                hash = (hash ^ contexts[i]) * UINT64_C(0x9e3779b97f4a7c15);
                hash ^= hash >> 29;
        }
        return hash;
}

/* What was coded under the same contexts has the same probabilities. */
static uint8_t recall_byte(struct sf_model_tape *tape, struct sf_coder *c, uint64_t hash, uint8_t value)
{
        struct sf_model_record record;
        unsigned node = 1;
        bool found = !tape->differs && tape->recall(tape, &record) && record.contexts == hash;

        tape->differs |= !found;
        for (unsigned i = 0; i < 8; i++)
                node = node << 1 | sf_coder_raw(c, found ? record.p[i] : 32768, value >> (7 - i) & 1);
        return (uint8_t)node;
}

uint8_t sf_model_byte(struct sf_model *m, struct sf_mixer *x, struct sf_coder *c, const uint32_t *contexts,
                      unsigned select, unsigned detail, uint8_t value)
{
        size_t stride = sf_mixing_stride(x->contexts);
        int32_t *weights = x->weights + select * mixer_rows(x) * stride;
        sf_probability *steps = x->refine + (size_t)select * NODES * REFINE_STEPS;
        uint32_t hashes[SF_MODEL_CONTEXTS_MAX];
        struct sf_model_record record;
        unsigned node = 1;
        struct sf_nibble s;
        struct sf_mixing mixing;
        bool wide = false;
        bool told = c->encoding || c->pretraining; /* what the byte is */

        if (m->tape && m->tape->recall)
                return recall_byte(m->tape, c, hash_request(x, contexts, select, detail), value);
        mixing.rows[2] = weights + (NODES + 2 * (x->contexts + 1) + detail) * stride;
        if (told) { /* its second nibble's slots are on their way */
                hash_contexts(contexts, x->contexts, 16u | value >> NIBBLE_BITS, hashes);
                sf_model_prefetch(m, hashes, x->contexts);
        }
        for (unsigned i = 0; i < 8; i++) {
                if (i % NIBBLE_BITS == 0) {
                        if (i && !told)
                                hash_contexts(contexts, x->contexts, node, hashes);
                        sf_slots_find(m, x->contexts, i ? hashes : contexts, &s);
                        mixing.rows[1] = weights + (NODES + (i ? x->contexts + 1 : 0) + s.known) * stride;
                        wide = x->wide && !s.shared;
                }
                sf_slots_cells(m, &s, i % NIBBLE_BITS, x->contexts, mixing.cells);
                mixing.rows[0] = weights + node * stride;
                unsigned bit = code_bit(m, x, c, &mixing, wide, steps + node * REFINE_STEPS, value >> (7 - i) & 1);

                record.p[i] = (uint16_t)mixing.p;
                node = node << 1 | bit;
                s.node = s.node << 1 | bit;
                if (i % NIBBLE_BITS == NIBBLE_BITS - 1)
                        sf_slots_leave(&s);
        }
        if (m->tape) {
                record.contexts = hash_request(x, contexts, select, detail);
                m->tape->note(m->tape, &record);
        }
        return (uint8_t)node;
}
