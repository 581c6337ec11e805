/* SPDX-License-Identifier: Apache-2.0 */
/* base/clock.h - how long something takes, and moments as text. */
#ifndef SF_BASE_CLOCK_H
#define SF_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define SF_CLOCK_STAMP 32 /* "2026-11-23T12:00:00Z" with its NUL, and years of more digits */

/* Seconds of a clock that nobody sets (CLOCK_MONOTONIC): only differences mean something. */
static inline double sf_clock_seconds(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* A moment (seconds since 1970) in UTC as RFC 3339 has it, and its date alone: "2026-11-23T12:00:00Z", "20261123". ""
 * where it has none. Both return out. */
const char *sf_clock_stamp(int64_t moment, char out[SF_CLOCK_STAMP]);
const char *sf_clock_date(int64_t moment, char out[SF_CLOCK_STAMP]);

#endif
