/* SPDX-License-Identifier: Apache-2.0 */
/* base/buffer.h - a growing array of bytes: what whole small files, JSON texts and names are kept in. */
#ifndef SF_BASE_BUFFER_H
#define SF_BASE_BUFFER_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* data[len] is always readable and NUL once anything was appended, so data doubles as a C string. */
struct sf_buffer {
        uint8_t *data; /* owned; NULL while nothing was appended */
        size_t len;    /* bytes in use */
        size_t room;   /* bytes allocated */
};

#define SF_BUFFER_INIT { NULL, 0, 0 }

/* All return 0 or SF_ERR_NOMEM, which is also written to err (may be NULL). */
int sf_buffer_reserve(struct sf_buffer *b, size_t extra, struct sf_error *err);
int sf_buffer_append(struct sf_buffer *b, const void *bytes, size_t len, struct sf_error *err);
int sf_buffer_puts(struct sf_buffer *b, const char *text, struct sf_error *err);
int sf_buffer_printf(struct sf_buffer *b, struct sf_error *err, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

/* The content as a C string; "" while empty. Owned by the buffer. */
const char *sf_buffer_text(const struct sf_buffer *b);

/* Frees the bytes; the buffer is empty and usable again. Fit for _cleanup_(sf_buffer_free). */
void sf_buffer_free(struct sf_buffer *b);

/* printf into fresh memory, owned by the caller; NULL only without memory. */
char *sf_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
