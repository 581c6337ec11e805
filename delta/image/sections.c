/* SPDX-License-Identifier: Apache-2.0 */
/* delta/image/sections.c - see sections.h. */
#include "delta/image/sections.h"

#include <elf.h>
#include <string.h>

#include "delta/image/image.h"

#define EHDR_BYTES 64
#define SHDR_BYTES 64

/* Sections do not overlap. In a file made for it they do, and each would be walked: those that make up more than so
 * many files are left out. */
#define OVERLAP_MAX 2

static bool inside(uint64_t size, uint64_t position, uint64_t len)
{
        return position <= size && len <= size - position;
}

/* Sections that lie outside the file are left out, their indices (sh_link) stay: they become empty. */
static struct sf_section read_header(const uint8_t *h, uint64_t size)
{
        struct sf_section s = {
                .name = sf_get32(h),
                .type = sf_get32(h + offsetof(Elf64_Shdr, sh_type)),
                .flags = sf_get64(h + offsetof(Elf64_Shdr, sh_flags)),
                .address = sf_get64(h + offsetof(Elf64_Shdr, sh_addr)),
                .position = sf_get64(h + offsetof(Elf64_Shdr, sh_offset)),
                .size = sf_get64(h + offsetof(Elf64_Shdr, sh_size)),
                .link = sf_get32(h + offsetof(Elf64_Shdr, sh_link)),
        };

        return s.type == SHT_NOBITS || inside(size, s.position, s.size) ? s : (struct sf_section){ 0 };
}

void sf_sections_read(const uint8_t *data, uint64_t size, struct sf_sections *ret)
{
        ret->count = 0;
        ret->names = NULL;
        ret->names_size = 0;
        if (size < EHDR_BYTES)
                return;
        uint64_t table = sf_get64(data + offsetof(Elf64_Ehdr, e_shoff));
        uint16_t count = sf_get16(data + offsetof(Elf64_Ehdr, e_shnum)),
                 names = sf_get16(data + offsetof(Elf64_Ehdr, e_shstrndx));
        if (sf_get16(data + offsetof(Elf64_Ehdr, e_shentsize)) != SHDR_BYTES || count > SF_SECTIONS_MAX ||
            !inside(size, table, (uint64_t)count * SHDR_BYTES))
                return;
        uint64_t left = OVERLAP_MAX * size;
        for (size_t i = 0; i < count; i++) {
                struct sf_section s = read_header(data + table + i * SHDR_BYTES, size);

                if (s.type != SHT_NOBITS && s.size > left)
                        s = (struct sf_section){ 0 };
                left -= s.type != SHT_NOBITS ? s.size : 0;
                ret->list[ret->count++] = s;
        }
        if (names < count && ret->list[names].type == SHT_STRTAB) {
                ret->names = (const char *)data + ret->list[names].position;
                ret->names_size = ret->list[names].size;
        }
}

bool sf_section_named(const struct sf_sections *sections, const struct sf_section *s, const char *name)
{
        size_t len = strlen(name) + 1;

        return sections->names && s->name <= sections->names_size && len <= sections->names_size - s->name &&
               memcmp(sections->names + s->name, name, len) == 0;
}

const struct sf_section *sf_sections_find(const struct sf_sections *sections, const char *name)
{
        for (size_t i = 0; i < sections->count; i++)
                if (sf_section_named(sections, &sections->list[i], name))
                        return &sections->list[i];
        return NULL;
}

const struct sf_section *sf_sections_at(const struct sf_sections *sections, uint64_t position)
{
        for (size_t i = 0; i < sections->count; i++) {
                const struct sf_section *s = &sections->list[i];

                if (s->type != SHT_NOBITS && position - s->position < s->size)
                        return s;
        }
        return NULL;
}
