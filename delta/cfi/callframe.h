/* SPDX-License-Identifier: Apache-2.0 */
/* delta/cfi/callframe.h - the call frame instructions that a compiler writes for a function, worked out from its code.
 *
 * .eh_frame says, for every instruction, where the caller's frame is and where its registers were saved. A compiler
 * writes that down while it emits pushes and pops: who reads the pushes and pops again can write the same. Here the
 * code of one function is walked once, with the rules in force at each branch carried to its target; what comes out is
 * the program that gcc's dwarf2cfi.cc would have made (remember_state and restore_state around an epilogue in the
 * middle, saves written when a register is about to be overwritten).
 *
 * Sources: DWARF 5, 6.4; System V psABI for x86-64, 3.6 (register numbers); Intel SDM, volume 2. Only x86-64. A guess:
 * what is wrong costs bytes and nothing else. Total on any bytes: only what is known is read, and no more than
 * SF_CALLFRAME_CODE_MAX bytes of code per function, each about once.
 */
#ifndef SF_DELTA_CFI_CALLFRAME_H
#define SF_DELTA_CFI_CALLFRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "delta/cfi/functions.h"
#include "delta/cfi/cfi_program.h"

#define SF_CALLFRAME_CODE_MAX (UINT64_C(64) << 10) /* bytes of a function that are looked at */
#define SF_CALLFRAME_ROWS_MAX 64

struct sf_callframe {
        uint64_t first, end; /* positions; end is 0 where nothing was made out */
        uint64_t beside;     /* start of the part that was moved out of the function, if it has one; else 0 */
        uint64_t work;       /* how much there was to be done, about in bytes of code */
        struct sf_cfi_program program;
        size_t row_count;
        struct sf_cfi_program_row rows[SF_CALLFRAME_ROWS_MAX];
        uint64_t marked;                       /* bytes of row_at that may be in use */
        uint8_t row_at[SF_CALLFRAME_CODE_MAX]; /* per byte of code: 1 + row that a branch brings there */
};

/* Describes the function that starts at position `first`. `end` is where it ends, 0 where that is to be found out
 * too. */
void sf_callframe_describe(struct sf_callframe *f, const struct sf_functions *c, uint64_t first, uint64_t end);

#endif
