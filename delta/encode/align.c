/* SPDX-License-Identifier: Apache-2.0 */
/* delta/encode/align.c - see align.h. */
#include "delta/encode/align.h"

#include <stdbool.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "delta/encode/prune.h"
#include "delta/encode/runs.h"
#include "delta/encode/suffixes.h"
#include "delta/encode/windows.h"

#define BETTER_BY     8    /* bytes a jump must match beyond what the current diagonal does */
#define NEAR_WINDOW   4096 /* distance from the current diagonal that counts as near */
#define NEAR_WORTH    12   /* bytes a near match may be shorter */
#define NEAR_LOOK     48   /* suffixes looked at on either side of the longest match */
#define RUN_LONG      48   /* equal bytes on the diagonal that are not worth a search, */
#define RUN_REST      24   /* but for the last ones */
#define HELD_MIN      64   /* bytes from which on a match is followed to its end instead of looked for anew */
#define RUN_CONTEXT   64   /* bytes behind a window that is looked for which are sorted too, where runs are left out */
#define MISMATCH_COST 2    /* matching bytes that make up for one that differs */

/* A run of new bytes placed on the old ones. */
struct match {
        uint64_t new, old, length;
};

struct search {
        const struct sf_align *job;
        struct sf_suffixes suffixes;
        struct sf_windows windows;
        struct sf_runs runs;
        uint64_t old_size;
};

static void cleanup_search(struct search *s)
{
        sf_suffixes_close(&s->suffixes);
        sf_windows_close(&s->windows);
        sf_runs_close(&s->runs);
}

/* The reference an old position lies in. */
static uint32_t reference_of(const struct sf_align *job, uint64_t old)
{
        uint32_t i = 0;

        while (i + 1 < job->reference_count && old >= job->starts[i + 1])
                i++;
        return i;
}

/* The best match for the new bytes; `expected` is where the current diagonal is in the old ones. */
static struct match find_match(const struct search *s, uint64_t new, uint64_t expected)
{
        const struct sf_pattern pattern = { s->job->new, new, s->job->new_size };
        const struct sf_suffix_preference preference = { expected, NEAR_WINDOW, NEAR_WORTH, NEAR_LOOK };
        struct sf_suffix_match m = sf_suffixes_find(&s->suffixes, &pattern, &preference);

        uint64_t room = m.length ? s->job->starts[reference_of(s->job, m.at) + 1] - m.at : 0;
        return (struct match){ new, m.at, m.length < room ? m.length : room };
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

/* A walk along the new bytes on the diagonal of the current match. */
struct walk {
        const struct search *search;
        struct match current;
        uint64_t at;          /* in the new bytes */
        uint64_t run_end;     /* up to where all bytes from `at` on are known to be equal on the diagonal */
        uint64_t counted;     /* up to where equal bytes were counted, and */
        uint64_t on_diagonal; /* how many of [at, counted) are equal on the diagonal */
        struct match held;    /* the last match that was found */
};

static bool is_equal(const struct walk *w, uint64_t new)
{
        const struct sf_align *job = w->search->job;
        uint64_t old = new - w->current.new + w->current.old;

        return old < w->search->old_size && job->old[old] == job->new[new];
}

static void advance(struct walk *w)
{
        if (w->counted > w->at)
                w->on_diagonal -= is_equal(w, w->at);
        else
                w->counted = w->at + 1;
        w->at++;
}

static void jump_to(struct walk *w, uint64_t at)
{
        w->at = w->counted = at;
        w->on_diagonal = 0;
}

/* While the diagonal itself goes on for long there is nothing to look for: goes to shortly before it ends. */
static void follow_run(struct walk *w)
{
        if (w->run_end < w->at)
                w->run_end = w->at;
        while (w->run_end < w->search->job->new_size && is_equal(w, w->run_end))
                w->run_end++;
        if (w->run_end - w->at >= RUN_LONG)
                jump_to(w, w->run_end - RUN_REST);
}

/* How long a match must be to beat the diagonal: more than BETTER_BY of its bytes must differ there. Counted up to
 * SF_WINDOW_LONGEST. */
static uint64_t least_length(const struct walk *w)
{
        uint64_t length = 0, most = w->search->job->new_size - w->at, differing = 0;

        for (; length < most && length < SF_WINDOW_LONGEST && differing <= BETTER_BY; length++)
                differing += !is_equal(w, w->at + length);
        return differing <= BETTER_BY && length < SF_WINDOW_LONGEST ? UINT64_MAX : length;
}

/* The best match at w->at, or one of length 0 where none can beat the diagonal. A long one is followed rather than
 * looked for anew at each byte. */
static struct match match_here(struct walk *w)
{
        const struct sf_align *job = w->search->job;
        uint64_t gone = w->at - w->held.new;

        if (w->held.length < gone + HELD_MIN) {
                const struct sf_run *run = sf_runs_at(&w->search->runs, w->at);

                if (run) {
                        w->held = (struct match){ run->new, run->old, run->length };
                        gone = w->at - run->new;
                        return (struct match){ w->at, w->held.old + gone, w->held.length - gone };
                }
                if (!sf_windows_may_hold(&w->search->windows, job->new + w->at, job->new_size - w->at, least_length(w)))
                        return (struct match){ .new = w->at };
                w->held = find_match(w->search, w->at, w->at - w->current.new + w->current.old);
                gone = 0;
        }
        return (struct match){ w->at, w->held.old + gone, w->held.length - gone };
}

/* The next match that beats the current diagonal, or one of length 0 at the end of the new bytes. */
static struct match next_match(const struct search *s, const struct match *current, uint64_t from)
{
        struct walk w = { .search = s, .current = *current, .at = from, .counted = from };

        while (w.at < s->job->new_size) {
                follow_run(&w);
                struct match m = match_here(&w);

                for (; w.counted < w.at + m.length; w.counted++)
                        w.on_diagonal += is_equal(&w, w.counted);
                if (m.length > w.on_diagonal + BETTER_BY)
                        return m;
                if (m.length && m.length == w.on_diagonal && m.old == w.at - current->new + current->old)
                        jump_to(&w, w.at + m.length); /* the diagonal itself: to where it ends */
                else
                        advance(&w);
        }
        return (struct match){ .new = s->job->new_size };
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

static int open_search(struct search *s, const struct sf_script *before, struct sf_error *err)
{
        const struct sf_align *job = s->job;
        int r = sf_runs_open(&s->runs, job, before, err);

        if (r < 0)
                return r;
        const struct sf_window_sides sides = { job->old, job->new, s->old_size, job->new_size, &s->runs };
        if ((r = sf_windows_open(&s->windows, &sides, err)) < 0)
                return r;
        const struct sf_suffix_marks marks = { s->windows.marks, s->runs.count ? RUN_CONTEXT : 1 };
        return sf_suffixes_open(&s->suffixes, job->old, s->old_size, &marks, err);
}

int sf_align_files(const struct sf_align *job, struct sf_script *script, struct sf_error *err)
{
        _cleanup_(cleanup_search) struct search s = { .job = job, .old_size = job->starts[job->reference_count] };
        struct writer w = { .script = script, .job = job };

        bool searched = s.old_size && job->new_size;
        int r = searched ? open_search(&s, script, err) : 0;

        script->count = 0;
        if (r < 0 || (searched && (r = write_matches(&s, &w, err)) < 0))
                return r;
        if (w.done < job->new_size) {
                r = sf_script_add(script, (struct sf_step){ .literal = job->new_size - w.done }, err);
                if (r < 0)
                        return r;
        }
        sf_prune_script(script, job->a64);
        return 0;
}
