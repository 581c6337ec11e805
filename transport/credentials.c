/* SPDX-License-Identifier: Apache-2.0 */
/* transport/credentials.c - see credentials.h. */
#include "transport/credentials.h"

#include <string.h>
#include <strings.h>

/* Host and port of an absolute URL as libcurl reads them: behind the last '@', before the first '/', '?' or '#'. */
static const char *authority(const char *url, size_t *ret_len)
{
        const char *start = strstr(url, "://"), *end;

        if (!start)
                return NULL;
        start += 3;
        end = start + strcspn(start, "/?#");
        for (const char *at = start; at < end; at++)
                if (*at == '@')
                        start = at + 1;
        *ret_len = (size_t)(end - start);
        return start;
}

/* Without ":port". An IPv6 address stands in brackets. */
static size_t host_length(const char *text, size_t len)
{
        for (size_t i = len; i > 0 && text[i - 1] != ']'; i--)
                if (text[i - 1] == ':')
                        return i - 1;
        return len;
}

static bool is_text(const char *text, size_t len, const char *host)
{
        return strlen(host) == len && strncasecmp(text, host, len) == 0;
}

const struct sf_credentials *sf_credentials_find(const struct sf_credentials *list, size_t count, const char *url)
{
        const struct sf_credentials *found = NULL;
        size_t len;
        const char *text = authority(url, &len);

        for (size_t i = 0; text && i < count; i++) {
                if (is_text(text, len, list[i].host))
                        return &list[i];
                if (is_text(text, host_length(text, len), list[i].host))
                        found = &list[i];
        }
        return found;
}

bool sf_credentials_may_be_sent(const struct sf_credentials *credentials, const char *url)
{
        return credentials->plain_http || strncasecmp(url, "https://", 8) == 0;
}
