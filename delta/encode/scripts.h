/* SPDX-License-Identifier: Apache-2.0 */
/* delta/encode/scripts.h - the scripts of all new files, made on several threads while the first ones are coded
 * (encoder only).
 *
 * Files are taken in their order, so that coding them, which only one thread can do, starts as soon as the first one
 * is aligned. What comes out does not depend on the number of threads, nor on when each of them got how far.
 */
#ifndef SF_DELTA_ENCODE_SCRIPTS_H
#define SF_DELTA_ENCODE_SCRIPTS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "delta/codec/codec.h"
#include "delta/codec/script.h"
#include "delta/encode/effort.h"
#include "delta/encode/references.h"

struct sf_scripts {
        struct sf_reference_library library;
        struct sf_script *scripts; /* owned; of each new file, in order */
        size_t count;
        size_t known;      /* scripts that sf_scripts_wait() has seen, all of which are there */
        uint64_t literals; /* literal bytes in these, and */
        uint64_t bytes;    /* bytes of their files */
        struct sf_delta_effort *effort;
        pthread_t *threads; /* owned */
        size_t running;
        pthread_mutex_t lock; /* of what follows */
        pthread_cond_t changed;
        bool *made;  /* owned; of each file */
        size_t next; /* the first file that nobody has taken */
        int failed;
        struct sf_error error; /* of the one that failed */
};

/* Compares all files, then starts to make scripts. So many files are dealt with at a time, of which the caller codes
 * one: `at_a_time` - 1 threads, of lower priority than the caller where the system has that; with 1, or where no thread
 * can be had, sf_scripts_wait() makes them. */
int sf_scripts_start(struct sf_scripts *s, const struct sf_delta_files *old, const struct sf_delta_files *new_files,
                     bool predict, unsigned at_a_time, struct sf_delta_effort *effort, struct sf_error *err);
/* Waits for script `known` and counts it; makes it where nobody has begun to. The first failure of any is returned. */
int sf_scripts_wait(struct sf_scripts *s, struct sf_error *err);
/* Ends it in any case. */
void sf_scripts_close(struct sf_scripts *s);

#endif
