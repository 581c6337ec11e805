/* SPDX-License-Identifier: Apache-2.0 */
/* base/error.h - how a failure travels upwards.
 *
 * Every function that can fail returns 0 (or a non-negative count) on success and a negative
 * SF_ERR_* code on failure, and fills the caller's struct sf_error where the cause is known.
 * On the way up each caller that has something to add prefixes it: "outer: inner".
 * Lower floors never print and never exit.
 *
 * Idiom:
 *     struct sf_error err = SF_ERROR_INIT;
 *     r = sf_something(..., &err);
 *     if (r < 0)
 *             return sf_error_prefix(err, "layer %s", name);
 */
#ifndef SF_BASE_ERROR_H
#define SF_BASE_ERROR_H

/* Failure classes, chosen so that a caller can decide what to do, not to retell errno. */
enum sf_error_code {
        SF_ERR_USAGE = -1,        /* the command line or a configuration file is wrong */
        SF_ERR_IO = -2,           /* the operating system refused: errno is in the text */
        SF_ERR_NOMEM = -3,        /* memory, or a stated memory budget, is not enough */
        SF_ERR_CORRUPT = -4,      /* input does not follow its format, or a digest does not match */
        SF_ERR_TRUST = -5,        /* a signature, threshold, version or delegation is not acceptable */
        SF_ERR_EXPIRED = -6,      /* signed metadata is past its date */
        SF_ERR_NETWORK = -7,      /* a transfer failed and may succeed later */
        SF_ERR_NOT_FOUND = -8,    /* the named thing does not exist */
        SF_ERR_EXISTS = -9,       /* the named thing is already there and differs */
        SF_ERR_BUSY = -10,        /* somebody else holds the lock, or a process uses the tree */
        SF_ERR_NO_SPACE = -11,    /* blocks or inodes */
        SF_ERR_NO_FIT = -12,      /* a prefix is longer than the room reserved for it */
        SF_ERR_INCOMPATIBLE = -13,/* Slurm's version window, the toolchain or the host forbids it */
        SF_ERR_TIMEOUT = -14,     /* something did not happen in time */
        SF_ERR_UNSUPPORTED = -15, /* well-formed, but not something this program handles */
        SF_ERR_LIMIT = -16,       /* a size, depth or count limit was exceeded */
        SF_ERR_FAILED = -17,      /* a child process or a service reported failure */
        SF_ERR_INTERRUPTED = -18, /* a signal asked us to stop */
};

#define SF_ERROR_TEXT_MAX 2048

struct sf_error {
        int code;                       /* 0 or an sf_error_code */
        char text[SF_ERROR_TEXT_MAX];   /* one line of printable UTF-8 (printable.h), truncated if longer */
};

#define SF_ERROR_INIT { 0, "" }

/* Sets code and text; returns code, so that `return sf_error_set(...)` reads well. err may be NULL, here and in all
 * functions below: then only the code is of use. */
int sf_error_set(struct sf_error *err, int code, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

/* Like sf_error_set with ": <strerror(errno)>" appended. ENOSPC and EDQUOT become SF_ERR_NO_SPACE, ENOENT
 * SF_ERR_NOT_FOUND, ENOMEM SF_ERR_NOMEM; everything else SF_ERR_IO. Uses and keeps the caller's errno. */
int sf_error_errno(struct sf_error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Puts "<formatted>: " before the text; returns the code that is already there, which for err == NULL is the one
 * that was set last in this thread. */
int sf_error_prefix(struct sf_error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Back to "no error". */
void sf_error_clear(struct sf_error *err);

/* "corrupt", "no space", ...: the class in a word, for --json and tests. Never NULL. */
const char *sf_error_class(int code);

#endif
