/* SPDX-License-Identifier: Apache-2.0 */
/* factory/rebuild/file_diff.h - where two files that should be the same differ, in words that lead to the cause: the
 * ELF section, the member of an archive, the line of a text, and what stands there on both sides. */
#ifndef SF_FACTORY_REBUILD_FILE_DIFF_H
#define SF_FACTORY_REBUILD_FILE_DIFF_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

/* One line, appended. Example: "section .rodata: 9 bytes from 0x2010: \"host-a\" instead of \"host-b\"; section
 * .text: 40 bytes long instead of 44". Nothing is appended where the contents are equal. */
int sf_file_diff(const uint8_t *first, size_t first_size, const uint8_t *second, size_t second_size,
                 struct sf_buffer *ret, struct sf_error *err);

#endif
