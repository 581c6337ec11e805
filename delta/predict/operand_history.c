/* SPDX-License-Identifier: Apache-2.0 */
/* delta/predict/operand_history.c - see operand_history.h. */
#include "delta/predict/operand_history.h"

#define NEAR 64 /* lines, or bytes of a struct */

static uint64_t distance(uint64_t a, uint64_t b)
{
        return a > b ? a - b : b - a;
}

enum sf_operand_source sf_operand_history_guess(const struct sf_operand_history *n, uint64_t old, uint64_t *ret,
                                                uint64_t *ret_other)
{
        uint32_t count = n->seen < SF_OPERANDS_KEPT ? n->seen : SF_OPERANDS_KEPT;
        uint64_t nearest = UINT64_MAX, moved_by = 0;

        /* The latest first: of equals it counts. */
        for (uint32_t i = 1; i <= count; i++) {
                uint32_t at = (n->seen - i) % SF_OPERANDS_KEPT;

                if (distance(n->old[at], old) < nearest) {
                        nearest = distance(n->old[at], old);
                        moved_by = n->moved_by[at];
                }
        }
        *ret = old;
        *ret_other = old + moved_by;
        if (nearest == 0 && !moved_by)
                return SF_OPERAND_STAYED;
        if (!moved_by)
                return SF_OPERAND_KEPT;
        if (nearest > NEAR)
                return SF_OPERAND_FAR;
        *ret = old + moved_by;
        *ret_other = old;
        return nearest ? SF_OPERAND_NEAR : SF_OPERAND_SAME;
}

void sf_operand_history_learn(struct sf_operand_history *n, uint64_t old, uint64_t value)
{
        uint32_t at = n->seen++ % SF_OPERANDS_KEPT;

        n->old[at] = old;
        n->moved_by[at] = value - old;
        if (n->seen == 2 * SF_OPERANDS_KEPT)
                n->seen = SF_OPERANDS_KEPT; /* counts on without ever overflowing */
}
