/* SPDX-License-Identifier: Apache-2.0 */
/* delta/cfi/cfi_program.h - call frame instructions while they are written, and the rules they put in force.
 *
 * Source: DWARF 5, 6.4.2; which instructions are chosen follows gcc's dwarf2cfi.cc: saves wait in a queue until
 * something else is written; from one block to the next, remember_state and restore_state lead back to the rules at the
 * start of the block before, else every rule that differs is written.
 */
#ifndef SF_DELTA_CFI_CFI_PROGRAM_H
#define SF_DELTA_CFI_CFI_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SF_CFI_PROGRAM_OPS_MAX   2048
#define SF_CFI_PROGRAM_REGISTERS 16

/* Register numbers of the System V psABI for x86-64. */
#define SF_DWARF_RBX 3
#define SF_DWARF_RBP 6
#define SF_DWARF_RSP 7

/* Rules in force at an instruction. */
struct sf_cfi_program_row {
        uint8_t base;                        /* register that the CFA is counted from */
        uint16_t saved;                      /* registers whose caller's value is in the frame */
        uint8_t slots[SF_CFI_PROGRAM_REGISTERS]; /* where: at CFA - 8 * slot */
        uint32_t offset;                     /* CFA - that register */
        int64_t depth; /* CFA - stack pointer: not written anywhere, but what follows depends on it */
};

struct sf_cfi_program_op {
        uint32_t at; /* bytes behind the start of the function */
        uint8_t length;
        uint8_t bytes[7]; /* never an advance: those follow from `at` */
};

struct sf_cfi_program {
        uint64_t start; /* of the function; all places are counted as it is */
        size_t count;
        struct sf_cfi_program_op ops[SF_CFI_PROGRAM_OPS_MAX]; /* what does not fit is left out */
        struct sf_cfi_program_row row;
        struct sf_cfi_program_row trace;         /* the rules where the block started, which gcc calls a trace */
        size_t trace_count;                  /* instructions that were there by then */
        uint8_t queue[SF_CFI_PROGRAM_REGISTERS]; /* registers saved, but not written down */
        size_t queued;
};

/* An empty program, with the rules on entry to a function. */
void sf_cfi_program_start(struct sf_cfi_program *p, uint64_t at);
/* A block starts here. */
void sf_cfi_program_start_trace(struct sf_cfi_program *p);
/* Goes over to other rules at the start of a block that the code before does not run into. */
void sf_cfi_program_enter(struct sf_cfi_program *p, uint64_t at, const struct sf_cfi_program_row *row);

/* A register goes to a slot: to be written down by the next call that writes. */
void sf_cfi_program_save(struct sf_cfi_program *p, uint8_t reg, uint8_t slot);
void sf_cfi_program_flush(struct sf_cfi_program *p, uint64_t at);
void sf_cfi_program_restore(struct sf_cfi_program *p, uint64_t at, uint8_t reg);
/* The CFA is another distance from the same register, nothing where it is the same; from another one; and from the
 * frame pointer instead of the stack pointer, at the same distance. Negative distances are ignored. */
void sf_cfi_program_define_offset(struct sf_cfi_program *p, uint64_t at, int64_t offset);
void sf_cfi_program_define(struct sf_cfi_program *p, uint64_t at, uint8_t base, int64_t offset);
void sf_cfi_program_set_base(struct sf_cfi_program *p, uint64_t at);

bool sf_cfi_program_same_rules(const struct sf_cfi_program_row *a, const struct sf_cfi_program_row *b);

#endif
