/* SPDX-License-Identifier: Apache-2.0 */
/* delta/image/x86.c - see x86.h. The opcode maps are strings, one letter for what follows an opcode. */
#include "delta/image/x86.h"

/* .  nothing          M  ModRM               x  no instruction      P  legacy prefix
 * b  8-bit immediate  B  ModRM and that      w  16-bit immediate    R  REX prefix
 * z  32-bit (16 with the operand prefix)     Z  ModRM and that      J  32-bit branch distance
 * T  ModRM, and z for reg 0 and 1            t  the same with b     q  z, 64-bit with REX.W
 * a  64-bit address   e  16 + 8 bits         V  VEX or EVEX prefix  0  escape to the second map */
static const char one_byte[] = "MMMMbzxxMMMMbzx0" /* 00 */
                               "MMMMbzxxMMMMbzxx" /* 10 */
                               "MMMMbzPxMMMMbzPx" /* 20 */
                               "MMMMbzPxMMMMbzPx" /* 30 */
                               "RRRRRRRRRRRRRRRR" /* 40 */
                               "................" /* 50 */
                               "xxVMPPPPzZbB...." /* 60 */
                               "bbbbbbbbbbbbbbbb" /* 70 */
                               "BZxBMMMMMMMMMMMM" /* 80 */
                               "..........x....." /* 90 */
                               "aaaa....bz......" /* a0 */
                               "bbbbbbbbqqqqqqqq" /* b0 */
                               "BBw.VVBZe.w..b.." /* c0 */
                               "MMMMxxx.MMMMMMMM" /* d0 */
                               "bbbbbbbbJJxb...." /* e0 */
                               "P.PP..tT......MM" /* f0 */;

static const char two_byte[] = "MMMMx.....x.xM.B" /* 0f 00 */
                               "MMMMMMMMMMMMMMMM" /* 0f 10 */
                               "MMMMxxxxMMMMMMMM" /* 0f 20 */
                               "......x.MxBxxxxx" /* 0f 30: 38 and 3a lead to the third maps */
                               "MMMMMMMMMMMMMMMM" /* 0f 40 */
                               "MMMMMMMMMMMMMMMM" /* 0f 50 */
                               "MMMMMMMMMMMMMMMM" /* 0f 60 */
                               "BBBBMMM.MMxxMMMM" /* 0f 70 */
                               "JJJJJJJJJJJJJJJJ" /* 0f 80 */
                               "MMMMMMMMMMMMMMMM" /* 0f 90 */
                               "...MBMxx...MBMMM" /* 0f a0 */
                               "MMMMMMMMMMBMMMMM" /* 0f b0 */
                               "MMBMBBBM........" /* 0f c0 */
                               "MMMMMMMMMMMMMMMM" /* 0f d0 */
                               "MMMMMMMMMMMMMMMM" /* 0f e0 */
                               "MMMMMMMMMMMMMMMM" /* 0f f0 */;

struct decoder {
        const uint8_t *code;
        size_t len, at;
        bool operand16, wide; /* prefixes 66 and REX.W */
};

/* Skips ModRM, SIB and displacement. `field` receives the place of a pc-relative displacement. */
static bool skip_modrm(struct decoder *d, struct sf_x86_insn *insn, uint8_t *ret_modrm)
{
        if (d->at >= d->len)
                return false;
        uint8_t modrm = d->code[d->at++], mod = modrm >> 6, rm = modrm & 7, base = rm;

        *ret_modrm = modrm;
        if (mod != 3 && rm == 4) {
                if (d->at >= d->len)
                        return false;
                base = d->code[d->at++] & 7;
        }
        insn->head = (uint8_t)d->at;
        if (mod == 0 && rm == 5) {
                insn->field = (uint8_t)d->at;
                insn->form = SF_X86_MEMORY;
        }
        uint8_t bytes = mod == 1 ? 1 : mod == 2 || (mod == 0 && base == 5) ? 4 : 0;
        if (bytes && !insn->field) {
                insn->displacement = (uint8_t)d->at;
                insn->displacement_bytes = bytes;
        }
        d->at += bytes;
        return true;
}

/* Reads prefixes up to the first opcode byte; false where the bytes end. */
static bool skip_prefixes(struct decoder *d)
{
        for (; d->at < d->len && d->at < 14; d->at++) {
                uint8_t byte = d->code[d->at];

                if (one_byte[byte] == 'R') {
                        d->wide = byte & 8;
                        d->at++;
                        break;
                }
                if (one_byte[byte] != 'P')
                        break;
                d->operand16 |= byte == 0x66;
        }
        return d->at < d->len;
}

/* What follows the opcode of a VEX or EVEX instruction; leaves d->at behind the opcode. */
static char vex_class(struct decoder *d)
{
        uint8_t prefix = d->code[d->at], extra = prefix == 0x62 ? 3 : prefix == 0xc4 ? 2 : 1;

        if (d->len - d->at < (size_t)extra + 2)
                return 0;
        uint8_t map = extra == 1 ? 1 : d->code[d->at + 1] & (extra == 3 ? 7 : 31);
        uint8_t opcode = d->code[d->at + 1 + extra];
        d->at += (size_t)extra + 2;
        return map == 1 ? two_byte[opcode] : map == 3 ? 'B' : 'M';
}

/* The class of the opcode at d->at, which is passed; 0 where the bytes end. */
static char opcode_class(struct decoder *d)
{
        char class = one_byte[d->code[d->at]];

        if (class == 'V')
                return vex_class(d);
        d->at++;
        if (class != '0')
                return class;
        if (d->at >= d->len)
                return 0;
        uint8_t second = d->code[d->at++];
        if (second != 0x38 && second != 0x3a)
                return two_byte[second];
        if (d->at >= d->len)
                return 0;
        d->at++;
        return second == 0x38 ? 'M' : 'B';
}

static size_t immediate_bytes(const struct decoder *d, char class, uint8_t modrm)
{
        bool tested = (modrm >> 3 & 7) < 2;

        switch (class) {
        case 'b':
        case 'B':
                return 1;
        case 't':
                return tested ? 1 : 0;
        case 'w':
                return 2;
        case 'e':
                return 3;
        case 'z':
        case 'Z':
                return d->operand16 ? 2 : 4;
        case 'T':
                return !tested ? 0 : d->operand16 ? 2 : 4;
        case 'q':
                return d->wide ? 8 : d->operand16 ? 2 : 4;
        case 'J':
                return 4;
        case 'a':
                return 8;
        default:
                return 0;
        }
}

/* Jcc, JMP, LOOP and JCXZ with an 8-bit distance. */
static bool is_short_branch(uint8_t opcode)
{
        return (opcode & 0xf0) == 0x70 || opcode == 0xeb || (opcode & 0xfc) == 0xe0;
}

/* What stands behind ModRM and displacement: the distance of a branch, or an operand. */
static void set_immediate(const struct decoder *d, char class, uint8_t modrm, struct sf_x86_insn *insn)
{
        uint8_t bytes = (uint8_t)immediate_bytes(d, class, modrm);

        insn->length = (uint8_t)(d->at + bytes);
        if (class == 'b' && is_short_branch(d->code[insn->opcode])) {
                insn->near = (uint8_t)d->at;
        } else if (bytes && class != 'J') {
                insn->immediate = (uint8_t)d->at;
                insn->immediate_bytes = bytes;
        }
}

bool sf_x86_measure(const uint8_t *code, size_t len, struct sf_x86_insn *ret)
{
        struct decoder d = { .code = code, .len = len };
        struct sf_x86_insn insn = { 0 };
        uint8_t modrm = 0;

        if (!skip_prefixes(&d))
                return false;
        char class = opcode_class(&d);
        if (!class || class == 'x' || class == 'P' || class == 'R')
                return false;
        insn.opcode = (uint8_t)(d.at - 1);
        insn.head = (uint8_t)d.at;
        if (class == 'J') {
                uint8_t opcode = code[insn.opcode];

                insn.field = (uint8_t)d.at;
                insn.form = opcode == 0xe8 ? SF_X86_CALL : opcode == 0xe9 ? SF_X86_JUMP : SF_X86_BRANCH;
        }
        if ((class == 'M' || class == 'B' || class == 'Z' || class == 'T' || class == 't') &&
            !skip_modrm(&d, &insn, &modrm))
                return false;
        set_immediate(&d, class, modrm, &insn);
        *ret = insn;
        return true;
}
