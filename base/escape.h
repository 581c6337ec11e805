/* SPDX-License-Identifier: Apache-2.0 */
/* base/escape.h - text from outside with what is not printable (printable.h) written as "\\x1b", byte by byte.
 */
#ifndef SF_BASE_ESCAPE_H
#define SF_BASE_ESCAPE_H

#include <stdbool.h>

#include "base/buffer.h"
#include "base/error.h"

/* Appends the text. keep_controls: only what is not UTF-8 is escaped, for JSON, which has a notation of its own for
 * control characters. */
int sf_escape_append(struct sf_buffer *ret, const char *text, bool keep_controls, struct sf_error *err);

#endif
