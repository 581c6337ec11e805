/* SPDX-License-Identifier: Apache-2.0 */
/* base/pool.c - see pool.h. A list of blocks; small pieces are cut from the newest, large ones get a block each. */
#include "base/pool.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_SIZE ((size_t)64 << 10)

struct block {
        struct block *next;
        size_t used, room;
        alignas(max_align_t) unsigned char bytes[];
};

struct sf_pool {
        struct block *newest;
};

struct sf_pool *sf_pool_new(void)
{
        return calloc(1, sizeof(struct sf_pool));
}

static struct block *add_block(struct sf_pool *pool, size_t need)
{
        size_t room = need > BLOCK_SIZE ? need : BLOCK_SIZE;

        if (room > SIZE_MAX - sizeof(struct block))
                return NULL;
        struct block *block = calloc(1, sizeof *block + room);
        if (!block)
                return NULL;
        block->room = room;
        block->next = pool->newest;
        pool->newest = block;
        return block;
}

void *sf_pool_alloc(struct sf_pool *pool, size_t count, size_t size)
{
        size_t need;

        if (__builtin_mul_overflow(count, size, &need) || need > SIZE_MAX - alignof(max_align_t))
                return NULL;
        need = (need + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
        struct block *block = pool->newest;
        if (!block || block->room - block->used < need)
                block = add_block(pool, need);
        if (!block)
                return NULL;
        void *piece = block->bytes + block->used;
        block->used += need;
        return piece;
}

char *sf_pool_copy(struct sf_pool *pool, const void *bytes, size_t len)
{
        char *copy = len < SIZE_MAX ? sf_pool_alloc(pool, len + 1, 1) : NULL;

        if (copy && len)
                memcpy(copy, bytes, len);
        return copy;
}

void sf_pool_free(struct sf_pool *pool)
{
        if (!pool)
                return;
        for (struct block *block = pool->newest, *next; block; block = next) {
                next = block->next;
                free(block);
        }
        free(pool);
}
