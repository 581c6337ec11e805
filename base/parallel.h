/* SPDX-License-Identifier: Apache-2.0 */
/* base/parallel.h - the same work on many things, on several threads. */
#ifndef SF_BASE_PARALLEL_H
#define SF_BASE_PARALLEL_H

#include <stddef.h>

#include "base/error.h"

/* Processors this process may run on, at least 1. */
unsigned sf_parallel_processors(void);

/* Calls one(ctx, i, err) for every i below count, in any order, on at most `threads` threads (0 = one per processor;
 * the calling thread is one of them, so that it also works where no thread can be had). The first failure stops the
 * rest and is returned. */
int sf_parallel_each(size_t count, unsigned threads, int (*one)(void *ctx, size_t i, struct sf_error *err), void *ctx,
                     struct sf_error *err);

#endif
