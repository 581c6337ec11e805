/* SPDX-License-Identifier: Apache-2.0 */
/* delta/image/insn_effect.c - see insn_effect.h. */
#include "delta/image/insn_effect.h"

#include <stdbool.h>

#include "delta/image/image.h"
#include "delta/image/x86.h"

#define NO_BASE 17

/* The instruction in parts. */
struct parts {
        const uint8_t *code;
        const struct sf_x86_insn *insn;
        uint8_t rex, opcode, reg, rm, base; /* base: of a memory operand, NO_BASE for none that matters */
        uint8_t digit;                      /* the middle of ModRM, which is part of some opcodes */
        bool two, three, vex, has_modrm, direct, wide;
        int64_t displacement;
};

static int64_t signed_bytes(const uint8_t *at, unsigned count)
{
        return count == 1 ? (int8_t)at[0] : count == 4 ? (int32_t)sf_get32(at) : count == 2 ? (int16_t)sf_get16(at) : 0;
}

/* ModRM and what belongs to it. */
static void take_modrm(struct parts *p)
{
        const struct sf_x86_insn *insn = p->insn;
        uint8_t modrm = p->code[insn->opcode + 1], mod = modrm >> 6, rm = modrm & 7;

        p->has_modrm = true;
        p->digit = modrm >> 3 & 7;
        p->reg = (uint8_t)(p->digit | (p->rex & 4) << 1);
        p->rm = (uint8_t)(rm | (p->rex & 1) << 3);
        p->direct = mod == 3;
        p->base = NO_BASE;
        if (insn->displacement_bytes)
                p->displacement = signed_bytes(p->code + insn->displacement, insn->displacement_bytes);
        if (p->direct || (p->rex & 1))
                return;
        if (rm == SF_REG_FP && mod)
                p->base = SF_REG_FP;
        else if (rm == 4 && p->code[insn->opcode + 2] == 0x24)
                p->base = SF_REG_SP;
}

static struct parts take_apart(const uint8_t *code, const struct sf_x86_insn *insn)
{
        struct parts p = { .code = code, .insn = insn, .opcode = code[insn->opcode], .base = NO_BASE };

        for (unsigned i = 0; i < insn->opcode; i++) {
                p.three |= p.two;
                p.two |= code[i] == 0x0f;
                p.vex |= !p.two && (code[i] == 0xc4 || code[i] == 0xc5 || code[i] == 0x62);
                if (!p.two && (code[i] & 0xf0) == 0x40)
                        p.rex = code[i];
        }
        p.wide = p.rex & 8;
        if (insn->head > insn->opcode + 1)
                take_modrm(&p);
        return p;
}

static struct sf_insn_effect effect(enum sf_insn_effect_kind kind, uint8_t reg, int64_t value)
{
        return (struct sf_insn_effect){ .kind = kind, .reg = reg, .value = value };
}

static struct sf_insn_effect writes(uint8_t reg)
{
        return effect(SF_INSN_WRITE, reg, 0);
}

static struct sf_insn_effect writes_rm(const struct parts *p)
{
        return p->direct ? writes(p->rm) : effect(SF_INSN_NONE, 0, 0);
}

/* A distance that counts from the end of the instruction. */
static int64_t distance(const struct parts *p)
{
        if (p->insn->field)
                return (int32_t)sf_get32(p->code + p->insn->field);
        return p->insn->near ? (int8_t)p->code[p->insn->near] : 0;
}

/* mov `from`, `to` between registers. */
static struct sf_insn_effect moves(uint8_t from, uint8_t to)
{
        if (to == SF_REG_FP && from == SF_REG_SP)
                return effect(SF_INSN_FROM_STACK, to, 0);
        if (to == SF_REG_SP && from == SF_REG_FP)
                return effect(SF_INSN_TO_FRAME, to, 0);
        return writes(to);
}

static struct sf_insn_effect of_move(const struct parts *p)
{
        bool load = p->opcode == 0x8b;

        if (p->direct)
                return load ? moves(p->rm, p->reg) : moves(p->reg, p->rm);
        if (p->wide && p->base != NO_BASE)
                return (struct sf_insn_effect){ load ? SF_INSN_LOAD : SF_INSN_STORE, p->reg, p->base, p->displacement };
        return load ? writes(p->reg) : effect(SF_INSN_NONE, 0, 0);
}

static struct sf_insn_effect of_lea(const struct parts *p)
{
        if (p->insn->field)
                return effect(SF_INSN_ADDRESS, p->reg, distance(p));
        if (p->reg == SF_REG_SP && p->base == SF_REG_FP)
                return effect(SF_INSN_TO_FRAME, p->reg, p->displacement);
        if (p->reg == SF_REG_SP && p->base == SF_REG_SP)
                return effect(SF_INSN_ADJUST, p->reg, p->displacement);
        if (p->reg == SF_REG_FP && p->base == SF_REG_SP)
                return effect(SF_INSN_FROM_STACK, p->reg, p->displacement);
        return writes(p->reg);
}

/* 80, 81, 83: arithmetic with an immediate. */
static struct sf_insn_effect of_immediate(const struct parts *p)
{
        int64_t value = signed_bytes(p->code + p->insn->immediate, p->insn->immediate_bytes);

        if (p->digit == 7)
                return effect(SF_INSN_COMPARE, 0, value);
        if (p->direct && p->rm == SF_REG_SP && (p->digit == 0 || p->digit == 5))
                return effect(SF_INSN_ADJUST, SF_REG_SP, p->digit ? -value : value);
        return writes_rm(p);
}

static struct sf_insn_effect of_group5(const struct parts *p)
{
        switch (p->digit) {
        case 2:
                return effect(SF_INSN_CALL, 0, 0);
        case 4:
                return effect(p->direct ? SF_INSN_LEAP : SF_INSN_AWAY, 0, 0);
        case 6:
                return effect(SF_INSN_PUSH, SF_NO_REGISTER, 0);
        default:
                return writes_rm(p);
        }
}

static struct sf_insn_effect of_two(const struct parts *p)
{
        uint8_t o = p->opcode;

        if ((o & 0xf0) == 0x80)
                return effect(SF_INSN_BRANCH, 0, distance(p));
        if (o == 0x0b)
                return effect(SF_INSN_TRAP, 0, 0);
        if (o == 0x1f)
                return effect(SF_INSN_NOP, 0, 0);
        if (o == 0xa2)
                return writes(3); /* cpuid */
        if ((o & 0xf8) == 0xc8)
                return writes((uint8_t)((o & 7) | (p->rex & 1) << 3));
        if ((o & 0xf0) == 0x40 || o == 0xb6 || o == 0xb7 || o == 0xbe || o == 0xbf || o == 0xaf || o == 0xbc ||
            o == 0xbd || o == 0x2c || o == 0x2d || o == 0x50 || o == 0xd7)
                return writes(p->reg);
        if ((o & 0xf0) == 0x90 || o == 0xba || o == 0x7e || o == 0xab || o == 0xb3 || o == 0xbb || o == 0xa4 ||
            o == 0xac)
                return writes_rm(p);
        return effect(SF_INSN_NONE, 0, 0);
}

/* Opcodes below 40 (arithmetic). */
static struct sf_insn_effect of_arithmetic(const struct parts *p)
{
        uint8_t form = p->opcode & 7;

        if (p->opcode >= 0x38)
                return form >= 4 ? effect(SF_INSN_COMPARE, 0,
                                          signed_bytes(p->code + p->insn->immediate, p->insn->immediate_bytes))
                                 : effect(SF_INSN_NONE, 0, 0);
        return form < 2 ? writes_rm(p) : form < 4 ? writes(p->reg) : writes(0);
}

static struct sf_insn_effect of_one(const struct parts *p)
{
        uint8_t o = p->opcode, low = (uint8_t)((o & 7) | (p->rex & 1) << 3);

        if (o < 0x40)
                return of_arithmetic(p);
        if ((o & 0xf0) == 0x50)
                return effect(o & 8 ? SF_INSN_POP : SF_INSN_PUSH, low, 0);
        if ((o & 0xf0) == 0x70)
                return effect(SF_INSN_BRANCH, 0, distance(p));
        if ((o & 0xf0) == 0xb0 || (o > 0x90 && o < 0x98))
                return writes(low);
        switch (o) {
        case 0x63:
        case 0x69:
        case 0x6b:
        case 0x8a:
        case 0x86:
        case 0x87:
                return writes(p->reg);
        case 0x68:
        case 0x6a:
                return effect(SF_INSN_PUSH, SF_NO_REGISTER, 0);
        case 0x80:
        case 0x81:
        case 0x83:
                return of_immediate(p);
        case 0x88:
        case 0xc0:
        case 0xc1:
        case 0xc6:
        case 0xc7:
        case 0xd0:
        case 0xd1:
        case 0xd2:
        case 0xd3:
        case 0xfe:
                return writes_rm(p);
        case 0x89:
        case 0x8b:
                return of_move(p);
        case 0x8d:
                return of_lea(p);
        case 0x90:
                return effect(SF_INSN_NOP, 0, 0);
        case 0xc2:
        case 0xc3:
                return effect(SF_INSN_RETURN, 0, 0);
        case 0xc9:
                return effect(SF_INSN_LEAVE, 0, 0);
        case 0xe8:
                return effect(SF_INSN_CALL, 0, distance(p));
        case 0xe9:
        case 0xeb:
                return effect(SF_INSN_JUMP, 0, distance(p));
        case 0xf4:
        case 0xcc:
                return effect(SF_INSN_TRAP, 0, 0);
        case 0xf6:
        case 0xf7:
                return p->digit == 2 || p->digit == 3 ? writes_rm(p) : effect(SF_INSN_NONE, 0, 0);
        case 0xff:
                return of_group5(p);
        default:
                return effect(SF_INSN_NONE, 0, 0);
        }
}

uint64_t sf_insn_effect_decode(const uint8_t *code, uint64_t len, struct sf_insn_effect *ret)
{
        struct sf_x86_insn insn;

        if (!sf_x86_measure(code, len, &insn) || insn.length > len)
                return 0;
        struct parts p = take_apart(code, &insn);
        *ret = p.vex || p.three ? effect(SF_INSN_NONE, 0, 0) : p.two ? of_two(&p) : of_one(&p);
        return insn.length;
}
