/* SPDX-License-Identifier: Apache-2.0 */
/* delta/encode/suffixes.c - see suffixes.h. */
#include "delta/encode/suffixes.h"

#include <divsufsort.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "delta/encode/windows.h"

#define PREFIX_BITS_MIN 8
#define PREFIX_BITS_MAX 20 /* of the first three bytes */
#define BLOCK           8  /* suffixes that are looked at together */

_Static_assert(sizeof(saidx_t) == sizeof(int32_t), "libdivsufsort with 32-bit indices");

static void (*set_openmp_threads)(int count);

static void find_openmp(void)
{
        /* As POSIX has it converted. NULL where the library was built without OpenMP. */
        *(void **)&set_openmp_threads = dlsym(RTLD_DEFAULT, "omp_set_num_threads");
}

/* Sorts on the calling thread alone. Distributions build the library with OpenMP: each call would work on all
 * processors, and its threads wait for each other by spinning, where the encoder keeps the processors busy itself. */
static int sort(const uint8_t *bytes, int32_t *order, uint64_t size)
{
        static pthread_once_t once = PTHREAD_ONCE_INIT;

        pthread_once(&once, find_openmp);
        if (set_openmp_threads)
                set_openmp_threads(1);
        return divsufsort(bytes, order, (saidx_t)size);
}

/* The leading bits of what starts at `at`; behind the end are zeros, which keeps the order. */
static uint32_t prefix_of(const uint8_t *data, uint64_t at, uint64_t size, unsigned bits)
{
        uint32_t bytes = 0;

        for (uint64_t i = at; i < at + 3; i++)
                bytes = bytes << 8 | (i < size ? data[i] : 0u);
        return bytes >> (24 - bits);
}

static bool is_marked(const uint64_t *marks, uint64_t at)
{
        return !marks || sf_windows_marked(marks, at);
}

static int index_prefixes(struct sf_suffixes *s, const uint64_t *marks)
{
        uint32_t before = 0;

        s->prefix_bits = PREFIX_BITS_MIN;
        while (s->prefix_bits < PREFIX_BITS_MAX && UINT64_C(1) << s->prefix_bits < s->count)
                s->prefix_bits++;
        size_t prefixes = (size_t)1 << s->prefix_bits;
        s->firsts = calloc(prefixes + 1, sizeof *s->firsts);
        if (!s->firsts)
                return -1;
        for (uint64_t i = 0; i < s->size; i++) {
                if (is_marked(marks, i))
                        s->firsts[prefix_of(s->data, i, s->size, s->prefix_bits) + 1]++;
                else if ((i & 63) == 0 && !marks[i >> 6])
                        i |= 63;
        }
        for (size_t i = 0; i <= prefixes; i++)
                before = s->firsts[i] += before;
        return 0;
}

/* What has to be sorted: the bytes that marked windows reach over and `context` more behind each run of them. Where all
 * parts of a match are marked, one more ends it, since the window it is in is not marked; so what follows it does not
 * matter, and the order of marked places is that of the whole data. Else the order is right for that many bytes, and
 * of several longer matches another one than the longest may be found. */
struct extract {
        uint8_t *bytes;   /* owned */
        uint32_t *places; /* owned; in the data, of each */
        uint64_t size;
};

static void cleanup_extract(struct extract *e)
{
        free(e->bytes);
        free(e->places);
}

/* Goes through the bytes of the extract in order; counts them only where it has no room for them. */
static void fill_extract(struct extract *e, const struct sf_suffixes *s, const struct sf_suffix_marks *marks)
{
        uint64_t end = 0; /* of what belongs to it */

        e->size = 0;
        for (uint64_t i = 0; i < s->size; i++) {
                if (sf_windows_marked(marks->marks, i))
                        end = i + SF_WINDOW_SHORTEST + marks->context;
                else if ((i & 63) == 0 && i >= end && !marks->marks[i >> 6])
                        i |= 63;
                if (i >= end)
                        continue;
                if (e->bytes) {
                        e->bytes[e->size] = s->data[i];
                        e->places[e->size] = (uint32_t)i;
                }
                e->size++;
        }
}

/* The suffixes in order, unmarked ones too; a place in the extract for each. */
static int sort_extract(struct sf_suffixes *s, struct extract *e, const struct sf_suffix_marks *marks)
{
        fill_extract(e, s, marks);
        e->bytes = malloc(e->size + 1);
        e->places = malloc((e->size + 1) * sizeof *e->places);
        s->order = malloc((e->size + 1) * sizeof *s->order);
        if (!e->bytes || !e->places || !s->order)
                return -1;
        fill_extract(e, s, marks);
        return e->size && sort(e->bytes, s->order, e->size) != 0 ? -1 : 0;
}

static int sort_marked(struct sf_suffixes *s, const struct sf_suffix_marks *marks)
{
        _cleanup_(cleanup_extract) struct extract e = { 0 };

        if (sort_extract(s, &e, marks) < 0)
                return -1;
        for (uint64_t i = 0; i < e.size; i++) {
                uint32_t place = e.places[s->order[i]];

                if (sf_windows_marked(marks->marks, place))
                        s->order[s->count++] = (int32_t)place;
        }
        int32_t *less = realloc(s->order, (s->count + 1) * sizeof *less);
        s->order = less ? less : s->order;
        return 0;
}

static int sort_all(struct sf_suffixes *s)
{
        s->order = malloc((s->size + 1) * sizeof *s->order);
        s->count = s->size;
        return !s->order || (s->size && sort(s->data, s->order, s->size) != 0) ? -1 : 0;
}

int sf_suffixes_open(struct sf_suffixes *s, const uint8_t *data, uint64_t size, const struct sf_suffix_marks *marks,
                     struct sf_error *err)
{
        *s = (struct sf_suffixes){ .data = data, .size = size };
        if (size > SF_SUFFIXES_MAX)
                return sf_error_set(err, SF_ERR_LIMIT, "%llu bytes are too many to be compared",
                                    (unsigned long long)size);
        if ((marks ? sort_marked(s, marks) : sort_all(s)) < 0 || index_prefixes(s, marks ? marks->marks : NULL) < 0) {
                sf_suffixes_close(s);
                return sf_error_set(err, SF_ERR_NOMEM, "no memory to sort %llu suffixes", (unsigned long long)size);
        }
        return 0;
}

void sf_suffixes_close(struct sf_suffixes *s)
{
        free(s->order);
        free(s->firsts);
        *s = (struct sf_suffixes){ 0 };
}

/* Equal bytes at a and b, of `most`. */
static uint64_t equal_bytes(const uint8_t *a, const uint8_t *b, uint64_t most)
{
        uint64_t length = 0;

        for (; length + 8 <= most; length += 8) {
                uint64_t x, y;

                memcpy(&x, a + length, sizeof x);
                memcpy(&y, b + length, sizeof y);
                if (x != y)
                        break;
        }
        while (length < most && a[length] == b[length])
                length++;
        return length;
}

static uint64_t common_from(const struct sf_suffixes *s, uint64_t at, const struct sf_pattern *p, uint64_t known)
{
        uint64_t most = s->size - at < p->size - p->at ? s->size - at : p->size - p->at;

        return known >= most ? most : known + equal_bytes(s->data + at + known, p->data + p->at + known, most - known);
}

/* Equal bytes of the data from `at` on and of the pattern from its start on. */
static uint64_t common_bytes(const struct sf_suffixes *s, uint64_t at, const struct sf_pattern *pattern)
{
        return common_from(s, at, pattern, 0);
}

/* The index of the first suffix that does not sort before the pattern. */
static uint64_t lower_bound(const struct sf_suffixes *s, const struct sf_pattern *p)
{
        uint32_t prefix = prefix_of(p->data, p->at, p->size, s->prefix_bits);
        uint64_t low = s->firsts[prefix], high = s->firsts[prefix + 1], low_common = 0, high_common = 0;

        while (low < high) {
                uint64_t middle = low + (high - low) / 2, at = (uint64_t)s->order[middle];
                uint64_t common = common_from(s, at, p, low_common < high_common ? low_common : high_common);
                bool before = p->at + common < p->size &&
                              (at + common == s->size || s->data[at + common] < p->data[p->at + common]);

                if (before) {
                        low = middle + 1;
                        low_common = common;
                } else {
                        high = middle;
                        high_common = common;
                }
        }
        return low;
}

static uint64_t distance(uint64_t a, uint64_t b)
{
        return a > b ? a - b : b - a;
}

/* One search. */
struct search {
        const struct sf_suffixes *suffixes;
        const struct sf_pattern *pattern;
        const struct sf_suffix_preference *preference;
        struct sf_suffix_match best;
        uint64_t score, away; /* of the best: its worth and its distance from where it is expected */
};

static void consider(struct search *q, uint64_t at)
{
        uint64_t away = distance(at, q->preference->expected);
        uint64_t length = common_bytes(q->suffixes, at, q->pattern);
        uint64_t worth = length + (length && away <= q->preference->window ? q->preference->worth : 0);

        if (worth > q->score || (worth == q->score && away < q->away)) {
                q->score = worth;
                q->away = away;
                q->best = (struct sf_suffix_match){ at, length };
        }
}

/* How far from where it is expected a suffix may be that can win, behind the first one: near, or nearer than the
 * best. */
static uint64_t reach(const struct search *q)
{
        uint64_t window = q->preference->window;

        return q->away > window + 1 ? q->away - 1 : window;
}

/* False where none of BLOCK suffixes can win. */
static bool may_win(const struct search *q, const int32_t *places)
{
        uint64_t expected = q->preference->expected, far = reach(q), first = expected > far ? expected - far : 0;
        uint32_t low = (uint32_t)first, span, count = 0;

        if (first > INT32_MAX)
                return false;
        span = expected + far - first > UINT32_MAX ? UINT32_MAX : (uint32_t)(expected + far - first);
        for (unsigned i = 0; i < BLOCK; i++)
                count += (uint32_t)places[i] - low <= span;
        return count > 0;
}

/* The suffixes on one side of the pattern's place, the longest match first. Behind the first one only those are
 * compared that can win. */
static void look_along(struct search *q, const int32_t *from, uint64_t count, int step)
{
        if (count > q->preference->look)
                count = q->preference->look;
        if (count)
                consider(q, (uint64_t)*from);
        for (uint64_t i = 1, end; i < count; i = end) {
                end = i + BLOCK < count ? i + BLOCK : count;
                /* The last block may reach back over the one before. */
                if (count >= BLOCK && !may_win(q, step > 0 ? from + (end - BLOCK) : from - (end - 1)))
                        continue;
                for (; i < end; i++) {
                        uint64_t at = (uint64_t)from[(int64_t)i * step];

                        if (distance(at, q->preference->expected) <= reach(q))
                                consider(q, at);
                }
        }
}

struct sf_suffix_match sf_suffixes_find(const struct sf_suffixes *s, const struct sf_pattern *pattern,
                                        const struct sf_suffix_preference *preference)
{
        struct search q = { .suffixes = s, .pattern = pattern, .preference = preference };
        uint64_t bound = lower_bound(s, pattern);

        q.away = distance(0, preference->expected);
        look_along(&q, s->order + bound - (bound > 0), bound, -1);
        look_along(&q, s->order + bound, s->count - bound, 1);
        return q.best;
}
