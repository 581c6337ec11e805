/* SPDX-License-Identifier: Apache-2.0 */
/* rpath/symbols.c - see symbols.h. */
#include "rpath/symbols.h"

#include <string.h>

static bool read_at(const struct sf_elf *elf, uint64_t offset, void *out, size_t len)
{
        if (!sf_elf_holds(elf, offset, len))
                return false;
        memcpy(out, elf->data + offset, len);
        return true;
}

/* The section header says how many symbols there are; without one the hash table does; without either, whatever lies
 * between the symbols and the strings behind them is taken for symbols (ld puts them so), which errs on the safe
 * side. */
static uint64_t symbol_count(const struct sf_elf *elf, uint64_t table_address, uint64_t table_offset)
{
        Elf64_Shdr section;
        Elf64_Dyn hash;
        uint32_t counts[2];

        for (uint64_t i = 0; i < elf->header.e_shnum && elf->header.e_shentsize == sizeof section; i++) {
                uint64_t at;
                if (__builtin_add_overflow(elf->header.e_shoff, i * sizeof section, &at) ||
                    !read_at(elf, at, &section, sizeof section))
                        break;
                if (section.sh_type == SHT_DYNSYM && section.sh_addr == table_address)
                        return section.sh_size / sizeof(Elf64_Sym);
        }
        if (sf_elf_dynamic_find(elf, DT_HASH, &hash) &&
            read_at(elf, sf_elf_offset_of(elf, hash.d_un.d_ptr), counts, sizeof counts))
                return counts[1];
        return elf->dynstr_offset > table_offset ? (elf->dynstr_offset - table_offset) / sizeof(Elf64_Sym) : 0;
}

int sf_symbols_open(const struct sf_elf *elf, const char *name, struct sf_symbols *ret, struct sf_error *err)
{
        Elf64_Dyn table;

        *ret = (struct sf_symbols){ .elf = elf };
        if (!sf_elf_dynamic_find(elf, DT_SYMTAB, &table))
                return 0;
        uint64_t offset = sf_elf_offset_of(elf, table.d_un.d_ptr);
        uint64_t count = offset == UINT64_MAX ? 0 : symbol_count(elf, table.d_un.d_ptr, offset);
        if (offset == UINT64_MAX || count > elf->size / sizeof(Elf64_Sym) ||
            !sf_elf_holds(elf, offset, count * sizeof(Elf64_Sym)))
                return sf_error_set(err, SF_ERR_CORRUPT, "%s: the dynamic symbol table lies outside the file", name);
        ret->offset = offset;
        ret->count = count;
        return 0;
}

Elf64_Sym sf_symbols_get(const struct sf_symbols *symbols, uint64_t i)
{
        Elf64_Sym symbol;

        memcpy(&symbol, symbols->elf->data + symbols->offset + i * sizeof symbol, sizeof symbol);
        return symbol;
}

bool sf_symbols_are_bound_eagerly(const struct sf_elf *plugin)
{
        Elf64_Dyn entry;

        return sf_elf_dynamic_find(plugin, DT_BIND_NOW, &entry) ||
               (sf_elf_dynamic_find(plugin, DT_FLAGS, &entry) && (entry.d_un.d_val & DF_BIND_NOW)) ||
               (sf_elf_dynamic_find(plugin, DT_FLAGS_1, &entry) && (entry.d_un.d_val & DF_1_NOW));
}

static bool defines(const struct sf_symbols *symbols, const char *name)
{
        for (uint64_t i = 1; i < symbols->count; i++) {
                Elf64_Sym symbol = sf_symbols_get(symbols, i);
                const char *own = symbol.st_shndx == SHN_UNDEF ? NULL : sf_elf_dynstr(symbols->elf, symbol.st_name);
                if (own && strcmp(own, name) == 0)
                        return true;
        }
        return false;
}

bool sf_symbols_find_partial(const struct sf_symbols *plugin, const struct sf_symbols_search *search,
                             const char **ret_symbol, uint64_t *ret_index)
{
        for (uint64_t i = 1; i < plugin->count; i++) {
                Elf64_Sym symbol = sf_symbols_get(plugin, i);
                const char *name = symbol.st_shndx == SHN_UNDEF && ELF64_ST_BIND(symbol.st_info) == STB_GLOBAL
                                           ? sf_elf_dynstr(plugin->elf, symbol.st_name)
                                           : NULL;
                bool found = !name;

                for (uint64_t j = 0; j < search->everywhere_count && !found; j++)
                        found = defines(&search->everywhere[j], name);
                for (uint64_t j = 0; j < search->somewhere_count && !found; j++)
                        if (defines(&search->somewhere[j], name)) {
                                *ret_symbol = name;
                                *ret_index = j;
                                return true;
                        }
        }
        return false;
}
