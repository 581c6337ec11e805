/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/hostlist.h - Slurm's short form for many names: "n[1-4,7],rack[0-3]node[00-15],login".
 *
 * As src/common/hostlist.c reads it: commas separate outside of brackets; a bracket holds numbers and ranges, a range's
 * first number says how many digits there are at least; where a name has several brackets the last one varies fastest.
 * Nothing is expanded in memory: a list may stand for millions.
 */
#ifndef SF_AGENT_NODE_HOSTLIST_H
#define SF_AGENT_NODE_HOSTLIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How many names a list stands for; 0 for one that cannot be read. */
uint64_t sf_hostlist_count(const char *list);
/* The name at an index, 0 first. False where there is none, or not enough room. */
bool sf_hostlist_nth(const char *list, uint64_t index, char *ret, size_t room);
/* The index of a name, compared without regard to case as host names are; -1 where the list lacks it. */
int64_t sf_hostlist_find(const char *list, const char *name);

#endif
