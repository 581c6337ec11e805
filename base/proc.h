/* SPDX-License-Identifier: Apache-2.0 */
/* base/proc.h - child processes: a clean environment, a log, a time limit, and what they said.
 *
 * Never a shell. The child gets exactly the given environment, /dev/null as standard input, its own process group, and
 * dies with the group when the time limit passes.
 */
#ifndef SF_BASE_PROC_H
#define SF_BASE_PROC_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"
#include "base/error.h"

struct sf_proc {
        const char *const *argv; /* NULL-terminated; argv[0] is looked up in PATH of `env` when it has no slash */
        const char *const *env;  /* NULL-terminated "NAME=value"; NULL = a minimal PATH, HOME=/, LC_ALL=C.UTF-8 */
        const char *directory;   /* working directory; NULL = the caller's */
        /* root directory of the child, which then reads `directory` and PATH; NULL or "" = the caller's */
        const char *root;
        bool no_network; /* a network namespace without any interface that is up; where that is refused it fails */
        const char *log; /* file that receives stdout and stderr, appended; NULL = see the buffers */
        struct sf_buffer *output; /* receives stdout (at most output_max); NULL = discarded unless log is set */
        size_t output_max;        /* 0 = 1 MiB */
        struct sf_buffer *errors; /* receives stderr; NULL = into `output` */
        unsigned timeout_seconds; /* 0 = none */
        void (*tick)(void *ctx);  /* called a few times a second while the child runs (progress); may be NULL */
        void *tick_ctx;
        /* Where a signal handler of the caller asks to give up (not 0): the group gets SIGTERM, soon after SIGKILL,
         * and the result is SF_ERR_INTERRUPTED. May be NULL. */
        const volatile sig_atomic_t *stop;
};

/* Runs to the end. Returns the exit status 0..255, or SF_ERR_* when it could not run, timed out (SF_ERR_TIMEOUT) or was
 * killed by a signal (SF_ERR_FAILED); the text then names the program. */
int sf_proc_run(const struct sf_proc *proc, struct sf_error *err);

/* The same, and any exit status but 0 is SF_ERR_FAILED whose text quotes the last telling line of the output or log. */
int sf_proc_check(const struct sf_proc *proc, struct sf_error *err);

#endif
