/* SPDX-License-Identifier: Apache-2.0 */
/* delta/cfi/callframe.c - see callframe.h. */
#include "delta/cfi/callframe.h"

#include <string.h>

#include "delta/image/insn_effect.h"

#define ALIGNMENT    16 /* of functions */
#define AHEAD_MAX    24 /* instructions that are looked at to see how an epilogue ends */
#define PROLOGUE_MAX 48 /* instructions that it may be mixed with */
#define CASES_MAX    1024
#define LABEL        0x80 /* in row_at: something leads there */
#define ROW_MASK     0x7f
#define CALL_WORK    64 /* of a description, whatever there is */

#define KEPT (1u << SF_DWARF_RBX | 1u << SF_DWARF_RBP | 0xf000u) /* registers that belong to the caller */

static const uint8_t dwarf_numbers[SF_CFI_PROGRAM_REGISTERS] = { 0, 2, 1, 3, 7, 6, 4, 5, 8, 9, 10, 11, 12, 13, 14, 15 };

enum ending { ENDING_INSIDE, ENDING_RETURN, ENDING_TAIL };

/* The walk through one function. All positions. */
struct walk {
        struct sf_callframe *frame;
        const struct sf_functions *functions;
        uint64_t first, at, next, limit; /* next: behind the instruction at `at` */
        uint64_t reach;                  /* the farthest place a branch has led to */
        uint64_t table;                  /* address that was loaded last */
        uint64_t ahead;                  /* the end of the epilogue is known up to here */
        enum ending ending;
        int64_t compared;
        struct sf_cfi_program *program;
        uint8_t back[SF_CFI_PROGRAM_REGISTERS]; /* registers loaded again, which is not written down yet */
        size_t returned;
        uint64_t prologue; /* where it ends, once that is known */
        uint16_t apart;    /* registers that only part of the function saves */
        bool end_known, wrapped, branched, called, leaving, shrunk, pushed, stored, stray, again;
};

static bool is_kept(uint8_t reg)
{
        return reg < SF_CFI_PROGRAM_REGISTERS && KEPT >> reg & 1;
}

/* What branches say about the rules at `at`; NULL where none leads there. */
static const struct sf_cfi_program_row *row_from_branch(const struct walk *w, uint64_t at)
{
        uint8_t number = w->frame->row_at[at - w->first] & ROW_MASK;

        return number ? &w->frame->rows[number - 1] : NULL;
}

/* A block starts at `at` that the code before does not run into. */
static void start_block(struct walk *w)
{
        const struct sf_cfi_program_row *from = row_from_branch(w, w->at);
        struct sf_cfi_program_row row = from ? *from : w->shrunk ? w->program->trace : w->program->row;

        sf_cfi_program_enter(w->program, w->at, &row);
}

static void start_trace(struct walk *w)
{
        sf_cfi_program_start_trace(w->program);
        w->shrunk = false;
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
        if (f->marked <= target - w->first)
                f->marked = target - w->first + 1;
        if (target < w->next || f->row_at[target - w->first] & ROW_MASK)
                return;
        size_t i = f->row_count;
        while (i > 0 && (f->rows[i - 1].depth != w->program->row.depth ||
                         !sf_cfi_program_same_rules(&f->rows[i - 1], &w->program->row)))
                i--;
        f->work += f->row_count - i;
        if (i == 0 && f->row_count < SF_CALLFRAME_ROWS_MAX) {
                f->rows[f->row_count++] = w->program->row;
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

                w->frame->work++;
                if (!sf_image_position(w->functions->image, address, &position) || position > w->functions->known ||
                    w->functions->known - position < 4)
                        return;
                address = w->table + (uint64_t)(int64_t)(int32_t)sf_get32(w->functions->out + position);
                if (sf_image_position(w->functions->image, address, &target))
                        note_branch(w, target);
        }
        w->stray = count == 0;
}

/* --- instructions ----------------------------------------------------------------------------------------------- */

static bool decode(const struct sf_functions *c, uint64_t at, uint64_t limit, uint64_t *ret_next,
                   struct sf_insn_effect *ret)
{
        uint64_t length = at < limit ? sf_insn_effect_decode(c->out + at, limit - at, ret) : 0;

        *ret_next = at + length;
        return length;
}

/* How the code that restores registers at `at` goes on. */
static enum ending find_ending(struct walk *w)
{
        uint64_t at = w->at, next;
        struct sf_insn_effect e;

        if (w->at < w->ahead)
                return w->ending;
        w->ending = ENDING_INSIDE;
        for (unsigned i = 0; i < AHEAD_MAX && decode(w->functions, at, w->limit, &next, &e); i++, at = next) {
                uint64_t target = next + (uint64_t)e.value;
                bool here = target - w->first < w->limit - w->first && !sf_functions_start_at(w->functions, target);

                if (e.kind == SF_INSN_RETURN || e.kind == SF_INSN_AWAY || e.kind == SF_INSN_LEAP ||
                    (e.kind == SF_INSN_JUMP && !here))
                        w->ending = e.kind == SF_INSN_RETURN ? ENDING_RETURN : ENDING_TAIL;
                if (e.kind >= SF_INSN_CALL && e.kind <= SF_INSN_TRAP)
                        break;
        }
        w->frame->work += at - w->at;
        w->ahead = at;
        return w->ending;
}

/* Behind the last push or subtraction that sets up the frame; w->next has just made the frame pointer point to it. */
static uint64_t find_prologue_end(const struct walk *w)
{
        uint64_t at = w->next, end = at, perhaps = at, next;
        unsigned saved = w->program->row.saved;
        struct sf_insn_effect e;

        for (unsigned i = 0; i < PROLOGUE_MAX && decode(w->functions, at, w->limit, &next, &e); i++, at = next) {
                if (e.kind >= SF_INSN_CALL && e.kind <= SF_INSN_TRAP)
                        return perhaps;
                if (e.kind == SF_INSN_ADJUST) {
                        perhaps = next;
                        if (e.value != -8) /* else it may keep the stack aligned for arguments */
                                end = next;
                }
                if (e.kind != SF_INSN_PUSH)
                        continue;
                uint8_t reg = e.reg < SF_CFI_PROGRAM_REGISTERS ? dwarf_numbers[e.reg] : SF_NO_REGISTER;
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
                sf_cfi_program_restore(w->program, w->next, reg);
                return;
        }
        w->leaving = w->shrunk = true;
        if (!w->wrapped || (!w->stored && find_ending(w) != ENDING_TAIL))
                return;
        if (moved && w->returned < SF_CFI_PROGRAM_REGISTERS)
                w->back[w->returned++] = reg; /* told at the leave instruction, last one first */
        else
                sf_cfi_program_restore(w->program, w->next, reg);
}

static void push(struct walk *w, uint8_t reg)
{
        uint8_t number = reg < SF_CFI_PROGRAM_REGISTERS ? dwarf_numbers[reg] : SF_NO_REGISTER;

        w->program->row.depth += 8;
        w->pushed = true;
        if (is_kept(number) && !(w->program->row.saved >> number & 1) && w->program->row.depth <= 8 * 255) {
                sf_cfi_program_save(w->program, number, (uint8_t)(w->program->row.depth / 8));
                if (number == SF_DWARF_RBP) {
                        w->wrapped = w->branched;
                        w->called = false;
                }
        }
        if (w->program->row.base == SF_DWARF_RSP)
                sf_cfi_program_define_offset(w->program, w->next, w->program->row.depth);
}

static void pop(struct walk *w, uint8_t reg)
{
        uint8_t number = reg < SF_CFI_PROGRAM_REGISTERS ? dwarf_numbers[reg] : SF_NO_REGISTER;
        bool back = is_kept(number) && w->program->row.saved >> number & 1 &&
                    (number == SF_DWARF_RBP || w->program->row.base == SF_DWARF_RBP ||
                     8 * w->program->row.slots[number] == w->program->row.depth);

        if (back)
                give_back(w, number, false);
        w->program->row.depth -= 8;
        if (w->program->row.base == SF_DWARF_RSP) {
                sf_cfi_program_define_offset(w->program, w->next, w->program->row.depth);
        } else if (number == SF_DWARF_RBP) {
                w->program->row.depth = 8;
                sf_cfi_program_define(w->program, w->next, SF_DWARF_RSP, 8);
        }
}

static void leave(struct walk *w)
{
        if (w->program->row.base != SF_DWARF_RBP)
                return;
        give_back(w, SF_DWARF_RBP, false);
        while (w->returned)
                sf_cfi_program_restore(w->program, w->next, w->back[--w->returned]);
        w->program->row.depth = (int64_t)w->program->row.offset - 8;
        sf_cfi_program_define(w->program, w->next, SF_DWARF_RSP, w->program->row.depth);
}

/* A register is stored in the frame, or loaded from there. */
static void move(struct walk *w, const struct sf_insn_effect *e)
{
        uint8_t number = dwarf_numbers[e->reg];
        int64_t base = e->base == SF_REG_SP                   ? w->program->row.depth
                       : w->program->row.base == SF_DWARF_RBP ? (int64_t)w->program->row.offset
                                                              : 0;
        int64_t slot = base - e->value; /* CFA - address */
        bool saved = w->program->row.saved >> number & 1;

        if (!is_kept(number) || number == SF_DWARF_RBP || slot <= 8 || slot > 8 * 255 || slot % 8)
                return;
        if (e->kind == SF_INSN_LOAD && saved && w->program->row.slots[number] == slot / 8) {
                give_back(w, number, true);
        } else if (e->kind == SF_INSN_STORE && !saved) {
                sf_cfi_program_save(w->program, number, (uint8_t)(slot / 8));
                w->stored |= !w->called;
                w->apart = (uint16_t)((w->apart & ~(1u << number)) | (unsigned)w->called << number);
        }
}

/* Saves are written down before the register changes or control may go elsewhere. */
static void flush_before(struct walk *w, const struct sf_insn_effect *e)
{
        bool writes = e->kind == SF_INSN_WRITE || e->kind == SF_INSN_LOAD || e->kind == SF_INSN_ADDRESS ||
                      e->kind == SF_INSN_POP;

        if (e->kind >= SF_INSN_CALL && e->kind <= SF_INSN_TRAP) {
                bool waiting = w->program->queued; /* then the prologue ended in front of them */

                sf_cfi_program_flush(w->program, w->at);
                if (w->pushed && !(w->prologue && waiting))
                        start_trace(w);
                w->pushed = false;
                w->called = true;
        }
        for (size_t i = 0; writes && e->reg < SF_CFI_PROGRAM_REGISTERS && i < w->program->queued; i++)
                if (w->program->queue[i] == dwarf_numbers[e->reg])
                        sf_cfi_program_flush(w->program, w->at);
}

static void go_elsewhere(struct walk *w, const struct sf_insn_effect *e)
{
        uint64_t target = w->next + (uint64_t)e->value;

        w->branched = true;
        if (e->kind == SF_INSN_LEAP) {
                note_cases(w);
        } else if (e->kind == SF_INSN_BRANCH || e->kind == SF_INSN_JUMP) {
                bool away = e->kind == SF_INSN_JUMP && sf_functions_start_at(w->functions, target);

                if (!away)
                        note_branch(w, target);
                if (e->kind == SF_INSN_BRANCH && target - w->first >= w->limit - w->first)
                        w->frame->beside = target;
        }
}

static void apply(struct walk *w, const struct sf_insn_effect *e)
{
        switch (e->kind) {
        case SF_INSN_PUSH:
                push(w, e->reg);
                return;
        case SF_INSN_POP:
                pop(w, e->reg);
                return;
        case SF_INSN_ADJUST:
                w->program->row.depth -= e->value;
                if (w->program->row.base == SF_DWARF_RSP) {
                        if (e->value > 0 && !w->leaving) {
                                start_trace(w);
                                w->leaving = w->shrunk = true;
                        }
                        sf_cfi_program_define_offset(w->program, w->next, w->program->row.depth);
                }
                return;
        case SF_INSN_TO_FRAME:
                w->program->row.depth = (int64_t)w->program->row.offset - e->value;
                return;
        case SF_INSN_FROM_STACK:
                if (w->program->row.base == SF_DWARF_RSP && w->program->row.saved >> SF_DWARF_RBP & 1 &&
                    e->value == 0) {
                        sf_cfi_program_set_base(w->program, w->next);
                        w->prologue = find_prologue_end(w);
                        w->frame->work += w->prologue - w->next + PROLOGUE_MAX;
                }
                return;
        case SF_INSN_LEAVE:
                leave(w);
                return;
        case SF_INSN_STORE:
        case SF_INSN_LOAD:
                move(w, e);
                return;
        case SF_INSN_COMPARE:
                w->compared = e->value;
                return;
        case SF_INSN_ADDRESS:
                w->table = sf_image_address(w->functions->image, w->next) + (uint64_t)e->value;
                return;
        default:
                if (e->kind >= SF_INSN_CALL && e->kind <= SF_INSN_TRAP && e->kind != SF_INSN_CALL)
                        go_elsewhere(w, e);
        }
}

/* --- functions -------------------------------------------------------------------------------------------------- */

/* Whether the function ends behind the instruction that ended at `next`; `to`: behind the padding. */
static bool ends_here(const struct walk *w, uint64_t next, uint64_t to, bool called)
{
        if (w->end_known)
                return to >= w->limit;
        if (w->reach >= next && w->reach > w->first)
                return false;
        if (sf_functions_start_at(w->functions, to))
                return true;
        return !called && !w->stray && to % ALIGNMENT == 0;
}

/* One instruction; false where the function ends. */
static bool step(struct walk *w)
{
        struct sf_insn_effect e;

        if (!decode(w->functions, w->at, w->limit, &w->next, &e))
                return false;
        if (e.kind == SF_INSN_NOP || w->frame->row_at[w->at - w->first])
                sf_cfi_program_flush(w->program, w->at);
        flush_before(w, &e);
        apply(w, &e);
        if (w->next == w->prologue) {
                sf_cfi_program_flush(w->program, w->next);
                start_trace(w);
        }
        bool called = e.kind == SF_INSN_CALL, barrier = e.kind > SF_INSN_BRANCH && e.kind <= SF_INSN_TRAP;
        uint64_t to = barrier || called ? sf_functions_skip_padding(w->functions, w->next, w->limit) : w->next;
        if ((barrier || called) && ends_here(w, w->next, to, called)) {
                w->at = w->next;
                return false;
        }
        w->at = barrier ? to : w->next;
        if (w->at >= w->limit)
                return false;
        const struct sf_cfi_program_row *from = row_from_branch(w, w->at);
        if (barrier || (called && from && !sf_cfi_program_same_rules(from, &w->program->row)))
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
static bool walk_through(struct sf_callframe *f, const struct sf_functions *c, uint64_t limit, bool end_known)
{
        struct walk w = { .frame = f,
                          .functions = c,
                          .first = f->first,
                          .at = f->first,
                          .limit = limit,
                          .reach = f->first,
                          .end_known = end_known,
                          .program = &f->program };

        f->beside = 0;
        f->row_count = 0;
        sf_cfi_program_start(&f->program, f->first);
        while (step(&w))
                ;
        f->end = w.at;
        f->work += w.at - w.first;
        return w.again;
}

void sf_callframe_describe(struct sf_callframe *f, const struct sf_functions *c, uint64_t first, uint64_t end)
{
        uint64_t stop;

        f->first = first;
        f->end = f->beside = 0;
        f->work = CALL_WORK;
        memset(f->row_at, 0, f->marked);
        f->marked = 0;
        f->program.count = 0;
        if (!sf_image_is_code(c->image, first, &stop))
                return;
        if (stop > c->known)
                stop = c->known;
        uint64_t limit = end > first && end < stop ? end : stop;
        if (limit <= first)
                return;
        if (limit - first > SF_CALLFRAME_CODE_MAX)
                limit = first + SF_CALLFRAME_CODE_MAX;
        if (walk_through(f, c, limit, end > first)) {
                for (uint64_t i = 0; i < f->marked; i++)
                        f->row_at[i] &= LABEL;
                walk_through(f, c, limit, end > first);
        }
        if (end > first)
                f->end = end;
}
