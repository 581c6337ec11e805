/* SPDX-License-Identifier: Apache-2.0 */
/* delta/encode/windows.c - see windows.h. */
#include "delta/encode/windows.h"

#include <stdlib.h>
#include <string.h>

#define LOG_MIN       10
#define LOG_MAX       27
#define BITS_PER_BYTE 8 /* of the map, for each byte of data */

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

int sf_windows_open(struct sf_windows *w, const uint8_t *data, uint64_t size, struct sf_error *err)
{
        *w = (struct sf_windows){ .log = map_log(size) };
        for (unsigned which = 0; which < SF_WINDOW_LENGTHS; which++) {
                w->bits[which] = calloc((size_t)1 << w->log >> 6, sizeof *w->bits[which]);
                if (!w->bits[which]) {
                        sf_windows_close(w);
                        return sf_error_set(err, SF_ERR_NOMEM, "no memory for a map of windows");
                }
                for (uint64_t i = 0; i + lengths[which] <= size; i++) {
                        uint64_t hash = hash_window(w, which, data + i);

                        w->bits[which][hash >> 6] |= UINT64_C(1) << (hash & 63);
                }
        }
        return 0;
}

void sf_windows_close(struct sf_windows *w)
{
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

                return w->bits[which][hash >> 6] >> (hash & 63) & 1;
        }
        return true;
}
