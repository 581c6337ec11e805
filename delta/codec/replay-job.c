/* SPDX-License-Identifier: Apache-2.0 */
/* delta/codec/replay-job.c - see replay-job.h. */
#include "delta/codec/replay-job.h"

/* Opens the new file's image as soon as its headers are there. */
static void look_at_headers(struct sf_replay_job *j, uint64_t known)
{
        if (j->image_open || !j->replay->predict || known < sf_image_headers(j->out, known))
                return;
        sf_predictor_image(j->out, known, j->replay->predict, &j->layout, &j->image);
        j->image_open = true;
}

/* What the first `known` bytes of the new file reveal that the predictors should know. */
void sf_replay_look(struct sf_replay_job *j, uint64_t known)
{
        look_at_headers(j, known);
        if (known >= j->names.next && j->image_open && !j->out_of_order)
                sf_symbol_match_tell(&j->names, j->out, known, &j->image, j->predictors, j->script->reference_count);
}
