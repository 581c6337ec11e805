/* SPDX-License-Identifier: Apache-2.0 */
/* transport/s3.c - see s3.h: addresses, headers, patience, and the little XML that the store speaks. */
#include "transport/s3.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/cleanup.h"
#include "transport/aws_profile.h"
#include "transport/fetch.h"
#include "transport/s3-state.h"
#include "transport/transfer.h"
#include "transport/url.h"

#define HEADERS_MAX 6
#define CHUNK       65536

typedef unsigned long long ull;

static int no_memory(struct sf_error *err)
{
        return sf_error_set(err, SF_ERR_NOMEM, "no memory for a request");
}

/* --- opening ---------------------------------------------------------------------------------------------------- */

static bool is_plain_key(const char *key)
{
        return !strstr(key, "//") && !strstr(key, "..") &&
               key[strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._~/-")] == '\0';
}

static int parse_url(struct sf_s3 *s3, char **ret_bucket, struct sf_error *err)
{
        const char *rest = s3->options.url + strlen("s3://");
        size_t length = strcspn(rest, "/");
        const char *prefix = rest[length] ? rest + length + 1 : "";
        size_t prefix_length = strlen(prefix);

        while (prefix_length > 0 && prefix[prefix_length - 1] == '/')
                prefix_length--;
        _cleanup_free_ char *bucket = strndup(rest, length);
        s3->prefix = sf_format("%.*s%s", (int)prefix_length, prefix, prefix_length ? "/" : "");
        if (!bucket || !s3->prefix)
                return no_memory(err);
        if (length < 3 || bucket[strspn(bucket, "abcdefghijklmnopqrstuvwxyz0123456789.-")] || !is_plain_key(s3->prefix))
                return sf_error_set(
                        err, SF_ERR_USAGE,
                        "%s: s3://BUCKET/PREFIX expected, of lower-case letters, digits, '.', '-' (and '_', "
                        "'~', capitals in the prefix)",
                        s3->options.url);
        *ret_bucket = sf_steal_pointer(bucket);
        return 0;
}

/* Amazon's own store is addressed by host name, which a certificate covers unless the bucket has dots; others by
 * path. */
static int set_base(struct sf_s3 *s3, const char *bucket, struct sf_error *err)
{
        const char *endpoint = s3->options.endpoint ? s3->options.endpoint : s3->profile.endpoint;
        const char *region = s3->profile.region;
        enum sf_url_scheme scheme;
        int r;

        if (endpoint) {
                size_t length = strlen(endpoint);
                if ((r = sf_url_scheme(endpoint, &scheme, err)) < 0)
                        return r;
                if (scheme == SF_URL_FILE || strpbrk(endpoint, "?#"))
                        return sf_error_set(err, SF_ERR_USAGE, "endpoint %s: an http or https URL is needed", endpoint);
                while (length > 0 && endpoint[length - 1] == '/')
                        length--;
                s3->base = sf_format("%.*s/%s", (int)length, endpoint, bucket);
        } else if (strchr(bucket, '.')) {
                s3->base = sf_format("https://s3.%s.amazonaws.com/%s", region, bucket);
        } else {
                s3->base = sf_format("https://%s.s3.%s.amazonaws.com", bucket, region);
        }
        s3->host = sf_format("s3://%s", bucket);
        return s3->base && s3->host ? 0 : no_memory(err);
}

int sf_s3_open(const struct sf_s3_options *options, struct sf_s3 **ret, struct sf_error *err)
{
        _cleanup_s3_ struct sf_s3 *s3 = calloc(1, sizeof *s3);
        _cleanup_free_ char *bucket = NULL;
        int r;

        if (!s3)
                return no_memory(err);
        s3->options = *options;
        if (!s3->options.retries)
                s3->options.retries = 4;
        if (!s3->options.retry_wait_ms)
                s3->options.retry_wait_ms = 500;
        if ((r = parse_url(s3, &bucket, err)) < 0 || (r = sf_aws_profile_load(&s3->profile, err)) < 0 ||
            (r = set_base(s3, bucket, err)) < 0)
                return r;
        const struct sf_transfer_options transfer = { .ca_bundle = sf_fetch_ca_bundle(NULL),
                                                      .connect_timeout = 15,
                                                      .stall_timeout = 60,
                                                      .stall_rate = 1024,
                                                      .stop = options->stop };
        if ((r = sf_transfer_open(&transfer, &s3->transfer, err)) < 0)
                return r;
        *ret = sf_steal_pointer(s3);
        return 0;
}

void sf_s3_close(struct sf_s3 *s3)
{
        if (!s3)
                return;
        sf_transfer_close(s3->transfer);
        sf_aws_profile_free(&s3->profile);
        free(s3->base);
        free(s3->prefix);
        free(s3->host);
        free(s3);
}

/* --- XML -------------------------------------------------------------------------------------------------------- */

/* The text of the first <name> at or after *at, copied with its five entities decoded; *at moves behind it. NULL where
 * there is none (or no memory). The documents are flat enough for that. */
char *sf_s3_take_element(const char **at, const char *end, const char *name)
{
        char open[64], close[64];
        const char *begin, *stop;

        snprintf(open, sizeof open, "<%s>", name);
        snprintf(close, sizeof close, "</%s>", name);
        begin = memmem(*at, (size_t)(end - *at), open, strlen(open));
        if (!begin)
                return NULL;
        begin += strlen(open);
        stop = memmem(begin, (size_t)(end - begin), close, strlen(close));
        if (!stop)
                return NULL;
        char *text = malloc((size_t)(stop - begin) + 1), *to = text;
        if (!text)
                return NULL;
        while (begin < stop) {
                static const struct {
                        const char *entity;
                        char byte;
                } entities[] = {
                        { "&amp;", '&' }, { "&lt;", '<' }, { "&gt;", '>' }, { "&quot;", '"' }, { "&apos;", '\'' }
                };
                size_t skip = 0;
                for (size_t i = 0; i < sizeof entities / sizeof *entities && !skip; i++)
                        if (strncmp(begin, entities[i].entity, strlen(entities[i].entity)) == 0) {
                                *to++ = entities[i].byte;
                                skip = strlen(entities[i].entity);
                        }
                if (!skip)
                        *to++ = *begin;
                begin += skip ? skip : 1;
        }
        *to = '\0';
        *at = stop + strlen(close);
        return text;
}

char *sf_s3_find_element(const struct sf_buffer *document, const char *name)
{
        const char *at = sf_buffer_text(document);

        return sf_s3_take_element(&at, at + document->len, name);
}

/* --- requests --------------------------------------------------------------------------------------------------- */

static char *make_url(const struct sf_s3 *s3, const struct sf_s3_call *c)
{
        return sf_format("%s/%s%s%s%s", s3->base, c->key ? s3->prefix : "", c->key ? c->key : "", c->query ? "?" : "",
                         c->query ? c->query : "");
}

static int read_answer(struct sf_s3 *s3, struct sf_s3_call *c, struct sf_error *err)
{
        for (;;) {
                int r = sf_buffer_reserve(&c->body, CHUNK + 1, err);
                if (r < 0)
                        return r;
                ssize_t n = sf_transfer_read(s3->transfer, c->body.data + c->body.len, CHUNK, err);
                if (n < 0)
                        return (int)n;
                c->body.len += (size_t)n;
                c->body.data[c->body.len] = '\0';
                if (n == 0)
                        return 0;
        }
}

/* What a refusal means. The store's own words are in the body. */
static int judge(const struct sf_s3 *s3, const struct sf_s3_call *c, unsigned status, struct sf_error *err)
{
        _cleanup_free_ char *code = sf_s3_find_element(&c->body, "Code"),
                            *message = sf_s3_find_element(&c->body, "Message");
        int class = SF_ERR_FAILED;

        if (status == 404 || (status == 403 && c->as_missing))
                class = SF_ERR_NOT_FOUND;
        else if (status == 403 || status == 401)
                class = SF_ERR_TRUST;
        else if (status == 409 || status == 412)
                class = SF_ERR_EXISTS;
        else if (status == 501)
                class = SF_ERR_UNSUPPORTED;
        else if (status >= 500 || status == 408 || status == 429)
                class = SF_ERR_NETWORK;
        /* Some refusals that may pass come as 400. */
        if (code && (strcmp(code, "RequestTimeout") == 0 || strcmp(code, "SlowDown") == 0))
                class = SF_ERR_NETWORK;
        if (status >= 300 && status < 400)
                return sf_error_set(err, SF_ERR_FAILED, "HTTP %u: the bucket is in another region: set AWS_REGION",
                                    status);
        (void)s3;
        return sf_error_set(err, class, "HTTP %u%s%s%s%.200s", status, code ? " " : "", code ? code : "",
                            message ? ": " : "", message ? message : "");
}

static int send_once(struct sf_s3 *s3, struct sf_s3_call *c, const char *url, const char *const *headers,
                     struct sf_error *err)
{
        const struct sf_s3_object *o = c->object;
        const struct sf_transfer_signature signature = { s3->profile.access_key, s3->profile.secret_key,
                                                         s3->profile.region, "s3" };
        const struct sf_upload upload = {
                .data = o ? o->data : NULL, .fd = o ? o->fd : -1, .offset = o ? o->offset : 0, .size = o ? o->size : 0
        };
        const struct sf_request request = { .url = url,
                                            .method = c->method,
                                            .headers = headers,
                                            .upload = o ? &upload : NULL,
                                            .signature = &signature };
        const struct sf_http_head *head;
        int r = sf_transfer_start(s3->transfer, &request, &head, err);

        if (r < 0)
                return r;
        unsigned status = head->status;
        c->length = head->length;
        memcpy(c->tag, head->etag, sizeof c->tag);
        c->body.len = 0;
        if ((r = sf_transfer_expect(s3->transfer, status < 300 ? c->max : SF_S3_ANSWER_MAX, err)) == 0 &&
            strcmp(c->method, "HEAD") != 0)
                r = read_answer(s3, c, err);
        sf_transfer_stop(s3->transfer);
        if (r < 0)
                return r;
        return status >= 200 && status < 300 ? 0 : judge(s3, c, status, err);
}

/* Sends it until it is answered for good. */
int sf_s3_send(struct sf_s3 *s3, struct sf_s3_call *c, struct sf_error *err)
{
        _cleanup_free_ char *url = make_url(s3, c), *type = NULL, *cache = NULL, *token = NULL, *sum = NULL;
        const struct sf_s3_object *o = c->object;
        const char *headers[HEADERS_MAX + 2];
        char hex[SF_DIGEST_HEX + 1];
        struct sf_digest digest;
        size_t count = 0;
        int r;

        if (o)
                digest = o->digest;
        else
                sf_digest_of("", 0, &digest);
        sum = sf_format("x-amz-content-sha256: %s", sf_digest_hex(&digest, hex));
        type = o && o->content_type ? sf_format("Content-Type: %s", o->content_type) : NULL;
        cache = o && o->cache_control ? sf_format("Cache-Control: %s", o->cache_control) : NULL;
        token = s3->profile.token ? sf_format("x-amz-security-token: %s", s3->profile.token) : NULL;
        if (!url || !sum || (o && o->content_type && !type) || (o && o->cache_control && !cache) ||
            (s3->profile.token && !token))
                return no_memory(err);
        const char *const all[] = { sum, type, cache, token, c->extra[0], c->extra[1] };
        for (size_t i = 0; i < HEADERS_MAX; i++)
                if (all[i])
                        headers[count++] = all[i];
        headers[count] = NULL;
        for (unsigned attempt = 0;; attempt++) {
                struct sf_error why = SF_ERROR_INIT;
                r = send_once(s3, c, url, headers, &why);
                if (r == 0)
                        return 0;
                if ((r != SF_ERR_NETWORK && r != SF_ERR_TIMEOUT) || attempt == s3->options.retries)
                        return sf_error_set(err, r, "%s/%s%s: %s", s3->host, c->key ? s3->prefix : "",
                                            c->key ? c->key : "", why.text);
                if ((r = sf_transfer_wait(s3->transfer, (uint64_t)s3->options.retry_wait_ms << attempt, err)) < 0)
                        return r;
        }
}

int sf_s3_check_key(const char *key, struct sf_error *err)
{
        return is_plain_key(key) ? 0 : sf_error_set(err, SF_ERR_USAGE, "%s: not a key that this program uses", key);
}

/* --- objects ---------------------------------------------------------------------------------------------------- */

int sf_s3_get(struct sf_s3 *s3, const char *key, size_t max, struct sf_buffer *ret, struct sf_error *err)
{
        struct sf_s3_call c = { .method = "GET", .key = key, .max = max, .as_missing = true };
        int r = sf_s3_check_key(key, err);

        if (r == 0)
                r = sf_s3_send(s3, &c, err);
        if (r == 0)
                r = sf_buffer_append(ret, c.body.data, c.body.len, err);
        sf_buffer_free(&c.body);
        return r;
}

int sf_s3_head(struct sf_s3 *s3, const char *key, uint64_t *ret_size, struct sf_error *err)
{
        struct sf_s3_call c = { .method = "HEAD", .key = key, .max = SIZE_MAX, .as_missing = true };
        int r = sf_s3_check_key(key, err);

        if (r == 0)
                r = sf_s3_send(s3, &c, err);
        if (r == 0)
                *ret_size = c.length;
        sf_buffer_free(&c.body);
        return r;
}

int sf_s3_put(struct sf_s3 *s3, const struct sf_s3_object *object, struct sf_error *err)
{
        struct sf_s3_call c = { .method = "PUT",
                                .key = object->key,
                                .object = object,
                                .max = SF_S3_ANSWER_MAX,
                                .extra = { object->only_new ? "If-None-Match: *" : NULL } };
        int r = sf_s3_check_key(object->key, err);

        if (r == 0)
                r = sf_s3_send(s3, &c, err);
        sf_buffer_free(&c.body);
        return r;
}

int sf_s3_delete(struct sf_s3 *s3, const char *key, struct sf_error *err)
{
        struct sf_s3_call c = { .method = "DELETE", .key = key, .max = SF_S3_ANSWER_MAX };
        struct sf_error why = SF_ERROR_INIT;
        int r = sf_s3_check_key(key, err);

        if (r < 0)
                return r;
        r = sf_s3_send(s3, &c, &why);
        sf_buffer_free(&c.body);
        return r < 0 && r != SF_ERR_NOT_FOUND ? sf_error_set(err, r, "%s", why.text) : 0;
}

/* --- lists ------------------------------------------------------------------------------------------------------ */

/* Everything that is not unreserved, as a query wants it. */
int sf_s3_encode(struct sf_buffer *to, const char *text, struct sf_error *err)
{
        int r = 0;

        for (; *text && r == 0; text++) {
                bool plain = (*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z') ||
                             (*text >= '0' && *text <= '9') || strchr("-._~", *text);
                r = plain ? sf_buffer_append(to, text, 1, err)
                          : sf_buffer_printf(to, err, "%%%02X", (unsigned)(unsigned char)*text);
        }
        return r;
}

/* "2026-11-30T03:14:15.000Z" */
int64_t sf_s3_parse_time(const char *text)
{
        struct tm tm = { 0 };

        return strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) ? (int64_t)timegm(&tm) : 0;
}

static int visit_contents(struct sf_s3 *s3, const struct sf_buffer *answer, sf_s3_visit_fn *visit, void *ctx,
                          struct sf_error *err)
{
        const char *at = sf_buffer_text(answer), *end = at + answer->len;
        size_t head = strlen(s3->prefix);
        int r = 0;

        for (char *entry; r == 0 && (entry = sf_s3_take_element(&at, end, "Contents"));) {
                const char *a = entry, *b = entry, *c = entry, *stop = entry + strlen(entry);
                _cleanup_free_ __attribute__((unused)) char *owned = entry;
                _cleanup_free_ char *key = sf_s3_take_element(&a, stop, "Key"),
                                    *size = sf_s3_take_element(&b, stop, "Size");
                _cleanup_free_ char *when = sf_s3_take_element(&c, stop, "LastModified");
                if (!key || !size || strncmp(key, s3->prefix, head) != 0)
                        return sf_error_set(err, SF_ERR_CORRUPT, "%s: a list that cannot be read", s3->host);
                r = visit(ctx, key + head, strtoull(size, NULL, 10), when ? sf_s3_parse_time(when) : 0, err);
        }
        return r;
}

/* Members of a query in the order of their names: what is signed is sorted. */
static int list_query(const struct sf_s3 *s3, const char *under, const char *token, struct sf_buffer *ret,
                      struct sf_error *err)
{
        int r = 0;

        ret->len = 0;
        if (token && ((r = sf_buffer_puts(ret, "continuation-token=", err)) < 0 ||
                      (r = sf_s3_encode(ret, token, err)) < 0 || (r = sf_buffer_puts(ret, "&", err)) < 0))
                return r;
        if ((r = sf_buffer_puts(ret, "list-type=2&prefix=", err)) < 0 || (r = sf_s3_encode(ret, s3->prefix, err)) < 0)
                return r;
        return sf_s3_encode(ret, under, err);
}

int sf_s3_list(struct sf_s3 *s3, const char *under, sf_s3_visit_fn *visit, void *ctx, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer query = SF_BUFFER_INIT;
        _cleanup_free_ char *token = NULL;

        for (;;) {
                struct sf_s3_call c = { .method = "GET", .max = SF_S3_ANSWER_MAX };
                int r = list_query(s3, under, token, &query, err);
                c.query = sf_buffer_text(&query);
                if (r == 0)
                        r = sf_s3_send(s3, &c, err);
                if (r == 0)
                        r = visit_contents(s3, &c.body, visit, ctx, err);
                _cleanup_free_ char *more = r == 0 ? sf_s3_find_element(&c.body, "IsTruncated") : NULL;
                free(token);
                token = more && strcmp(more, "true") == 0 ? sf_s3_find_element(&c.body, "NextContinuationToken") : NULL;
                sf_buffer_free(&c.body);
                if (r < 0 || !token)
                        return r;
        }
}
