/* SPDX-License-Identifier: Apache-2.0 */
/* delta/entropy/model.c - see model.h. */
#include "delta/entropy/model.h"

#include <stdlib.h>
#include <sys/mman.h>

#define SLOT_CELLS   16 /* a slot: a check word and the 15 nodes of a nibble's binary tree; one cache line */
#define WAYS         4  /* slots that a context may have */
#define HUGE_PAGE    ((size_t)2 << 20)
#define NODES        256 /* of a byte's binary tree */
#define WEIGHT_ONE   65536
#define ESTIMATE_MAX 30 /* observations after which an estimate moves by a constant share */
#define REFINE_MAX   255
#define REFINE_STEPS 33
#define HISTORY_MAX  500
#define HISTORIES    32 /* of up to four outcomes: a 1, then the outcomes, latest last */
#define COUNTS       6  /* sorts of counts that a history is looked up with */
#define STRETCH_MAX  2047
#define ODDS_UNIT    128 /* stretch units per factor of two in the odds */

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
                m->stretch[i] = (int16_t)(odds / (65536 / ODDS_UNIT));
        }
        /* odds 2^(x/128) = 2^whole * power; p = odds / (1 + odds) */
        for (int x = 0; x <= 2047; x++) {
                if (x % ODDS_UNIT == 0)
                        power = UINT64_C(1) << 30;
                uint64_t odds = power << (x / ODDS_UNIT);
                uint64_t other = 65536 * (UINT64_C(1) << 30) / (odds + (UINT64_C(1) << 30));

                m->squash[2048 + x] = (uint16_t)(other ? 65536 - other : 65535);
                m->squash[2048 - x] = (uint16_t)(other ? other : 1);
                power = power * root >> 30;
        }
        m->squash[0] = m->squash[1];
        if (m->squash[2048] == 0)
                m->squash[2048] = 32768;
}

uint64_t sf_model_memory(unsigned slots_log)
{
        return (UINT64_C(1) << slots_log) * SLOT_CELLS * sizeof(uint32_t);
}

int sf_model_open(struct sf_model *m, unsigned slots_log, struct sf_error *err)
{
        size_t size = sf_model_memory(slots_log);

        m->slots = aligned_alloc(size < HUGE_PAGE ? SLOT_CELLS * sizeof *m->slots : HUGE_PAGE, size);
        if (!m->slots)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a model of 2^%u slots", slots_log);
        /* Slots are read in no order: where the kernel has large pages, their addresses are found sooner. */
        if (size >= HUGE_PAGE)
                (void)madvise(m->slots, size, MADV_HUGEPAGE);
        m->slots_log = slots_log;
        for (size_t i = 0; i < (size_t)SLOT_CELLS << slots_log; i++)
                m->slots[i] = i % SLOT_CELLS ? SF_PROBABILITY_EVEN : 0;
        fill_tables(m);
        return 0;
}

void sf_model_close(struct sf_model *m)
{
        free(m->slots);
        m->slots = NULL;
}

/* A cell: 22 bits estimate, 5 bits history, 5 bits count. */
static uint32_t cell_count(uint32_t cell)
{
        return cell & 31;
}

static uint32_t cell_history(uint32_t cell)
{
        return cell >> 5 & 31;
}

static void cell_learn(uint32_t *cell, unsigned bit)
{
        uint32_t count = cell_count(*cell), history = cell_history(*cell);
        int32_t target = bit ? (1 << 22) - 1 : 0, value = (int32_t)(*cell >> 10);

        value += (target - value) * 2 / (2 * (int32_t)count + 3);
        history = (history ? history : 1) << 1 | bit;
        if (history >= HISTORIES)
                history = HISTORIES / 2 | (history & (HISTORIES / 2 - 1));
        *cell = (uint32_t)value << 10 | history << 5 | (count < ESTIMATE_MAX ? count + 1 : ESTIMATE_MAX);
}

/* What usually follows, under this context, after outcomes like those of the cell. */
static sf_probability *find_history(struct sf_mixer *x, unsigned context, uint32_t cell)
{
        uint32_t n = cell_count(cell), sort = n < 3 ? n : n < 8 ? 3 : n < 20 ? 4 : 5;

        return &x->histories[(context * COUNTS + sort) * HISTORIES + cell_history(cell)];
}

/* Rows of weights for each select: one for each node of the byte's tree, for each number of contexts seen before,
 * and for each detail. A bit is mixed by the sum of one of each. */
static size_t mixer_rows(const struct sf_mixer *x)
{
        return NODES + 2 * ((size_t)x->contexts + 1) + x->details;
}

static unsigned mixer_inputs(const struct sf_mixer *x)
{
        return 2 * x->contexts + 1; /* for each context its estimate and what its history says, and a constant */
}

int sf_mixer_open(struct sf_mixer *x, const struct sf_model *m, unsigned contexts, unsigned selects, unsigned details,
                  struct sf_error *err)
{
        *x = (struct sf_mixer){ .contexts = contexts, .selects = selects, .details = details };
        size_t weights = (size_t)mixer_inputs(x) * selects * mixer_rows(x),
               refine = (size_t)REFINE_STEPS * selects * NODES;

        x->weights = calloc(weights, sizeof *x->weights);
        x->histories = calloc((size_t)contexts * COUNTS * HISTORIES, sizeof *x->histories);
        x->refine = calloc(refine, sizeof *x->refine);
        if (!x->weights || !x->histories || !x->refine)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a mixer");
        sf_probabilities_start(x->histories, (size_t)contexts * COUNTS * HISTORIES);
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

/* The first place of a context's slot. */
static size_t slot_place(const struct sf_model *m, uint32_t hash)
{
        return hash * UINT32_C(0x85ebca6b) >> (32 - m->slots_log);
}

/* The slot of a context: one of a few neighbours. Where none is the context's, the least used one is taken over. */
static uint32_t *find_slot(struct sf_model *m, uint32_t hash, unsigned *known)
{
        size_t at = slot_place(m, hash);
        uint32_t check = hash ^ hash >> 16, *least = NULL;

        for (size_t way = 0; way < WAYS; way++) {
                uint32_t *slot = m->slots + (at ^ way) * SLOT_CELLS;

                if (*slot == check) {
                        ++*known;
                        return slot;
                }
                if (!least || cell_count(slot[1]) < cell_count(least[1]))
                        least = slot;
        }
        *least = check;
        sf_probabilities_start(least + 1, SLOT_CELLS - 1);
        return least;
}

static int32_t clamp(int64_t value)
{
        return value > STRETCH_MAX ? STRETCH_MAX : value < -STRETCH_MAX ? -STRETCH_MAX : (int32_t)value;
}

/* What the bits of one nibble share. */
struct nibble {
        uint32_t *slots[SF_MODEL_CONTEXTS_MAX];
        sf_probability *histories[SF_MODEL_CONTEXTS_MAX]; /* of the bit being coded */
        int32_t inputs[2 * SF_MODEL_CONTEXTS_MAX + 1];
        int32_t *shared; /* the row of weights chosen by how many contexts are known */
        int32_t *detail; /* and that for the details of the byte */
        unsigned node;   /* of the nibble's tree */
};

/* The slots of all contexts for one nibble. They lie anywhere in memory: the processor is asked for all of them
 * before the first one is looked at. Returns how many contexts were seen before. */
static unsigned find_slots(struct sf_model *m, unsigned count, const uint32_t *hashes, struct nibble *s)
{
        unsigned known = 0;

        for (unsigned i = 0; i < count; i++)
                for (size_t way = 0; way < WAYS; way++)
                        __builtin_prefetch(m->slots + (slot_place(m, hashes[i]) ^ way) * SLOT_CELLS, 1);
        for (unsigned i = 0; i < count; i++)
                s->slots[i] = find_slot(m, hashes[i], &known);
        return known;
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

static void gather_inputs(const struct sf_model *m, struct sf_mixer *x, struct nibble *s)
{
        for (unsigned i = 0; i < x->contexts; i++) {
                uint32_t cell = s->slots[i][s->node];

                s->histories[i] = find_history(x, i, cell);
                s->inputs[2 * i] = m->stretch[cell >> 20];
                s->inputs[2 * i + 1] = cell_count(cell) ? m->stretch[*s->histories[i] >> 20] : 0;
        }
        s->inputs[2 * x->contexts] = ODDS_UNIT;
}

static void learn_outcome(const struct sf_mixer *x, const struct nibble *s, unsigned bit)
{
        for (unsigned i = 0; i < x->contexts; i++) {
                uint32_t *cell = &s->slots[i][s->node];

                if (cell_count(*cell))
                        sf_probability_learn(s->histories[i], bit, HISTORY_MAX);
                cell_learn(cell, bit);
        }
}

/* Bits by which the correction of a weight is shifted: quick at first, then steady. */
static unsigned learn_shift(const struct sf_mixer *x)
{
        return x->seen < 50000 ? 14 : x->seen < 500000 ? 15 : x->seen < 8000000 ? 16 : 17;
}

/* Weights of a hostile patch may run off: they wrap around, alike everywhere. */
static int32_t add_weights(int32_t a, int32_t b)
{
        return (int32_t)((uint32_t)a + (uint32_t)b);
}

static unsigned code_bit(struct sf_model *m, struct sf_mixer *x, struct sf_coder *c, struct nibble *s, int32_t *weights,
                         sf_probability *steps, unsigned bit)
{
        unsigned inputs = mixer_inputs(x), shift = learn_shift(x);
        sf_probability *near;
        int64_t sum = 0;

        gather_inputs(m, x, s);
        for (unsigned i = 0; i < inputs; i++)
                sum += (int64_t)add_weights(add_weights(weights[i], s->shared[i]), s->detail[i]) * s->inputs[i];
        int32_t stretched = clamp(sum >> 16);
        uint32_t p = m->squash[2048 + stretched];
        int32_t predicted = (int32_t)p;
        bit = sf_coder_raw(c, refine(steps, stretched, p, &near), bit);

        int64_t error = (int32_t)(bit << 16) - predicted;
        for (unsigned i = 0; i < inputs; i++) {
                int32_t step = (int32_t)((s->inputs[i] * error + (1 << (shift - 1))) >> shift);

                weights[i] = add_weights(weights[i], step);
                s->shared[i] = add_weights(s->shared[i], step);
                s->detail[i] = add_weights(s->detail[i], step);
        }
        learn_outcome(x, s, bit);
        sf_probability_learn(near, bit, REFINE_MAX);
        x->seen += x->seen < UINT32_MAX;
        s->node = s->node << 1 | bit;
        return bit;
}

uint8_t sf_model_byte(struct sf_model *m, struct sf_mixer *x, struct sf_coder *c, const uint32_t *contexts,
                      unsigned select, unsigned detail, uint8_t value)
{
        int32_t *weights = x->weights + select * mixer_rows(x) * mixer_inputs(x);
        sf_probability *steps = x->refine + (size_t)select * NODES * REFINE_STEPS;
        unsigned node = 1;
        struct nibble s = { .node = 1 };

        s.detail = weights + (NODES + 2 * (x->contexts + 1) + detail) * mixer_inputs(x);

        for (unsigned i = 0; i < 8; i++) {
                if (i % 4 == 0) {
                        uint32_t hashes[SF_MODEL_CONTEXTS_MAX];

                        for (unsigned k = 0; k < x->contexts; k++)
                                hashes[k] = i ? sf_hash(contexts[k], node) : contexts[k];
                        unsigned known = find_slots(m, x->contexts, hashes, &s);
                        s.node = 1;
                        s.shared = weights + (NODES + (i ? x->contexts + 1 : 0) + known) * mixer_inputs(x);
                }
                unsigned bit = code_bit(m, x, c, &s, weights + node * mixer_inputs(x), steps + node * REFINE_STEPS,
                                        value >> (7 - i) & 1);
                node = node << 1 | bit;
        }
        return (uint8_t)node;
}
