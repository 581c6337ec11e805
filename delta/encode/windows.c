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

/* The place of a window in a map: its word, and three bits of that one. */
struct place {
        uint64_t word, bits;
};

/* That of a window of lengths[which] bytes, by the hash of its words, of which the last one overlaps. */
static struct place place_of(const struct sf_windows *w, unsigned which, const uint8_t *bytes)
{
        uint64_t hash = which;

        for (uint64_t i = 0; i + 8 < lengths[which]; i += 8)
                hash = mix(hash, bytes + i);
        hash = mix(hash, bytes + lengths[which] - 8) * UINT64_C(0xd6e8feb86659fd93);
        uint64_t low = hash >> (64 - w->log - 12); /* the next bits below those that say which word */
        return (struct place){ hash >> (64 - w->log + 6), UINT64_C(1) << (low & 63) | UINT64_C(1) << (low >> 6 & 63) |
                                                                  UINT64_C(1) << (low >> 12 & 63) };
}

static void put(uint64_t *map, struct place place)
{
        map[place.word] |= place.bits;
}

static bool holds(const uint64_t *map, struct place place)
{
        return (map[place.word] & place.bits) == place.bits;
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
        struct place ahead[AHEAD];
        uint64_t count = sides->old_size < SF_WINDOW_SHORTEST ? 0 : sides->old_size - SF_WINDOW_SHORTEST + 1;

        for (uint64_t i = 0; i < AHEAD && i < count; i++)
                ahead[i] = place_of(w, 0, sides->old + i);
        for (uint64_t i = 0; i < count; i++) {
                struct place place = ahead[i % AHEAD];

                if (i + AHEAD < count) {
                        ahead[i % AHEAD] = place_of(w, 0, sides->old + i + AHEAD);
                        __builtin_prefetch(&held[ahead[i % AHEAD].word]);
                }
                if (!holds(held, place)) {
                        run = 0;
                        continue;
                }
                run++;
                set_bit(w->marks, i);
                put(w->bits[0], place);
                for (unsigned which = 1; which < SF_WINDOW_LENGTHS; which++) {
                        uint64_t more = lengths[which] - SF_WINDOW_SHORTEST;

                        if (run > more)
                                put(w->bits[which], place_of(w, which, sides->old + i - more));
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
                        put(held, place_of(w, 0, sides->new + at));
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
                return holds(w->bits[which], place_of(w, which, bytes));
        }
        return true;
}
