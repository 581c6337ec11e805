/* SPDX-License-Identifier: Apache-2.0 */
/* delta/cfi/cfi_program.c - see cfi_program.h. */
#include "delta/cfi/cfi_program.h"

#include <string.h>

#define CFA_REMEMBER     0x0a
#define CFA_RESTORE_ALL  0x0b
#define CFA_DEF          0x0c
#define CFA_DEF_REGISTER 0x0d
#define CFA_DEF_OFFSET   0x0e
#define CFA_OFFSET       0x80
#define CFA_RESTORE      0xc0

static uint8_t put_uleb(uint8_t *at, uint64_t value)
{
        uint8_t length = 0;

        do {
                at[length] = (uint8_t)((value & 127) | (value >> 7 ? 128 : 0));
                length++;
                value >>= 7;
        } while (value && length < 4);
        return length;
}

static void write_op(struct sf_cfi_program *p, uint64_t at, const uint8_t *bytes, uint8_t length)
{

        if (p->count == SF_CFI_PROGRAM_OPS_MAX)
                return;
        p->ops[p->count] = (struct sf_cfi_program_op){ .at = (uint32_t)(at - p->start), .length = length };
        memcpy(p->ops[p->count++].bytes, bytes, length);
}

static void write_one(struct sf_cfi_program *p, uint64_t at, uint8_t byte)
{
        write_op(p, at, &byte, 1);
}

static void write_save(struct sf_cfi_program *p, uint64_t at, uint8_t reg)
{
        uint8_t bytes[2] = { CFA_OFFSET | reg, p->row.slots[reg] };

        write_op(p, at, bytes, 2);
}

void sf_cfi_program_flush(struct sf_cfi_program *p, uint64_t at)
{
        for (size_t i = 0; i < p->queued; i++)
                if (p->row.saved >> p->queue[i] & 1)
                        write_save(p, at, p->queue[i]);
        p->queued = 0;
}

void sf_cfi_program_define_offset(struct sf_cfi_program *p, uint64_t at, int64_t offset)
{
        uint8_t bytes[5] = { CFA_DEF_OFFSET };

        if (offset < 0 || offset > INT32_MAX || p->row.offset == (uint32_t)offset)
                return;
        p->row.offset = (uint32_t)offset;
        write_op(p, at, bytes, (uint8_t)(1 + put_uleb(bytes + 1, p->row.offset)));
        sf_cfi_program_flush(p, at);
}

void sf_cfi_program_define(struct sf_cfi_program *p, uint64_t at, uint8_t base, int64_t offset)
{
        uint8_t bytes[6] = { CFA_DEF, base };

        if (offset < 0 || offset > INT32_MAX)
                return;
        p->row.base = base;
        p->row.offset = (uint32_t)offset;
        write_op(p, at, bytes, (uint8_t)(2 + put_uleb(bytes + 2, p->row.offset)));
        sf_cfi_program_flush(p, at);
}

void sf_cfi_program_restore(struct sf_cfi_program *p, uint64_t at, uint8_t reg)
{
        p->row.saved &= (uint16_t) ~(1u << reg);
        write_one(p, at, CFA_RESTORE | reg);
        sf_cfi_program_flush(p, at);
}

bool sf_cfi_program_same_rules(const struct sf_cfi_program_row *a, const struct sf_cfi_program_row *b)
{
        if (a->base != b->base || a->offset != b->offset || a->saved != b->saved)
                return false;
        for (unsigned i = 0; i < SF_CFI_PROGRAM_REGISTERS; i++)
                if (a->saved >> i & 1 && a->slots[i] != b->slots[i])
                        return false;
        return true;
}

void sf_cfi_program_start_trace(struct sf_cfi_program *p)
{
        p->trace = p->row;
        p->trace_count = p->count;
}

/* Writes remember_state in front of the first rule of the trace, and restore_state here. */
static bool go_back(struct sf_cfi_program *p, uint64_t at, const struct sf_cfi_program_row *row)
{
        if (!sf_cfi_program_same_rules(&p->trace, row) || p->trace_count >= p->count ||
            p->count == SF_CFI_PROGRAM_OPS_MAX)
                return false;
        memmove(p->ops + p->trace_count + 1, p->ops + p->trace_count, (p->count - p->trace_count) * sizeof *p->ops);
        p->ops[p->trace_count] = (struct sf_cfi_program_op){ p->ops[p->trace_count + 1].at, 1, { CFA_REMEMBER } };
        p->count++;
        write_one(p, at, CFA_RESTORE_ALL);
        return true;
}

/* Writes each rule that changes. */
static void change(struct sf_cfi_program *p, uint64_t at, const struct sf_cfi_program_row *row)
{
        const struct sf_cfi_program_row was = p->row;

        if (was.base != row->base)
                sf_cfi_program_define(p, at, row->base, row->offset);
        else if (was.offset != row->offset)
                sf_cfi_program_define_offset(p, at, row->offset);
        p->row = *row;
        for (uint8_t i = 0; i < SF_CFI_PROGRAM_REGISTERS; i++) {
                bool before = was.saved >> i & 1, now = row->saved >> i & 1;

                if (before && !now)
                        write_one(p, at, CFA_RESTORE | i);
                else if (now && (!before || was.slots[i] != row->slots[i]))
                        write_save(p, at, i);
        }
}

void sf_cfi_program_enter(struct sf_cfi_program *p, uint64_t at, const struct sf_cfi_program_row *row)
{
        p->queued = 0;
        if (!sf_cfi_program_same_rules(&p->row, row) && !go_back(p, at, row))
                change(p, at, row);
        p->row = *row;
}

void sf_cfi_program_set_base(struct sf_cfi_program *p, uint64_t at)
{
        p->row.base = SF_DWARF_RBP;
        write_op(p, at, (const uint8_t[]){ CFA_DEF_REGISTER, SF_DWARF_RBP }, 2);
        sf_cfi_program_flush(p, at);
}

void sf_cfi_program_save(struct sf_cfi_program *p, uint8_t reg, uint8_t slot)
{
        if (p->queued == SF_CFI_PROGRAM_REGISTERS)
                return;
        p->row.saved |= (uint16_t)(1u << reg);
        p->row.slots[reg] = slot;
        p->queue[p->queued++] = reg;
}

void sf_cfi_program_start(struct sf_cfi_program *p, uint64_t at)
{
        p->start = at;
        p->count = p->queued = 0;
        p->row = (struct sf_cfi_program_row){ .base = SF_DWARF_RSP, .offset = 8, .depth = 8 };
        sf_cfi_program_start_trace(p);
}
