/* SPDX-License-Identifier: Apache-2.0 */
/* rpath/hostlib.h - the shared libraries a host offers to every program: ld.so's trusted directories and those of
 * ld.so.conf(5).
 */
#ifndef SF_RPATH_HOSTLIB_H
#define SF_RPATH_HOSTLIB_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct sf_hostlib; /* opaque: the list of directories */

/* Reads the configuration below `sysroot` ("" = this machine). A machine without ld.so.conf has the trusted ones
 * only. */
int sf_hostlib_open(const char *sysroot, struct sf_hostlib **ret, struct sf_error *err);
void sf_hostlib_close(struct sf_hostlib *hostlib);

/* The path of that library; owned by the caller, NULL where there is none. */
char *sf_hostlib_find(const struct sf_hostlib *hostlib, const char *name, uint16_t machine);
/* True where one of the directories holds a library of this name for this ELF machine (EM_X86_64, ...). */
bool sf_hostlib_has(const struct sf_hostlib *hostlib, const char *name, uint16_t machine);

/* True where the file is a 64-bit little-endian ELF file for this machine. */
bool sf_hostlib_fits(const char *file, uint16_t machine);

#endif
