/* SPDX-License-Identifier: Apache-2.0 */
/* tests/kit/elfmaker.c - see elfmaker.h. */
#include "tests/kit/elfmaker.h"

#include <stdlib.h>
#include <string.h>

static void put(struct elfmaker *m, uint64_t offset, const void *bytes, size_t len)
{
        if (offset > sizeof m->data || len > sizeof m->data - offset)
                abort();
        memcpy(m->data + offset, bytes, len);
}

void elfmaker_start(struct elfmaker *m)
{
        memset(m, 0, sizeof *m);
        m->size = ELFMAKER_STRINGS;
        elfmaker_string(m, "");
        elfmaker_symbol(m, 0);
}

uint64_t elfmaker_string(struct elfmaker *m, const char *text)
{
        uint64_t offset = m->size - ELFMAKER_STRINGS;

        put(m, m->size, text, strlen(text) + 1);
        m->size += strlen(text) + 1;
        return offset;
}

void elfmaker_dynamic(struct elfmaker *m, int64_t tag, uint64_t value)
{
        Elf64_Dyn entry = { .d_tag = tag, .d_un.d_val = value };

        put(m, ELFMAKER_DYNAMIC + m->dynamic_count++ * sizeof entry, &entry, sizeof entry);
}

void elfmaker_symbol(struct elfmaker *m, uint64_t name)
{
        Elf64_Sym symbol = { .st_name = (uint32_t)name };

        put(m, ELFMAKER_SYMBOLS + m->symbol_count++ * sizeof symbol, &symbol, sizeof symbol);
}

void elfmaker_version_need(struct elfmaker *m, uint64_t file, uint64_t version)
{
        Elf64_Verneed need = { .vn_version = 1, .vn_cnt = 1, .vn_file = (uint32_t)file, .vn_aux = sizeof need };
        Elf64_Vernaux aux = { .vna_name = (uint32_t)version };

        put(m, ELFMAKER_NEEDS, &need, sizeof need);
        put(m, ELFMAKER_NEEDS + sizeof need, &aux, sizeof aux);
        elfmaker_dynamic(m, DT_VERNEED, ELFMAKER_BASE + ELFMAKER_NEEDS);
        elfmaker_dynamic(m, DT_VERNEEDNUM, 1);
}

void elfmaker_version_definition(struct elfmaker *m, uint64_t version)
{
        Elf64_Verdef definition = { .vd_version = 1, .vd_cnt = 1, .vd_aux = sizeof definition };
        Elf64_Verdaux aux = { .vda_name = (uint32_t)version };

        put(m, ELFMAKER_NEEDS, &definition, sizeof definition);
        put(m, ELFMAKER_NEEDS + sizeof definition, &aux, sizeof aux);
        elfmaker_dynamic(m, DT_VERDEF, ELFMAKER_BASE + ELFMAKER_NEEDS);
        elfmaker_dynamic(m, DT_VERDEFNUM, 1);
}

void elfmaker_sections(struct elfmaker *m)
{
        Elf64_Shdr symbols = { .sh_type = SHT_DYNSYM,
                               .sh_addr = ELFMAKER_BASE + ELFMAKER_SYMBOLS,
                               .sh_offset = ELFMAKER_SYMBOLS,
                               .sh_size = m->symbol_count * sizeof(Elf64_Sym),
                               .sh_entsize = sizeof(Elf64_Sym) };
        Elf64_Ehdr *header = (Elf64_Ehdr *)(void *)m->data;

        put(m, ELFMAKER_SECTIONS + sizeof symbols, &symbols, sizeof symbols);
        header->e_shoff = ELFMAKER_SECTIONS;
        header->e_shnum = 2;
        header->e_shentsize = sizeof symbols;
}

void elfmaker_finish(struct elfmaker *m)
{
        Elf64_Ehdr *header = (Elf64_Ehdr *)(void *)m->data;
        Elf64_Phdr load = { .p_type = PT_LOAD, .p_vaddr = ELFMAKER_BASE, .p_filesz = m->size, .p_memsz = m->size };
        Elf64_Phdr dynamic = { .p_type = PT_DYNAMIC,
                               .p_offset = ELFMAKER_DYNAMIC,
                               .p_vaddr = ELFMAKER_BASE + ELFMAKER_DYNAMIC,
                               .p_filesz = 32 * sizeof(Elf64_Dyn) };

        elfmaker_dynamic(m, DT_STRTAB, ELFMAKER_BASE + ELFMAKER_STRINGS);
        elfmaker_dynamic(m, DT_STRSZ, m->size - ELFMAKER_STRINGS);
        elfmaker_dynamic(m, DT_SYMTAB, ELFMAKER_BASE + ELFMAKER_SYMBOLS);
        elfmaker_dynamic(m, DT_NULL, 0);
        memcpy(header->e_ident, ELFMAG, SELFMAG);
        header->e_ident[EI_CLASS] = ELFCLASS64;
        header->e_ident[EI_DATA] = ELFDATA2LSB;
        header->e_ident[EI_VERSION] = EV_CURRENT;
        header->e_type = ET_DYN;
        header->e_machine = EM_X86_64;
        header->e_version = EV_CURRENT;
        header->e_phoff = ELFMAKER_SEGMENTS;
        header->e_phentsize = sizeof load;
        header->e_phnum = 2;
        put(m, ELFMAKER_SEGMENTS, &load, sizeof load);
        put(m, ELFMAKER_SEGMENTS + sizeof load, &dynamic, sizeof dynamic);
}

const char *elfmaker_text(const struct elfmaker *m, uint64_t offset)
{
        return (const char *)m->data + ELFMAKER_STRINGS + offset;
}
