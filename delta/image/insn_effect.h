/* SPDX-License-Identifier: Apache-2.0 */
/* delta/image/insn_effect.h - what an x86-64 instruction does to the stack, to the flow of control and to a register.
 *
 * Just what call frame information is made from. Source: Intel SDM, volume 2, appendix A. Instructions that compilers
 * do not use to set up frames, and vector registers, count as SF_INSN_NONE.
 */
#ifndef SF_DELTA_IMAGE_INSN_EFFECT_H
#define SF_DELTA_IMAGE_INSN_EFFECT_H

#include <stdint.h>

enum sf_insn_effect_kind {
        SF_INSN_NONE,
        SF_INSN_PUSH,       /* of `reg`, SF_NO_REGISTER for something else */
        SF_INSN_POP,        /* to `reg` */
        SF_INSN_ADJUST,     /* stack pointer += value */
        SF_INSN_TO_FRAME,   /* stack pointer = frame pointer + value */
        SF_INSN_FROM_STACK, /* frame pointer = stack pointer + value */
        SF_INSN_LEAVE,
        SF_INSN_STORE,   /* `reg` to [base + value], all 64 bits */
        SF_INSN_LOAD,    /* the opposite */
        SF_INSN_WRITE,   /* `reg` is overwritten */
        SF_INSN_COMPARE, /* something with the immediate value */
        SF_INSN_ADDRESS, /* `reg` = end of the instruction + value */
        SF_INSN_CALL,    /* of end + value, where there is a value */
        SF_INSN_BRANCH,  /* perhaps to end + value */
        SF_INSN_JUMP,    /* to end + value */
        SF_INSN_LEAP,    /* to where a register says */
        SF_INSN_AWAY,    /* to where memory says */
        SF_INSN_RETURN,
        SF_INSN_TRAP,
        SF_INSN_NOP,
};

#define SF_NO_REGISTER 16
#define SF_REG_SP      4 /* numbers as in instructions */
#define SF_REG_FP      5

struct sf_insn_effect {
        enum sf_insn_effect_kind kind;
        uint8_t reg, base;
        int64_t value; /* 0 for a call of what is not in the instruction */
};

/* The instruction at `code`, of which only `len` bytes are looked at; returns its length, 0 where there is none or
 * it is cut off. */
uint64_t sf_insn_effect_decode(const uint8_t *code, uint64_t len, struct sf_insn_effect *ret);

#endif
