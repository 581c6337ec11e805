/* SPDX-License-Identifier: Apache-2.0 */
/* delta/image/find_tables.c - references in what the linker writes: headers, symbols, relocations, dynamic section,
 * hash table, versions, global offset table. System V gABI chapters 4 and 5; GNU extensions as <elf.h> describes them.
 */
#include <elf.h>
#include <string.h>

#include "delta/image/field_finders.h"

#define EHDR_BYTES 64
#define PHDR_BYTES 56
#define SHDR_BYTES 64
#define SYM_BYTES  24
#define RELA_BYTES 24
#define DYN_BYTES  16

static void add_plain(struct sf_field_list *c, uint64_t position, uint8_t form, uint8_t kind, uint8_t width,
                      uint8_t bias, uint64_t target, uint64_t base)
{
        if (position < c->size)
                sf_field_list_add(c,
                                  (struct sf_raw_field){ target, base, (uint32_t)position, form, kind, width, bias });
}

/* The length of something that starts at position `start`. */
static void add_size(struct sf_field_list *c, uint64_t position, uint8_t kind, uint64_t start, uint64_t length)
{
        if (length && length < SF_IMAGE_BSS)
                add_plain(c, position, SF_FORM_SIZE, kind, 8, 0, start + length - 1, start);
}

static void walk_headers(struct sf_field_list *c)
{
        uint64_t table = sf_get64(c->data + offsetof(Elf64_Ehdr, e_shoff));
        uint64_t count = sf_get16(c->data + offsetof(Elf64_Ehdr, e_shnum));

        sf_field_list_address(c, offsetof(Elf64_Ehdr, e_entry), SF_FORM_ADDRESS, SF_FIELD_HEADER, 8, 0,
                              sf_get64(c->data + offsetof(Elf64_Ehdr, e_entry)), 0);
        add_plain(c, offsetof(Elf64_Ehdr, e_shoff), SF_FORM_POSITION, SF_FIELD_HEADER, 8, 0, table, 0);
        uint64_t headers = sf_image_headers(c->data, c->size);

        for (uint64_t at = EHDR_BYTES; at + PHDR_BYTES <= headers && at + PHDR_BYTES <= c->size; at += PHDR_BYTES) {
                uint64_t position = sf_get64(c->data + at + 8);

                add_plain(c, at + 8, SF_FORM_POSITION, SF_FIELD_HEADER, 8, 0, position, 0);
                add_plain(c, at + 16, SF_FORM_SIBLING, SF_FIELD_HEADER, 8, 8, 0, 0);
                add_plain(c, at + 24, SF_FORM_SIBLING, SF_FIELD_HEADER, 8, 8, 0, 0);
                add_size(c, at + 32, SF_FIELD_HEADER, position, sf_get64(c->data + at + 32));
                add_plain(c, at + 40, SF_FORM_SIBLING, SF_FIELD_HEADER, 8, 8, 0, 0);
        }
        if (!sf_field_list_inside(c, table, count * SHDR_BYTES))
                return;
        for (uint64_t at = table; at < table + count * SHDR_BYTES; at += SHDR_BYTES) {
                uint64_t position = sf_get64(c->data + at + 24);

                sf_field_list_address(c, at + 16, SF_FORM_ADDRESS, SF_FIELD_HEADER, 8, 0, sf_get64(c->data + at + 16),
                                      0);
                add_plain(c, at + 24, SF_FORM_POSITION, SF_FIELD_HEADER, 8, 0, position, 0);
                if (sf_get32(c->data + at + 4) != SHT_NOBITS)
                        add_size(c, at + 32, SF_FIELD_HEADER, position, sf_get64(c->data + at + 32));
        }
}

static void walk_symbols(struct sf_field_list *c, const struct sf_section *s)
{
        const struct sf_section *strings = s->link < c->sections.count ? &c->sections.list[s->link] : NULL;

        for (uint64_t at = s->position; at + SYM_BYTES <= s->position + s->size; at += SYM_BYTES) {
                uint16_t section = sf_get16(c->data + at + 6);
                uint64_t value = sf_get64(c->data + at + 8), start;
                uint32_t name = sf_get32(c->data + at);

                if (strings && name && name < strings->size)
                        add_plain(c, at, SF_FORM_INDEX, SF_FIELD_NAME, 4, 1, strings->position + name,
                                  strings->position);
                if (section == SHN_UNDEF || section >= SHN_LORESERVE || !sf_image_position(c->image, value, &start))
                        continue;
                sf_field_list_address(c, at + 8, SF_FORM_ADDRESS, SF_FIELD_SYMBOL, 8, 0, value, 0);
                add_size(c, at + 16, SF_FIELD_EXTENT, start, sf_get64(c->data + at + 16));
        }
}

/* The word that a relocation patches often holds the address already. */
static void walk_patched_word(struct sf_field_list *c, uint64_t address)
{
        uint64_t position;

        if (sf_image_position(c->image, address, &position) && sf_field_list_inside(c, position, 8))
                sf_field_list_address(c, position, SF_FORM_ADDRESS, SF_FIELD_POINTER, 8, 0,
                                      sf_get64(c->data + position), 0);
}

static void walk_relocations(struct sf_field_list *c, const struct sf_section *s)
{
        const struct sf_section *symbols = s->link < c->sections.count ? &c->sections.list[s->link] : NULL;

        for (uint64_t at = s->position; at + RELA_BYTES <= s->position + s->size; at += RELA_BYTES) {
                uint64_t place = sf_get64(c->data + at), addend = sf_get64(c->data + at + 16);
                uint64_t symbol = sf_get32(c->data + at + 12);

                sf_field_list_address(c, at, SF_FORM_ADDRESS, SF_FIELD_RELOCATION, 8, 0, place, 0);
                if (symbol && symbols && symbol * SYM_BYTES < symbols->size)
                        add_plain(c, at + 12, SF_FORM_INDEX, SF_FIELD_RELOCATION, 4, SYM_BYTES,
                                  symbols->position + symbol * SYM_BYTES, symbols->position);
                if (!symbol)
                        sf_field_list_address(c, at + 16, SF_FORM_ADDRESS, SF_FIELD_POINTER, 8, 0, addend, 0);
                walk_patched_word(c, place);
        }
}

static void walk_dynamic(struct sf_field_list *c, const struct sf_section *s)
{
        const struct sf_section *strings = s->link < c->sections.count ? &c->sections.list[s->link] : NULL;
        const struct sf_section *relocations = sf_sections_find(&c->sections, ".rela.dyn");
        const struct sf_section *of_plt = sf_sections_find(&c->sections, ".rela.plt");

        for (uint64_t at = s->position; at + DYN_BYTES <= s->position + s->size; at += DYN_BYTES) {
                uint64_t tag = sf_get64(c->data + at), value = sf_get64(c->data + at + 8);

                switch (tag) {
                case DT_NEEDED:
                case DT_SONAME:
                case DT_RPATH:
                case DT_RUNPATH:
                        if (strings && value < strings->size)
                                add_plain(c, at + 8, SF_FORM_INDEX, SF_FIELD_NAME, 8, 1, strings->position + value,
                                          strings->position);
                        break;
                case DT_STRSZ:
                        if (strings)
                                add_size(c, at + 8, SF_FIELD_DYNAMIC, strings->position, value);
                        break;
                case DT_RELASZ:
                        if (relocations)
                                add_size(c, at + 8, SF_FIELD_DYNAMIC, relocations->position, value);
                        break;
                case DT_PLTRELSZ:
                        if (of_plt)
                                add_size(c, at + 8, SF_FIELD_DYNAMIC, of_plt->position, value);
                        break;
                case DT_RELACOUNT:
                        if (relocations && value * RELA_BYTES < relocations->size)
                                add_plain(c, at + 8, SF_FORM_INDEX, SF_FIELD_DYNAMIC, 8, RELA_BYTES,
                                          relocations->position + value * RELA_BYTES, relocations->position);
                        break;
                default:
                        sf_field_list_address(c, at + 8, SF_FORM_ADDRESS, SF_FIELD_DYNAMIC, 8, 0, value, 0);
                }
        }
}

/* DT_GNU_HASH: bucket count, first hashed symbol, Bloom filter words and shift, the filter, then a symbol per
 * bucket. */
static void walk_hash(struct sf_field_list *c, const struct sf_section *s)
{
        const struct sf_section *symbols = s->link < c->sections.count ? &c->sections.list[s->link] : NULL;

        if (!symbols || s->size < 16)
                return;
        uint64_t buckets = sf_get32(c->data + s->position), words = sf_get32(c->data + s->position + 8);
        uint64_t first = s->position + 16 + 8 * words;
        for (uint64_t i = 0; i <= buckets; i++) {
                uint64_t at = i ? first + 4 * (i - 1) : s->position + 4;

                if (at + 4 > s->position + s->size)
                        return;
                uint64_t symbol = sf_get32(c->data + at);
                if (symbol && symbol * SYM_BYTES < symbols->size)
                        add_plain(c, at, SF_FORM_INDEX, SF_FIELD_SYMBOL, 4, SYM_BYTES,
                                  symbols->position + symbol * SYM_BYTES, symbols->position);
        }
}

/* SHT_GNU_verneed: records of 16 bytes, each followed by auxiliary records of 16; both name strings. */
static void walk_needed_versions(struct sf_field_list *c, const struct sf_section *s)
{
        const struct sf_section *strings = s->link < c->sections.count ? &c->sections.list[s->link] : NULL;

        if (!strings)
                return;
        for (uint64_t at = s->position; at + 16 <= s->position + s->size; at += 16) {
                bool record = sf_get16(c->data + at) == 1 && sf_get32(c->data + at + 8) == 16;
                uint64_t field = record ? at + 4 : at + 8, name = sf_get32(c->data + field);

                if (name && name < strings->size)
                        add_plain(c, field, SF_FORM_INDEX, SF_FIELD_NAME, 4, 1, strings->position + name,
                                  strings->position);
        }
}

/* Words of the global offset table that no relocation names, such as the address of the dynamic section. */
static void walk_offset_table(struct sf_field_list *c, const struct sf_section *s)
{
        for (uint64_t at = s->position; at + 8 <= s->position + s->size; at += 8)
                if (sf_get64(c->data + at))
                        sf_field_list_address(c, at, SF_FORM_ADDRESS, SF_FIELD_POINTER, 8, 0, sf_get64(c->data + at),
                                              0);
}

void sf_find_table_fields(struct sf_field_list *c)
{
        walk_headers(c);
        for (size_t i = 0; i < c->sections.count; i++) {
                const struct sf_section *s = &c->sections.list[i];

                switch (s->type) {
                case SHT_SYMTAB:
                case SHT_DYNSYM:
                        walk_symbols(c, s);
                        break;
                case SHT_RELA:
                        walk_relocations(c, s);
                        break;
                case SHT_DYNAMIC:
                        walk_dynamic(c, s);
                        break;
                case SHT_GNU_HASH:
                        walk_hash(c, s);
                        break;
                case SHT_GNU_verneed:
                        walk_needed_versions(c, s);
                        break;
                default:
                        if (s->type == SHT_PROGBITS && (sf_section_named(&c->sections, s, ".got") ||
                                                        sf_section_named(&c->sections, s, ".got.plt")))
                                walk_offset_table(c, s);
                }
        }
}
