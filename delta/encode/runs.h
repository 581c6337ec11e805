/* SPDX-License-Identifier: Apache-2.0 */
/* delta/encode/runs.h - long runs of equal bytes that an earlier alignment found (encoder only).
 *
 * A file is aligned several times (delta/encode/realign.h). Where the last script copies SF_RUN_MIN bytes and more that
 * are equal, the next alignment takes the match from there: nothing is looked for, and nothing of it is sorted.
 */
#ifndef SF_DELTA_ENCODE_RUNS_H
#define SF_DELTA_ENCODE_RUNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "delta/encode/align.h"

#define SF_RUN_MIN  128
#define SF_RUN_HEAD 32 /* places at the start of a run from which a match that begins in front of it may reach in */
#define SF_RUN_TAIL 64 /* bytes at its end where it counts no more: another match may be longer there */

struct sf_run {
        uint64_t new, old, length; /* old: in all references, back to back */
};

struct sf_runs {
        struct sf_run *runs; /* owned; ascending, not overlapping in the new bytes */
        size_t count;
};

/* The runs in the copies of a script; none in an empty one. */
int sf_runs_open(struct sf_runs *r, const struct sf_align *job, const struct sf_script *script, struct sf_error *err);
void sf_runs_close(struct sf_runs *r);
/* The run that a place of the new bytes lies in, SF_RUN_TAIL bytes or more before its end; NULL where there is none. */
const struct sf_run *sf_runs_at(const struct sf_runs *r, uint64_t new);

#endif
