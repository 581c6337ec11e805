/* SPDX-License-Identifier: Apache-2.0 */
/* delta/encode/align.h - which parts of a new file come from where (encoder only).
 *
 * A suffix array over the references answers "where is the longest match"; matches are extended both ways over bytes
 * that differ now and then, as bsdiff does (C. Percival, "Naive Differences of Executable Code", 2003). Matches close
 * to the current diagonal are preferred: code that stays in order gives a map with few pieces.
 */
#ifndef SF_DELTA_ENCODE_ALIGN_H
#define SF_DELTA_ENCODE_ALIGN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "delta/codec/script.h"

/* The references back to back: reference i is [starts[i], starts[i + 1]). */
struct sf_align {
        const uint8_t *old;
        uint64_t starts[SF_SCRIPT_REFERENCES_MAX + 1];
        size_t reference_count;
        const uint8_t *new;
        uint64_t new_size;
        bool a64; /* most of it is arm64 code */
};

/* Replaces the steps of a script. Those it has come from an earlier alignment of the same files, perhaps with other
 * labels: they save time where they still hold. */
int sf_align_files(const struct sf_align *job, struct sf_script *script, struct sf_error *err);

#endif
