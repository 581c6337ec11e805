/* SPDX-License-Identifier: Apache-2.0 */
/* base/escape.c - see escape.h. */
#include "base/escape.h"

#include "base/printable.h"

int sf_escape_append(struct sf_buffer *ret, const char *text, bool keep_controls, struct sf_error *err)
{
        int r = 0;

        while (r == 0 && *text) {
                size_t len;
                enum sf_printable kind = sf_printable_next(text, &len);
                if (kind == SF_PRINTABLE_TEXT || (kind == SF_PRINTABLE_CONTROL && keep_controls))
                        r = sf_buffer_append(ret, text, len, err);
                else
                        for (size_t i = 0; r == 0 && i < len; i++)
                                r = sf_buffer_printf(ret, err, "\\x%02x", (unsigned char)text[i]);
                text += len;
        }
        return r;
}
