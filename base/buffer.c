/* SPDX-License-Identifier: Apache-2.0 */
/* base/buffer.c - see buffer.h. */
#include "base/buffer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int sf_buffer_reserve(struct sf_buffer *b, size_t extra, struct sf_error *err)
{
        if (extra > SIZE_MAX / 2 - b->len)
                return sf_error_set(err, SF_ERR_NOMEM, "a buffer of %zu + %zu bytes is too large", b->len, extra);
        size_t need = b->len + extra + 1;
        if (need <= b->room)
                return 0;
        size_t room = b->room ? b->room : 64;
        while (room < need)
                room *= 2;
        uint8_t *data = realloc(b->data, room);
        if (!data)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a buffer of %zu bytes", room);
        b->data = data;
        b->room = room;
        return 0;
}

int sf_buffer_append(struct sf_buffer *b, const void *bytes, size_t len, struct sf_error *err)
{
        int r = sf_buffer_reserve(b, len, err);
        if (r < 0)
                return r;
        if (len)
                memcpy(b->data + b->len, bytes, len);
        b->len += len;
        b->data[b->len] = 0;
        return 0;
}

int sf_buffer_puts(struct sf_buffer *b, const char *text, struct sf_error *err)
{
        return sf_buffer_append(b, text, strlen(text), err);
}

int sf_buffer_printf(struct sf_buffer *b, struct sf_error *err, const char *format, ...)
{
        char *text = NULL;
        va_list args;

        va_start(args, format);
        int len = vasprintf(&text, format, args);
        va_end(args);
        if (len < 0)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory to format text");
        int r = sf_buffer_append(b, text, (size_t)len, err);
        free(text);
        return r;
}

const char *sf_buffer_text(const struct sf_buffer *b)
{
        return b->data ? (const char *)b->data : "";
}

void sf_buffer_free(struct sf_buffer *b)
{
        free(b->data);
        *b = (struct sf_buffer)SF_BUFFER_INIT;
}

char *sf_format(const char *format, ...)
{
        char *text = NULL;
        va_list args;

        va_start(args, format);
        int len = vasprintf(&text, format, args);
        va_end(args);
        return len < 0 ? NULL : text;
}
