/* SPDX-License-Identifier: Apache-2.0 */
/* delta/entropy/match.c - see match.h. */
#include "delta/entropy/match.h"

#include <stdlib.h>

#include "delta/image/image.h"

#define WINDOW     SF_MATCHER_WINDOW /* bytes that must agree before something is followed */
#define LOG_MIN    10
#define LOG_MAX    20
#define LENGTH_MAX 32
#define MISSES_MAX 8 /* of the last 16 bytes */
#define MISS_MASK  0xffff

static unsigned table_log(uint64_t size)
{
        unsigned log = LOG_MIN;

        while (log < LOG_MAX && (UINT64_C(1) << log) < size)
                log++;
        return log;
}

uint64_t sf_matcher_memory(uint64_t old_size, uint64_t new_size)
{
        return (UINT64_C(1) << table_log(old_size > new_size ? old_size : new_size)) * sizeof(struct sf_matcher_places);
}

static uint32_t hash_window(const struct sf_matcher *m, const uint8_t *bytes)
{
        uint64_t window = sf_get32(bytes) | (uint64_t)sf_get16(bytes + 4) << 32;

        return (uint32_t)(window * UINT64_C(0x9e3779b97f4a7c15) >> (64 - m->log));
}

int sf_matcher_open(struct sf_matcher *m, const uint8_t *old, uint64_t old_size, uint64_t new_size,
                    struct sf_error *err)
{
        *m = (struct sf_matcher){ .old = old,
                                  .old_size = old_size,
                                  .new_size = new_size,
                                  .log = table_log(old_size > new_size ? old_size : new_size) };
        m->places = calloc((size_t)1 << m->log, sizeof *m->places);
        if (!m->places)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory to look for matches");
        for (uint64_t i = WINDOW; i <= old_size; i++)
                m->places[hash_window(m, old + i - WINDOW)].in_old = (uint32_t)(i + 1);
        return 0;
}

void sf_matcher_close(struct sf_matcher *m)
{
        free(m->places);
        *m = (struct sf_matcher){ 0 };
}

void sf_matcher_restart(struct sf_matcher *m)
{
        m->source = NULL;
}

/* Bytes before `at` in source and before `position` in new that agree. */
static uint32_t agreement(const uint8_t *source, uint64_t at, const uint8_t *new, uint64_t position)
{
        uint32_t length = 0;

        while (length < LENGTH_MAX && length < at && length < position &&
               source[at - length - 1] == new[position - length - 1])
                length++;
        return length;
}

void sf_matcher_prefetch(const struct sf_matcher *m, const uint8_t *window)
{
        if (m->places)
                __builtin_prefetch(&m->places[hash_window(m, window)], 1);
}

void sf_matcher_look(struct sf_matcher *m, const uint8_t *new, uint64_t position)
{
        if (!m->places || position < WINDOW)
                return;
        uint32_t hash = hash_window(m, new + position - WINDOW);
        uint64_t in_new = m->places[hash].in_new, in_old = m->places[hash].in_old;

        m->places[hash].in_new = (uint32_t)(position + 1);
        if (m->source && m->length >= WINDOW)
                return;
        uint32_t new_length = in_new ? agreement(new, in_new - 1, new, position) : 0;
        uint32_t old_length = in_old && in_old - 1 < m->old_size ? agreement(m->old, in_old - 1, new, position) : 0;
        uint32_t length = new_length >= old_length ? new_length : old_length;
        if (length < WINDOW || (m->source && length <= m->length))
                return;
        m->source = new_length >= old_length ? new : m->old;
        m->at = (new_length >= old_length ? in_new : in_old) - 1;
        m->length = length;
        m->misses = 0;
}

uint32_t sf_matcher_expected(const struct sf_matcher *m)
{
        return m->source ? m->source[m->at] + 1u : 0;
}

uint32_t sf_matcher_trust(const struct sf_matcher *m)
{
        uint32_t length = m->length < 16 ? m->length / 4 : m->length < LENGTH_MAX ? 4 : 5;
        uint32_t misses = (uint32_t)__builtin_popcount(m->misses);

        if (!m->source)
                return 0;
        return misses == 0 ? 1 + length : misses < 3 ? 7 + (length > 3 ? 3 : length) : 11 + (length > 3 ? 3 : length);
}

static void judge_byte(struct sf_matcher *m, bool right)
{
        m->misses = (m->misses << 1 | !right) & MISS_MASK;
        m->length = right ? m->length + (m->length < LENGTH_MAX) : 0;
}

/* What stood in the new file may lie behind `position`: not every file is made from its first byte to its last. */
static void end_if_over(struct sf_matcher *m)
{
        bool over = m->at >= (m->source == m->old ? m->old_size : m->new_size);

        if (over || __builtin_popcount(m->misses) > MISSES_MAX)
                m->source = NULL;
}

void sf_matcher_follow(struct sf_matcher *m, uint64_t count, bool right)
{
        if (!m->source)
                return;
        m->at += count;
        for (uint64_t i = 0; i < count; i++)
                judge_byte(m, right);
        end_if_over(m);
}

void sf_matcher_advance(struct sf_matcher *m, const uint8_t *new, uint64_t position, uint64_t count, bool judge)
{
        if (!m->source)
                return;
        m->at += count;
        if (judge)
                judge_byte(m, m->source[m->at - 1] == new[position - 1]);
        end_if_over(m);
}
