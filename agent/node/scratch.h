/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/scratch.h - directories that live as long as a run: DIRECTORY/sf-node-<what>.XXXXXX.
 *
 * Each is locked by whoever made it. One without a lock was left by a run that was killed.
 */
#ifndef SF_AGENT_NODE_SCRATCH_H
#define SF_AGENT_NODE_SCRATCH_H

#include "base/error.h"

/* Makes one with mode 0700. Returns the lock, a descriptor to keep open until the directory is removed. *ret is owned
 * by the caller. */
int sf_scratch_make(const char *directory, const char *what, char **ret, struct sf_error *err);
/* Removes what killed runs of this user left in a directory. Nothing of others, and nothing that is in use. */
void sf_scratch_clear(const char *directory);

#endif
