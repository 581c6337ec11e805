/* SPDX-License-Identifier: Apache-2.0 */
/* installer/ring.c - see ring.h. */
#include "installer/ring.h"

#include <string.h>
#include <sys/mman.h>

int sf_ring_open(struct sf_ring *ring, size_t room, struct sf_error *err)
{
        void *memory = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (memory == MAP_FAILED)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for %zu bytes of frames", room);
        *ring = (struct sf_ring){ .memory = memory, .room = room };
        return 0;
}

void sf_ring_close(struct sf_ring *ring)
{
        if (ring->memory)
                munmap(ring->memory, ring->room);
        memset(ring, 0, sizeof *ring);
}

static struct sf_ring_piece *nth(struct sf_ring *ring, size_t n)
{
        return &ring->pieces[(ring->oldest + n) % SF_RING_PIECES];
}

uint8_t *sf_ring_take(struct sf_ring *ring, size_t len)
{
        size_t start = 0, limit = ring->room;

        if (ring->count == SF_RING_PIECES)
                return NULL;
        if (ring->count) {
                const struct sf_ring_piece *last = nth(ring, ring->count - 1);
                size_t used_from = nth(ring, 0)->start;
                start = last->start + last->len;
                if (last->start < used_from)
                        limit = used_from;
                else if (len > limit - start) {
                        start = 0;
                        limit = used_from;
                }
        }
        if (len > limit - start)
                return NULL;
        *nth(ring, ring->count++) = (struct sf_ring_piece){ start, len, 1 };
        return ring->memory + start;
}

void sf_ring_give(struct sf_ring *ring, const uint8_t *piece)
{
        size_t start = (size_t)(piece - ring->memory);

        for (size_t i = 0; i < ring->count; i++)
                if (nth(ring, i)->start == start)
                        nth(ring, i)->taken = 0;
        while (ring->count && !nth(ring, 0)->taken) {
                ring->oldest = (ring->oldest + 1) % SF_RING_PIECES;
                ring->count--;
        }
}
