/* SPDX-License-Identifier: Apache-2.0 */
/* delta/entropy/mixing-wide.c - see mixing.h. The form with AVX2: four contexts or eight weights at a time. */
#include "delta/entropy/mixing.h"

#define CONTEXTS SF_MIXING_WIDE_CONTEXTS
#define GROUP    4  /* contexts that are dealt with at a time */
#define CONSTANT 31 /* weight of the constant input */

#ifdef __x86_64__
#include <immintrin.h>

#define WIDE   __attribute__((target("avx2")))
#define INLINE __attribute__((target("avx2"), always_inline))

_Static_assert(CONTEXTS == 3 * GROUP && 2 * CONTEXTS == 3 * SF_MIXING_LANES, "what is written out three times below");

bool sf_mixing_is_wide(unsigned contexts)
{
        return contexts == CONTEXTS && __builtin_cpu_supports("avx2");
}

/* Numbers go into vectors one by one: read as a vector, what was just written as single numbers would have to wait. */
INLINE static inline __m128i four(uint32_t a, uint32_t b, uint32_t c, uint32_t d)
{
        return _mm_set_epi32((int)d, (int)c, (int)b, (int)a);
}

/* Four entries of the table of logarithms. */
INLINE static inline __m128i stretch(const struct sf_model *m, uint32_t a, uint32_t b, uint32_t c, uint32_t d)
{
        __m128i words = _mm_cvtsi32_si128((uint16_t)m->stretch[a >> 20]);

        words = _mm_insert_epi16(words, m->stretch[b >> 20], 1);
        words = _mm_insert_epi16(words, m->stretch[c >> 20], 2);
        words = _mm_insert_epi16(words, m->stretch[d >> 20], 3);
        return _mm_cvtepi16_epi32(words);
}

INLINE static inline void store4(uint32_t *at, __m128i four)
{
        _mm_store_si128((__m128i *)at, four);
}

/* The inputs of four contexts; what they and their histories were is kept. */
INLINE static inline void gather(const struct sf_model *m, const struct sf_mixer *x, struct sf_mixing *s,
                                 unsigned first, __m128i *ret_estimates, __m128i *ret_histories)
{
        const unsigned mask = SF_MODEL_SHARES - 1;
        const uint32_t a = *s->cells[first], b = *s->cells[first + 1], c = *s->cells[first + 2],
                       d = *s->cells[first + 3];
        sf_probability **places = s->histories + first;

        places[0] = sf_mixing_history(m, x, first, a);
        places[1] = sf_mixing_history(m, x, first + 1, b);
        places[2] = sf_mixing_history(m, x, first + 2, c);
        places[3] = sf_mixing_history(m, x, first + 3, d);
        const uint32_t e = *places[0], f = *places[1], g = *places[2], h = *places[3];
        const __m128i cells = four(a, b, c, d);
        const __m128i empty = _mm_cmpeq_epi32(_mm_and_si128(cells, _mm_set1_epi32(31)), _mm_setzero_si128());
        *ret_estimates = stretch(m, a, b, c, d);
        *ret_histories = _mm_andnot_si128(empty, stretch(m, e, f, g, h));
        store4(s->was + first, cells);
        store4(s->was + CONTEXTS + first, four(e, f, g, h));
        store4(s->shares + first, four(m->shares[sf_cell_count(a)], m->shares[sf_cell_count(b)],
                                       m->shares[sf_cell_count(c)], m->shares[sf_cell_count(d)]));
        store4(s->shares + CONTEXTS + first,
               four(m->shares[e & mask], m->shares[f & mask], m->shares[g & mask], m->shares[h & mask]));
}

INLINE static inline __m256i load(const int32_t *at)
{
        return _mm256_load_si256((const __m256i *)at);
}

/* Eight inputs by their weights, as four sums. */
INLINE static inline __m256i weigh(struct sf_mixing *s, unsigned first, __m128i low, __m128i high)
{
        __m256i inputs = _mm256_set_m128i(high, low);
        __m256i weights = _mm256_add_epi32(_mm256_add_epi32(load(s->rows[0] + first), load(s->rows[1] + first)),
                                           load(s->rows[2] + first));

        _mm256_store_si256((__m256i *)(s->inputs + first), inputs);
        return _mm256_add_epi64(_mm256_mul_epi32(weights, inputs),
                                _mm256_mul_epi32(_mm256_srli_epi64(weights, 32), _mm256_srli_epi64(inputs, 32)));
}

WIDE int64_t sf_mixing_predict_wide(const struct sf_model *m, const struct sf_mixer *x, struct sf_mixing *s)
{
        __m128i estimates[3], histories[3];

        gather(m, x, s, 0, &estimates[0], &histories[0]);
        gather(m, x, s, 4, &estimates[1], &histories[1]);
        gather(m, x, s, 8, &estimates[2], &histories[2]);
        __m256i sums = _mm256_add_epi64(
                _mm256_add_epi64(weigh(s, 0, estimates[0], estimates[1]), weigh(s, 8, estimates[2], histories[0])),
                weigh(s, 16, histories[1], histories[2]));
        __m128i sum = _mm_add_epi64(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
        uint32_t last = (uint32_t)s->rows[0][CONSTANT] + (uint32_t)s->rows[1][CONSTANT] +
                        (uint32_t)s->rows[2][CONSTANT];
        return _mm_cvtsi128_si64(sum) + _mm_extract_epi64(sum, 1) + (int64_t)(int32_t)last * SF_ODDS_UNIT;
}

/* Values of 22 bits moved by their shares towards the bit, of which `flip` is all bits. */
INLINE static inline __m128i move(__m128i values, __m128i shares, __m128i flip)
{
        __m128i way = _mm_xor_si128(values, flip);
        __m128i even = _mm_srli_epi64(_mm_mul_epu32(way, shares), 32);
        __m128i odd = _mm_mul_epu32(_mm_srli_epi64(way, 32), _mm_srli_epi64(shares, 32));

        return _mm_xor_si128(_mm_sub_epi32(way, _mm_blend_epi16(even, odd, 0xcc)), flip);
}

INLINE static inline __m128i learn_cells(__m128i cells, __m128i shares, __m128i flip)
{
        const __m128i count_mask = _mm_set1_epi32(31), one = _mm_set1_epi32(1);
        __m128i counts = _mm_and_si128(cells, count_mask), bit = _mm_and_si128(flip, one);
        __m128i histories = _mm_max_epu32(_mm_and_si128(_mm_srli_epi32(cells, 5), count_mask), one);

        histories = _mm_or_si128(_mm_slli_epi32(histories, 1), bit);
        /* 32 to 63: the first of five outcomes goes, the 1 in front of the others stays */
        __m128i full = _mm_cmpgt_epi32(histories, count_mask);
        histories = _mm_or_si128(_mm_andnot_si128(_mm_and_si128(full, _mm_set1_epi32(48)), histories),
                                 _mm_and_si128(full, _mm_set1_epi32(16)));
        counts = _mm_min_epu32(_mm_add_epi32(counts, one), _mm_set1_epi32(SF_ESTIMATE_MAX));
        __m128i values = move(_mm_srli_epi32(cells, 10), shares, flip);
        return _mm_or_si128(_mm_or_si128(_mm_slli_epi32(values, 10), _mm_slli_epi32(histories, 5)), counts);
}

INLINE static inline __m128i learn_histories(__m128i histories, __m128i shares, __m128i flip)
{
        __m128i seen = _mm_and_si128(histories, _mm_set1_epi32(1023));
        __m128i values = move(_mm_srli_epi32(histories, 10), shares, flip);

        seen = _mm_min_epu32(_mm_add_epi32(seen, _mm_set1_epi32(1)), _mm_set1_epi32(SF_HISTORY_MAX));
        return _mm_or_si128(_mm_slli_epi32(values, 10), seen);
}

INLINE static inline void scatter(uint32_t *const *to, __m128i four)
{
        *to[0] = (uint32_t)_mm_cvtsi128_si32(four);
        *to[1] = (uint32_t)_mm_extract_epi32(four, 1);
        *to[2] = (uint32_t)_mm_extract_epi32(four, 2);
        *to[3] = (uint32_t)_mm_extract_epi32(four, 3);
}

INLINE static inline __m128i load4(const uint32_t *at)
{
        return _mm_load_si128((const __m128i *)at);
}

INLINE static inline void move_weights(const struct sf_mixing *s, unsigned first, __m256i errors, __m256i half,
                                       __m128i shift)
{
        __m256i steps = _mm256_sra_epi32(_mm256_add_epi32(_mm256_mullo_epi32(load(s->inputs + first), errors), half),
                                         shift);

        _mm256_store_si256((__m256i *)(s->rows[0] + first), _mm256_add_epi32(load(s->rows[0] + first), steps));
        _mm256_store_si256((__m256i *)(s->rows[1] + first), _mm256_add_epi32(load(s->rows[1] + first), steps));
        _mm256_store_si256((__m256i *)(s->rows[2] + first), _mm256_add_epi32(load(s->rows[2] + first), steps));
}

INLINE static inline void learn_four(const struct sf_mixing *s, unsigned first, __m128i flip)
{
        __m128i cells = load4(s->was + first), histories = load4(s->was + CONTEXTS + first);
        __m128i empty = _mm_cmpeq_epi32(_mm_and_si128(cells, _mm_set1_epi32(31)), _mm_setzero_si128());
        __m128i learnt = learn_histories(histories, load4(s->shares + CONTEXTS + first), flip);

        scatter(s->histories + first, _mm_blendv_epi8(learnt, histories, empty));
        scatter(s->cells + first, learn_cells(cells, load4(s->shares + first), flip));
}

WIDE void sf_mixing_learn_wide(const struct sf_mixing *s, unsigned bit, int32_t error, unsigned shift)
{
        const __m256i errors = _mm256_set1_epi32(error), half = _mm256_set1_epi32(1 << (shift - 1));
        const __m128i flip = _mm_set1_epi32(bit ? (int)SF_MIXING_VALUE_MAX : 0), shifts = _mm_cvtsi32_si128((int)shift);
        uint32_t step = (uint32_t)((SF_ODDS_UNIT * error + (1 << (shift - 1))) >> shift);

        move_weights(s, 0, errors, half, shifts);
        move_weights(s, 8, errors, half, shifts);
        move_weights(s, 16, errors, half, shifts);
        for (unsigned k = 0; k < SF_MIXING_ROWS; k++)
                s->rows[k][CONSTANT] = (int32_t)((uint32_t)s->rows[k][CONSTANT] + step);
        learn_four(s, 0, flip);
        learn_four(s, 4, flip);
        learn_four(s, 8, flip);
}

#else

bool sf_mixing_is_wide(unsigned contexts)
{
        return contexts == CONTEXTS && false;
}

int64_t sf_mixing_predict_wide(const struct sf_model *m, const struct sf_mixer *x, struct sf_mixing *s)
{
        return sf_mixing_predict(m, x, s);
}

void sf_mixing_learn_wide(const struct sf_mixing *s, unsigned bit, int32_t error, unsigned shift)
{
        (void)s, (void)bit, (void)error, (void)shift; /* never called */
}

#endif
