/* SPDX-License-Identifier: Apache-2.0 */
/* delta/encode/proof.h - applies a patch of the bindiff or elf codec while it is being made (encoder only).
 *
 * A delta is only kept if applying it gives the new contents. Doing so afterwards takes as long as the replay that made
 * it, most of it in the model. What the model says follows from what it was asked before, in the same order: so the
 * encoder notes for each byte a hash of the contexts and the eight probabilities, and a decoder walks a few KiB behind
 * on a thread of its own, from the coded bytes alone. Where it asks under the same contexts, the model would say the
 * same, and need not be asked; where it asks under other ones, the patch is refused. That the model decodes what it
 * encodes is for tests/delta/check-model.c to show.
 */
#ifndef SF_DELTA_ENCODE_PROOF_H
#define SF_DELTA_ENCODE_PROOF_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "delta/codec/bindiff.h"

struct sf_proof_piece; /* of the records */

struct sf_proof {
        struct sf_model_tape notes, recalls; /* the encoder's end and the decoder's */
        struct sf_bindiff_decoding decoding;
        struct sf_delta_file *files; /* owned; the new files without their contents */
        struct sf_delta_files new_files;
        pthread_t thread;
        bool running;
        const struct sf_buffer *patch;           /* borrowed; grows */
        struct sf_proof_piece *filling;          /* owned; the encoder's */
        struct sf_proof_piece *emptying;         /* owned; the decoder's */
        uint8_t *reading;                        /* owned; coded bytes that the decoder reads */
        pthread_mutex_t lock;                    /* of what follows */
        pthread_cond_t changed;
        struct sf_proof_piece *head, **tail;     /* owned; full ones, in order */
        size_t queued;                           /* of them */
        struct sf_buffer told;                   /* owned; coded bytes that nobody has read */
        size_t taken;                            /* bytes of the patch that were put into `told` so far */
        bool complete;                           /* there are no more to come */
        bool starving;                           /* the decoder waits for coded bytes */
        bool ended;                              /* the decoder */
        bool broken;                             /* no memory for records */
        int result;
        struct sf_error error;
};

/* Applies a complete patch as a node does. SF_ERR_FAILED where it gives other contents. */
int sf_proof_apply(const struct sf_delta_codec *decoder, const struct sf_delta_files *old,
                   const struct sf_delta_files *new_files, const struct sf_buffer *patch, struct sf_error *err);

/* Bytes of memory that the walk takes, at most. */
uint64_t sf_proof_memory(const struct sf_delta_files *old, const struct sf_delta_files *new_files, bool predict);
/* Starts. The coder of `replay` encodes into a patch that has its header. SF_ERR_NOMEM where there is no memory or no
 * thread. */
int sf_proof_start(struct sf_proof *p, const struct sf_delta_files *old, const struct sf_delta_files *new_files,
                   bool predict, struct sf_replay *replay);
/* The patch is complete: waits for the end. SF_ERR_FAILED where it gives other contents than `truth`. */
int sf_proof_finish(struct sf_proof *p, const uint8_t *truth, struct sf_error *err);
/* Ends it in any case. */
void sf_proof_close(struct sf_proof *p);

#endif
