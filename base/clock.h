/* SPDX-License-Identifier: Apache-2.0 */
/* base/clock.h - how long something takes. */
#ifndef SF_BASE_CLOCK_H
#define SF_BASE_CLOCK_H

#include <time.h>

/* Seconds of a clock that nobody sets (CLOCK_MONOTONIC): only differences mean something. */
static inline double sf_clock_seconds(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

#endif
