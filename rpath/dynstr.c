/* SPDX-License-Identifier: Apache-2.0 */
/* rpath/dynstr.c - see dynstr.h. */
#include "rpath/dynstr.h"

#include <string.h>

#include "rpath/symbols.h"

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

static int note_symbols(struct search *s)
{
        struct sf_symbols symbols;
        int r = sf_symbols_open(s->elf, s->name, &symbols, s->err);

        for (uint64_t i = 0; r == 0 && i < symbols.count; i++)
                note_use(s, sf_symbols_get(&symbols, i).st_name);
        return r;
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
