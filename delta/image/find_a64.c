/* SPDX-License-Identifier: Apache-2.0 */
/* delta/image/find_a64.c - references inside arm64 machine code: operands of branches, pairs of ADRP with the ADD, LDR
 * or STR that adds the address within the page, offsets from such an address, and the jump tables that code reads. */
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "delta/image/a64.h"
#include "delta/image/field_finders.h"

#define REGISTERS     32
#define CALLER_SAVED  19 /* x0 to x18 do not survive a call; AAPCS64, 6.1.1 */
#define LINK_REGISTER 30
#define FRAME_POINTER 29
#define STACK_POINTER 31
#define SLOTS         64     /* of the stack frame, 8 bytes each, from the stack pointer on */
#define TARGETS_KEPT  128    /* of branches ahead, with what is known there */
#define CASE_MAX      0x2000 /* instructions from a switch to a case; text read as a table says more */

/* What an ADRP put into a register. */
struct page {
        bool known;
        uint64_t address;  /* of the page */
        uint64_t position; /* of the ADRP */
};

/* What is known of a register that holds no page. */
struct content {
        enum { UNKNOWN, ADDRESS, BYTE_OF, HALF_OF } kind;
        uint64_t address; /* itself, or that of the table an entry of which it is */
};

/* What is known of all registers. */
struct known {
        struct page pages[REGISTERS];
        struct content contents[REGISTERS];
};

/* How what is known follows the flow of control. */
struct flow {
        uint64_t targets[TARGETS_KEPT];   /* addresses that branches lead to, a ring */
        struct known known[TARGETS_KEPT]; /* what is known there */
        size_t next;
        struct page hoisted[REGISTERS]; /* the last page put into a register that survives calls, */
        struct page slots[SLOTS];       /* and those in the stack frame */
};

/* Where the walk is. */
struct state {
        struct known now;
        uint64_t start;    /* position of the section */
        uint32_t last;     /* the instruction before */
        uint32_t cases;    /* number in the last comparison that a switch may follow, + 1 */
        uint8_t *left;     /* a bit per instruction of the section: an ADRP whose field is not in the list yet */
        struct flow *flow; /* NULL: the code is read from its first instruction to its last, as predictor 4 did */
};

static void tell_page(struct sf_field_list *c, const struct state *s, const struct page *page, uint64_t target)
{
        uint64_t i = (page->position - s->start) / 4;

        if (!page->known || !(s->left[i / 8] >> (i % 8) & 1))
                return;
        sf_field_list_address(c, page->position, SF_FORM_OPERAND, SF_FIELD_MEMORY, 4, SF_A64_PAGE, target, 0);
        s->left[i / 8] &= (uint8_t) ~(1u << i % 8);
}

static void forget(struct sf_field_list *c, struct state *s, size_t reg)
{
        if (!s->flow)
                tell_page(c, s, &s->now.pages[reg], s->now.pages[reg].address);
        s->now.pages[reg].known = false;
}

static void forget_called(struct sf_field_list *c, struct state *s)
{
        for (size_t i = 0; i < CALLER_SAVED; i++)
                forget(c, s, i);
        forget(c, s, LINK_REGISTER);
        memset(s->now.contents, 0, CALLER_SAVED * sizeof *s->now.contents);
}

/* --- the flow of control ---------------------------------------------------------------------------------------- */

static size_t find_target(const struct flow *f, uint64_t address)
{
        size_t i = 0;

        while (i < TARGETS_KEPT && f->targets[i] != address)
                i++;
        return i;
}

/* A branch at `from` leads to `to`: what is known here is known there. */
static void keep_for(struct state *s, uint64_t from, uint64_t to)
{
        if (!s->flow || to <= from || find_target(s->flow, to) < TARGETS_KEPT)
                return;
        s->flow->targets[s->flow->next] = to;
        s->flow->known[s->flow->next] = s->now;
        s->flow->next = (s->flow->next + 1) % TARGETS_KEPT;
}

/* Control does not reach `next` from above: what is known there is what is known where a branch came from; else pages
 * in registers that survive calls are there until the function ends. */
static void take_up(struct state *s, uint64_t next, bool left)
{
        size_t i = find_target(s->flow, next);

        if (i < TARGETS_KEPT) {
                s->now = s->flow->known[i];
        } else if (left) {
                s->now = (struct known){ 0 };
                memcpy(s->now.pages, s->flow->hoisted, sizeof s->now.pages);
        }
}

/* Pages and addresses that go to another register, to the stack frame or back. */
static void move_pages(struct state *s, uint32_t word)
{
        bool pair = (word & 0xff800000) == 0xa9000000, load = word & 1u << 22; /* STP, LDP of 64 bits */
        size_t slot = pair ? word >> 15 & 127 : word >> 10 & 0xfff, first = word & 31, second = word >> 10 & 31;

        if ((word & 0xffe0ffe0) == 0xaa0003e0 && first < STACK_POINTER) { /* MOV */
                s->now.pages[first] = s->now.pages[word >> 16 & 31];
                s->now.contents[first] = s->now.contents[word >> 16 & 31];
        }
        if (!pair && (word & 0xff800000) != 0xf9000000)
                return;
        if (load && pair) {
                s->now.pages[second].known = false;
                s->now.contents[second].kind = UNKNOWN;
        }
        if ((word >> 5 & 31) != STACK_POINTER || slot + pair >= SLOTS)
                return;
        for (size_t i = 0; i <= pair; i++) {
                size_t reg = i ? second : first;

                if (load && reg < STACK_POINTER)
                        s->now.pages[reg] = s->flow->slots[slot + i];
                else if (!load)
                        s->flow->slots[slot + i] = s->now.pages[reg];
        }
}

static void follow_flow(struct state *s, const struct sf_a64_insn *insn, uint32_t word, uint64_t address,
                        uint32_t operand)
{
        if ((word & 0xff407fff) == 0xa9007bfd) { /* STP x29, x30, [sp..]: a function starts */
                memset(s->now.pages + CALLER_SAVED, 0, (FRAME_POINTER - CALLER_SAVED) * sizeof *s->now.pages);
                memset(s->flow->hoisted, 0, sizeof s->flow->hoisted);
                memset(s->flow->slots, 0, sizeof s->flow->slots);
        }
        move_pages(s, word);
        if (insn->kind == SF_A64_PAGED && insn->written >= CALLER_SAVED && insn->written < FRAME_POINTER)
                s->flow->hoisted[insn->written] = s->now.pages[insn->written];
        if (insn->kind == SF_A64_BRANCH || insn->kind == SF_A64_JUMP)
                keep_for(s, address, sf_a64_target(insn->layout, 0, address, operand, 0, false));
        if (insn->kind == SF_A64_LEAVE || insn->kind == SF_A64_JUMP)
                take_up(s, address + 4, insn->kind == SF_A64_LEAVE);
}

/* --- operands --------------------------------------------------------------------------------------------------- */

/* A number in an instruction. */
static void add_number(struct sf_field_list *c, uint64_t position, uint8_t kind, enum sf_a64_layout layout)
{
        if (position < c->size)
                sf_field_list_add(
                        c, (struct sf_raw_field){ 0, 0, (uint32_t)position, SF_FORM_NUMBER, kind, 4, (uint8_t)layout });
}

/* Numbers that change alike: those on the stack, those in other objects. */
static uint8_t number_kind(const struct state *s, const struct sf_a64_insn *insn, uint32_t word)
{
        if (insn->layout == SF_A64_WIDE16)
                return SF_FIELD_IMMEDIATE;
        if (s->flow)
                return insn->base == STACK_POINTER || insn->base == FRAME_POINTER ? SF_FIELD_NEAR_OFFSET
                                                                                  : SF_FIELD_OFFSET;
        return (word & 0x3b000000) == 0x39000000 ? SF_FIELD_OFFSET : SF_FIELD_NEAR_OFFSET;
}

/* An offset from an address that the code has loaded before: compilers load that of a whole section once. */
static bool walk_anchored(struct sf_field_list *c, const struct sf_a64_insn *insn, uint64_t position,
                          const struct state *s, uint64_t offset)
{
        const struct content *anchor = &s->now.contents[insn->base];
        uint64_t base, target;

        if (!s->flow || anchor->kind != ADDRESS || !sf_image_position(c->image, anchor->address, &base) ||
            !sf_image_position(c->image, anchor->address + offset, &target))
                return false;
        sf_field_list_add(c, (struct sf_raw_field){ target, base, (uint32_t)position, SF_FORM_ANCHORED,
                                                    SF_FIELD_ANCHORED, 4, SF_A64_LOW12 });
        return true;
}

/* What follows an ADRP says with it where; what follows none is a number. */
static void walk_offset(struct sf_field_list *c, const struct sf_a64_insn *insn, uint32_t word, uint64_t position,
                        struct state *s)
{
        struct page *page = &s->now.pages[insn->base];
        uint64_t operand = sf_a64_split(insn->layout, word) & 0xfff, target;

        if (!page->known && walk_anchored(c, insn, position, s, operand << insn->scale))
                return;
        if (!page->known || !sf_image_position(c->image, page->address + (operand << insn->scale), &target)) {
                add_number(c, position, number_kind(s, insn, word), insn->layout);
                return;
        }
        tell_page(c, s, page, page->address + (operand << insn->scale));
        sf_field_list_address(c, position, SF_FORM_OPERAND, SF_FIELD_LOW, 4, SF_A64_LOW12,
                              page->address + (operand << insn->scale), 0);
}

/* A jump table at `table`: distances from `label` to code, in instructions, as many as the comparison in front lets
 * through. */
static void walk_cases(struct sf_field_list *c, struct state *s, uint64_t table, uint64_t label, uint8_t width)
{
        uint64_t at, base, target;
        uint32_t count = s->cases;

        s->cases = 0;
        if (!sf_image_position(c->image, table, &at) || !sf_image_position(c->image, label, &base))
                return;
        for (; count && c->raw_count < c->raw_max && sf_field_list_inside(c, at, width); count--, at += width) {
                int16_t way = width == 1 ? (int8_t)c->data[at] : (int16_t)sf_get16(c->data + at);

                if (way > CASE_MAX || way < -CASE_MAX ||
                    !sf_image_position(c->image, label + (uint64_t)(int64_t)way * 4, &target))
                        return;
                keep_for(s, label, label + (uint64_t)(int64_t)way * 4);
                sf_field_list_add(c, (struct sf_raw_field){ target, base, (uint32_t)at, SF_FORM_CASE, SF_FIELD_SWITCH,
                                                            width, 4 });
        }
}

/* The register written gets what the instruction at `address` puts there, as far as a switch needs it:
 * ADRP, ADD: the table; LDRB or LDRH: its entry; ADR: the label; ADD of the entry to the label. */
static struct content follow_switch(struct sf_field_list *c, const struct sf_a64_insn *insn, uint32_t word,
                                    uint64_t address, struct state *s)
{
        const struct content *base = &s->now.contents[insn->base], *other = &s->now.contents[word >> 16 & 31];
        uint32_t operand = insn->layout == SF_A64_NONE ? 0 : sf_a64_split(insn->layout, word);

        if ((word & 0xffc00000) == 0x91000000 && s->now.pages[insn->base].known)
                return (struct content){ ADDRESS, s->now.pages[insn->base].address + (operand & 0xfff) };
        if ((word & 0xffc00000) == 0x91000000 && base->kind == ADDRESS)
                return (struct content){ ADDRESS, base->address + (operand & 0xfff) };
        if (insn->layout == SF_A64_ADDRESS)
                return (struct content){ ADDRESS,
                                         sf_a64_target(SF_A64_ADDRESS, 0, address, operand & 0x1fffff, 0, false) };
        if ((word & 0xbfe00c00) == 0x38600800 && base->kind == ADDRESS) /* LDRB, LDRH (register) */
                return (struct content){ word >> 30 & 1 ? HALF_OF : BYTE_OF, base->address };
        /* ADD (extended register, SXTB or SXTH #2) */
        if ((word & 0xffe0dc00) == 0x8b208800 && base->kind == ADDRESS && other->kind >= BYTE_OF)
                walk_cases(c, s, other->address, base->address, other->kind == BYTE_OF ? 1 : 2);
        return (struct content){ UNKNOWN, 0 };
}

static void walk_switch(struct sf_field_list *c, const struct sf_a64_insn *insn, uint32_t word, uint64_t address,
                        struct state *s)
{
        if ((s->last & 0x7fc0001f) == 0x7100001f && (word & 0xff00001e) == 0x54000008) /* CMP (immediate); B.HI, B.LS */
                s->cases = (s->last >> 10 & 0xfff) + 1;
        s->last = word;
        if (insn->written < REGISTERS)
                s->now.contents[insn->written] = follow_switch(c, insn, word, address, s);
}

static void walk_instruction(struct sf_field_list *c, uint32_t word, uint64_t address, uint64_t position,
                             struct state *state)
{
        static const uint8_t kinds[] = { [SF_A64_CALL] = SF_FIELD_CALL,
                                         [SF_A64_JUMP] = SF_FIELD_JUMP,
                                         [SF_A64_BRANCH] = SF_FIELD_BRANCH,
                                         [SF_A64_LITERAL] = SF_FIELD_MEMORY };
        struct sf_a64_insn insn;

        sf_a64_decode(word, &insn);
        uint32_t operand = insn.layout == SF_A64_NONE
                                   ? 0
                                   : sf_a64_split(insn.layout, word) & ((1u << sf_a64_bits(insn.layout)) - 1);
        switch (insn.kind) {
        case SF_A64_CALL:
        case SF_A64_JUMP:
        case SF_A64_BRANCH:
        case SF_A64_LITERAL:
                sf_field_list_address(c, position, SF_FORM_OPERAND, kinds[insn.kind], 4, (uint8_t)insn.layout,
                                      sf_a64_target(insn.layout, 0, address, operand, 0, false), 0);
                break;
        case SF_A64_OFFSET:
                walk_offset(c, &insn, word, position, state);
                break;
        case SF_A64_CONSTANT:
                add_number(c, position, number_kind(state, &insn, word), insn.layout);
                break;
        case SF_A64_LEAVE:
        case SF_A64_INDIRECT:
        case SF_A64_PAGED:
        case SF_A64_OTHER:
                break;
        }
        if (state->flow)
                walk_switch(c, &insn, word, address, state);
        if (insn.kind == SF_A64_CALL || insn.kind == SF_A64_INDIRECT)
                forget_called(c, state);
        for (size_t i = 0; i < REGISTERS && insn.kind == SF_A64_LEAVE && !state->flow; i++)
                forget(c, state, i);
        if (insn.written < REGISTERS)
                forget(c, state, insn.written);
        if (insn.kind == SF_A64_PAGED) {
                uint64_t i = (position - state->start) / 4;

                state->left[i / 8] |= (uint8_t)(1u << i % 8);
                state->now.pages[insn.written] = (struct page){
                        .known = true,
                        .address = sf_a64_target(SF_A64_PAGE, 0, address, operand, 0, false),
                        .position = position,
                };
        }
        if (state->flow)
                follow_flow(state, &insn, word, address, operand);
}

/* Pages that nothing was added to. */
static void tell_left(struct sf_field_list *c, struct state *s, const struct sf_section *section)
{
        for (uint64_t at = 0; s->flow && at + 4 <= section->size; at += 4) {
                const struct page page = { .known = true, .position = section->position + at };
                uint32_t operand = sf_a64_split(SF_A64_PAGE, sf_get32(c->data + page.position)) & 0x1fffff;

                tell_page(c, s, &page, sf_a64_target(SF_A64_PAGE, 0, section->address + at, operand, 0, false));
        }
        for (size_t k = 0; k < REGISTERS; k++)
                forget(c, s, k);
}

static void walk_section(struct sf_field_list *c, const struct sf_section *section)
{
        _cleanup_free_ struct flow *flow = c->image->a64_words ? calloc(1, sizeof *flow) : NULL;
        _cleanup_free_ uint8_t *left = calloc(section->size / 32 + 1, 1);
        struct state state = { .start = section->position, .flow = flow, .left = left };

        if (!left || (c->image->a64_words && !flow)) {
                c->failure = SF_ERR_NOMEM;
                return;
        }
        for (uint64_t at = 0; at + 4 <= section->size; at += 4)
                walk_instruction(c, sf_get32(c->data + section->position + at), section->address + at,
                                 section->position + at, &state);
        tell_left(c, &state, section);
}

void sf_find_a64_fields(struct sf_field_list *c)
{
        if (c->image->machine != EM_AARCH64)
                return;
        for (size_t i = 0; i < c->sections.count; i++) {
                const struct sf_section *s = &c->sections.list[i];
                if (s->type == SHT_PROGBITS && s->flags & SHF_EXECINSTR && !((s->position | s->address) & 3))
                        walk_section(c, s);
        }
}
