/* SPDX-License-Identifier: Apache-2.0 */
/* base/progress.h - how far a piece of work is, how fast it was in the last seconds, and how long it will take. */
#ifndef SF_BASE_PROGRESS_H
#define SF_BASE_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#define SF_PROGRESS_SAMPLES 7   /* that the rate is made from ... */
#define SF_PROGRESS_SPACING 0.5 /* ... and the seconds between two of them: a window of three seconds */

struct sf_progress {
        char what[160]; /* printed first; another one starts anew */
        struct {
                double when;
                uint64_t done;
        } samples[SF_PROGRESS_SAMPLES]; /* a ring; `count` of them were ever taken */
        unsigned count;
        double drawn;
        bool whole; /* the last one drawn was of everything */
};

/* Notes that `done` bytes are done at `now` (sf_clock_seconds) and returns bytes per second over the window; negative
 * where nothing can be said yet. */
double sf_progress_note(struct sf_progress *progress, double now, uint64_t done);
/* "what  42 %  1.2 MiB/s  0:12 left"; returns out. */
char *sf_progress_text(const struct sf_progress *progress, double rate, uint64_t done, uint64_t total, char out[256]);
/* Both, for what this program does right now, drawn by sf_log_status at most ten times a second, and once when all is
 * done. From one thread. */
void sf_progress_show(const char *what, uint64_t done, uint64_t total);

#endif
