/* SPDX-License-Identifier: Apache-2.0 */
/* delta/predict/symbol_match.c - see symbol_match.h. Structures: System V gABI, chapters 4 and 5; x86-64 psABI for
 * the PLT. */
#include "delta/predict/symbol_match.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "delta/image/image.h"

#define PLT_BYTES  16
#define NAME_MAX   4096 /* a longer one is none: what it takes to look at a name is bounded, */
#define PROBES_MAX 128  /* and so are the names of one hash that are told apart */

/* The symbol table of one file. */
struct symbols {
        const uint8_t *records;
        uint64_t position, count; /* of the records */
        const char *strings;
        uint64_t strings_size;
};

static struct symbols symbols_of(const uint8_t *data, const struct sf_table_layout *layout)
{
        const struct sf_table_extent *records = &layout->tables[SF_TABLE_SYMBOLS];
        const struct sf_table_extent *strings = &layout->tables[SF_TABLE_STRINGS];

        return (struct symbols){ data + records->position, records->position, records->size / sizeof(Elf64_Sym),
                                 (const char *)data + strings->position, strings->size };
}

static const uint8_t *symbol_at(const struct symbols *s, uint64_t number)
{
        return s->records + number * sizeof(Elf64_Sym);
}

/* The name of a symbol and its length, 0 where it has none. */
static size_t name_of(const struct symbols *s, uint64_t number, const char **ret)
{
        uint32_t offset = sf_get32(symbol_at(s, number));

        if (offset >= s->strings_size)
                return 0;
        *ret = s->strings + offset;
        uint64_t most = s->strings_size - offset < NAME_MAX ? s->strings_size - offset : NAME_MAX;
        size_t len = strnlen(*ret, most);
        return len < NAME_MAX ? len : 0;
}

static bool has_name(const struct symbols *s, uint64_t number, const char *name, size_t len)
{
        uint32_t offset = sf_get32(symbol_at(s, number));
        uint64_t left = offset < s->strings_size ? s->strings_size - offset : 0;

        return len <= left && memcmp(name, s->strings + offset, len) == 0 && (len == left || !s->strings[offset + len]);
}

static uint32_t hash_name(const char *name, size_t len)
{
        uint32_t h = 5381;

        while (len--)
                h = h * 33 + (uint8_t)*name++;
        return h ^ h >> 15;
}

static size_t table_size(size_t symbols)
{
        size_t size = 16;

        while (size < 2 * symbols)
                size *= 2;
        return size;
}

uint64_t sf_symbol_match_memory(uint64_t size)
{
        size_t symbols = size / sizeof(Elf64_Sym);

        return (table_size(symbols) + 2 * (symbols + 1)) * sizeof(uint32_t);
}

static uint64_t end_of(const struct sf_table_extent *table)
{
        return table->position + table->size;
}

/* Up to where a file must be known for its symbols to be. */
static uint64_t end_of_symbols(const struct sf_table_layout *l)
{
        uint64_t records = end_of(&l->tables[SF_TABLE_SYMBOLS]), strings = end_of(&l->tables[SF_TABLE_STRINGS]);

        return records > strings ? records : strings;
}

uint64_t sf_symbol_match_end(const struct sf_table_layout *layout)
{
        uint64_t end = end_of_symbols(layout);

        for (int i = SF_TABLE_RELOCATIONS; i <= SF_TABLE_PLT_RELOCATIONS; i++)
                if (end_of(&layout->tables[i]) > end)
                        end = end_of(&layout->tables[i]);
        return end;
}

int sf_symbol_match_open(struct sf_symbol_match *n, const struct sf_table_layout *layout, struct sf_error *err)
{
        *n = (struct sf_symbol_match){ .layout = layout, .next = UINT64_MAX };
        n->symbols = layout->tables[SF_TABLE_SYMBOLS].size / sizeof(Elf64_Sym);
        if (!n->symbols)
                return 0;
        size_t size = table_size(n->symbols);
        n->table_mask = size - 1;
        n->by_name = calloc(size, sizeof *n->by_name);
        n->plt_of = calloc(n->symbols, sizeof *n->plt_of);
        n->slot_of = calloc(n->symbols, sizeof *n->slot_of);
        if (!n->by_name || !n->plt_of || !n->slot_of) {
                sf_symbol_match_close(n);
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for %zu names", n->symbols);
        }
        n->next = end_of_symbols(layout);
        return 0;
}

void sf_symbol_match_close(struct sf_symbol_match *n)
{
        free(n->by_name);
        free(n->plt_of);
        free(n->slot_of);
        *n = (struct sf_symbol_match){ .next = UINT64_MAX };
}

static void index_names(struct sf_symbol_match *n, const struct symbols *s)
{
        for (uint32_t i = 1; i < s->count; i++) {
                const char *name;
                size_t len = name_of(s, i, &name);

                if (!len)
                        continue;
                size_t at = hash_name(name, len) & n->table_mask;
                for (unsigned k = 0; k < PROBES_MAX && n->by_name[at]; k++)
                        at = (at + 1) & n->table_mask;
                if (!n->by_name[at])
                        n->by_name[at] = i + 1;
        }
}

/* The new symbol of that name, the first one where several have it; 0 where none has. */
static uint32_t find_name(const struct sf_symbol_match *n, const struct symbols *new, const char *name, size_t len)
{
        size_t at = hash_name(name, len) & n->table_mask;

        for (unsigned i = 0; i <= PROBES_MAX && n->by_name[at]; i++, at = (at + 1) & n->table_mask)
                if (has_name(new, n->by_name[at] - 1, name, len))
                        return n->by_name[at] - 1;
        return 0;
}

/* The new symbol that has the name of old symbol `number`; 0 where there is none. */
static uint32_t successor(const struct sf_symbol_match *n, const struct symbols *old, const struct symbols *new,
                          uint64_t number)
{
        const char *name;
        size_t len = number < old->count ? name_of(old, number, &name) : 0;

        return len ? find_name(n, new, name, len) : 0;
}

/* A named object has moved from one address to another; its length tells where its last byte is. */
static void tell_object(struct sf_predictor *p, const uint8_t *old, const uint8_t *new, const struct sf_image *image)
{
        uint64_t from, to, size = sf_get64(old + 16), new_size = sf_get64(new + 16);

        if (sf_get16(old + 6) == SHN_UNDEF || sf_get16(new + 6) == SHN_UNDEF ||
            !sf_image_position(&p->image, sf_get64(old + 8), &from) ||
            !sf_image_position(image, sf_get64(new + 8), &to))
                return;
        sf_predict_told(p, from, to);
        if (size && new_size && size < SF_IMAGE_BSS && new_size < SF_IMAGE_BSS)
                sf_predict_told(p, from + size - 1, to + new_size - 1);
}

static void tell_symbols(const struct sf_symbol_match *n, const struct symbols *new, const struct sf_image *image,
                         struct sf_predictor *p)
{
        struct symbols old = symbols_of(p->data, &p->layout);

        for (uint64_t i = 1; i < old.count; i++) {
                uint32_t k = successor(n, &old, new, i);

                if (!k)
                        continue;
                sf_predict_told(p, old.position + i * sizeof(Elf64_Sym), new->position + k * sizeof(Elf64_Sym));
                tell_object(p, symbol_at(&old, i), symbol_at(new, k), image);
        }
}

/* A position of a reference in the new file; false where no copy holds it. */
static bool follow_map(const struct sf_predictor *other, uint64_t position, uint64_t *ret)
{
        enum sf_map_quality quality;

        *ret = sf_map_position(&other->map, position, &quality);
        return quality == SF_MAP_EXACT;
}

/* Symbol `theirs` of the other reference and symbol `ours` of this one are the same object. */
static void relate_object(const struct sf_predictor *other, const uint8_t *theirs, struct sf_predictor *reference,
                          const uint8_t *ours)
{
        uint64_t from, at, to, size = sf_get64(ours + 16), their_size = sf_get64(theirs + 16);
        enum sf_map_quality quality;

        if (sf_get16(ours + 6) == SHN_UNDEF || sf_get16(theirs + 6) == SHN_UNDEF ||
            !sf_image_position(&reference->image, sf_get64(ours + 8), &from) ||
            !sf_image_position(&other->image, sf_get64(theirs + 8), &at))
                return;
        sf_map_position(&reference->map, from, &quality);
        if (quality == SF_MAP_EXACT)
                return;
        if (follow_map(other, at, &to))
                sf_predict_told(reference, from, to);
        if (size && their_size && size < SF_IMAGE_BSS && their_size < SF_IMAGE_BSS &&
            follow_map(other, at + their_size - 1, &to))
                sf_predict_told(reference, from + size - 1, to);
}

int sf_symbol_match_relate(const struct sf_predictor *other, struct sf_predictor *reference, struct sf_error *err)
{
        _cleanup_(sf_symbol_match_close) struct sf_symbol_match n = { 0 };
        struct symbols theirs = symbols_of(other->data, &other->layout);
        struct symbols ours = symbols_of(reference->data, &reference->layout);
        int r = sf_symbol_match_open(&n, &other->layout, err);

        if (r < 0 || !n.symbols)
                return r;
        index_names(&n, &theirs);
        for (uint64_t i = 1; i < ours.count; i++) {
                uint32_t k = successor(&n, &ours, &theirs, i);

                if (k)
                        relate_object(other, symbol_at(&theirs, k), reference, symbol_at(&ours, i));
        }
        return 0;
}

/* Relocations that fill a slot with a symbol's address. */
static bool fills_slot(const struct sf_image *image, uint32_t type)
{
        return image->machine == EM_AARCH64 ? type == R_AARCH64_JUMP_SLOT || type == R_AARCH64_GLOB_DAT
                                            : type == R_X86_64_JUMP_SLOT || type == R_X86_64_GLOB_DAT;
}

/* Notes for each new symbol which relocation of a table names it. */
static void index_relocations(const struct sf_symbol_match *n, const uint8_t *out, const struct sf_image *image,
                              enum sf_table table, uint32_t *of)
{
        const struct sf_table_extent *range = &n->layout->tables[table];

        for (uint32_t i = 0; i < range->size / sizeof(Elf64_Rela); i++) {
                const uint8_t *record = out + range->position + i * sizeof(Elf64_Rela);
                uint32_t type = sf_get32(record + 8), symbol = sf_get32(record + 12);

                if (symbol && symbol < n->symbols && fills_slot(image, type))
                        of[symbol] = i + 1;
        }
}

/* The table slots that old relocation `record` and new relocation `other` fill. */
static void tell_slot(struct sf_predictor *p, const uint8_t *record, const uint8_t *other, const struct sf_image *image)
{
        uint64_t from, to;

        if (sf_image_position(&p->image, sf_get64(record), &from) && sf_image_position(image, sf_get64(other), &to))
                sf_predict_told(p, from, to);
}

static void tell_relocations(const struct sf_symbol_match *n, const uint8_t *out, const struct sf_image *image,
                             struct sf_predictor *p, enum sf_table table, const uint32_t *of)
{
        const struct sf_table_extent *old = &p->layout.tables[table], *new = &n->layout->tables[table];
        const struct sf_table_extent *stubs[2][2] = {
                { &p->layout.tables[SF_TABLE_PLT], &n->layout->tables[SF_TABLE_PLT] },
                { &p->layout.tables[SF_TABLE_PLT_SECOND], &n->layout->tables[SF_TABLE_PLT_SECOND] },
        };
        struct symbols before = symbols_of(p->data, &p->layout), after = symbols_of(out, n->layout);
        uint64_t header = image->machine == EM_AARCH64 ? 2 : 1; /* of .plt, in stubs */

        for (uint64_t i = 0; i < old->size / sizeof(Elf64_Rela); i++) {
                uint64_t at = old->position + i * sizeof(Elf64_Rela);
                uint32_t k = successor(n, &before, &after, sf_get32(p->data + at + 12));

                if (!k || !of[k])
                        continue;
                uint64_t j = of[k] - 1, to = new->position + j * sizeof(Elf64_Rela);
                if (i) /* the first one's place is that of the table, which numbers are counted from */
                        sf_predict_told(p, at, to);
                tell_slot(p, p->data + at, out + to, image);
                /* Entry i of .rela.plt belongs to stub i; the first .plt has a header. */
                for (uint64_t s = 0; s < 2 && table == SF_TABLE_PLT_RELOCATIONS; s++)
                        if (stubs[s][0]->size && stubs[s][1]->size)
                                sf_predict_told(p, stubs[s][0]->position + (i + (s ? 0 : header)) * PLT_BYTES,
                                                stubs[s][1]->position + (j + (s ? 0 : header)) * PLT_BYTES);
        }
}

/* The tables themselves. */
static void tell_layout(const struct sf_table_layout *new, struct sf_predictor *p)
{
        for (size_t i = 0; i < SF_TABLES; i++) {
                const struct sf_table_extent *a = &p->layout.tables[i], *b = &new->tables[i];

                if (!a->size || !b->size)
                        continue;
                sf_predict_told(p, a->position, b->position);
                sf_predict_told(p, a->position + a->size - 1, b->position + b->size - 1);
        }
}

void sf_symbol_match_tell(struct sf_symbol_match *n, const uint8_t *out, uint64_t known, const struct sf_image *image,
                          struct sf_predictor *predictors, size_t count)
{
        struct symbols new = symbols_of(out, n->layout);

        if (known >= n->next && !n->symbols_told) {
                n->symbols_told = true;
                n->next = sf_symbol_match_end(n->layout);
                index_names(n, &new);
                for (size_t i = 0; i < count; i++) {
                        tell_layout(n->layout, &predictors[i]);
                        tell_symbols(n, &new, image, &predictors[i]);
                }
        }
        if (known < n->next || n->next == UINT64_MAX)
                return;
        n->next = UINT64_MAX;
        index_relocations(n, out, image, SF_TABLE_PLT_RELOCATIONS, n->plt_of);
        index_relocations(n, out, image, SF_TABLE_RELOCATIONS, n->slot_of);
        for (size_t i = 0; i < count; i++) {
                tell_relocations(n, out, image, &predictors[i], SF_TABLE_PLT_RELOCATIONS, n->plt_of);
                tell_relocations(n, out, image, &predictors[i], SF_TABLE_RELOCATIONS, n->slot_of);
        }
}
