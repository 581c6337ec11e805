/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/lock.h - one agent at a time: an flock(2) on STATE/lock, released by the kernel when the process ends. */
#ifndef SF_AGENT_NODE_LOCK_H
#define SF_AGENT_NODE_LOCK_H

#include "base/error.h"

/* Takes the lock or fails at once: SF_ERR_BUSY names the pid that holds it. Returns the descriptor that keeps it. */
int sf_lock_take(const char *state_directory, struct sf_error *err);

#endif
