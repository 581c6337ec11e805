/* SPDX-License-Identifier: Apache-2.0 */
/* transport/http_head.c - see http_head.h. */
#include "transport/http_head.h"

#include <string.h>
#include <strings.h>

struct text {
        const char *at;
        size_t len;
};

static struct text trimmed(const char *at, size_t len)
{
        while (len > 0 && (*at == ' ' || *at == '\t')) {
                at++;
                len--;
        }
        while (len > 0 && strchr(" \t\r\n", at[len - 1]) && at[len - 1])
                len--;
        return (struct text){ at, len };
}

static bool equals(struct text text, const char *word)
{
        return text.len == strlen(word) && strncasecmp(text.at, word, text.len) == 0;
}

/* A decimal number at the front of text, which is moved behind it. At most 18 digits: no overflow to think about. */
static bool take_number(struct text *text, uint64_t *ret)
{
        uint64_t value = 0;
        size_t digits = 0;

        while (digits < text->len && text->at[digits] >= '0' && text->at[digits] <= '9') {
                if (digits == 18)
                        return false;
                value = value * 10 + (uint64_t)(text->at[digits] - '0');
                digits++;
        }
        text->at += digits;
        text->len -= digits;
        *ret = value;
        return digits > 0;
}

static bool take_byte(struct text *text, char byte)
{
        if (text->len == 0 || *text->at != byte)
                return false;
        text->at++;
        text->len--;
        return true;
}

static int malformed(const char *name, struct text value, struct sf_error *err)
{
        return sf_error_set(err, SF_ERR_CORRUPT, "malformed %s: \"%.*s\"", name, value.len > 80 ? 80 : (int)value.len,
                            value.at);
}

static int take_length(struct sf_http_head *answer, struct text value, struct sf_error *err)
{
        struct text rest = value;
        uint64_t length;

        if (!take_number(&rest, &length) || rest.len > 0)
                return malformed("Content-Length", value, err);
        if (answer->has_length && answer->length != length)
                return sf_error_set(err, SF_ERR_CORRUPT, "two different Content-Length headers");
        answer->has_length = true;
        answer->length = length;
        return 0;
}

static int take_range(struct sf_http_head *answer, struct text value, struct sf_error *err)
{
        struct text rest = value;
        uint64_t first, last, size;

        if (rest.len < 6 || strncasecmp(rest.at, "bytes ", 6) != 0)
                return malformed("Content-Range", value, err);
        rest.at += 6;
        rest.len -= 6;
        if (take_byte(&rest, '*')) /* the form of a 416 answer */
                return 0;
        if (!take_number(&rest, &first) || !take_byte(&rest, '-') || !take_number(&rest, &last) ||
            !take_byte(&rest, '/') || !take_number(&rest, &size) || rest.len > 0 || first > last || last >= size)
                return malformed("Content-Range", value, err);
        if (answer->has_range && (answer->first != first || answer->last != last || answer->size != size))
                return sf_error_set(err, SF_ERR_CORRUPT, "two different Content-Range headers");
        answer->has_range = true;
        answer->first = first;
        answer->last = last;
        answer->size = size;
        return 0;
}

/* Validators are sent back verbatim: only printable ASCII, and of bounded length. Others count as absent. */
static void take_validator(char out[SF_HTTP_HEAD_VALIDATOR_MAX], struct text value)
{
        out[0] = '\0';
        if (value.len >= SF_HTTP_HEAD_VALIDATOR_MAX)
                return;
        for (size_t i = 0; i < value.len; i++)
                if (value.at[i] < 0x20 || value.at[i] > 0x7e)
                        return;
        memcpy(out, value.at, value.len);
        out[value.len] = '\0';
}

static void take_etag(struct sf_http_head *answer, struct text value)
{
        bool strong = value.len >= 2 && value.at[0] == '"' && value.at[value.len - 1] == '"' &&
                      !memchr(value.at + 1, '"', value.len - 2);

        answer->etag[0] = '\0';
        if (strong)
                take_validator(answer->etag, value);
}

/* "HTTP/1.1 206 Partial Content": everything learned from an interim answer before it is forgotten. */
static int take_status(struct sf_http_head *answer, struct text line, struct sf_error *err)
{
        size_t head_bytes = answer->head_bytes;
        const char *space = memchr(line.at, ' ', line.len);
        struct text rest = { line.at, 0 };
        uint64_t status = 0;

        if (space)
                rest = trimmed(space, line.len - (size_t)(space - line.at));
        if (!take_number(&rest, &status) || status < 100 || status > 999)
                return malformed("status line", line, err);
        *answer = (struct sf_http_head){ .status = (unsigned)status, .head_bytes = head_bytes };
        return 0;
}

static int take_header(struct sf_http_head *answer, struct text name, struct text value, struct sf_error *err)
{
        if (equals(name, "Content-Length"))
                return take_length(answer, value, err);
        if (equals(name, "Content-Range"))
                return take_range(answer, value, err);
        if (equals(name, "Content-Encoding"))
                answer->encoded = answer->encoded || !(equals(value, "identity") || value.len == 0);
        else if (equals(name, "ETag"))
                take_etag(answer, value);
        else if (equals(name, "Last-Modified"))
                take_validator(answer->modified, value);
        else if (equals(name, "Location"))
                answer->has_location = true;
        return 0;
}

int sf_http_head_line(struct sf_http_head *answer, const char *line, size_t len, struct sf_error *err)
{
        if (len > SF_HTTP_HEAD_MAX - answer->head_bytes)
                return sf_error_set(err, SF_ERR_LIMIT, "more than %d bytes of headers", SF_HTTP_HEAD_MAX);
        answer->head_bytes += len;
        if (answer->complete) /* a trailer: counted, never believed */
                return 0;

        struct text text = trimmed(line, len);
        if (text.len >= 5 && strncasecmp(text.at, "HTTP/", 5) == 0)
                return take_status(answer, text, err);
        if (text.len == 0) {
                answer->complete = answer->status >= 200;
                return 0;
        }
        const char *colon = memchr(text.at, ':', text.len);
        if (!colon)
                return 0;
        size_t name_len = (size_t)(colon - text.at);
        return take_header(answer, (struct text){ text.at, name_len }, trimmed(colon + 1, text.len - name_len - 1),
                           err);
}

const char *sf_http_head_validator(const struct sf_http_head *answer)
{
        return answer->etag[0] ? answer->etag : answer->modified;
}
