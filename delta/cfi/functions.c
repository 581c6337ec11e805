/* SPDX-License-Identifier: Apache-2.0 */
/* delta/cfi/functions.c - see functions.h. */
#include "delta/cfi/functions.h"

#include <elf.h>
#include <stddef.h>

#include "delta/image/insn_effect.h"
#include "delta/image/x86.h"

#define ALIGNMENT   16 /* of functions */
#define PADDING_MAX 64

static void note_start(struct sf_functions *f, uint64_t address)
{
        uint64_t position, end;

        if (sf_image_position(f->image, address, &position) && position < f->known &&
            sf_image_is_code(f->image, position, &end))
                f->starts[position >> 3] |= (uint8_t)(1u << (position & 7));
}

/* Calls, and addresses that are taken. */
static void note_references(struct sf_functions *f, uint64_t at, uint64_t end)
{
        struct sf_x86_insn insn;

        while (at < end) {
                if (!sf_x86_measure(f->out + at, end - at, &insn) || insn.length > end - at) {
                        at++;
                        continue;
                }
                uint8_t opcode = f->out[at + insn.opcode];
                if (insn.form == SF_X86_CALL || (insn.form == SF_X86_MEMORY && opcode == 0x8d))
                        note_start(f, sf_image_address(f->image, at) + insn.length +
                                              (uint64_t)(int64_t)(int32_t)sf_get32(f->out + at + insn.field));
                at += insn.length;
        }
}

void sf_functions_find(struct sf_functions *f, const struct sf_relocated *relocated,
                       const struct sf_table_layout *layout)
{
        const struct sf_table_extent *symbols = &layout->tables[SF_TABLE_SYMBOLS];

        for (size_t i = 0; i < f->image->count; i++) {
                const struct sf_segment *s = &f->image->segments[i];

                if (s->executable && s->position < f->known)
                        note_references(f, s->position,
                                        s->length < f->known - s->position ? s->position + s->length : f->known);
        }
        for (uint64_t i = 0; i < (relocated->last - relocated->first) / sizeof(Elf64_Rela); i++)
                note_start(f, sf_get64(f->out + relocated->first + i * sizeof(Elf64_Rela) +
                                       offsetof(Elf64_Rela, r_addend)));
        for (uint64_t i = 0; i + sizeof(Elf64_Sym) <= symbols->size; i += sizeof(Elf64_Sym)) {
                const uint8_t *symbol = f->out + symbols->position + i;

                if (symbols->position + i + sizeof(Elf64_Sym) <= f->known && (symbol[4] & 15) == STT_FUNC)
                        note_start(f, sf_get64(symbol + offsetof(Elf64_Sym, st_value)));
        }
}

uint64_t sf_functions_skip_padding(const struct sf_functions *f, uint64_t at, uint64_t limit)
{
        uint64_t start = at, length;
        struct sf_insn_effect e;

        while (at - start < PADDING_MAX && at < limit &&
               (length = sf_insn_effect_decode(f->out + at, limit - at, &e)) > 0 &&
               (e.kind == SF_INSN_NOP || (e.kind == SF_INSN_TRAP && length == 1)) && !sf_functions_start_at(f, at))
                at += length;
        return at;
}

uint64_t sf_functions_next(const struct sf_functions *f, uint64_t position)
{
        uint64_t next = sf_functions_skip_padding(f, position, f->known);

        if (next % ALIGNMENT == 0)
                return next;
        next = (position + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
        for (uint64_t at = position; at < next; at++)
                if (sf_functions_start_at(f, at))
                        return at;
        return next;
}
