/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/lease.h - which releases each node needs, where several share one directory of them.
 *
 * PREFIX/releases/.leases/<host>-<start of machine-id> is one file per node, replaced atomically:
 *
 *     {"version": 1, "node": "n1", "time": "2026-11-30T12:00:00Z", "releases": ["25.11.6-noble", "24.11.5-noble"]}
 *
 * A node writes its own before a switch (what it has there already stays in it, for steps may run from there) and,
 * exactly, at the end of a gc. gc keeps what other nodes name. A node that may only read releases/ can have no lease:
 * the one that writes there must not run gc for it.
 */
#ifndef SF_AGENT_NODE_LEASE_H
#define SF_AGENT_NODE_LEASE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "installer/store.h"

struct sf_lease {
        char node[128];
        char time[32];
        char directory[128]; /* one of its releases */
};

/* This node's lease becomes these directories ("" is left out); add: and what it has already, as far as it is there
 * still. */
int sf_lease_write(const struct sf_store *store, const char *const *directories, size_t count, bool add,
                   struct sf_error *err);

/* Every release that another node names, one element each; *ret is one allocation (free()). A lease that cannot be
 * read is SF_ERR_CORRUPT: what it needs is not known. */
int sf_lease_others(const struct sf_store *store, struct sf_lease **ret, size_t *ret_count, struct sf_error *err);

#endif
