/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz/fuzz-elf.c - ELF files as strangers may write them: read, localized, linted, searched. Localizing may change
 * nothing but RUNPATH strings: what the other dynamic entries name must be the same before and after. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "rpath/elf.h"
#include "rpath/lint.h"
#include "rpath/relocate.h"
#include "rpath/runpath.h"

#define PREFIX "/P/abcdefghijklmnopqrstuvwxyz012345"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool truth)
{
        if (!truth)
                abort();
}

static void ignore_finding(void *ctx, const char *path, const char *reason)
{
        (void)ctx;
        require(path && *reason);
}

static bool apart(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
        return a + a_size <= b || b + b_size <= a;
}

/* True for a file whose string table is nothing else at the same time. */
static bool has_own_strings(const struct sf_elf *elf)
{
        return apart(elf->dynstr_offset, elf->dynstr_size, 0, sizeof elf->header) &&
               apart(elf->dynstr_offset, elf->dynstr_size, elf->header.e_phoff,
                     elf->header.e_phnum * sizeof(Elf64_Phdr)) &&
               apart(elf->dynstr_offset, elf->dynstr_size, elf->dynamic_offset,
                     (elf->dynamic_count + 1) * sizeof(Elf64_Dyn));
}

static void localize(const struct sf_elf *elf, uint8_t *copy)
{
        struct sf_elf after;

        if (sf_runpath_localize(copy, elf->size, "lib/x/a.so", PREFIX, (int)(elf->size & 1), NULL) <= 0 ||
            !has_own_strings(elf))
                return;
        require(sf_elf_open(copy, elf->size, "a.so", &after, NULL) == 0 && after.dynamic_count == elf->dynamic_count);
        for (uint64_t i = 0; i < elf->dynamic_count; i++) {
                Elf64_Dyn entry = sf_elf_dynamic(elf, i);
                const char *string = sf_elf_dynstr(elf, entry.d_un.d_val);
                if (string && (entry.d_tag == DT_NEEDED || entry.d_tag == DT_SONAME))
                        require(strcmp(string, sf_elf_dynstr(&after, entry.d_un.d_val)) == 0);
        }
}

static void relocate(uint8_t *copy, const uint8_t *original, size_t size)
{
        _cleanup_free_ uint64_t *offsets = NULL;
        char to[sizeof PREFIX];
        size_t count;
        uint64_t place;

        require(sf_relocate_find(copy, size, PREFIX, &offsets, &count, NULL) == 0);
        require(sf_relocate_find_fragment(copy, size, PREFIX, offsets, count, &place) >= 0);
        require(sf_relocate_pad("/opt/slurm", sizeof PREFIX - 1, to, NULL) == 0);
        struct sf_relocation relocation = { offsets, count, PREFIX, sizeof PREFIX - 1, to, sizeof PREFIX - 1 };
        require(sf_relocate_in_place(copy, size, "a.so", &relocation, false, NULL) == 0);
        require(sf_relocate_in_place(copy, size, "a.so", &relocation, true, NULL) == 0);
        require(size == 0 || memcmp(copy, original, size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        const struct sf_lint_options options = { .prefix = PREFIX, .sysroot = "/nowhere", .finding = ignore_finding };
        _cleanup_free_ uint8_t *copy = malloc(size ? size : 1);
        struct sf_lint *lint;
        struct sf_elf elf;

        require(copy != NULL);
        if (size)
                memcpy(copy, data, size);
        relocate(copy, data, size);
        require(sf_lint_open(&options, &lint, NULL) == 0);
        require(sf_lint_file(lint, "lib/x/a.so", data, size, NULL) >= 0);
        sf_lint_close(lint);
        if (sf_elf_open(data, size, "a.so", &elf, NULL) == 0)
                localize(&elf, copy);
        return 0;
}
