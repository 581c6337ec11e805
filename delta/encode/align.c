/* SPDX-License-Identifier: Apache-2.0 */
/* delta/encode/align.c - see align.h. */
#include "delta/encode/align.h"

#include <divsufsort.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "delta/encode/prune.h"

#define BETTER_BY     8    /* bytes a jump must match beyond what the current diagonal does */
#define NEAR_WINDOW   4096 /* distance from the current diagonal that counts as near */
#define NEAR_WORTH    12   /* bytes a near match may be shorter */
#define NEAR_LOOK     48   /* suffixes looked at on either side of the longest match */
#define MISMATCH_COST 2    /* matching bytes that make up for one that differs */

/* A run of new bytes placed on the old ones. */
struct match {
        uint64_t new, old, length;
};

struct search {
        const struct sf_align *job;
        saidx_t *suffixes; /* owned */
        uint64_t old_size;
};

static void cleanup_search(struct search *s)
{
        free(s->suffixes);
}

static uint64_t common_length(const struct search *s, uint64_t old, uint64_t new)
{
        uint64_t length = 0, most = s->old_size - old;

        if (most > s->job->new_size - new)
                most = s->job->new_size - new;
        while (length < most && s->job->old[old + length] == s->job->new[new + length])
                length++;
        return length;
}

/* The index of the first suffix that does not sort before the new bytes. */
static uint64_t lower_bound(const struct search *s, uint64_t new)
{
        uint64_t low = 0, high = s->old_size, low_common = 0, high_common = 0;

        while (low < high) {
                uint64_t middle = low + (high - low) / 2, old = (uint64_t)s->suffixes[middle];
                uint64_t common = low_common < high_common ? low_common : high_common;

                common += old + common <= s->old_size ? common_length(s, old + common, new + common) : 0;
                bool before = new + common < s->job->new_size &&
                              (old + common == s->old_size || s->job->old[old + common] < s->job->new[new + common]);
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

/* The best match for the new bytes; `expected` is where the current diagonal is in the old ones. */
static struct match find_match(const struct search *s, uint64_t new, uint64_t expected)
{
        uint64_t bound = lower_bound(s, new), score = 0;
        struct match best = { .new = new };

        for (int direction = -1; direction <= 1; direction += 2) {
                uint64_t at = direction < 0 ? bound - 1 : bound;

                for (unsigned i = 0; i < NEAR_LOOK && at < s->old_size; i++, at += (uint64_t)(int64_t)direction) {
                        uint64_t old = (uint64_t)s->suffixes[at], length = common_length(s, old, new);
                        uint64_t worth = length + (length && distance(old, expected) <= NEAR_WINDOW ? NEAR_WORTH : 0);

                        if (length + NEAR_WORTH < score)
                                break;
                        if (worth > score ||
                            (worth == score && distance(old, expected) < distance(best.old, expected))) {
                                score = worth;
                                best.old = old;
                                best.length = length;
                        }
                }
        }
        return best;
}

/* How far a match reaches over bytes that differ now and then: the longest prefix with the best balance. */
static uint64_t extend(const struct search *s, uint64_t old, uint64_t new, uint64_t most, int direction)
{
        int64_t balance = 0, best = 0;
        uint64_t length = 0;

        for (uint64_t i = 0; i < most; i++) {
                uint64_t k = direction > 0 ? i : (uint64_t)0 - i - 1;

                balance += s->job->old[old + k] == s->job->new[new + k] ? 1 : -MISMATCH_COST;
                if (balance > best) {
                        best = balance;
                        length = i + 1;
                }
                if (balance < best - 512)
                        break;
        }
        return length;
}

/* The reference an old position lies in. */
static uint32_t reference_of(const struct sf_align *job, uint64_t old)
{
        uint32_t i = 0;

        while (i + 1 < job->reference_count && old >= job->starts[i + 1])
                i++;
        return i;
}

/* Shifts the border between two extended matches that overlap to where most bytes are equal. */
static void settle_overlap(const struct search *s, const struct match *a, uint64_t *a_length, const struct match *b,
                           uint64_t *b_back)
{
        uint64_t a_end = a->new + *a_length, b_start = b->new - *b_back;

        if (a_end <= b_start)
                return;
        uint64_t overlap = a_end - b_start, best_split = 0;
        int64_t balance = 0, best = 0;
        for (uint64_t i = 0; i < overlap; i++) {
                uint64_t at = b_start + i;

                balance += s->job->old[a->old + (at - a->new)] == s->job->new[at];
                balance -= s->job->old[b->old - (b->new - at)] == s->job->new[at];
                if (balance > best) {
                        best = balance;
                        best_split = i + 1;
                }
        }
        *a_length -= overlap - best_split;
        *b_back -= best_split;
}

struct writer {
        struct sf_script *script;
        const struct sf_align *job;
        uint64_t done; /* new bytes covered by steps */
};

/* One copy, the bytes before it literal. Copies that are too short are left to the next literal. */
static int write_copy(struct writer *w, uint64_t new, uint64_t old, uint64_t length, struct sf_error *err)
{
        uint32_t reference = reference_of(w->job, old);

        if (length < SF_SCRIPT_COPY_MIN || w->script->count + 1 == SF_SCRIPT_STEPS_MAX)
                return 0;
        struct sf_step step = { .literal = new - w->done,
                                .copy = length,
                                .from = old - w->job->starts[reference],
                                .reference = reference };
        w->done = new + length;
        return sf_script_add(w->script, step, err);
}

/* The next match that beats the current diagonal, or one of length 0 at the end of the new bytes. */
static struct match next_match(const struct search *s, const struct match *current, uint64_t from)
{
        const struct sf_align *job = s->job;
        uint64_t counted = from, on_diagonal = 0; /* equal bytes on the current diagonal in [at, counted) */

        for (uint64_t at = from; at < job->new_size; at++) {
                uint64_t expected = at - current->new + current->old;
                struct match m = find_match(s, at, expected);

                for (; counted < at + m.length; counted++) {
                        uint64_t old = counted - current->new + current->old;
                        on_diagonal += old < s->old_size && job->old[old] == job->new[counted];
                }
                bool same = m.length && m.length == on_diagonal && m.old == expected;
                if (same) {
                        /* The diagonal itself: go to where it ends. */
                        at += m.length - 1;
                        counted = at + 1;
                        on_diagonal = 0;
                        continue;
                }
                if (m.length > on_diagonal + BETTER_BY)
                        return m;
                on_diagonal -= expected < s->old_size && job->old[expected] == job->new[at] && counted > at;
                if (counted <= at)
                        counted = at + 1;
        }
        return (struct match){ .new = job->new_size };
}

static int write_matches(const struct search *s, struct writer *w, struct sf_error *err)
{
        const struct sf_align *job = s->job;
        struct match current = { 0 };
        uint64_t back = 0, scan = 0; /* how far `current` was extended backwards; where to look on */

        while (scan < job->new_size) {
                struct match next = next_match(s, &current, scan);
                uint64_t start_new = current.new - back, start_old = current.old - back, next_back = 0;
                uint32_t reference = reference_of(job, current.old);
                uint64_t most = next.new - current.new, room = job->starts[reference + 1] - current.old;
                struct match whole = { start_new, start_old, 0 };

                uint64_t forward = extend(s, current.old, current.new, most < room ? most : room, 1);
                if (next.length) {
                        most = next.new - current.new;
                        room = next.old - job->starts[reference_of(job, next.old)];
                        next_back = extend(s, next.old, next.new, most < room ? most : room, -1);
                }
                whole.length = back + forward;
                settle_overlap(s, &whole, &whole.length, &next, &next_back);
                int r = write_copy(w, start_new, start_old, whole.length, err);
                if (r < 0)
                        return r;
                scan = next.new + next.length;
                current = next;
                back = next_back;
                if (!next.length)
                        break;
                if (scan >= job->new_size) {
                        r = write_copy(w, next.new - back, next.old - back, back + next.length, err);
                        if (r < 0)
                                return r;
                }
        }
        return 0;
}

int sf_align_files(const struct sf_align *job, struct sf_script *script, struct sf_error *err)
{
        _cleanup_(cleanup_search) struct search s = { .job = job, .old_size = job->starts[job->reference_count] };
        struct writer w = { .script = script, .job = job };

        script->count = 0;
        if (s.old_size && job->new_size) {
                s.suffixes = calloc(s.old_size, sizeof *s.suffixes);
                if (!s.suffixes || divsufsort(job->old, s.suffixes, (saidx_t)s.old_size) != 0)
                        return sf_error_set(err, SF_ERR_NOMEM, "no memory to sort %llu suffixes",
                                            (unsigned long long)s.old_size);
                int r = write_matches(&s, &w, err);
                if (r < 0)
                        return r;
        }
        if (w.done < job->new_size) {
                int r = sf_script_add(script, (struct sf_step){ .literal = job->new_size - w.done }, err);
                if (r < 0)
                        return r;
        }
        sf_prune_script(script);
        return 0;
}
