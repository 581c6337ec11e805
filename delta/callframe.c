/* delta/callframe.c - see callframe.h. */
#include "delta/callframe.h"

#include <string.h>

#include "delta/effect.h"

#define ALIGNMENT    16 /* of functions */
#define PADDING_MAX  64
#define AHEAD_MAX    24 /* instructions that are looked at to see how an epilogue ends */
#define PROLOGUE_MAX 48 /* instructions that it may be mixed with */
#define CASES_MAX    1024
#define LABEL        0x80 /* in row_at: something leads there */
#define ROW_MASK     0x7f

/* Register numbers of the psABI. */
#define DW_RBX 3
#define DW_RBP 6
#define DW_RSP 7
#define KEPT   (1u << DW_RBX | 1u << DW_RBP | 0xf000u) /* registers that belong to the caller */

/* Call frame instructions. */
#define CFA_REMEMBER     0x0a
#define CFA_RESTORE_ALL  0x0b
#define CFA_DEF          0x0c
#define CFA_DEF_REGISTER 0x0d
#define CFA_DEF_OFFSET   0x0e
#define CFA_OFFSET       0x80
#define CFA_RESTORE      0xc0

static const uint8_t dwarf_numbers[SF_CALLFRAME_REGISTERS] = { 0, 2, 1, 3, 7, 6, 4, 5, 8, 9, 10, 11, 12, 13, 14, 15 };

/* A place to come back to: the rules there, and how much was written before. */
struct mark {
        struct sf_callframe_row row;
        size_t count;
};

enum ending { ENDING_INSIDE, ENDING_RETURN, ENDING_TAIL };

/* The walk through one function. All positions. */
struct walk {
        struct sf_callframe *frame;
        const struct sf_callframe_code *code;
        uint64_t first, at, next, limit; /* next: behind the instruction at `at` */
        uint64_t reach;                  /* the farthest place a branch has led to */
        uint64_t table;                  /* address that was loaded last */
        uint64_t ahead;                  /* the end of the epilogue is known up to here */
        enum ending ending;
        int64_t compared;
        struct sf_callframe_row row;
        struct mark trace; /* what gcc calls so: up to a label, the end of the prologue, an epilogue */
        uint8_t queue[SF_CALLFRAME_REGISTERS]; /* registers saved but not written down */
        size_t queued;
        uint8_t back[SF_CALLFRAME_REGISTERS]; /* registers loaded again, which is not written down yet */
        size_t returned;
        uint64_t prologue; /* where it ends, once that is known */
        uint16_t apart;    /* registers that only part of the function saves */
        bool end_known, wrapped, branched, called, leaving, shrunk, pushed, stray, again;
};

static bool is_kept(uint8_t reg)
{
        return reg < SF_CALLFRAME_REGISTERS && KEPT >> reg & 1;
}

/* --- writing ---------------------------------------------------------------------------------------------------- */

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

static void write_op(struct walk *w, uint64_t at, const uint8_t *bytes, uint8_t length)
{
        struct sf_callframe *f = w->frame;

        if (f->count == SF_CALLFRAME_OPS_MAX)
                return;
        f->ops[f->count] = (struct sf_callframe_op){ .at = (uint32_t)(at - w->first), .length = length };
        memcpy(f->ops[f->count++].bytes, bytes, length);
}

static void write_one(struct walk *w, uint64_t at, uint8_t byte)
{
        write_op(w, at, &byte, 1);
}

static void write_save(struct walk *w, uint64_t at, uint8_t reg)
{
        uint8_t bytes[2] = { CFA_OFFSET | reg, w->row.slots[reg] };

        write_op(w, at, bytes, 2);
}

static void flush(struct walk *w, uint64_t at)
{
        for (size_t i = 0; i < w->queued; i++)
                if (w->row.saved >> w->queue[i] & 1)
                        write_save(w, at, w->queue[i]);
        w->queued = 0;
}

static void define_offset(struct walk *w, uint64_t at, int64_t offset)
{
        uint8_t bytes[5] = { CFA_DEF_OFFSET };

        if (offset < 0 || offset > INT32_MAX || w->row.offset == (uint32_t)offset)
                return;
        w->row.offset = (uint32_t)offset;
        write_op(w, at, bytes, (uint8_t)(1 + put_uleb(bytes + 1, w->row.offset)));
        flush(w, at);
}

static void define(struct walk *w, uint64_t at, uint8_t base, int64_t offset)
{
        uint8_t bytes[6] = { CFA_DEF, base };

        if (offset < 0 || offset > INT32_MAX)
                return;
        w->row.base = base;
        w->row.offset = (uint32_t)offset;
        write_op(w, at, bytes, (uint8_t)(2 + put_uleb(bytes + 2, w->row.offset)));
        flush(w, at);
}

static void restore(struct walk *w, uint64_t at, uint8_t reg)
{
        w->row.saved &= (uint16_t) ~(1u << reg);
        write_one(w, at, CFA_RESTORE | reg);
        flush(w, at);
}

/* --- from one block to the next --------------------------------------------------------------------------------- */

static bool same_rules(const struct sf_callframe_row *a, const struct sf_callframe_row *b)
{
        if (a->base != b->base || a->offset != b->offset || a->saved != b->saved)
                return false;
        for (unsigned i = 0; i < SF_CALLFRAME_REGISTERS; i++)
                if (a->saved >> i & 1 && a->slots[i] != b->slots[i])
                        return false;
        return true;
}

static void start_trace(struct walk *w)
{
        w->trace = (struct mark){ w->row, w->frame->count };
        w->shrunk = false;
}

/* Writes remember_state in front of the first rule of the trace, and restore_state here. */
static bool go_back(struct walk *w, const struct sf_callframe_row *row)
{
        struct sf_callframe *f = w->frame;
        const struct mark *m = &w->trace;

        if (!same_rules(&m->row, row) || m->count >= f->count || f->count == SF_CALLFRAME_OPS_MAX)
                return false;
        memmove(f->ops + m->count + 1, f->ops + m->count, (f->count - m->count) * sizeof *f->ops);
        f->ops[m->count] = (struct sf_callframe_op){ f->ops[m->count + 1].at, 1, { CFA_REMEMBER } };
        f->count++;
        write_one(w, w->at, CFA_RESTORE_ALL);
        return true;
}

/* Writes each rule that changes. */
static void change(struct walk *w, const struct sf_callframe_row *row)
{
        const struct sf_callframe_row was = w->row;

        if (was.base != row->base)
                define(w, w->at, row->base, row->offset);
        else if (was.offset != row->offset)
                define_offset(w, w->at, row->offset);
        w->row = *row;
        for (uint8_t i = 0; i < SF_CALLFRAME_REGISTERS; i++) {
                bool before = was.saved >> i & 1, now = row->saved >> i & 1;

                if (before && !now)
                        write_one(w, w->at, CFA_RESTORE | i);
                else if (now && (!before || was.slots[i] != row->slots[i]))
                        write_save(w, w->at, i);
        }
}

/* What branches say about the rules at `at`; NULL where none leads there. */
static const struct sf_callframe_row *row_from_branch(const struct walk *w, uint64_t at)
{
        uint8_t number = w->frame->row_at[at - w->first] & ROW_MASK;

        return number ? &w->frame->rows[number - 1] : NULL;
}

/* A block starts at `at` that the code before does not run into. */
static void start_block(struct walk *w)
{
        const struct sf_callframe_row *from = row_from_branch(w, w->at);
        struct sf_callframe_row row = from ? *from : w->shrunk ? w->trace.row : w->row;

        w->queued = 0;
        if (!same_rules(&w->row, &row) && !go_back(w, &row))
                change(w, &row);
        w->row = row;
}

static void note_branch(struct walk *w, uint64_t target)
{
        struct sf_callframe *f = w->frame;

        if (target - w->first >= w->limit - w->first)
                return;
        if (target > w->reach)
                w->reach = target;
        if (!f->row_at[target - w->first] && target < w->next)
                w->again = true;
        f->row_at[target - w->first] |= LABEL;
        if (target < w->next || f->row_at[target - w->first] & ROW_MASK)
                return;
        size_t i = f->row_count;
        while (i > 0 && (f->rows[i - 1].depth != w->row.depth || !same_rules(&f->rows[i - 1], &w->row)))
                i--;
        if (i == 0 && f->row_count < SF_CALLFRAME_ROWS_MAX) {
                f->rows[f->row_count++] = w->row;
                i = f->row_count;
        }
        f->row_at[target - w->first] |= (uint8_t)i;
}

/* Cases of a switch: distances from a table to the code. */
static void note_cases(struct walk *w)
{
        uint64_t position, count = w->compared >= 0 && w->compared < CASES_MAX ? (uint64_t)w->compared + 1 : 0;

        for (uint64_t i = 0; i < count; i++) {
                uint64_t target, address = w->table + 4 * i;

                if (!sf_image_position(w->code->image, address, &position) || position > w->code->known ||
                    w->code->known - position < 4)
                        return;
                address = w->table + (uint64_t)(int64_t)(int32_t)sf_get32(w->code->out + position);
                if (sf_image_position(w->code->image, address, &target))
                        note_branch(w, target);
        }
        w->stray = count == 0;
}

/* --- instructions ----------------------------------------------------------------------------------------------- */

static bool decode(const struct sf_callframe_code *c, uint64_t at, uint64_t limit, uint64_t *ret_next,
                   struct sf_effect *ret)
{
        struct sf_x86_insn insn;

        if (at >= limit || !sf_x86_measure(c->out + at, limit - at, &insn) || insn.length > limit - at)
                return false;
        *ret = sf_effect_of(c->out + at, &insn);
        *ret_next = at + insn.length;
        return true;
}

/* How the code that restores registers at `at` goes on. */
static enum ending find_ending(struct walk *w)
{
        uint64_t at = w->at, next;
        struct sf_effect e;

        if (w->at < w->ahead)
                return w->ending;
        w->ending = ENDING_INSIDE;
        for (unsigned i = 0; i < AHEAD_MAX && decode(w->code, at, w->limit, &next, &e); i++, at = next) {
                uint64_t target = next + (uint64_t)e.value;
                bool here = target - w->first < w->limit - w->first && !sf_callframe_starts(w->code, target);

                if (e.kind == SF_EFFECT_RETURN || e.kind == SF_EFFECT_AWAY || e.kind == SF_EFFECT_LEAP ||
                    (e.kind == SF_EFFECT_JUMP && !here))
                        w->ending = e.kind == SF_EFFECT_RETURN ? ENDING_RETURN : ENDING_TAIL;
                if (e.kind >= SF_EFFECT_CALL && e.kind <= SF_EFFECT_TRAP)
                        break;
        }
        w->ahead = at;
        return w->ending;
}

/* Behind the last push or subtraction that sets up the frame; w->next has just made the frame pointer point to it. */
static uint64_t find_prologue_end(const struct walk *w)
{
        uint64_t at = w->next, end = at, perhaps = at, next;
        unsigned saved = w->row.saved;
        struct sf_effect e;

        for (unsigned i = 0; i < PROLOGUE_MAX && decode(w->code, at, w->limit, &next, &e); i++, at = next) {
                if (e.kind >= SF_EFFECT_CALL && e.kind <= SF_EFFECT_TRAP)
                        return perhaps;
                if (e.kind == SF_EFFECT_ADJUST) {
                        perhaps = next;
                        if (e.value != -8) /* else it may keep the stack aligned for arguments */
                                end = next;
                }
                if (e.kind != SF_EFFECT_PUSH)
                        continue;
                uint8_t reg = e.reg < SF_CALLFRAME_REGISTERS ? dwarf_numbers[e.reg] : SF_NO_REGISTER;
                if (!is_kept(reg) || saved >> reg & 1)
                        return end; /* an argument */
                saved |= 1u << reg;
                end = perhaps = next;
        }
        return perhaps;
}

/* A register gets back what it had. */
static void give_back(struct walk *w, uint8_t reg, bool moved)
{
        if (w->apart >> reg & 1) {
                w->shrunk = true;
                restore(w, w->next, reg);
                return;
        }
        w->leaving = w->shrunk = true;
        if (!w->wrapped || find_ending(w) != ENDING_TAIL)
                return;
        if (moved && w->returned < SF_CALLFRAME_REGISTERS)
                w->back[w->returned++] = reg; /* told at the leave instruction, last one first */
        else
                restore(w, w->next, reg);
}

static void push(struct walk *w, uint8_t reg)
{
        uint8_t number = reg < SF_CALLFRAME_REGISTERS ? dwarf_numbers[reg] : SF_NO_REGISTER;

        w->row.depth += 8;
        w->pushed = true;
        if (is_kept(number) && !(w->row.saved >> number & 1) && w->row.depth <= 8 * 255) {
                w->row.saved |= (uint16_t)(1u << number);
                w->row.slots[number] = (uint8_t)(w->row.depth / 8);
                if (w->queued < SF_CALLFRAME_REGISTERS)
                        w->queue[w->queued++] = number;
                if (number == DW_RBP) {
                        w->wrapped = w->branched;
                        w->called = false;
                }
        }
        if (w->row.base == DW_RSP)
                define_offset(w, w->next, w->row.depth);
}

static void pop(struct walk *w, uint8_t reg)
{
        uint8_t number = reg < SF_CALLFRAME_REGISTERS ? dwarf_numbers[reg] : SF_NO_REGISTER;
        bool back = is_kept(number) && w->row.saved >> number & 1 &&
                    (number == DW_RBP || w->row.base == DW_RBP || 8 * w->row.slots[number] == w->row.depth);

        if (back)
                give_back(w, number, false);
        w->row.depth -= 8;
        if (w->row.base == DW_RSP) {
                define_offset(w, w->next, w->row.depth);
        } else if (number == DW_RBP) {
                w->row.depth = 8;
                define(w, w->next, DW_RSP, 8);
        }
}

static void leave(struct walk *w)
{
        if (w->row.base != DW_RBP)
                return;
        give_back(w, DW_RBP, false);
        while (w->returned)
                restore(w, w->next, w->back[--w->returned]);
        w->row.depth = (int64_t)w->row.offset - 8;
        define(w, w->next, DW_RSP, w->row.depth);
}

/* A register is stored in the frame, or loaded from there. */
static void move(struct walk *w, const struct sf_effect *e)
{
        uint8_t number = dwarf_numbers[e->reg];
        int64_t base = e->base == SF_REG_SP ? w->row.depth : w->row.base == DW_RBP ? (int64_t)w->row.offset : 0;
        int64_t slot = base - e->value; /* CFA - address */
        bool saved = w->row.saved >> number & 1;

        if (!is_kept(number) || number == DW_RBP || slot <= 8 || slot > 8 * 255 || slot % 8)
                return;
        if (e->kind == SF_EFFECT_LOAD && saved && w->row.slots[number] == slot / 8) {
                give_back(w, number, true);
        } else if (e->kind == SF_EFFECT_STORE && !saved && w->queued < SF_CALLFRAME_REGISTERS) {
                w->row.saved |= (uint16_t)(1u << number);
                w->row.slots[number] = (uint8_t)(slot / 8);
                w->queue[w->queued++] = number;
                w->apart = (uint16_t)((w->apart & ~(1u << number)) | (unsigned)w->called << number);
        }
}

/* Saves are written down before the register changes or control may go elsewhere. */
static void flush_before(struct walk *w, const struct sf_effect *e)
{
        bool writes = e->kind == SF_EFFECT_WRITE || e->kind == SF_EFFECT_LOAD || e->kind == SF_EFFECT_ADDRESS ||
                      e->kind == SF_EFFECT_POP;

        if (e->kind >= SF_EFFECT_CALL && e->kind <= SF_EFFECT_TRAP) {
                flush(w, w->at);
                if (w->pushed)
                        start_trace(w);
                w->pushed = false;
                w->called = true;
        }
        for (size_t i = 0; writes && e->reg < SF_CALLFRAME_REGISTERS && i < w->queued; i++)
                if (w->queue[i] == dwarf_numbers[e->reg])
                        flush(w, w->at);
}

static void go_elsewhere(struct walk *w, const struct sf_effect *e)
{
        uint64_t target = w->next + (uint64_t)e->value;

        w->branched = true;
        if (e->kind == SF_EFFECT_LEAP) {
                note_cases(w);
        } else if (e->kind == SF_EFFECT_BRANCH || e->kind == SF_EFFECT_JUMP) {
                bool away = e->kind == SF_EFFECT_JUMP && sf_callframe_starts(w->code, target);

                if (!away)
                        note_branch(w, target);
                if (e->kind == SF_EFFECT_BRANCH && target - w->first >= w->limit - w->first)
                        w->frame->beside = target;
        }
}

static void apply(struct walk *w, const struct sf_effect *e)
{
        switch (e->kind) {
        case SF_EFFECT_PUSH:
                push(w, e->reg);
                return;
        case SF_EFFECT_POP:
                pop(w, e->reg);
                return;
        case SF_EFFECT_ADJUST:
                w->row.depth -= e->value;
                if (w->row.base == DW_RSP) {
                        if (e->value > 0 && !w->leaving) {
                                start_trace(w);
                                w->leaving = w->shrunk = true;
                        }
                        define_offset(w, w->next, w->row.depth);
                }
                return;
        case SF_EFFECT_TO_FRAME:
                w->row.depth = (int64_t)w->row.offset - e->value;
                return;
        case SF_EFFECT_FROM_STACK:
                if (w->row.base == DW_RSP && w->row.saved >> DW_RBP & 1 && e->value == 0) {
                        w->row.base = DW_RBP;
                        write_op(w, w->next, (const uint8_t[]){ CFA_DEF_REGISTER, DW_RBP }, 2);
                        flush(w, w->next);
                        w->prologue = find_prologue_end(w);
                }
                return;
        case SF_EFFECT_LEAVE:
                leave(w);
                return;
        case SF_EFFECT_STORE:
        case SF_EFFECT_LOAD:
                move(w, e);
                return;
        case SF_EFFECT_COMPARE:
                w->compared = e->value;
                return;
        case SF_EFFECT_ADDRESS:
                w->table = sf_image_address(w->code->image, w->next) + (uint64_t)e->value;
                return;
        default:
                if (e->kind >= SF_EFFECT_CALL && e->kind <= SF_EFFECT_TRAP && e->kind != SF_EFFECT_CALL)
                        go_elsewhere(w, e);
        }
}

/* --- functions -------------------------------------------------------------------------------------------------- */

/* Behind what fills the space up to aligned code. */
static uint64_t skip_padding(const struct sf_callframe_code *c, uint64_t at, uint64_t limit)
{
        uint64_t start = at, next;
        struct sf_effect e;

        while (at - start < PADDING_MAX && decode(c, at, limit, &next, &e) &&
               (e.kind == SF_EFFECT_NOP || (e.kind == SF_EFFECT_TRAP && next == at + 1)) && !sf_callframe_starts(c, at))
                at = next;
        return at;
}

/* Whether the function ends behind the instruction that ended at `next`; `to`: behind the padding. */
static bool ends_here(const struct walk *w, uint64_t next, uint64_t to, bool called)
{
        if (w->end_known)
                return to >= w->limit;
        if (w->reach >= next && w->reach > w->first)
                return false;
        if (sf_callframe_starts(w->code, to))
                return true;
        return !called && !w->stray && to % ALIGNMENT == 0;
}

/* One instruction; false where the function ends. */
static bool step(struct walk *w)
{
        struct sf_effect e;

        if (!decode(w->code, w->at, w->limit, &w->next, &e))
                return false;
        if (e.kind == SF_EFFECT_NOP || w->frame->row_at[w->at - w->first])
                flush(w, w->at);
        flush_before(w, &e);
        apply(w, &e);
        if (w->next == w->prologue) {
                flush(w, w->next);
                start_trace(w);
        }
        bool called = e.kind == SF_EFFECT_CALL, barrier = e.kind > SF_EFFECT_BRANCH && e.kind <= SF_EFFECT_TRAP;
        uint64_t to = barrier || called ? skip_padding(w->code, w->next, w->limit) : w->next;
        if ((barrier || called) && ends_here(w, w->next, to, called)) {
                w->at = w->next;
                return false;
        }
        w->at = barrier ? to : w->next;
        if (w->at >= w->limit)
                return false;
        const struct sf_callframe_row *from = row_from_branch(w, w->at);
        if (barrier || (called && from && !same_rules(from, &w->row)))
                start_block(w);
        if (barrier || w->frame->row_at[w->at - w->first]) {
                w->leaving = false;
                w->ahead = w->returned = 0;
                start_trace(w);
        }
        return true;
}

/* Walks through the function once; true where a second time would tell more, as labels were found behind which the code
 * had been seen. */
static bool walk_through(struct sf_callframe *f, const struct sf_callframe_code *c, uint64_t limit, bool end_known)
{
        struct walk w = { .frame = f,
                          .code = c,
                          .first = f->first,
                          .at = f->first,
                          .limit = limit,
                          .reach = f->first,
                          .end_known = end_known,
                          .row = { .base = DW_RSP, .offset = 8, .depth = 8 } };

        f->beside = 0;
        f->count = f->row_count = 0;
        start_trace(&w);
        while (step(&w))
                ;
        f->end = w.at;
        return w.again;
}

void sf_callframe_describe(struct sf_callframe *f, const struct sf_callframe_code *c, uint64_t first, uint64_t end)
{
        uint64_t stop;

        f->first = first;
        f->end = f->beside = 0;
        f->count = f->row_count = 0;
        if (!sf_image_is_code(c->image, first, &stop))
                return;
        if (stop > c->known)
                stop = c->known;
        uint64_t limit = end > first && end < stop ? end : stop;
        if (limit <= first)
                return;
        if (limit - first > SF_CALLFRAME_CODE_MAX)
                limit = first + SF_CALLFRAME_CODE_MAX;
        memset(f->row_at, 0, limit - first);
        if (walk_through(f, c, limit, end > first)) {
                for (uint64_t i = 0; i < limit - first; i++)
                        f->row_at[i] &= LABEL;
                walk_through(f, c, limit, end > first);
        }
        if (end > first)
                f->end = end;
}

uint64_t sf_callframe_next(const struct sf_callframe_code *c, uint64_t position)
{
        uint64_t next = skip_padding(c, position, c->known);

        if (next % ALIGNMENT == 0)
                return next;
        next = (position + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
        for (uint64_t at = position; at < next; at++)
                if (sf_callframe_starts(c, at))
                        return at;
        return next;
}
