/* SPDX-License-Identifier: Apache-2.0 */
/* delta/encode/effort.c - see effort.h. */
#include "delta/encode/effort.h"

#include <stddef.h>

void sf_delta_effort_add(struct sf_delta_effort *effort, uint64_t bytes)
{
        if (!effort)
                return;
        pthread_mutex_lock(&effort->lock);
        effort->done += bytes;
        if (effort->progress && effort->done <= effort->total)
                effort->progress(effort->ctx, effort->done, effort->total);
        pthread_mutex_unlock(&effort->lock);
        sf_delta_effort_add(effort->whole, bytes);
}

unsigned sf_delta_effort_threads(const struct sf_delta_effort *effort)
{
        return effort ? effort->threads : 0;
}

uint64_t sf_delta_effort_memory(const struct sf_delta_effort *effort)
{
        return effort ? effort->memory : 0;
}

uint64_t sf_delta_effort_node_memory(const struct sf_delta_effort *effort)
{
        return effort ? effort->node_memory : 0;
}

uint64_t sf_delta_effort_model_bytes(const struct sf_delta_effort *effort)
{
        return effort && effort->model_bytes ? effort->model_bytes : SF_DELTA_MODEL_BYTES;
}
