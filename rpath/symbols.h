/* SPDX-License-Identifier: Apache-2.0 */
/* rpath/symbols.h - the dynamic symbol table of an ELF file (System V gABI chapter 5, "Symbol Table"). */
#ifndef SF_RPATH_SYMBOLS_H
#define SF_RPATH_SYMBOLS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "rpath/elf.h"

struct sf_symbols {
        const struct sf_elf *elf;
        uint64_t offset; /* in the file */
        uint64_t count;
};

/* A file without a table has none. SF_ERR_CORRUPT where it lies outside the file; `name` is for errors. */
int sf_symbols_open(const struct sf_elf *elf, const char *name, struct sf_symbols *ret, struct sf_error *err);
Elf64_Sym sf_symbols_get(const struct sf_symbols *symbols, uint64_t i);

/* A plugin that the dynamic linker binds as a whole when it is loaded (linked with -z now) needs every symbol at
 * once. Slurm's daemons load plugins lazily (dlopen(3), RTLD_LAZY), because many use functions that only slurmctld,
 * or only slurmd, has. True where `plugin` is such a file and needs a symbol that no file of `everywhere` has, but
 * one of `somewhere`. ret_symbol, borrowed from the plugin, is the first; *ret_index says which of `somewhere` has
 * it. */
struct sf_symbols_search {
        const struct sf_symbols *everywhere, *somewhere;
        uint64_t everywhere_count, somewhere_count;
};
bool sf_symbols_are_bound_eagerly(const struct sf_elf *plugin);
bool sf_symbols_find_partial(const struct sf_symbols *plugin, const struct sf_symbols_search *search,
                             const char **ret_symbol, uint64_t *ret_index);

#endif
