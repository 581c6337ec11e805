/* SPDX-License-Identifier: Apache-2.0 */
/* delta/image/a64.h - operands of arm64 instructions that refer to places, or change with their surroundings.
 *
 * Source: Arm Architecture Reference Manual for A-profile (DDI 0487), C4.1 (encodings) and C6.2. An operand is a run
 * of bits of the instruction word. As a field (delta/image/field.h) the word is taken apart: the operand is the low
 * bits of the field's value, the rest of the word follows above it, so that a moved target is a small difference.
 */
#ifndef SF_DELTA_IMAGE_A64_H
#define SF_DELTA_IMAGE_A64_H

#include <stdbool.h>
#include <stdint.h>

/* Which bits of the word are the operand. They are part of the format: bias of a field of form SF_FORM_OPERAND, or of
 * form SF_FORM_NUMBER in arm64 code. */
enum sf_a64_layout {
        SF_A64_NONE,     /* no operand: the value is the field as it is */
        SF_A64_BRANCH26, /* B, BL: distance in instructions */
        SF_A64_BRANCH19, /* B.cond, CBZ, CBNZ, LDR (literal): the same */
        SF_A64_BRANCH14, /* TBZ, TBNZ: the same */
        SF_A64_ADDRESS,  /* ADR: distance in bytes */
        SF_A64_PAGE,     /* ADRP: distance in pages of 4 KiB */
        SF_A64_LOW12,    /* ADD, LDR, STR with an unsigned offset: address within its page, or a number */
        SF_A64_WIDE16,   /* MOVZ, MOVN, MOVK: a number */
        SF_A64_PAIR7,    /* LDP, STP: a number */
        SF_A64_LAYOUTS
};

#define SF_A64_NO_REGISTER 32

/* What an instruction is, as far as references go. */
enum sf_a64_kind {
        SF_A64_OTHER,
        SF_A64_CALL,     /* BL */
        SF_A64_JUMP,     /* B */
        SF_A64_BRANCH,   /* B.cond, CBZ, CBNZ, TBZ, TBNZ */
        SF_A64_LEAVE,    /* RET, BR */
        SF_A64_INDIRECT, /* BLR */
        SF_A64_LITERAL,  /* LDR (literal), ADR */
        SF_A64_PAGED,    /* ADRP */
        SF_A64_OFFSET,   /* ADD (immediate), LDR, STR (unsigned offset): what follows an ADRP */
        SF_A64_CONSTANT, /* MOVZ, MOVN, MOVK, SUB (immediate), LDP, STP */
};

struct sf_a64_insn {
        enum sf_a64_kind kind;
        enum sf_a64_layout layout;
        uint8_t scale;   /* the operand of LOW12 and PAIR7 counts in units of 2^scale bytes */
        uint8_t written; /* the general register that it overwrites, SF_A64_NO_REGISTER for none */
        uint8_t base;    /* of OFFSET: the register that the offset is added to */
};

/* Every word is some instruction. */
void sf_a64_decode(uint32_t word, struct sf_a64_insn *ret);

/* Bits of the operand; 0 for SF_A64_NONE. */
unsigned sf_a64_bits(enum sf_a64_layout layout);
/* The word with its operand in the low bits, and the word again. */
uint32_t sf_a64_split(enum sf_a64_layout layout, uint32_t word);
uint32_t sf_a64_join(enum sf_a64_layout layout, uint32_t value);

/* The operand that refers to `target` from an instruction at `place` (addresses), in its bits. */
uint32_t sf_a64_operand(enum sf_a64_layout layout, unsigned scale, uint64_t place, uint64_t target);
/* The inverse. Where the operand says a part of the address only, the rest is taken from `near`: the page of it for
 * LOW12 (with `page_known`; else the nearest such address), its place in the page for PAGE. */
uint64_t sf_a64_target(enum sf_a64_layout layout, unsigned scale, uint64_t place, uint32_t operand, uint64_t near,
                       bool page_known);

#endif
