/* SPDX-License-Identifier: Apache-2.0 */
/* base/printable.c - see printable.h. */
#include "base/printable.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static bool is_control(uint32_t c)
{
        return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
               (c >= 0x2060 && c <= 0x206f) || c == 0xfeff;
}

/* Bytes of the sequence that begins with this one; 0 where none may. */
static size_t sequence_length(unsigned char first)
{
        return first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
}

enum sf_printable sf_printable_next(const char *text, size_t *ret_len)
{
        const unsigned char *bytes = (const unsigned char *)text;
        static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
        size_t len = sequence_length(bytes[0]);
        uint32_t c = len == 1 ? bytes[0] : bytes[0] & (0xffu >> (len + 1));

        *ret_len = 1;
        if (!len)
                return SF_PRINTABLE_INVALID;
        for (size_t i = 1; i < len; i++) {
                if ((bytes[i] & 0xc0) != 0x80)
                        return bytes[i] ? SF_PRINTABLE_INVALID : SF_PRINTABLE_CUT;
                c = c << 6 | (bytes[i] & 0x3f);
        }
        if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
                return SF_PRINTABLE_INVALID;
        *ret_len = len;
        return is_control(c) ? SF_PRINTABLE_CONTROL : SF_PRINTABLE_TEXT;
}

void sf_printable_flatten(char *text)
{
        while (*text) {
                size_t len;
                enum sf_printable kind = sf_printable_next(text, &len);
                if (kind == SF_PRINTABLE_CUT && strlen(text) < 4) {
                        *text = '\0';
                        return;
                }
                if (kind != SF_PRINTABLE_TEXT)
                        memset(text, kind == SF_PRINTABLE_CONTROL ? ' ' : '?', len);
                text += len;
        }
}
