/* delta/numbers.h - operands of instructions that refer to nothing and yet change alike from one build to the next.
 *
 * Slurm's logging and memory macros pass __LINE__: ten lines inserted into a source file add ten to every number that
 * follows. A member added to a struct moves all members behind it; a new protocol version replaces the old one everywhere.
 * So what happened to the nearest number among those seen last is what probably happens to this one.
 */
#ifndef SF_DELTA_NUMBERS_H
#define SF_DELTA_NUMBERS_H

#include <stddef.h>
#include <stdint.h>

#include "delta/fields.h"

#define SF_NUMBERS_KEPT 16u /* of each kind; more mixes up the source files that a program was compiled from */

/* Numbers of one kind seen last, a ring. */
struct sf_numbers {
        uint64_t old[SF_NUMBERS_KEPT], moved_by[SF_NUMBERS_KEPT];
        uint32_t seen; /* in all */
};

enum sf_number_source {
        SF_NUMBER_KEPT,   /* nothing says that it changes */
        SF_NUMBER_SAME,   /* this very number changed */
        SF_NUMBER_STAYED, /* this very number did not */
        SF_NUMBER_NEAR,   /* one close by changed */
        SF_NUMBER_FAR,    /* one further away changed: only the second guess */
};

/* What an old number becomes; *ret_other is the second guess, equal where there is none. Not truncated to a width. */
enum sf_number_source sf_numbers_guess(const struct sf_numbers *n, uint64_t old, uint64_t *ret, uint64_t *ret_other);
void sf_numbers_learn(struct sf_numbers *n, uint64_t old, uint64_t value);

#endif
