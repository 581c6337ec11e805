/* SPDX-License-Identifier: Apache-2.0 */
/* rpath/elf.c - see elf.h. */
#include "rpath/elf.h"

#include <string.h>

bool sf_elf_is(const void *data, uint64_t size)
{
        return size >= SELFMAG && memcmp(data, ELFMAG, SELFMAG) == 0;
}

bool sf_elf_holds(const struct sf_elf *elf, uint64_t offset, uint64_t len)
{
        return offset <= elf->size && len <= elf->size - offset;
}

static Elf64_Phdr program_header(const struct sf_elf *elf, unsigned i)
{
        Elf64_Phdr header;

        memcpy(&header, elf->data + elf->header.e_phoff + (uint64_t)i * sizeof header, sizeof header);
        return header;
}

static int read_header(struct sf_elf *elf, const char *name, struct sf_error *err)
{
        Elf64_Ehdr *h = &elf->header;

        if (!sf_elf_is(elf->data, elf->size))
                return sf_error_set(err, SF_ERR_UNSUPPORTED, "%s: not an ELF file", name);
        if (elf->size < EI_NIDENT)
                return sf_error_set(err, SF_ERR_CORRUPT, "%s: ELF identification ends at byte %llu", name,
                                    (unsigned long long)elf->size);
        if (elf->data[EI_CLASS] != ELFCLASS64 || elf->data[EI_DATA] != ELFDATA2LSB ||
            elf->data[EI_VERSION] != EV_CURRENT)
                return sf_error_set(err, SF_ERR_UNSUPPORTED, "%s: not a 64-bit little-endian ELF file", name);
        if (elf->size < sizeof *h)
                return sf_error_set(err, SF_ERR_CORRUPT, "%s: ELF header ends at byte %llu", name,
                                    (unsigned long long)elf->size);
        memcpy(h, elf->data, sizeof *h);
        if (h->e_phnum == 0)
                return 0;
        if (h->e_phentsize != sizeof(Elf64_Phdr))
                return sf_error_set(err, SF_ERR_CORRUPT, "%s: program headers of %u bytes", name, h->e_phentsize);
        if (!sf_elf_holds(elf, h->e_phoff, (uint64_t)h->e_phnum * sizeof(Elf64_Phdr)))
                return sf_error_set(err, SF_ERR_CORRUPT, "%s: program headers at %#llx lie outside the file", name,
                                    (unsigned long long)h->e_phoff);
        return 0;
}

/* Checks every segment and finds PT_DYNAMIC. */
static int read_segments(struct sf_elf *elf, const char *name, struct sf_error *err)
{
        uint64_t size = 0;

        for (unsigned i = 0; i < elf->header.e_phnum; i++) {
                Elf64_Phdr p = program_header(elf, i);
                if (p.p_type != PT_LOAD && p.p_type != PT_DYNAMIC)
                        continue;
                if (!sf_elf_holds(elf, p.p_offset, p.p_filesz))
                        return sf_error_set(err, SF_ERR_CORRUPT, "%s: segment %u at %#llx lies outside the file", name,
                                            i, (unsigned long long)p.p_offset);
                if (p.p_type == PT_LOAD)
                        continue;
                if (size)
                        return sf_error_set(err, SF_ERR_CORRUPT, "%s: segment %u is a second dynamic section", name, i);
                elf->dynamic_offset = p.p_offset;
                size = p.p_filesz;
        }
        if (size == 0) /* static, an object file, or the debug part of a stripped one */
                return 0;
        for (uint64_t i = 0; i < size / sizeof(Elf64_Dyn); i++) {
                elf->dynamic_count = i;
                if (sf_elf_dynamic(elf, i).d_tag == DT_NULL)
                        return 0;
        }
        return sf_error_set(err, SF_ERR_CORRUPT, "%s: the dynamic section has no end", name);
}

static int read_strings(struct sf_elf *elf, const char *name, struct sf_error *err)
{
        Elf64_Dyn table, size;

        if (!sf_elf_dynamic_find(elf, DT_STRTAB, &table) || !sf_elf_dynamic_find(elf, DT_STRSZ, &size))
                return sf_error_set(err, SF_ERR_CORRUPT, "%s: the dynamic section names no string table", name);
        elf->dynstr_offset = sf_elf_offset_of(elf, table.d_un.d_ptr);
        elf->dynstr_size = size.d_un.d_val;
        if (elf->dynstr_offset == UINT64_MAX || !sf_elf_holds(elf, elf->dynstr_offset, elf->dynstr_size))
                return sf_error_set(err, SF_ERR_CORRUPT, "%s: the dynamic string table at %#llx lies outside the file",
                                    name, (unsigned long long)table.d_un.d_ptr);
        return 0;
}

int sf_elf_open(const void *data, uint64_t size, const char *name, struct sf_elf *ret, struct sf_error *err)
{
        struct sf_elf elf = { .data = data, .size = size };
        int r = read_header(&elf, name, err);

        if (r == 0)
                r = read_segments(&elf, name, err);
        if (r == 0 && elf.dynamic_count)
                r = read_strings(&elf, name, err);
        if (r == 0)
                *ret = elf;
        return r;
}

Elf64_Dyn sf_elf_dynamic(const struct sf_elf *elf, uint64_t i)
{
        Elf64_Dyn entry;

        memcpy(&entry, elf->data + elf->dynamic_offset + i * sizeof entry, sizeof entry);
        return entry;
}

bool sf_elf_dynamic_find(const struct sf_elf *elf, int64_t tag, Elf64_Dyn *ret)
{
        for (uint64_t i = 0; i < elf->dynamic_count; i++) {
                Elf64_Dyn entry = sf_elf_dynamic(elf, i);
                if (entry.d_tag == tag) {
                        *ret = entry;
                        return true;
                }
        }
        return false;
}

const char *sf_elf_dynstr(const struct sf_elf *elf, uint64_t offset)
{
        if (offset >= elf->dynstr_size)
                return NULL;
        const uint8_t *string = elf->data + elf->dynstr_offset + offset;
        return memchr(string, '\0', elf->dynstr_size - offset) ? (const char *)string : NULL;
}

uint64_t sf_elf_offset_of(const struct sf_elf *elf, uint64_t address)
{
        for (unsigned i = 0; i < elf->header.e_phnum; i++) {
                Elf64_Phdr p = program_header(elf, i);
                if (p.p_type == PT_LOAD && address >= p.p_vaddr && address - p.p_vaddr < p.p_filesz)
                        return p.p_offset + (address - p.p_vaddr);
        }
        return UINT64_MAX;
}
