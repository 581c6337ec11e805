/* SPDX-License-Identifier: Apache-2.0 */
/* tests/rpath/check-elf.c - reading ELF files that lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rpath/elf.h"
#include "rpath/runpath.h"
#include "tests/kit/elfmaker.h"

static void make(struct elfmaker *m)
{
        elfmaker_start(m);
        elfmaker_dynamic(m, DT_NEEDED, elfmaker_string(m, "libc.so.6"));
        elfmaker_dynamic(m, DT_RUNPATH, elfmaker_string(m, "/long/prefix/lib"));
        elfmaker_finish(m);
}

/* Opens an exact-size copy on the heap, so that the sanitizers see every byte read too far. */
static int open_copy(const struct elfmaker *m, uint64_t size, struct sf_error *err)
{
        uint8_t *copy = malloc(size ? size : 1);
        struct sf_elf elf;

        assert_non_null(copy);
        memcpy(copy, m->data, size);
        int r = sf_elf_open(copy, size, "odd.so", &elf, err);
        for (uint64_t i = 0; r == 0 && i < elf.dynamic_count; i++) {
                const char *string = sf_elf_dynstr(&elf, sf_elf_dynamic(&elf, i).d_un.d_val);
                if (string)
                        assert_true(strlen(string) < elf.dynstr_size);
        }
        if (sf_elf_is(copy, size) && r < 0)
                assert_true(sf_runpath_localize(copy, size, "lib/odd.so", "/long/prefix", 0, NULL) < 0);
        free(copy);
        return r;
}

static void reads_a_good_file(void **state)
{
        struct elfmaker m;
        struct sf_elf elf;
        Elf64_Dyn needed;

        (void)state;
        make(&m);
        assert_int_equal(sf_elf_open(m.data, m.size, "good.so", &elf, NULL), 0);
        assert_int_equal(elf.dynamic_count, 5);
        assert_true(sf_elf_dynamic_find(&elf, DT_NEEDED, &needed));
        assert_string_equal(sf_elf_dynstr(&elf, needed.d_un.d_val), "libc.so.6");
        assert_false(sf_elf_dynamic_find(&elf, DT_SONAME, &needed));
        assert_null(sf_elf_dynstr(&elf, elf.dynstr_size));
        assert_int_equal(sf_elf_offset_of(&elf, ELFMAKER_BASE + 7), 7);
        assert_true(sf_elf_offset_of(&elf, ELFMAKER_BASE - 1) == UINT64_MAX);
        assert_true(sf_elf_offset_of(&elf, ELFMAKER_BASE + m.size) == UINT64_MAX);
}

static void refuses_every_truncation(void **state)
{
        struct sf_error err = SF_ERROR_INIT;
        struct elfmaker m;

        (void)state;
        make(&m);
        for (uint64_t size = 0; size < m.size; size++) {
                int r = open_copy(&m, size, &err);
                assert_int_equal(r, size < SELFMAG ? SF_ERR_UNSUPPORTED : SF_ERR_CORRUPT);
                assert_non_null(strstr(err.text, "odd.so: "));
        }
}

/* One field is overwritten; what must come out. */
struct oddity {
        const char *what;
        size_t offset, width;
        uint64_t value;
        int expected;
};

#define HEADER(field)  offsetof(Elf64_Ehdr, field)
#define LOAD(field)    (ELFMAKER_SEGMENTS + offsetof(Elf64_Phdr, field))
#define DYNAMIC(field) (ELFMAKER_SEGMENTS + sizeof(Elf64_Phdr) + offsetof(Elf64_Phdr, field))
#define ENTRY(index)   (ELFMAKER_DYNAMIC + (index) * sizeof(Elf64_Dyn))

static const struct oddity oddities[] = {
        { "32-bit class", EI_CLASS, 1, ELFCLASS32, SF_ERR_UNSUPPORTED },
        { "big-endian", EI_DATA, 1, ELFDATA2MSB, SF_ERR_UNSUPPORTED },
        { "unknown version", EI_VERSION, 1, 9, SF_ERR_UNSUPPORTED },
        { "program headers of 32 bytes", HEADER(e_phentsize), 2, 32, SF_ERR_CORRUPT },
        { "65,535 program headers", HEADER(e_phnum), 2, 65535, SF_ERR_CORRUPT },
        { "program headers past the end", HEADER(e_phoff), 8, ELFMAKER_MAX, SF_ERR_CORRUPT },
        { "program headers that wrap around", HEADER(e_phoff), 8, UINT64_MAX - 16, SF_ERR_CORRUPT },
        { "no program headers", HEADER(e_phnum), 2, 0, 0 },
        { "segment past the end", LOAD(p_filesz), 8, ELFMAKER_MAX + 1, SF_ERR_CORRUPT },
        { "segment size that wraps around", LOAD(p_filesz), 8, UINT64_MAX, SF_ERR_CORRUPT },
        { "segment offset past the end", LOAD(p_offset), 8, UINT64_MAX - 1, SF_ERR_CORRUPT },
        { "segment address that wraps around", LOAD(p_vaddr), 8, UINT64_MAX - 1, SF_ERR_CORRUPT },
        { "segment that holds no string table", LOAD(p_vaddr), 8, 0x900000, SF_ERR_CORRUPT },
        { "two dynamic sections", LOAD(p_type), 4, PT_DYNAMIC, SF_ERR_CORRUPT },
        { "dynamic section past the end", DYNAMIC(p_offset), 8, ELFMAKER_MAX, SF_ERR_CORRUPT },
        { "dynamic section over the header", DYNAMIC(p_offset), 8, 0, SF_ERR_CORRUPT },
        { "dynamic section without an end", DYNAMIC(p_filesz), 8, 5 * sizeof(Elf64_Dyn), SF_ERR_CORRUPT },
        { "empty dynamic section", DYNAMIC(p_filesz), 8, 0, 0 },
        { "no string table", ENTRY(2), 8, DT_DEBUG, SF_ERR_CORRUPT },
        { "string table past the end", ENTRY(2) + 8, 8, ELFMAKER_BASE + ELFMAKER_MAX, SF_ERR_CORRUPT },
        { "no string table size", ENTRY(3), 8, DT_DEBUG, SF_ERR_CORRUPT },
        { "string table size past the end", ENTRY(3) + 8, 8, ELFMAKER_MAX, SF_ERR_CORRUPT },
        { "string table size that wraps around", ENTRY(3) + 8, 8, UINT64_MAX, SF_ERR_CORRUPT },
        { "string offset past the table", ENTRY(0) + 8, 8, UINT64_MAX, 0 },
};

static void answers_every_oddity(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof oddities / sizeof *oddities; i++) {
                const struct oddity *odd = &oddities[i];
                struct sf_error err = SF_ERROR_INIT;
                struct elfmaker m;
                make(&m);
                memcpy(m.data + odd->offset, &odd->value, odd->width);
                int r = open_copy(&m, m.size, &err);
                print_message("    %-40s %s\n", odd->what, r < 0 ? err.text : "accepted");
                assert_int_equal(r, odd->expected);
        }
}

/* A string that runs to the very end of its table without a NUL is no string. */
static void refuses_an_unterminated_string(void **state)
{
        struct sf_error err = SF_ERROR_INIT;
        struct elfmaker m;
        struct sf_elf elf;

        (void)state;
        make(&m);
        m.data[m.size - 1] = 'x';
        assert_int_equal(sf_elf_open(m.data, m.size, "odd.so", &elf, NULL), 0);
        assert_null(sf_elf_dynstr(&elf, sf_elf_dynamic(&elf, 1).d_un.d_val));
        assert_int_equal(sf_runpath_localize(m.data, m.size, "lib/odd.so", "/long/prefix", 0, &err), SF_ERR_CORRUPT);
        assert_string_equal(err.text, "lib/odd.so: a RUNPATH has no end inside the string table");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(reads_a_good_file),
                cmocka_unit_test(refuses_every_truncation),
                cmocka_unit_test(answers_every_oddity),
                cmocka_unit_test(refuses_an_unterminated_string),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
