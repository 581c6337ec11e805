/* delta/callframe.h - the call frame instructions that a compiler writes for a function, worked out from its code.
 *
 * .eh_frame says, for every instruction, where the caller's frame is and where its registers were saved. A compiler writes
 * that down while it emits pushes and pops: who reads the pushes and pops again can write the same. Here the code of one
 * function is walked once, with the rules in force at each branch carried to its target; what comes out is the program
 * that gcc's dwarf2cfi.cc would have made (remember_state and restore_state around an epilogue in the middle, saves
 * written when a register is about to be overwritten).
 *
 * Sources: DWARF 5, 6.4; System V psABI for x86-64, 3.6 (register numbers); Intel SDM, volume 2. Only x86-64. A guess: what
 * is wrong costs bytes and nothing else. Total on any bytes: only what is known is read, and no more than
 * SF_CALLFRAME_CODE_MAX bytes of code per function, each about once.
 */
#ifndef SF_DELTA_CALLFRAME_H
#define SF_DELTA_CALLFRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "delta/image.h"

#define SF_CALLFRAME_CODE_MAX  (UINT64_C(64) << 10) /* bytes of a function that are looked at */
#define SF_CALLFRAME_OPS_MAX   2048
#define SF_CALLFRAME_ROWS_MAX  64
#define SF_CALLFRAME_REGISTERS 16

/* Rules in force at an instruction. */
struct sf_callframe_row {
        uint8_t base;                          /* DWARF number of the register that the CFA is counted from */
        uint16_t saved;                        /* registers whose caller's value is in the frame */
        uint8_t slots[SF_CALLFRAME_REGISTERS]; /* where: at CFA - 8 * slot */
        uint32_t offset;                       /* CFA - that register */
        int64_t depth; /* CFA - stack pointer: not written anywhere, but what follows depends on it */
};

struct sf_callframe_op {
        uint32_t at; /* bytes behind the start of the function */
        uint8_t length;
        uint8_t bytes[7]; /* never an advance: those follow from `at` */
};

/* Code that is known. */
struct sf_callframe_code {
        const uint8_t *out;
        uint64_t known; /* bytes of it that are there */
        const struct sf_image *image;
        const uint8_t *starts; /* a bit per position: a function starts there, as far as references tell */
};

struct sf_callframe {
        uint64_t first, end; /* positions; end is 0 where nothing was made out */
        uint64_t beside;     /* start of the part that was moved out of the function, if it has one; else 0 */
        size_t count;
        struct sf_callframe_op ops[SF_CALLFRAME_OPS_MAX];
        size_t row_count;
        struct sf_callframe_row rows[SF_CALLFRAME_ROWS_MAX];
        uint8_t row_at[SF_CALLFRAME_CODE_MAX]; /* per byte of code: 1 + row that a branch brings there */
};

/* True where the positions say that a function starts. */
static inline bool sf_callframe_starts(const struct sf_callframe_code *c, uint64_t position)
{
        return position < c->known && c->starts[position >> 3] >> (position & 7) & 1;
}

/* Describes the function that starts at position `first`. `end` is where it ends, 0 where that is to be found out too. */
void sf_callframe_describe(struct sf_callframe *f, const struct sf_callframe_code *c, uint64_t first, uint64_t end);

/* Where behind `position` the next function probably starts. */
uint64_t sf_callframe_next(const struct sf_callframe_code *c, uint64_t position);

#endif
