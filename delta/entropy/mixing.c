/* SPDX-License-Identifier: Apache-2.0 */
/* delta/entropy/mixing.c - see mixing.h. The plain form. */
#include "delta/entropy/mixing.h"

/* Weights of a hostile patch may run off: they wrap around, alike everywhere. */
static int32_t add_weights(int32_t a, int32_t b)
{
        return (int32_t)((uint32_t)a + (uint32_t)b);
}

int64_t sf_mixing_predict(const struct sf_model *m, const struct sf_mixer *x, struct sf_mixing *s)
{
        const int32_t *node = s->rows[0], *shared = s->rows[1], *detail = s->rows[2];
        unsigned n = x->contexts, constant = sf_mixing_stride(n) - 1;
        int64_t sum = (int64_t)add_weights(add_weights(node[constant], shared[constant]), detail[constant]) *
                      SF_ODDS_UNIT;

        for (unsigned i = 0; i < n; i++) {
                uint32_t cell = *s->cells[i];

                s->histories[i] = sf_mixing_history(m, x, i, cell);
                s->inputs[i] = m->stretch[cell >> 20];
                s->inputs[n + i] = sf_cell_count(cell) ? m->stretch[*s->histories[i] >> 20] : 0;
        }
        for (unsigned i = 0; i < 2 * n; i++)
                sum += (int64_t)add_weights(add_weights(node[i], shared[i]), detail[i]) * s->inputs[i];
        return sum;
}

static void move_weights(const struct sf_mixing *s, unsigned i, int32_t step)
{
        for (unsigned k = 0; k < SF_MIXING_ROWS; k++)
                s->rows[k][i] = add_weights(s->rows[k][i], step);
}

void sf_mixing_learn(const struct sf_model *m, const struct sf_mixer *x, const struct sf_mixing *s, unsigned bit,
                     int32_t error, unsigned shift)
{
        unsigned n = x->contexts;
        int32_t half = 1 << (shift - 1);

        for (unsigned i = 0; i < 2 * n; i++)
                move_weights(s, i, (s->inputs[i] * error + half) >> shift);
        move_weights(s, sf_mixing_stride(n) - 1, (SF_ODDS_UNIT * error + half) >> shift);
        /* Contexts may share a cell: one after the other. */
        for (unsigned i = 0; i < n; i++) {
                uint32_t cell = *s->cells[i];

                if (sf_cell_count(cell))
                        *s->histories[i] = sf_mixing_learnt(m, *s->histories[i], bit, SF_HISTORY_MAX);
                *s->cells[i] = sf_mixing_learnt_cell(m, cell, bit);
        }
}
