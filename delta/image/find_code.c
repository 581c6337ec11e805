/* SPDX-License-Identifier: Apache-2.0 */
/* delta/image/find_code.c - references inside x86-64 machine code, and the jump tables that code points to. */
#include <elf.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "delta/image/field_finders.h"
#include "delta/image/x86.h"

#define TABLE_ENTRIES_MIN 3
#define LOAD_ADDRESS      0x8d

/* Positions that code loads addresses of: where jump tables may start. */
struct starts {
        uint64_t *at; /* owned */
        size_t count, room;
};

static void cleanup_starts(struct starts *s)
{
        free(s->at);
}

/* As few as fields: sections may overlap in a file made for it. */
static void remember(struct sf_field_list *c, struct starts *s, uint64_t position)
{
        if (s->count >= c->raw_max)
                return;
        if (s->count == s->room) {
                size_t room = sf_field_list_room(c, s->room);
                uint64_t *at = realloc(s->at, room * sizeof *at);

                if (!at) {
                        c->failure = SF_ERR_NOMEM;
                        return;
                }
                s->at = at;
                s->room = room;
        }
        s->at[s->count++] = position;
}

/* What of an instruction is no 32-bit reference and yet changes with its surroundings. */
static void walk_operands(struct sf_field_list *c, const struct sf_section *s, uint64_t at,
                          const struct sf_x86_insn *insn)
{
        uint64_t position = s->position + at;

        if (at + insn->length > s->size)
                return;
        if (insn->near) {
                int8_t distance = (int8_t)c->data[position + insn->near];
                sf_field_list_address(c, position + insn->near, SF_FORM_RELATIVE, SF_FIELD_SHORT, 1, 1,
                                      s->address + at + insn->length + (uint64_t)(int64_t)distance, 0);
        }
        if (insn->displacement)
                sf_field_list_number(c, position + insn->displacement,
                                     insn->displacement_bytes == 4 ? SF_FIELD_OFFSET : SF_FIELD_NEAR_OFFSET,
                                     insn->displacement_bytes);
        if (insn->immediate_bytes == 4)
                sf_field_list_number(c, position + insn->immediate, SF_FIELD_IMMEDIATE, 4);
}

static void walk_code(struct sf_field_list *c, const struct sf_section *s, struct starts *starts)
{
        static const uint8_t kinds[] = { [SF_X86_CALL] = SF_FIELD_CALL,
                                         [SF_X86_JUMP] = SF_FIELD_JUMP,
                                         [SF_X86_BRANCH] = SF_FIELD_BRANCH,
                                         [SF_X86_MEMORY] = SF_FIELD_MEMORY };
        const uint8_t *code = c->data + s->position;

        for (uint64_t at = 0; at < s->size;) {
                struct sf_x86_insn insn;
                uint64_t target;

                if (!sf_x86_measure(code + at, s->size - at, &insn)) {
                        at++;
                        continue;
                }
                walk_operands(c, s, at, &insn);
                if (insn.field && at + insn.field + 4 <= s->size) {
                        int32_t distance = (int32_t)sf_get32(code + at + insn.field);
                        uint64_t address = s->address + at + insn.length + (uint64_t)(int64_t)distance;

                        sf_field_list_address(c, s->position + at + insn.field, SF_FORM_RELATIVE, kinds[insn.form], 4,
                                              (uint8_t)(insn.length - insn.field), address, 0);
                        if (code[at + insn.opcode] == LOAD_ADDRESS && sf_image_position(c->image, address, &target))
                                remember(c, starts, target);
                }
                at += insn.length;
        }
}

static int compare_u64(const void *a, const void *b)
{
        uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

        return (x > y) - (x < y);
}

static bool is_code(const struct sf_field_list *c, uint64_t address)
{
        uint64_t position;

        if (!sf_image_position(c->image, address, &position))
                return false;
        const struct sf_section *s = sf_sections_at(&c->sections, position);
        return s && (s->flags & SHF_EXECINSTR);
}

/* A jump table holds 32-bit distances from its own start to code, and ends where the next object starts. */
static void walk_table(struct sf_field_list *c, uint64_t start, uint64_t limit)
{
        const struct sf_section *s = sf_sections_at(&c->sections, start);

        if (!s || !(s->flags & SHF_ALLOC) || (s->flags & (SHF_EXECINSTR | SHF_WRITE)) || s->type != SHT_PROGBITS ||
            sf_section_named(&c->sections, s, ".eh_frame"))
                return;
        uint64_t base = s->address + (start - s->position), end = s->position + s->size, entries = 0;
        if (limit < end)
                end = limit;
        while (start + 4 * entries + 4 <= end &&
               is_code(c, base + (uint64_t)(int64_t)(int32_t)sf_get32(c->data + start + 4 * entries)))
                entries++;
        if (entries < TABLE_ENTRIES_MIN)
                return;
        for (uint64_t i = 0; i < entries; i++) {
                uint64_t at = start + 4 * i;

                sf_field_list_address(c, at, SF_FORM_TABLE, SF_FIELD_SWITCH, 4, 0,
                                      base + (uint64_t)(int64_t)(int32_t)sf_get32(c->data + at), start);
        }
}

void sf_find_code_fields(struct sf_field_list *c)
{
        _cleanup_(cleanup_starts) struct starts starts = { 0 };

        if (c->image->machine != EM_X86_64)
                return;
        for (size_t i = 0; i < c->sections.count; i++) {
                const struct sf_section *s = &c->sections.list[i];

                if (s->type == SHT_PROGBITS && (s->flags & SHF_EXECINSTR))
                        walk_code(c, s, &starts);
        }
        if (starts.count)
                qsort(starts.at, starts.count, sizeof *starts.at, compare_u64);
        for (size_t i = 0; i < starts.count; i++) {
                size_t next = i + 1;

                if (i && starts.at[i] == starts.at[i - 1])
                        continue;
                while (next < starts.count && starts.at[next] == starts.at[i])
                        next++;
                walk_table(c, starts.at[i], next < starts.count ? starts.at[next] : UINT64_MAX);
        }
}
