/* SPDX-License-Identifier: Apache-2.0 */
/* delta/encode/windows.c - see windows.h. */
#include "delta/encode/windows.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define LOG_MIN       20
#define LOG_MAX       27
#define AHEAD         16 /* windows whose places in the map are on their way */
#define BITS_PER_BYTE 8  /* of a map, for each place that is looked for */

static const uint64_t lengths[SF_WINDOW_LENGTHS] = { SF_WINDOW_SHORTEST, 16, SF_WINDOW_LONGEST };

static unsigned map_log(uint64_t size)
{
        unsigned log = LOG_MIN;

        while (log < LOG_MAX && (UINT64_C(1) << log) < size * BITS_PER_BYTE)
                log++;
        return log;
}

static uint64_t mix(uint64_t hash, const uint8_t *bytes)
{
        uint64_t word;

        memcpy(&word, bytes, sizeof word);
        hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        return hash ^ hash >> 29;
}

/* The hash of a window of lengths[which] bytes: its words, the last one overlapping. */
static uint64_t hash_window(const struct sf_windows *w, unsigned which, const uint8_t *bytes)
{
        uint64_t hash = which;

        for (uint64_t i = 0; i + 8 < lengths[which]; i += 8)
                hash = mix(hash, bytes + i);
        return mix(hash, bytes + lengths[which] - 8) * UINT64_C(0xd6e8feb86659fd93) >> (64 - w->log);
}

static void set_bit(uint64_t *bits, uint64_t at)
{
        bits[at >> 6] |= UINT64_C(1) << (at & 63);
}

static uint64_t *open_bits(uint64_t count)
{
        return calloc((size_t)(count >> 6) + 1, sizeof(uint64_t));
}

/* Marks the old bytes, and notes what is marked in the maps. `held`: the windows of the new bytes. A longer window can
 * only be shared where all shorter ones in it are. */
static void mark_old(struct sf_windows *w, const struct sf_window_sides *sides, const uint64_t *held)
{
        uint64_t run = 0; /* marked places in a row */
        uint64_t ahead[AHEAD],
                count = sides->old_size < SF_WINDOW_SHORTEST ? 0 : sides->old_size - SF_WINDOW_SHORTEST + 1;

        for (uint64_t i = 0; i < AHEAD && i < count; i++)
                ahead[i] = hash_window(w, 0, sides->old + i);
        for (uint64_t i = 0; i < count; i++) {
                uint64_t hash = ahead[i % AHEAD];

                if (i + AHEAD < count) {
                        ahead[i % AHEAD] = hash_window(w, 0, sides->old + i + AHEAD);
                        __builtin_prefetch(&held[ahead[i % AHEAD] >> 6]);
                }
                if (!sf_windows_marked(held, hash)) {
                        run = 0;
                        continue;
                }
                run++;
                set_bit(w->marks, i);
                set_bit(w->bits[0], hash);
                for (unsigned which = 1; which < SF_WINDOW_LENGTHS; which++) {
                        uint64_t more = lengths[which] - SF_WINDOW_SHORTEST;

                        if (run > more)
                                set_bit(w->bits[which], hash_window(w, which, sides->old + i - more));
                }
        }
}

/* Goes through the places of the new bytes that may be looked for; puts their windows into the map, if there is one.
 * Returns how many there are. */
static uint64_t hold_new(const struct sf_windows *w, const struct sf_window_sides *sides, uint64_t *held)
{
        uint64_t count = 0, at = 0;

        for (size_t r = 0; r <= sides->runs->count; r++) {
                const struct sf_run *run = r < sides->runs->count ? &sides->runs->runs[r] : NULL;
                uint64_t end = run ? run->new + SF_RUN_HEAD : sides->new_size;

                count += end > at ? end - at : 0;
                for (; held && at < end && at + SF_WINDOW_SHORTEST <= sides->new_size; at++)
                        set_bit(held, hash_window(w, 0, sides->new + at));
                if (run)
                        at = run->new + run->length - SF_RUN_TAIL;
        }
        return count;
}

int sf_windows_open(struct sf_windows *w, const struct sf_window_sides *sides, struct sf_error *err)
{
        *w = (struct sf_windows){ .log = map_log(hold_new(w, sides, NULL)) };
        uint64_t count = UINT64_C(1) << w->log;
        _cleanup_free_ uint64_t *held = open_bits(count);
        bool complete = held && (w->marks = open_bits(sides->old_size));

        for (unsigned which = 0; complete && which < SF_WINDOW_LENGTHS; which++)
                complete = (w->bits[which] = open_bits(count));
        if (!complete) {
                sf_windows_close(w);
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a map of windows");
        }
        hold_new(w, sides, held);
        mark_old(w, sides, held);
        return 0;
}

void sf_windows_close(struct sf_windows *w)
{
        free(w->marks);
        for (unsigned i = 0; i < SF_WINDOW_LENGTHS; i++)
                free(w->bits[i]);
        *w = (struct sf_windows){ 0 };
}

bool sf_windows_may_hold(const struct sf_windows *w, const uint8_t *bytes, uint64_t left, uint64_t length)
{
        if (length > left)
                return false;
        for (unsigned which = SF_WINDOW_LENGTHS; which-- > 0;) {
                if (lengths[which] > length)
                        continue;
                uint64_t hash = hash_window(w, which, bytes);

                return sf_windows_marked(w->bits[which], hash);
        }
        return true;
}
