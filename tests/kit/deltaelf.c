/* SPDX-License-Identifier: Apache-2.0 */
/* tests/kit/deltaelf.c - see deltaelf.h. */
#include "tests/kit/deltaelf.h"

#include <elf.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "delta/codec/linker_tables.h"

#define SYMBOLS (1 + DELTAELF_IMPORTS + DELTAELF_FUNCTIONS)
#define FRAME   20

enum {
        NONE,
        DYNSYM,
        DYNSTR,
        HASH,
        RELA,
        RELA_PLT,
        PLT,
        PLT_SEC,
        TEXT,
        RODATA,
        FRAME_HEADER,
        FRAMES,
        SLOTS,
        NAMES,
        SECTIONS
};

static const struct {
        const char *name;
        uint32_t type, link;
        uint64_t flags;
        uint64_t position, size; /* of most, fixed */
} sections[SECTIONS] = {
        [DYNSYM] = { ".dynsym", SHT_DYNSYM, DYNSTR, SHF_ALLOC, 0xe80, 24 * SYMBOLS },
        [DYNSTR] = { ".dynstr", SHT_STRTAB, 0, SHF_ALLOC, 0x1200, 0x200 },
        [HASH] = { ".gnu.hash", SHT_GNU_HASH, DYNSYM, SHF_ALLOC, 0x1400, 16 + 8 + 4 + 4 * DELTAELF_FUNCTIONS },
        [RELA] = { ".rela.dyn", SHT_RELA, DYNSYM, SHF_ALLOC, 0x1500, 24 * DELTAELF_TEXTS },
        [RELA_PLT] = { ".rela.plt", SHT_RELA, DYNSYM, SHF_ALLOC, 0x1640, 24 * DELTAELF_IMPORTS },
        [PLT] = { ".plt", SHT_PROGBITS, 0, SHF_ALLOC | SHF_EXECINSTR, 0x1700, 16 + 16 * DELTAELF_IMPORTS },
        [PLT_SEC] = { ".plt.sec", SHT_PROGBITS, 0, SHF_ALLOC | SHF_EXECINSTR, 0x17a0, 16 * DELTAELF_IMPORTS },
        [TEXT] = { ".text", SHT_PROGBITS, 0, SHF_ALLOC | SHF_EXECINSTR, 0x1840, 0x760 },
        [RODATA] = { ".rodata", SHT_PROGBITS, 0, SHF_ALLOC, 0x2000, 0x200 },
        [FRAME_HEADER] = { ".eh_frame_hdr", SHT_PROGBITS, 0, SHF_ALLOC, 0x2200, 12 + 8 * DELTAELF_FUNCTIONS },
        [FRAMES] = { ".eh_frame", SHT_PROGBITS, 0, SHF_ALLOC, 0x2300, 0x240 },
        [SLOTS] = { ".got.plt", SHT_PROGBITS, 0, SHF_ALLOC | SHF_WRITE, 0x2600, 0x200 },
        [NAMES] = { ".shstrtab", SHT_STRTAB, 0, 0, 0x2800, 0x100 },
};
#define HEADERS_AT 0x2900

static void put(uint8_t *at, uint64_t value, unsigned bytes)
{
        for (unsigned i = 0; i < bytes; i++)
                at[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t at(unsigned section)
{
        return sections[section].position;
}

static void put_relative(struct deltaelf *e, uint64_t position, uint64_t target)
{
        put(e->data + position, target - position - 4, 4);
}

static void put_headers(struct deltaelf *e)
{
        static const uint8_t ident[] = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT };
        static const struct {
                uint32_t type, flags;
                unsigned from, to;
        } segments[] = { { PT_LOAD, PF_R, NONE, PLT },
                         { PT_LOAD, PF_R | PF_X, PLT, RODATA },
                         { PT_LOAD, PF_R | PF_W, RODATA, NAMES },
                         { PT_GNU_EH_FRAME, PF_R, FRAME_HEADER, FRAME_HEADER } };
        uint8_t *h = e->data;
        uint64_t name = 1;

        memcpy(h, ident, sizeof ident);
        put(h + offsetof(Elf64_Ehdr, e_type), ET_DYN, 2);
        put(h + offsetof(Elf64_Ehdr, e_machine), EM_X86_64, 2);
        put(h + offsetof(Elf64_Ehdr, e_phoff), 64, 8);
        put(h + offsetof(Elf64_Ehdr, e_phnum), 4, 2);
        put(h + offsetof(Elf64_Ehdr, e_shoff), HEADERS_AT, 8);
        put(h + offsetof(Elf64_Ehdr, e_shentsize), 64, 2);
        put(h + offsetof(Elf64_Ehdr, e_shnum), SECTIONS, 2);
        put(h + offsetof(Elf64_Ehdr, e_shstrndx), NAMES, 2);
        for (unsigned i = 0; i < 4; i++) {
                uint8_t *p = h + 64 + 56 * i;
                uint64_t from = at(segments[i].from),
                         to = at(segments[i].to) +
                              (segments[i].from == segments[i].to ? sections[FRAME_HEADER].size : 0);

                put(p, segments[i].type, 4);
                put(p + 4, segments[i].flags, 4);
                put(p + 8, from, 8);
                put(p + 16, from + DELTAELF_BASE, 8);
                put(p + 32, to - from, 8);
                put(p + 40, to - from, 8);
        }
        for (unsigned i = 1; i < SECTIONS; i++) {
                uint8_t *s = h + HEADERS_AT + 64 * i;

                put(s, name, 4);
                put(s + 4, sections[i].type, 4);
                put(s + 8, sections[i].flags, 8);
                put(s + 16, sections[i].flags ? at(i) + DELTAELF_BASE : 0, 8);
                put(s + 24, at(i), 8);
                put(s + 32, sections[i].size, 8);
                put(s + 40, sections[i].link, 4);
                name += 1 + (uint64_t)sprintf((char *)h + at(NAMES) + name, "%s", sections[i].name);
        }
        e->plt_header = HEADERS_AT + 64 * RELA_PLT;
        e->size = HEADERS_AT + 64 * SECTIONS;
}

/* Where functions lie: in their own order, with a gap. */
static void place_functions(struct deltaelf *e, const struct deltaelf_order *o)
{
        for (unsigned i = 0; i < DELTAELF_FUNCTIONS; i++)
                e->function[i] = at(TEXT) + DELTAELF_RECORD * i + (i >= o->gap_at ? o->gap : 0);
        if (o->gap)
                memset(e->data + e->function[o->gap_at] - o->gap, 0x90, o->gap);
}

static void put_symbol(struct deltaelf *e, uint64_t *name, unsigned number, const char *text, uint64_t position)
{
        uint8_t *s = e->data + at(DYNSYM) + 24 * number;

        put(s, *name, 4);
        s[4] = STB_GLOBAL << 4 | STT_FUNC;
        put(s + 6, position ? TEXT : SHN_UNDEF, 2);
        put(s + 8, position ? position + DELTAELF_BASE : 0, 8);
        put(s + 16, position ? DELTAELF_RECORD : 0, 8);
        *name += 1 + (uint64_t)sprintf((char *)e->data + at(DYNSTR) + *name, "%s", text);
}

static void put_symbols(struct deltaelf *e, const struct deltaelf_order *o)
{
        uint64_t name = 1;
        char text[32];

        for (unsigned k = 0; k < DELTAELF_IMPORTS; k++) {
                unsigned import = (k + o->turn) % DELTAELF_IMPORTS;
                uint8_t *rela = e->data + at(RELA_PLT) + 24 * k;

                sprintf(text, "import%u", import);
                put_symbol(e, &name, 1 + k, text, 0);
                e->slot[import] = at(SLOTS) + 24 + 8 * k;
                e->stub[import] = at(PLT_SEC) + 16 * k;
                e->lazy_stub[import] = at(PLT) + 16 + 16 * k;
                put(rela, e->slot[import] + DELTAELF_BASE, 8);
                put(rela + 8, R_X86_64_JUMP_SLOT, 4);
                put(rela + 12, 1 + k, 4);
                put(e->data + e->slot[import], e->lazy_stub[import] + DELTAELF_BASE, 8);
                memcpy(e->data + e->lazy_stub[import], "\xf3\x0f\x1e\xfa\x68", 5);
                put(e->data + e->lazy_stub[import] + 5, k, 4);
                memcpy(e->data + e->stub[import], "\xf3\x0f\x1e\xfa\xff\x25", 6);
                put_relative(e, e->stub[import] + 6, e->slot[import]);
        }
        for (unsigned k = 0; k < DELTAELF_FUNCTIONS; k++) {
                unsigned function = (k + o->turn) % DELTAELF_FUNCTIONS;

                sprintf(text, "function%u", function);
                e->symbol_of[function] = at(DYNSYM) + 24 * (1 + DELTAELF_IMPORTS + k);
                put_symbol(e, &name, 1 + DELTAELF_IMPORTS + k, text, e->function[function]);
        }
}

static void put_texts(struct deltaelf *e, const struct deltaelf_order *o)
{
        uint64_t to = at(RODATA);

        for (unsigned k = 0; k < DELTAELF_TEXTS; k++) {
                unsigned text = (k + 5 * o->turn) % DELTAELF_TEXTS;
                uint8_t *rela = e->data + at(RELA) + 24 * k;

                e->text[text] = to;
                to += 1 + (uint64_t)sprintf((char *)e->data + to, "%u is said", text * text * 77 + text);
                put(rela, at(SLOTS) + 0x80 + 8 * k + DELTAELF_BASE, 8);
                put(rela + 8, R_X86_64_RELATIVE, 4);
                put(rela + 16, e->text[text] + DELTAELF_BASE, 8);
        }
}

static void put_code(struct deltaelf *e, const struct deltaelf_order *o)
{
        for (unsigned i = 0; i < DELTAELF_FUNCTIONS; i++) {
                uint64_t f = e->function[i];

                memset(e->data + f, 0x90, DELTAELF_RECORD);
                memcpy(e->data + f, "\xf3\x0f\x1e\xfa\xe8....\x48\x8d\x3d....\xba....\xe8....\xc3", 27);
                put_relative(e, f + DELTAELF_AT_IMPORT, e->stub[deltaelf_import_of(i)]);
                put_relative(e, f + DELTAELF_AT_TEXT, e->text[deltaelf_text_of(i)]);
                put(e->data + f + DELTAELF_AT_LINE, 100 + 7 * i + (i >= o->gap_at ? o->lines : 0), 4);
                put_relative(e, f + DELTAELF_AT_FUNCTION, e->function[deltaelf_function_of(i)]);
                e->data[f + 27] = (uint8_t)(17 * i); /* not all alike */
        }
}

static void put_frames(struct deltaelf *e)
{
        uint64_t to = at(FRAMES), common = to;

        put(e->data + to, 16, 4);
        memcpy(e->data + to + 8, "\1zR\0\1\x78\x10\1\x1b\x0c\7\x08", 12);
        to += 20;
        for (unsigned i = 0; i < DELTAELF_FUNCTIONS; i++, to += FRAME) {
                put(e->data + to, FRAME - 4, 4);
                put(e->data + to + 4, to + 4 - common, 4);
                put(e->data + to + 8, e->function[i] - to - 8, 4);
                put(e->data + to + 12, DELTAELF_RECORD, 4);
        }
        memcpy(e->data + at(FRAME_HEADER), "\1\x1b\3\x3b", 4);
        put(e->data + at(FRAME_HEADER) + 4, at(FRAMES) - at(FRAME_HEADER) - 4, 4);
        put(e->data + at(HASH), 1, 4); /* one bucket: symbols may lie in any order */
        put(e->data + at(HASH) + 4, 1 + DELTAELF_IMPORTS, 4);
        put(e->data + at(HASH) + 8, 1, 4);
        put(e->data + at(HASH) + 12, 6, 4);
}

void deltaelf_make(struct deltaelf *e, const struct deltaelf_order *o)
{
        memset(e, 0, sizeof *e);
        put_headers(e);
        place_functions(e, o);
        put_symbols(e, o);
        put_texts(e, o);
        put_code(e, o);
        put_frames(e);
        sf_linker_tables_restore(e->data, e->size, SF_LINKER_TABLE_UNWIND | SF_LINKER_TABLE_HASH, NULL);
}
