/* SPDX-License-Identifier: Apache-2.0 */
/* delta/image/a64.c - see a64.h. */
#include "delta/image/a64.h"

#include <stddef.h>

#define NO_REGISTER SF_A64_NO_REGISTER

/* A run of bits, the lowest of them; PAGE and ADDRESS have two more at bit 29, which are their lowest ones. */
static const struct {
        uint8_t lowest, bits;
} runs[SF_A64_LAYOUTS] = {
        [SF_A64_BRANCH26] = { 0, 26 }, [SF_A64_BRANCH19] = { 5, 19 }, [SF_A64_BRANCH14] = { 5, 14 },
        [SF_A64_ADDRESS] = { 5, 19 },  [SF_A64_PAGE] = { 5, 19 },     [SF_A64_LOW12] = { 10, 12 },
        [SF_A64_WIDE16] = { 5, 16 },   [SF_A64_PAIR7] = { 15, 7 },
};

/* Instructions by fixed bits; the first that fits counts. */
static const struct {
        uint32_t mask, bits;
        enum sf_a64_kind kind;
        enum sf_a64_layout layout;
} encodings[] = {
        { 0xfc000000, 0x94000000, SF_A64_CALL, SF_A64_BRANCH26 },    /* BL */
        { 0xfc000000, 0x14000000, SF_A64_JUMP, SF_A64_BRANCH26 },    /* B */
        { 0xff000000, 0x54000000, SF_A64_BRANCH, SF_A64_BRANCH19 },  /* B.cond, BC.cond */
        { 0x7e000000, 0x34000000, SF_A64_BRANCH, SF_A64_BRANCH19 },  /* CBZ, CBNZ */
        { 0x7e000000, 0x36000000, SF_A64_BRANCH, SF_A64_BRANCH14 },  /* TBZ, TBNZ */
        { 0xfffffc1f, 0xd61f0000, SF_A64_LEAVE, SF_A64_NONE },       /* BR */
        { 0xfffffc1f, 0xd65f0000, SF_A64_LEAVE, SF_A64_NONE },       /* RET */
        { 0xfffffc1f, 0xd63f0000, SF_A64_INDIRECT, SF_A64_NONE },    /* BLR */
        { 0x9f000000, 0x90000000, SF_A64_PAGED, SF_A64_PAGE },       /* ADRP */
        { 0x9f000000, 0x10000000, SF_A64_LITERAL, SF_A64_ADDRESS },  /* ADR */
        { 0x3b000000, 0x18000000, SF_A64_LITERAL, SF_A64_BRANCH19 }, /* LDR (literal) */
        { 0xffc00000, 0x91000000, SF_A64_OFFSET, SF_A64_LOW12 },     /* ADD (immediate, 64 bits, not shifted) */
        { 0x3b000000, 0x39000000, SF_A64_OFFSET, SF_A64_LOW12 },     /* LDR, STR (unsigned offset) */
        { 0x1f800000, 0x12800000, SF_A64_CONSTANT, SF_A64_WIDE16 },  /* MOVN, MOVZ, MOVK */
        { 0x1fc00000, 0x11000000, SF_A64_CONSTANT, SF_A64_LOW12 },   /* ADD (32 bits), ADDS, SUB, SUBS, CMP */
        { 0x3a000000, 0x28000000, SF_A64_CONSTANT, SF_A64_PAIR7 },   /* LDP, STP, any addressing */
};

/* Loads and stores of whole vector registers have the highest bit of their size elsewhere. */
static uint8_t scale_of(enum sf_a64_layout layout, uint32_t word)
{
        bool vector = word & 1u << 26;

        if (layout == SF_A64_PAIR7)
                return (uint8_t)((word >> 31) + 2 + (vector ? (word >> 30 & 1) + (word >> 31) : 0)) & 7;
        if (layout != SF_A64_LOW12 || (word & 0x3b000000) != 0x39000000)
                return 0;
        return vector && (word & 0xc0800000) == 0x00800000 ? 4 : (uint8_t)(word >> 30);
}

/* Stores, branches and what works on vectors leave the general registers alone; everything else writes to the one in
 * its low bits. Calls are the caller's affair. */
static uint8_t written_by(uint32_t word)
{
        bool vector = word & 1u << 26;

        if ((word & 0x1c000000) == 0x14000000 || (word & 0x0e000000) == 0x0e000000)
                return NO_REGISTER; /* branches, exceptions, system; vectors */
        if ((word & 0x0a000000) != 0x08000000)
                return word & 31;
        bool store = (word & 0x3a000000) == 0x28000000   ? !(word & 1u << 22)
                     : (word & 0x3b000000) == 0x18000000 ? false
                                                         : !(word & 3u << 22);
        return vector || store ? NO_REGISTER : word & 31;
}

void sf_a64_decode(uint32_t word, struct sf_a64_insn *ret)
{
        *ret = (struct sf_a64_insn){ .base = word >> 5 & 31 };
        for (size_t i = 0; i < sizeof encodings / sizeof *encodings; i++)
                if ((word & encodings[i].mask) == encodings[i].bits) {
                        ret->kind = encodings[i].kind;
                        ret->layout = encodings[i].layout;
                        break;
                }
        ret->scale = scale_of(ret->layout, word);
        ret->written = written_by(word);
}

static bool has_low_pair(enum sf_a64_layout layout)
{
        return layout == SF_A64_PAGE || layout == SF_A64_ADDRESS;
}

unsigned sf_a64_bits(enum sf_a64_layout layout)
{
        return runs[layout].bits + (has_low_pair(layout) ? 2u : 0u);
}

uint32_t sf_a64_split(enum sf_a64_layout layout, uint32_t word)
{
        unsigned lowest = runs[layout].lowest, bits = runs[layout].bits;

        if (layout == SF_A64_NONE)
                return word;
        uint32_t operand = word >> lowest & ((1u << bits) - 1), rest = word & ((1u << lowest) - 1);
        uint32_t above = word >> (lowest + bits);
        if (has_low_pair(layout)) {
                /* above: 5 bits, the pair, the highest bit */
                operand = operand << 2 | (above >> 5 & 3);
                above = (above & 31) | above >> 7 << 5;
                bits += 2;
        }
        return operand | (rest | above << lowest) << bits;
}

uint32_t sf_a64_join(enum sf_a64_layout layout, uint32_t value)
{
        unsigned lowest = runs[layout].lowest, bits = sf_a64_bits(layout);

        if (layout == SF_A64_NONE)
                return value;
        uint32_t operand = value & ((1u << bits) - 1), others = value >> bits;
        uint32_t rest = others & ((1u << lowest) - 1), above = others >> lowest;
        if (has_low_pair(layout)) {
                above = (above & 31) | (operand & 3) << 5 | above >> 5 << 7;
                operand >>= 2;
                bits -= 2;
        }
        return rest | operand << lowest | above << (lowest + bits);
}

uint32_t sf_a64_operand(enum sf_a64_layout layout, unsigned scale, uint64_t place, uint64_t target)
{
        uint64_t operand = 0;

        if (layout == SF_A64_PAGE)
                operand = (target >> 12) - (place >> 12);
        else if (layout == SF_A64_ADDRESS)
                operand = target - place;
        else if (layout == SF_A64_LOW12)
                operand = (target & 0xfff) >> scale;
        else
                operand = (target - place) >> 2;
        return (uint32_t)operand & ((1u << sf_a64_bits(layout)) - 1);
}

uint64_t sf_a64_target(enum sf_a64_layout layout, unsigned scale, uint64_t place, uint32_t operand, uint64_t near,
                       bool page_known)
{
        unsigned bits = sf_a64_bits(layout);
        uint64_t sign = UINT64_C(1) << (bits - 1);
        uint64_t distance = (operand ^ sign) - sign; /* with its sign */

        if (layout == SF_A64_PAGE)
                return (((place >> 12) + distance) << 12) | (near & 0xfff);
        if (layout == SF_A64_ADDRESS)
                return place + distance;
        if (layout != SF_A64_LOW12)
                return place + distance * 4;
        uint64_t low = (uint64_t)operand << scale & 0xfff;
        if (page_known)
                return (near & ~UINT64_C(0xfff)) | low;
        return near + ((low - near + 0x800) & 0xfff) - 0x800;
}
