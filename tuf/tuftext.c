/* SPDX-License-Identifier: Apache-2.0 */
/* tuf/tuftext.c - percent-encoding and dates, the two notations that metadata, URLs and file names share. */
#include "tuf/tuftext.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static char *percent_encode(const char *text, const char *also_plain)
{
        static const char digits[] = "0123456789ABCDEF";
        char *out = malloc(3 * strlen(text) + 1), *at = out;

        if (!out)
                return NULL;
        for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
                if ((*c < 0x80 && isalnum(*c)) || strchr("_.~-", *c) || strchr(also_plain, *c)) {
                        *at++ = (char)*c;
                } else {
                        *at++ = '%';
                        *at++ = digits[*c >> 4];
                        *at++ = digits[*c & 15];
                }
        }
        *at = '\0';
        return out;
}

char *sf_tuftext_encode(const char *role)
{
        return percent_encode(role, "");
}

char *sf_tuftext_encode_path(const char *path)
{
        return percent_encode(path, "/!$&'()*+,;=:@");
}

int sf_tuftext_read_time(const char *text, int64_t *ret, struct sf_error *err)
{
        static const char shape[] = "dddd-dd-ddTdd:dd:ddZ";
        struct tm tm = { 0 }, back;
        bool fits = strlen(text) == sizeof shape - 1;

        for (size_t i = 0; fits && shape[i]; i++)
                fits = shape[i] == 'd' ? isdigit((unsigned char)text[i]) != 0 : text[i] == shape[i];
        if (fits && sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2dZ", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour,
                           &tm.tm_min, &tm.tm_sec) == 6) {
                tm.tm_year -= 1900;
                tm.tm_mon -= 1;
                back = tm;
                time_t seconds = timegm(&back);
                /* timegm turns a 31st of February into March: such a date is a mistake, not a date. */
                if (back.tm_mday == tm.tm_mday && back.tm_mon == tm.tm_mon && back.tm_hour == tm.tm_hour &&
                    back.tm_min == tm.tm_min && back.tm_sec == tm.tm_sec) {
                        *ret = seconds;
                        return 0;
                }
        }
        return sf_error_set(err, SF_ERR_CORRUPT, "\"%.32s\" is not a time like 2026-11-23T12:00:00Z", text);
}
