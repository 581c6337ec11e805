/* SPDX-License-Identifier: Apache-2.0 */
/* delta/encode/runs.c - see runs.h. */
#include "delta/encode/runs.h"

#include <stdlib.h>

static int add_run(struct sf_runs *r, size_t *room, struct sf_run run, struct sf_error *err)
{
        if (r->count == *room) {
                size_t more = *room ? 2 * *room : 256;
                struct sf_run *grown = realloc(r->runs, more * sizeof *grown);

                if (!grown)
                        return sf_error_set(err, SF_ERR_NOMEM, "no memory for %zu runs", more);
                r->runs = grown;
                *room = more;
        }
        r->runs[r->count++] = run;
        return 0;
}

/* The runs in one copy. */
static int find_runs(struct sf_runs *r, size_t *room, const struct sf_align *job, const struct sf_run *copy,
                     struct sf_error *err)
{
        uint64_t start = 0;

        for (uint64_t i = 0; i <= copy->length; i++) {
                if (i < copy->length && job->old[copy->old + i] == job->new[copy->new + i])
                        continue;
                if (i - start >= SF_RUN_MIN) {
                        const struct sf_run run = { copy->new + start, copy->old + start, i - start };
                        int result = add_run(r, room, run, err);

                        if (result < 0)
                                return result;
                }
                start = i + 1;
        }
        return 0;
}

int sf_runs_open(struct sf_runs *r, const struct sf_align *job, const struct sf_script *script, struct sf_error *err)
{
        uint64_t at = 0;
        size_t room = 0;

        *r = (struct sf_runs){ 0 };
        for (size_t i = 0; i < script->count; i++) {
                const struct sf_step *step = &script->steps[i];

                at += step->literal;
                if (step->copy) {
                        const struct sf_run copy = { at, job->starts[step->reference] + step->from, step->copy };
                        int result = find_runs(r, &room, job, &copy, err);

                        if (result < 0) {
                                sf_runs_close(r);
                                return result;
                        }
                }
                at += step->copy;
        }
        return 0;
}

void sf_runs_close(struct sf_runs *r)
{
        free(r->runs);
        *r = (struct sf_runs){ 0 };
}

const struct sf_run *sf_runs_at(const struct sf_runs *r, uint64_t new)
{
        size_t low = 0, high = r->count;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (r->runs[middle].new + r->runs[middle].length < new + SF_RUN_TAIL)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low < r->count && r->runs[low].new <= new ? &r->runs[low] : NULL;
}
