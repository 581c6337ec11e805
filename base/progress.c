/* SPDX-License-Identifier: Apache-2.0 */
/* base/progress.c - see progress.h. */
#include "base/progress.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

#define REDRAW    0.1 /* seconds */
#define FIRST     0.3 /* seconds before a rate means something */
#define LONG_TIME (100.0 * 3600)

double sf_progress_note(struct sf_progress *progress, double now, uint64_t done)
{
        unsigned last = (progress->count + SF_PROGRESS_SAMPLES - 1) % SF_PROGRESS_SAMPLES, first;

        /* Less than before: another try of the same work. */
        if (progress->count && done < progress->samples[last].done)
                progress->count = 0;
        if (progress->count == 0 || now - progress->samples[last].when >= SF_PROGRESS_SPACING) {
                progress->samples[progress->count % SF_PROGRESS_SAMPLES].when = now;
                progress->samples[progress->count % SF_PROGRESS_SAMPLES].done = done;
                progress->count++;
        }
        first = progress->count > SF_PROGRESS_SAMPLES ? progress->count % SF_PROGRESS_SAMPLES : 0;
        double span = now - progress->samples[first].when;
        return span < FIRST ? -1 : (double)(done - progress->samples[first].done) / span;
}

/* "0:12", "1:02:03" */
static void add_time(char *out, size_t room, double seconds)
{
        unsigned long s = (unsigned long)(seconds + 0.5);

        if (s < 3600)
                snprintf(out, room, "  %lu:%02lu left", s / 60, s % 60);
        else
                snprintf(out, room, "  %lu:%02lu:%02lu left", s / 3600, s / 60 % 60, s % 60);
}

char *sf_progress_text(const struct sf_progress *progress, double rate, uint64_t done, uint64_t total, char out[256])
{
        char size[32], speed[40] = "", left[40] = "";
        double share = total ? 100.0 * (double)done / (double)total : 0;
        unsigned percent = share < 100 ? (unsigned)(share + 0.5) : 100;

        if (rate >= 0)
                snprintf(speed, sizeof speed, "  %s/s", sf_log_size((uint64_t)rate, size));
        if (total && rate > 0 && done < total && (double)(total - done) / rate < LONG_TIME)
                add_time(left, sizeof left, (double)(total - done) / rate);
        if (total)
                snprintf(out, 256, "%s  %3u %%%s%s", progress->what, percent, speed, left);
        else
                snprintf(out, 256, "%s  %s%s", progress->what, sf_log_size(done, size), speed);
        return out;
}

void sf_progress_show(const char *what, uint64_t done, uint64_t total)
{
        static struct sf_progress current;
        struct sf_progress *progress = &current;
        char text[256];

        if (!sf_log_draws())
                return;
        double now = sf_clock_seconds();
        if (strncmp(progress->what, what, sizeof progress->what - 1) != 0) {
                *progress = (struct sf_progress){ 0 };
                snprintf(progress->what, sizeof progress->what, "%s", what);
        }
        done = total && done > total ? total : done;
        double rate = sf_progress_note(progress, now, done);
        bool whole = total && done == total;
        if (now - progress->drawn < REDRAW && (!whole || progress->whole))
                return;
        progress->drawn = now;
        progress->whole = whole;
        sf_log_status("%s", sf_progress_text(progress, rate, done, total, text));
}
