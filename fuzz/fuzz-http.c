/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz/fuzz-http.c - the lines of an HTTP answer's head, and addresses, as strangers may write them. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "transport/http_head.h"
#include "transport/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool truth)
{
        if (!truth)
                abort();
}

/* Whatever is sent back in a later request must not be able to carry another header. */
static void check_validator(const char *text)
{
        require(strlen(text) < SF_HTTP_HEAD_VALIDATOR_MAX);
        for (; *text; text++)
                require(*text >= 0x20 && *text <= 0x7e);
}

static void feed_head(const char *data, size_t size)
{
        struct sf_http_head a = SF_HTTP_HEAD_INIT;
        struct sf_error err = SF_ERROR_INIT;

        while (size > 0) {
                const char *end = memchr(data, '\n', size);
                size_t len = end ? (size_t)(end - data) + 1 : size;
                int r = sf_http_head_line(&a, data, len, &err);
                require(r == err.code && (r == 0 || r == SF_ERR_CORRUPT || r == SF_ERR_LIMIT));
                if (r < 0)
                        break;
                data += len;
                size -= len;
        }
        require(a.head_bytes <= SF_HTTP_HEAD_MAX);
        require(!a.has_range || (a.first <= a.last && a.last < a.size));
        require(!a.complete || (a.status >= 200 && a.status <= 999));
        require(!a.etag[0] || (a.etag[0] == '"' && a.etag[strlen(a.etag) - 1] == '"'));
        check_validator(sf_http_head_validator(&a));
        check_validator(a.modified);
}

static void check_url(const char *text)
{
        _cleanup_free_ char *url = NULL, *local = NULL, *joined_again = NULL;
        char shown[SF_URL_SHOWN_MAX];
        enum sf_url_scheme scheme;

        require(!strpbrk(sf_url_shown(text, shown), "?#"));
        if (sf_url_scheme(text, &scheme, NULL) == 0 && scheme == SF_URL_FILE &&
            sf_url_local_path(text, &local, NULL) == 0)
                require(local[0] == '/' && !strstr(local, "/../"));
        if (sf_url_join("http://host", text, &url, NULL) < 0)
                return;
        require(strncmp(url, "http://host/", 12) == 0 && !strpbrk(url, "?# \r\n\t\"<>\\"));
        /* What is escaped once stays as it is. */
        require(sf_url_join("http://host", url + 12, &joined_again, NULL) == 0 && strcmp(url, joined_again) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        _cleanup_free_ char *text = strndup((const char *)data, size);

        feed_head((const char *)data, size);
        if (text)
                check_url(text);
        return 0;
}
