/* SPDX-License-Identifier: Apache-2.0 */
/* delta/entropy/match.h - while literal bytes are coded: where something like them stood before, in the old file or
 * earlier in the new one, and so which byte probably comes next.
 *
 * Finds what is too short or too changed to be a copy. A match survives bytes that differ, as the same code with other
 * operands does.
 */
#ifndef SF_DELTA_ENTROPY_MATCH_H
#define SF_DELTA_ENTROPY_MATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Position + 1 of the last window with a hash, in either file; 0 = none. */
struct sf_matcher_places {
        uint32_t in_old, in_new;
};

struct sf_matcher {
        struct sf_matcher_places *places; /* owned; by the hash of a window */
        unsigned log;                     /* of their number */
        const uint8_t *old;                /* borrowed; indexed completely */
        uint64_t old_size, new_size;
        const uint8_t *source; /* what is being followed; NULL while nothing is */
        uint64_t at;           /* the byte of it that is expected next */
        uint32_t length;       /* bytes that agreed since the last one that did not */
        uint32_t misses;       /* recent bytes that did not, as bits */
};

/* Bytes of memory for files of this size, at most. */
uint64_t sf_matcher_memory(uint64_t old_size, uint64_t new_size);
int sf_matcher_open(struct sf_matcher *m, const uint8_t *old, uint64_t old_size, uint64_t new_size,
                    struct sf_error *err);
void sf_matcher_close(struct sf_matcher *m);

/* Forgets what was being followed: a new run of literals starts. */
void sf_matcher_restart(struct sf_matcher *m);
/* Asks the processor for what is looked at once the SF_MATCHER_WINDOW bytes in front of a position are these. */
#define SF_MATCHER_WINDOW 6
void sf_matcher_prefetch(const struct sf_matcher *m, const uint8_t *window);
/* Looks for something to follow at `position`, the bytes before which are known. */
void sf_matcher_look(struct sf_matcher *m, const uint8_t *new, uint64_t position);
/* The expected byte + 1, 0 where nothing is followed. */
uint32_t sf_matcher_expected(const struct sf_matcher *m);
/* How far the expectation can be trusted: 0 (nothing is followed) to 15. */
uint32_t sf_matcher_trust(const struct sf_matcher *m);
/* Goes on by `count` bytes, of which the last one at new[position - 1] has become known; `judge` compares it. */
void sf_matcher_advance(struct sf_matcher *m, const uint8_t *new, uint64_t position, uint64_t count, bool judge);
/* Goes on by as many bytes, all of which came as expected or, where they were judged otherwise, did not. */
void sf_matcher_follow(struct sf_matcher *m, uint64_t count, bool right);

#endif
