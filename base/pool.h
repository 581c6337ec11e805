/* SPDX-License-Identifier: Apache-2.0 */
/* base/pool.h - memory that is handed out in small pieces and given back all at once.
 *
 * For parsed documents: thousands of strings and arrays with one owner and one place to free.
 */
#ifndef SF_BASE_POOL_H
#define SF_BASE_POOL_H

#include <stddef.h>

struct sf_pool; /* opaque */

struct sf_pool *sf_pool_new(void); /* NULL only without memory */
/* Zeroed memory for count items of `size` bytes, aligned for any type; NULL without memory or where the product
 * overflows. Valid until sf_pool_free. */
void *sf_pool_alloc(struct sf_pool *pool, size_t count, size_t size);
/* A copy of len bytes with a NUL behind it. */
char *sf_pool_copy(struct sf_pool *pool, const void *bytes, size_t len);
/* Frees the pool and everything taken from it; NULL is fine. */
void sf_pool_free(struct sf_pool *pool);

#endif
