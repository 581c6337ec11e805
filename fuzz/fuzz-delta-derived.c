/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz/fuzz-delta-derived.c - any bytes as a file: blanking its derived tables touches nothing else, and restoring
 * them gives the very bytes back. The first byte chooses: the input as it is, or laid over a file that has such
 * tables. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "delta/codec/linker_tables.h"
#include "tests/kit/deltaelf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool truth)
{
        if (!truth)
                abort();
}

/* Triples of a position and a byte, changed in a file that is whole. */
static void lay_over(uint8_t *file, const uint8_t *data, size_t size)
{
        struct deltaelf elf;

        deltaelf_make(&elf, &(struct deltaelf_order){ .turn = 1 });
        memcpy(file, elf.data, elf.size);
        for (; size >= 3; data += 3, size -= 3)
                file[(data[0] | (size_t)data[1] << 8) % elf.size] = data[2];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        bool whole = size && data[0] & 1;
        size_t file_size = whole ? sizeof((struct deltaelf *)0)->data : size;
        _cleanup_free_ uint8_t *before = calloc(file_size + 1, 1), *file = malloc(file_size + 1);
        unsigned which;

        require(before && file);
        if (whole)
                lay_over(before, data + 1, size - 1);
        else if (size)
                memcpy(before, data, size);
        memcpy(file, before, file_size);
        require(sf_linker_tables_blank(file, file_size, &which, NULL) == 0 && which < 1u << SF_LINKER_TABLE_KINDS);
        for (size_t i = 0; i < file_size; i++)
                require(file[i] == before[i] || (file[i] == 0 && which));
        require(sf_linker_tables_restore(file, file_size, which, NULL) == 0);
        require(memcmp(file, before, file_size) == 0);
        /* Asked for what it has not, a file must bear that, too. */
        require(sf_linker_tables_restore(file, file_size, ~0u, NULL) == 0);
        return 0;
}
