/* SPDX-License-Identifier: Apache-2.0 */
/* delta/predict/operand_history.h - operands of instructions that refer to nothing and yet change alike from one build
 * to the next.
 *
 * Slurm's logging and memory macros pass __LINE__: ten lines inserted into a source file add ten to every number that
 * follows. A member added to a struct moves all members behind it; a new protocol version replaces the old one
 * everywhere. So what happened to the nearest number among those seen last is what probably happens to this one.
 */
#ifndef SF_DELTA_PREDICT_OPERAND_HISTORY_H
#define SF_DELTA_PREDICT_OPERAND_HISTORY_H

#include <stddef.h>
#include <stdint.h>

#include "delta/image/address_fields.h"

#define SF_OPERANDS_KEPT 16u /* of each kind; more mixes up the source files that a program was compiled from */

/* Numbers of one kind seen last, a ring. */
struct sf_operand_history {
        uint64_t old[SF_OPERANDS_KEPT], moved_by[SF_OPERANDS_KEPT];
        uint32_t seen; /* in all */
};

enum sf_operand_source {
        SF_OPERAND_KEPT,   /* nothing says that it changes */
        SF_OPERAND_SAME,   /* this very number changed */
        SF_OPERAND_STAYED, /* this very number did not */
        SF_OPERAND_NEAR,   /* one close by changed */
        SF_OPERAND_FAR,    /* one further away changed: only the second guess */
};

/* What an old number becomes; *ret_other is the second guess, equal where there is none. Not truncated to a width. */
enum sf_operand_source sf_operand_history_guess(const struct sf_operand_history *n, uint64_t old, uint64_t *ret,
                                                uint64_t *ret_other);
void sf_operand_history_learn(struct sf_operand_history *n, uint64_t old, uint64_t value);

#endif
