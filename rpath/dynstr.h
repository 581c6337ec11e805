/* SPDX-License-Identifier: Apache-2.0 */
/* rpath/dynstr.h - who uses a string of the dynamic string table.
 *
 * Linkers keep one copy of strings that are equal, or of which one is the tail of the other (suffix merging): before a
 * string is changed in place, everything that may point into it has to be looked at: dynamic entries, symbols, versions
 * (System V gABI chapter 5; LSB 5.0 "Symbol Versioning").
 */
#ifndef SF_RPATH_DYNSTR_H
#define SF_RPATH_DYNSTR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "rpath/elf.h"

struct sf_dynstr_users {
        bool shared;   /* somebody but a RUNPATH/RPATH entry uses the whole string, or a longer one that ends in it */
        uint64_t tail; /* start of the longest used tail, relative to the string; its length where no tail is used */
};

/* The users of the string of `len` bytes at `offset` of the table (as sf_elf_dynstr gave it), apart from RUNPATH and
 * RPATH entries that name exactly it. `name` is for errors: SF_ERR_CORRUPT where a table lies outside the file. */
int sf_dynstr_find_users(const struct sf_elf *elf, const char *name, uint64_t offset, uint64_t len,
                         struct sf_dynstr_users *ret, struct sf_error *err);

#endif
