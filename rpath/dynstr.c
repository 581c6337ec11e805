/* SPDX-License-Identifier: Apache-2.0 */
/* rpath/dynstr.c - see dynstr.h. */
#include "rpath/dynstr.h"

#include <string.h>

struct search {
        const struct sf_elf *elf;
        const char *name;
        uint64_t head; /* where the longest string that ends in ours may start */
        uint64_t offset;
        struct sf_dynstr_users users;
        struct sf_error *err;
};

static void note_use(struct search *s, uint64_t offset)
{
        if (offset >= s->head && offset <= s->offset)
                s->users.shared = true;
        else if (offset > s->offset && offset - s->offset < s->users.tail)
                s->users.tail = offset - s->offset;
}

static int outside(const struct search *s, const char *what)
{
        return sf_error_set(s->err, SF_ERR_CORRUPT, "%s: %s lies outside the file", s->name, what);
}

/* Copies a structure at a file offset. */
static bool read_at(const struct search *s, uint64_t offset, void *out, size_t len)
{
        if (!sf_elf_holds(s->elf, offset, len))
                return false;
        memcpy(out, s->elf->data + offset, len);
        return true;
}

static void note_dynamic(struct search *s)
{
        for (uint64_t i = 0; i < s->elf->dynamic_count; i++) {
                Elf64_Dyn entry = sf_elf_dynamic(s->elf, i);
                switch (entry.d_tag) {
                case DT_RPATH:
                case DT_RUNPATH:
                        if (entry.d_un.d_val == s->offset)
                                break;
                        /* fall through */
                case DT_NEEDED:
                case DT_SONAME:
                case DT_AUXILIARY:
                case DT_FILTER:
                case DT_CONFIG:
                case DT_DEPAUDIT:
                case DT_AUDIT:
                        note_use(s, entry.d_un.d_val);
                        break;
                default:
                        break;
                }
        }
}

/* The section header says how many symbols there are; without one the hash table does; without either, whatever lies
 * between the symbols and the strings behind them is taken for symbols (ld puts them so), which errs on the safe
 * side. */
static uint64_t symbol_count(const struct search *s, uint64_t table_address, uint64_t table_offset)
{
        const struct sf_elf *elf = s->elf;
        Elf64_Shdr section;
        Elf64_Dyn hash;
        uint32_t counts[2];

        for (uint64_t i = 0; i < elf->header.e_shnum && elf->header.e_shentsize == sizeof section; i++) {
                uint64_t at;
                if (__builtin_add_overflow(elf->header.e_shoff, i * sizeof section, &at) ||
                    !read_at(s, at, &section, sizeof section))
                        break;
                if (section.sh_type == SHT_DYNSYM && section.sh_addr == table_address)
                        return section.sh_size / sizeof(Elf64_Sym);
        }
        if (sf_elf_dynamic_find(elf, DT_HASH, &hash) &&
            read_at(s, sf_elf_offset_of(elf, hash.d_un.d_ptr), counts, sizeof counts))
                return counts[1];
        return elf->dynstr_offset > table_offset ? (elf->dynstr_offset - table_offset) / sizeof(Elf64_Sym) : 0;
}

static int note_symbols(struct search *s)
{
        Elf64_Dyn table;
        Elf64_Sym symbol;

        if (!sf_elf_dynamic_find(s->elf, DT_SYMTAB, &table))
                return 0;
        uint64_t offset = sf_elf_offset_of(s->elf, table.d_un.d_ptr);
        uint64_t count = offset == UINT64_MAX ? 0 : symbol_count(s, table.d_un.d_ptr, offset);
        if (offset == UINT64_MAX || count > s->elf->size / sizeof symbol ||
            !sf_elf_holds(s->elf, offset, count * sizeof symbol))
                return outside(s, "the dynamic symbol table");
        for (uint64_t i = 0; i < count; i++) {
                memcpy(&symbol, s->elf->data + offset + i * sizeof symbol, sizeof symbol);
                note_use(s, symbol.st_name);
        }
        return 0;
}

/* Finds a version section. Returns 0 where there is none, 1 with *ret_offset and *ret_count set, or an error. */
static int find_versions(const struct search *s, int64_t tag, int64_t count_tag, const char *what, uint64_t *ret_offset,
                         uint64_t *ret_count)
{
        Elf64_Dyn table, count;

        if (!sf_elf_dynamic_find(s->elf, tag, &table) || !sf_elf_dynamic_find(s->elf, count_tag, &count))
                return 0;
        *ret_offset = sf_elf_offset_of(s->elf, table.d_un.d_ptr);
        *ret_count = count.d_un.d_val;
        return *ret_offset == UINT64_MAX ? outside(s, what) : 1;
}

/* The lists below are chains of forward distances. Each record may be visited once: a file whose chains meet or are
 * longer than it has room for is refused, so that hostile counts cost no time. */
static int note_needed_versions(struct search *s)
{
        uint64_t at, count, budget = s->elf->size / sizeof(Elf64_Vernaux);
        int r = find_versions(s, DT_VERNEED, DT_VERNEEDNUM, "the needed versions' table", &at, &count);
        Elf64_Verneed need;
        Elf64_Vernaux aux;

        if (r <= 0)
                return r;
        for (uint64_t i = 0; i < count; i++, at += need.vn_next) {
                if (budget-- == 0 || !read_at(s, at, &need, sizeof need))
                        return outside(s, "a needed version");
                note_use(s, need.vn_file);
                uint64_t aux_at = at + need.vn_aux;
                for (unsigned j = 0; j < need.vn_cnt; j++, aux_at += aux.vna_next) {
                        if (budget-- == 0 || !read_at(s, aux_at, &aux, sizeof aux))
                                return outside(s, "a needed version's name");
                        note_use(s, aux.vna_name);
                        if (aux.vna_next == 0)
                                break;
                }
                if (need.vn_next == 0)
                        break;
        }
        return 0;
}

static int note_defined_versions(struct search *s)
{
        uint64_t at, count, budget = s->elf->size / sizeof(Elf64_Verdaux);
        int r = find_versions(s, DT_VERDEF, DT_VERDEFNUM, "the defined versions' table", &at, &count);
        Elf64_Verdef definition;
        Elf64_Verdaux aux;

        if (r <= 0)
                return r;
        for (uint64_t i = 0; i < count; i++, at += definition.vd_next) {
                if (budget-- == 0 || !read_at(s, at, &definition, sizeof definition))
                        return outside(s, "a defined version");
                uint64_t aux_at = at + definition.vd_aux;
                for (unsigned j = 0; j < definition.vd_cnt; j++, aux_at += aux.vda_next) {
                        if (budget-- == 0 || !read_at(s, aux_at, &aux, sizeof aux))
                                return outside(s, "a defined version's name");
                        note_use(s, aux.vda_name);
                        if (aux.vda_next == 0)
                                break;
                }
                if (definition.vd_next == 0)
                        break;
        }
        return 0;
}

int sf_dynstr_find_users(const struct sf_elf *elf, const char *name, uint64_t offset, uint64_t len,
                         struct sf_dynstr_users *ret, struct sf_error *err)
{
        struct search s = { .elf = elf, .name = name, .head = offset, .offset = offset, .err = err };
        const uint8_t *table = elf->data + elf->dynstr_offset;

        s.users.tail = len;
        while (s.head > 0 && table[s.head - 1])
                s.head--;
        note_dynamic(&s);
        int r = note_symbols(&s);
        if (r == 0)
                r = note_needed_versions(&s);
        if (r == 0)
                r = note_defined_versions(&s);
        if (r == 0)
                *ret = s.users;
        return r;
}
