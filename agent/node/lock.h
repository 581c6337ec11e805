/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/lock.h - one agent at a time: an flock(2), released by the kernel when the last process that has it ends.
 *
 * Only root can hold it: the file is opened by nobody else (mode 0600), and one that an earlier agent made with another
 * mode is replaced.
 */
#ifndef SF_AGENT_NODE_LOCK_H
#define SF_AGENT_NODE_LOCK_H

#include <signal.h>

#include "base/error.h"

/* Takes STATE/lock or fails at once: SF_ERR_BUSY names the pid that holds it, SF_ERR_IO says that a
 * directory or a link is there. Returns the descriptor that keeps it. */
int sf_lock_take(const char *state_directory, struct sf_error *err);

/* A lock that was handed over by another process: the file names this one from now on. */
void sf_lock_adopt(int lock);

/* The lock of a directory of releases, DIRECTORY/.lock, which several nodes may share (over NFS the server keeps it,
 * unless mounted with local_lock). Waits at most `seconds`, or until *stop is not 0 (stop may be NULL); `waiting` is
 * told the name of the holder once, before the wait. *ret_waited: somebody else had it, so that what was known of
 * the directory is old. SF_ERR_BUSY names the holder, SF_ERR_INTERRUPTED. Returns the descriptor. */
struct sf_lock_wait {
        unsigned seconds;
        const volatile sig_atomic_t *stop;
        void (*waiting)(void *ctx, const char *holder);
        void *ctx;
};
int sf_lock_take_shared(const char *directory, const struct sf_lock_wait *wait, int *ret_waited, struct sf_error *err);

#endif
