/* SPDX-License-Identifier: Apache-2.0 */
/* delta/image/find_a64.c - references inside arm64 machine code: operands of branches, and pairs of ADRP with the
 * ADD, LDR or STR that adds the address within the page. */
#include <elf.h>

#include "delta/image/a64.h"
#include "delta/image/field_finders.h"

#define REGISTERS     32
#define CALLER_SAVED  19 /* x0 to x18 do not survive a call; AAPCS64, 6.1.1 */
#define LINK_REGISTER 30

/* What an ADRP put into a register. */
struct page {
        bool known, told;  /* told: its field is in the list */
        uint64_t address;  /* of the page */
        uint64_t position; /* of the ADRP */
};

static void tell_page(struct sf_field_list *c, struct page *page, uint64_t target)
{
        if (page->known && !page->told)
                sf_field_list_address(c, page->position, SF_FORM_OPERAND, SF_FIELD_MEMORY, 4, SF_A64_PAGE, target, 0);
        page->told = true;
}

static void forget(struct sf_field_list *c, struct page *page)
{
        tell_page(c, page, page->address);
        page->known = false;
}

static void forget_called(struct sf_field_list *c, struct page *pages)
{
        for (size_t i = 0; i < CALLER_SAVED; i++)
                forget(c, &pages[i]);
        forget(c, &pages[LINK_REGISTER]);
}

/* A number in an instruction. */
static void add_number(struct sf_field_list *c, uint64_t position, uint8_t kind, enum sf_a64_layout layout)
{
        if (position < c->size)
                sf_field_list_add(
                        c, (struct sf_raw_field){ 0, 0, (uint32_t)position, SF_FORM_NUMBER, kind, 4, (uint8_t)layout });
}

/* What follows an ADRP says with it where; what follows none is a number. */
static void walk_offset(struct sf_field_list *c, const struct sf_a64_insn *insn, uint32_t word, uint64_t position,
                        struct page *page)
{
        uint64_t operand = sf_a64_split(insn->layout, word) & 0xfff, target;

        if (!page->known || !sf_image_position(c->image, page->address + (operand << insn->scale), &target)) {
                add_number(c, position, (word & 0x3b000000) == 0x39000000 ? SF_FIELD_OFFSET : SF_FIELD_NEAR_OFFSET,
                           insn->layout);
                return;
        }
        tell_page(c, page, page->address + (operand << insn->scale));
        sf_field_list_address(c, position, SF_FORM_OPERAND, SF_FIELD_LOW, 4, SF_A64_LOW12,
                              page->address + (operand << insn->scale), 0);
}

static void walk_instruction(struct sf_field_list *c, uint32_t word, uint64_t address, uint64_t position,
                             struct page *pages)
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
                walk_offset(c, &insn, word, position, &pages[insn.base]);
                break;
        case SF_A64_CONSTANT:
                add_number(c, position, insn.layout == SF_A64_WIDE16 ? SF_FIELD_IMMEDIATE : SF_FIELD_NEAR_OFFSET,
                           insn.layout);
                break;
        case SF_A64_LEAVE:
        case SF_A64_INDIRECT:
        case SF_A64_PAGED:
        case SF_A64_OTHER:
                break;
        }
        if (insn.kind == SF_A64_CALL || insn.kind == SF_A64_INDIRECT)
                forget_called(c, pages);
        for (size_t i = 0; i < REGISTERS && insn.kind == SF_A64_LEAVE; i++)
                forget(c, &pages[i]);
        if (insn.written < REGISTERS)
                forget(c, &pages[insn.written]);
        if (insn.kind == SF_A64_PAGED)
                pages[insn.written] = (struct page){
                        .known = true,
                        .address = sf_a64_target(SF_A64_PAGE, 0, address, operand, 0, false),
                        .position = position,
                };
}

void sf_find_a64_fields(struct sf_field_list *c)
{
        if (c->image->machine != EM_AARCH64)
                return;
        for (size_t i = 0; i < c->sections.count; i++) {
                const struct sf_section *s = &c->sections.list[i];
                struct page pages[REGISTERS] = { 0 };

                if (s->type != SHT_PROGBITS || !(s->flags & SHF_EXECINSTR) || (s->position | s->address) & 3)
                        continue;
                for (uint64_t at = 0; at + 4 <= s->size; at += 4)
                        walk_instruction(c, sf_get32(c->data + s->position + at), s->address + at, s->position + at,
                                         pages);
                for (size_t k = 0; k < REGISTERS; k++)
                        forget(c, &pages[k]);
        }
}
