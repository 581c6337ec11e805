/* SPDX-License-Identifier: Apache-2.0 */
/* base/clock.c - see clock.h. */
#include "base/clock.h"

const char *sf_clock_stamp(int64_t moment, char out[SF_CLOCK_STAMP])
{
        time_t seconds = (time_t)moment;
        struct tm tm;

        if (!gmtime_r(&seconds, &tm) || strftime(out, SF_CLOCK_STAMP, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
                out[0] = '\0';
        return out;
}

const char *sf_clock_date(int64_t moment, char out[SF_CLOCK_STAMP])
{
        time_t seconds = (time_t)moment;
        struct tm tm;

        if (!gmtime_r(&seconds, &tm) || strftime(out, SF_CLOCK_STAMP, "%Y%m%d", &tm) == 0)
                out[0] = '\0';
        return out;
}
