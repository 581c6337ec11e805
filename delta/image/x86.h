/* SPDX-License-Identifier: Apache-2.0 */
/* delta/image/x86.h - how long an x86-64 instruction is, and where in it references and other operands lie.
 *
 * Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, appendix A (opcode maps) and chapter
 * 2 (prefixes, ModRM, SIB, VEX, EVEX). Only 64-bit mode. What a compiler does not emit may be measured wrongly: both
 * ends of a delta would be wrong together, which costs bytes and nothing else.
 */
#ifndef SF_DELTA_IMAGE_X86_H
#define SF_DELTA_IMAGE_X86_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sf_x86_form { SF_X86_PLAIN, SF_X86_CALL, SF_X86_JUMP, SF_X86_BRANCH, SF_X86_MEMORY };

struct sf_x86_insn {
        uint8_t length;   /* bytes, immediates included */
        uint8_t head;     /* bytes up to and with ModRM and SIB: what had to be read */
        uint8_t field; /* offset of the 32-bit pc-relative field, 0 = none; it counts from the end of the instruction */
        uint8_t opcode;   /* offset of the last opcode byte */
        enum sf_x86_form form; /* of `field` */
        uint8_t near;     /* offset of an 8-bit pc-relative distance, 0 = none; it is the last byte */
        uint8_t displacement, displacement_bytes; /* offset and length of what is added to a register, 0 = none */
        uint8_t immediate, immediate_bytes;       /* offset and length of the immediate operand, 0 = none */
};

/* Measures the instruction at code; only `len` bytes are looked at, and only the head needs to be there. False where
 * the head is cut off or no instruction starts like this. */
bool sf_x86_measure(const uint8_t *code, size_t len, struct sf_x86_insn *ret);

#endif
