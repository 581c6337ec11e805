/* SPDX-License-Identifier: Apache-2.0 */
/* transport/url.c - see url.h. RFC 3986 as far as a repository needs it: libcurl parses what goes over the network. */
#include "transport/url.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buffer.h"
#include "base/cleanup.h"

static const struct {
        const char *prefix;
        enum sf_url_scheme scheme;
} schemes[] = {
        { "http://", SF_URL_HTTP },
        { "https://", SF_URL_HTTPS },
        { "file://", SF_URL_FILE },
};

int sf_url_scheme(const char *url, enum sf_url_scheme *ret, struct sf_error *err)
{
        char shown[SF_URL_SHOWN_MAX];

        for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
                if (strncasecmp(url, schemes[i].prefix, strlen(schemes[i].prefix)) == 0) {
                        *ret = schemes[i].scheme;
                        return 0;
                }
        }
        return sf_error_set(err, SF_ERR_USAGE, "%s: not an http://, https:// or file:// URL", sf_url_shown(url, shown));
}

/* Component-wise, so that "a..b" stays a name. */
static bool has_dotdot(const char *path)
{
        while (*path) {
                size_t len = strcspn(path, "/");
                if (len == 2 && path[0] == '.' && path[1] == '.')
                        return true;
                path += len;
                path += strspn(path, "/");
        }
        return false;
}

/* pchar of RFC 3986, the slash, and '%' because escapes are kept. */
static bool may_stand_in_path(char c)
{
        return isalnum((unsigned char)c) || (c && strchr("-._~!$&'()*+,;=:@/%", c));
}

int sf_url_join(const char *base, const char *path, char **ret, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer url = SF_BUFFER_INIT;
        size_t base_len = strlen(base);
        int r;

        if (has_dotdot(path))
                return sf_error_set(err, SF_ERR_USAGE, "%s: a path in a repository has no \"..\"", path);
        while (base_len > 0 && base[base_len - 1] == '/')
                base_len--;
        while (*path == '/')
                path++;
        if ((r = sf_buffer_append(&url, base, base_len, err)) < 0 || (r = sf_buffer_puts(&url, "/", err)) < 0)
                return r;
        for (; *path; path++) {
                if (may_stand_in_path(*path) && (unsigned char)*path < 0x80)
                        r = sf_buffer_append(&url, path, 1, err);
                else
                        r = sf_buffer_printf(&url, err, "%%%02X", (unsigned)(unsigned char)*path);
                if (r < 0)
                        return r;
        }
        *ret = (char *)sf_steal_pointer(url.data);
        return 0;
}

static int hex_value(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        c = (char)tolower((unsigned char)c);
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int sf_url_local_path(const char *url, char **ret, struct sf_error *err)
{
        char shown[SF_URL_SHOWN_MAX];
        const char *from = url + strlen("file://");

        if (strncasecmp(from, "localhost/", 10) == 0)
                from += strlen("localhost");
        if (*from != '/')
                return sf_error_set(err, SF_ERR_USAGE, "%s: a file: URL names an absolute path: file:///...",
                                    sf_url_shown(url, shown));

        _cleanup_free_ char *path = malloc(strlen(from) + 1);
        if (!path)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        char *to = path;
        while (*from) {
                int high = *from == '%' ? hex_value(from[1]) : -1;
                int low = high >= 0 ? hex_value(from[2]) : -1;
                char byte = low >= 0 ? (char)(high * 16 + low) : *from;
                if (byte == '\0')
                        return sf_error_set(err, SF_ERR_USAGE, "%s: NUL in a path", sf_url_shown(url, shown));
                *to++ = byte;
                from += low >= 0 ? 3 : 1;
        }
        *to = '\0';
        if (has_dotdot(path)) /* an escape may have hidden it */
                return sf_error_set(err, SF_ERR_USAGE, "%s: a path in a repository has no \"..\"",
                                    sf_url_shown(url, shown));
        *ret = sf_steal_pointer(path);
        return 0;
}

char *sf_url_shown(const char *url, char out[SF_URL_SHOWN_MAX])
{
        size_t before = strcspn(url, ":/?#"), len = 0;

        before = strncmp(url + before, "://", 3) == 0 ? before + 3 : 0;
        const char *host = url + before;
        const char *at = memrchr(host, '@', strcspn(host, "/?#"));
        for (size_t i = 0; url[i] && url[i] != '?' && url[i] != '#' && len + 1 < SF_URL_SHOWN_MAX; i++)
                if (!at || i < before || url + i > at)
                        out[len++] = url[i];
        out[len] = '\0';
        return out;
}
