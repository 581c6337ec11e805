/* SPDX-License-Identifier: Apache-2.0 */
/* delta/encode/make.h - making a content delta: codecs that may win are tried, the smallest that fits the node's memory
 * is kept.
 *
 * Factory only (links libdivsufsort); the node's half is delta/container.h.
 */
#ifndef SF_DELTA_ENCODE_MAKE_H
#define SF_DELTA_ENCODE_MAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "delta/codec/codec.h"
#include "release/filelist.h"

#define SF_DELTA_MEMORY_DEFAULT (UINT64_C(512) << 20) /* a node's default budget, bytes */

/* One row of the table that `slurm-factory delta` prints. */
struct sf_delta_attempt {
        const char *codec;
        uint64_t bytes;            /* of the whole container; 0 where the codec failed or was not tried */
        uint64_t memory;           /* bytes a node needs to apply it, contents included */
        double seconds;            /* to make it */
        uint64_t cheaper, bounded; /* as in the result */
        bool fits;                 /* memory <= budget */
        bool chosen;
        char failure[128]; /* why there is no result; "" otherwise */
};

#define SF_DELTA_ATTEMPTS_MAX 8

struct sf_delta_result {
        struct sf_buffer blob; /* the container of the chosen codec */
        char codec[24];
        uint64_t memory;
        uint64_t changed_files, changed_bytes;
        uint64_t cheaper; /* parts of it that took zstd, since the better codecs take more memory than allowed */
        uint64_t
                bounded; /* parts of it that took zstd, since better codecs would cost a node too much memory or time */
        struct sf_delta_attempt attempts[SF_DELTA_ATTEMPTS_MAX];
        size_t attempt_count;
};

struct sf_delta_make {
        const struct sf_filelist *old, *new;
        /* Append the canonical content of one file of the old or the new release. */
        int (*read_old)(void *ctx, const struct sf_entry *entry, struct sf_buffer *ret, struct sf_error *err);
        int (*read_new)(void *ctx, const struct sf_entry *entry, struct sf_buffer *ret, struct sf_error *err);
        void *ctx;
        uint64_t memory_budget; /* 0 = SF_DELTA_MEMORY_DEFAULT */
        uint64_t work_memory;   /* bytes that making it may take; 0 = delta/encode/memory.h's default */
        uint64_t model_bytes;   /* 0 = SF_DELTA_MODEL_BYTES (delta/encode/effort.h) */
        const char *codec;      /* only this one, whatever it costs; NULL = all that may win */
        unsigned threads;       /* 0 = one per processor; the bytes are the same for any number */
        /* Told how far the codec at work is; by one thread at a time. May be NULL. */
        void (*progress)(void *ctx, uint64_t done, uint64_t total);
        void *progress_ctx;
};

/* The result is applied once in memory before it is returned: a delta that does not rebuild its files is never kept.
 * SF_ERR_NOMEM where no codec fits the budget; SF_ERR_LIMIT where the contents alone take more than work_memory. */
int sf_delta_make(const struct sf_delta_make *job, struct sf_delta_result *ret, struct sf_error *err);
void sf_delta_result_free(struct sf_delta_result *result);

/* Codecs that can also encode, NULL-terminated, in the order they are tried. */
extern const struct sf_delta_codec *const sf_delta_encoders[];

#endif
