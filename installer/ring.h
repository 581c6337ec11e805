/* SPDX-License-Identifier: Apache-2.0 */
/* installer/ring.h - one piece of memory in which compressed frames wait, whole, for a decoder.
 *
 * Frames come in one order and go in nearly the same one, so a ring serves them without the page faults and the growth
 * that malloc and free from several threads would cost. It is not locked: callers hold their own lock.
 */
#ifndef SF_INSTALLER_RING_H
#define SF_INSTALLER_RING_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define SF_RING_PIECES 32

struct sf_ring {
        uint8_t *memory;
        size_t room;
        struct sf_ring_piece {
                size_t start, len;
                int taken;
        } pieces[SF_RING_PIECES]; /* in the order in which they were handed out, from `oldest` on */
        size_t oldest, count;
};
#define SF_RING_INIT { 0 }

int sf_ring_open(struct sf_ring *ring, size_t room, struct sf_error *err);
void sf_ring_close(struct sf_ring *ring);

/* len (> 0) bytes in a row; NULL while there is no room. Up to `room` bytes there is some once everything is given
 * back. */
uint8_t *sf_ring_take(struct sf_ring *ring, size_t len);
/* Once for each piece. */
void sf_ring_give(struct sf_ring *ring, const uint8_t *piece);

#endif
