/* SPDX-License-Identifier: Apache-2.0 */
/* delta/encode/effort.h - how an encoder works: on how many threads, and whom it tells how far it is.
 *
 * The bytes that come out are the same for any number of threads.
 */
#ifndef SF_DELTA_ENCODE_EFFORT_H
#define SF_DELTA_ENCODE_EFFORT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* What the mixing model is given of one delta, in bytes that sf_delta_zstd_probe finds: its quickest level spells out
 * what the model would have to code, and leaves out what is copied. It is the model that takes the time, on the node
 * above all: see docs/DELTA.md, "Memory and time". */
#define SF_DELTA_MODEL_BYTES (UINT64_C(12) << 20)

struct sf_delta_effort {
        unsigned threads;     /* at most; 0 = one per processor */
        uint64_t memory;      /* bytes it may take besides the contents, see memory.h; 0 = no limit */
        uint64_t cheaper;     /* parts that took a cheaper codec because of that */
        uint64_t bounded;     /* parts that took zstd for what another codec would cost the node */
        uint64_t node_memory; /* bytes that decoding may take besides the contents; 0 = no limit */
        uint64_t model_bytes; /* 0 = SF_DELTA_MODEL_BYTES */
        unsigned part_log;    /* parts are of 2^part_log bytes at most; 0 = as many as the format and the node allow */
        bool proved;          /* set where the patch was tried while it was made */
        /* Told now and then: bytes of new content that are dealt with, of `total`. Called by one thread at a time, not
         * always the same one. May be NULL. */
        void (*progress)(void *ctx, uint64_t done, uint64_t total);
        void *ctx;
        pthread_mutex_t lock;
        uint64_t done, total;
        struct sf_delta_effort *whole; /* what this is a part of, which is told as well; or NULL */
};

/* `effort` may be NULL. */
void sf_delta_effort_add(struct sf_delta_effort *effort, uint64_t bytes);
unsigned sf_delta_effort_threads(const struct sf_delta_effort *effort);
uint64_t sf_delta_effort_memory(const struct sf_delta_effort *effort);
uint64_t sf_delta_effort_node_memory(const struct sf_delta_effort *effort);
uint64_t sf_delta_effort_model_bytes(const struct sf_delta_effort *effort);

#endif
