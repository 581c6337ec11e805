/* SPDX-License-Identifier: Apache-2.0 */
/* delta/predict/map.c - see map.h. A sweep over the old file: of the copies that hold the current position the
 * longest is on top of a heap. */
#include "delta/predict/map.h"

#include <stdbool.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "delta/image/image.h"

#define ALIGNMENT 16 /* of functions, as compilers for x86-64 and arm64 place them */

struct sweep {
        const struct sf_piece *copies;
        uint32_t *by_start; /* owned; indices of copies by old position */
        uint64_t *borders;  /* owned; where a copy starts or ends */
        uint32_t *heap;     /* owned; indices of copies, the longest first */
        size_t heap_count;
};

static void cleanup_sweep(struct sweep *s)
{
        free(s->by_start);
        free(s->borders);
        free(s->heap);
}

static bool longer(const struct sweep *s, uint32_t a, uint32_t b)
{
        uint64_t x = s->copies[a].length, y = s->copies[b].length;

        return x != y ? x > y : a < b;
}

static void swap(uint32_t *a, uint32_t *b)
{
        uint32_t t = *a;

        *a = *b;
        *b = t;
}

static void heap_push(struct sweep *s, uint32_t copy)
{
        size_t at = s->heap_count++;

        s->heap[at] = copy;
        for (; at && longer(s, s->heap[at], s->heap[(at - 1) / 2]); at = (at - 1) / 2)
                swap(&s->heap[at], &s->heap[(at - 1) / 2]);
}

static void heap_pop(struct sweep *s)
{
        size_t at = 0;

        s->heap[0] = s->heap[--s->heap_count];
        for (;;) {
                size_t best = at, child = 2 * at + 1;

                for (size_t i = child; i < child + 2 && i < s->heap_count; i++)
                        if (longer(s, s->heap[i], s->heap[best]))
                                best = i;
                if (best == at)
                        return;
                swap(&s->heap[at], &s->heap[best]);
                at = best;
        }
}

static int compare_starts(const void *a, const void *b, void *ctx)
{
        const struct sf_piece *copies = ctx;
        uint32_t i = *(const uint32_t *)a, k = *(const uint32_t *)b;
        uint64_t x = copies[i].old, y = copies[k].old;

        if (x != y)
                return x < y ? -1 : 1;
        return (i > k) - (i < k);
}

static int compare_u64(const void *a, const void *b)
{
        uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

        return (x > y) - (x < y);
}

/* [from, to) belongs to `copy`; continues the last piece where that is the same copy. */
static void emit(struct sf_map_of_file *map, const struct sf_piece *copy, uint64_t from, uint64_t to)
{
        struct sf_piece piece = { from, copy->new + (from - copy->old), to - from };
        struct sf_piece *last = map->count ? &map->pieces[map->count - 1] : NULL;

        if (last && last->old + last->length == from && last->new + last->length == piece.new)
                last->length += piece.length;
        else
                map->pieces[map->count++] = piece;
}

static void run_sweep(struct sweep *s, size_t count, struct sf_map_of_file *map)
{
        for (size_t i = 0, next = 0; i + 1 < 2 * count; i++) {
                uint64_t from = s->borders[i], to = s->borders[i + 1];

                for (; next < count && s->copies[s->by_start[next]].old <= from; next++)
                        if (s->copies[s->by_start[next]].length)
                                heap_push(s, s->by_start[next]);
                while (s->heap_count && s->copies[s->heap[0]].old + s->copies[s->heap[0]].length <= from)
                        heap_pop(s);
                if (s->heap_count && to > from)
                        emit(map, &s->copies[s->heap[0]], from, to);
        }
}

int sf_map_build(const struct sf_piece *copies, size_t count, struct sf_map_of_file *ret, struct sf_error *err)
{
        _cleanup_(cleanup_sweep) struct sweep s = { .copies = copies };

        *ret = (struct sf_map_of_file){ 0 };
        s.by_start = calloc(count + 1, sizeof *s.by_start);
        s.borders = calloc(2 * count + 1, sizeof *s.borders);
        s.heap = calloc(count + 1, sizeof *s.heap);
        ret->pieces = calloc(2 * count + 1, sizeof *ret->pieces);
        if (!s.by_start || !s.borders || !s.heap || !ret->pieces) {
                sf_map_free(ret);
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a map of %zu copies", count);
        }
        for (size_t i = 0; i < count; i++) {
                s.by_start[i] = (uint32_t)i;
                s.borders[2 * i] = copies[i].old;
                s.borders[2 * i + 1] = copies[i].old + copies[i].length;
        }
        qsort_r(s.by_start, count, sizeof *s.by_start, compare_starts, (void *)(uintptr_t)copies);
        qsort(s.borders, 2 * count, sizeof *s.borders, compare_u64);
        run_sweep(&s, count, ret);
        return 0;
}

uint64_t sf_map_memory(uint64_t copies)
{
        return (2 * copies + 1) * sizeof(struct sf_piece);
}

uint64_t sf_map_scratch(uint64_t copies)
{
        /* starts, heap, borders, and what qsort takes */
        return (copies + 1) * (2 * sizeof(uint32_t) + 4 * sizeof(uint64_t));
}

/* Index of the first piece that starts above an old position. */
static size_t first_above(const struct sf_map_of_file *map, uint64_t old)
{
        size_t low = 0, high = map->count;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (map->pieces[middle].old <= old)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

/* Which of two guesses for a position between two copies is better: functions and tables keep their alignment. */
static bool take_below(uint64_t old, uint64_t by_below, uint64_t by_above, uint64_t from_below, uint64_t from_above)
{
        if (old % ALIGNMENT == 0 && (by_below % ALIGNMENT == 0) != (by_above % ALIGNMENT == 0))
                return by_below % ALIGNMENT == 0;
        return from_below <= from_above;
}

uint64_t sf_map_positions(const struct sf_map_of_file *map, uint64_t old, enum sf_map_quality *ret_quality,
                          uint64_t *ret_other)
{
        *ret_quality = SF_MAP_OUTSIDE;
        *ret_other = old;
        if (old >= SF_IMAGE_BSS || !map->count)
                return old;
        size_t next = first_above(map, old);
        const struct sf_piece *below = next ? &map->pieces[next - 1] : NULL;
        const struct sf_piece *above = next < map->count ? &map->pieces[next] : NULL;
        uint64_t by_below = below ? below->new + (old - below->old) : 0;
        uint64_t by_above = above ? above->new - (above->old - old) : 0;
        if (below && old - below->old < below->length) {
                *ret_quality = SF_MAP_EXACT;
                *ret_other = by_below;
                return by_below;
        }
        *ret_quality = SF_MAP_NEAREST;
        if (!below || !above) {
                *ret_other = below ? by_below : by_above;
                return *ret_other;
        }
        if (take_below(old, by_below, by_above, old - (below->old + below->length - 1), above->old - old)) {
                *ret_other = by_above;
                return by_below;
        }
        *ret_other = by_below;
        return by_above;
}

uint64_t sf_map_position(const struct sf_map_of_file *map, uint64_t old, enum sf_map_quality *ret_quality)
{
        uint64_t other;

        return sf_map_positions(map, old, ret_quality, &other);
}

void sf_map_free(struct sf_map_of_file *map)
{
        free(map->pieces);
        *map = (struct sf_map_of_file){ 0 };
}
