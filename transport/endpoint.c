/* SPDX-License-Identifier: Apache-2.0 */
/* transport/endpoint.c - see endpoint.h. */
#include "transport/endpoint.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "transport/fetch.h"

typedef unsigned long long ull;

/* Where the wanted path is. *ret is owned by the caller. */
static int address(const struct sf_endpoint *m, const struct sf_wanted *wanted, char **ret, struct sf_error *err)
{
        if (!m->one_file)
                return sf_url_join(m->url, wanted->path, ret, err);
        *ret = strdup(m->url);
        return *ret ? 0 : sf_error_set(err, SF_ERR_NOMEM, "no memory for an address");
}

static int open_file(const char *path, const struct sf_wanted *wanted, struct sf_body *ret, struct sf_error *err)
{
        /* O_NONBLOCK: a fifo must not hold us up before it is refused. */
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        struct stat st;

        if (fd < 0 || fstat(fd, &st) < 0)
                return sf_error_errno(err, "%s", path);
        if (!S_ISREG(st.st_mode))
                return sf_error_set(err, SF_ERR_CORRUPT, "%s: not a file", path);
        if (wanted->sized && (uint64_t)st.st_size != wanted->size)
                return sf_error_set(err, SF_ERR_CORRUPT, "%s: has %llu bytes, not the %llu it should have", path,
                                    (ull)st.st_size, (ull)wanted->size);
        if (!wanted->sized && (uint64_t)st.st_size > wanted->size)
                return sf_error_set(err, SF_ERR_LIMIT, "%s: has %llu bytes, at most %llu are allowed", path,
                                    (ull)st.st_size, (ull)wanted->size);
        *ret = (struct sf_body){
                .fd = sf_steal_fd(&fd), .at = wanted->offset, .sized = true, .size = (uint64_t)st.st_size
        };
        return 0;
}

static int open_local(struct sf_endpoint *m, const struct sf_wanted *wanted, struct sf_body *ret, struct sf_error *err)
{
        _cleanup_free_ char *url = NULL, *path = NULL;
        int r;

        m->ranges = 1;
        if ((r = address(m, wanted, &url, err)) < 0 || (r = sf_url_local_path(url, &path, err)) < 0)
                return r;
        return open_file(path, wanted, ret, err);
}

static bool is_redirect(unsigned status)
{
        return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* Replaces *url by where the answer at hand leads. */
static int follow(const struct sf_endpoint *m, struct sf_transfer *t, unsigned followed, char **url,
                  struct sf_error *err)
{
        enum sf_url_scheme from, to;
        char shown[SF_URL_SHOWN_MAX];

        sf_transfer_drain(t);
        const char *target = sf_transfer_location(t);
        if (!target)
                return sf_error_set(err, SF_ERR_FAILED, "a redirect to nowhere");
        if (followed == SF_FETCH_REDIRECTS_MAX)
                return sf_error_set(err, SF_ERR_FAILED, "more than %d redirects", SF_FETCH_REDIRECTS_MAX);
        if (sf_url_scheme(*url, &from, NULL) < 0 || sf_url_scheme(target, &to, NULL) < 0 || to == SF_URL_FILE ||
            (from == SF_URL_HTTPS && to != SF_URL_HTTPS && !m->one_file))
                return sf_error_set(err, SF_ERR_TRUST, "a redirect to %s is not followed", sf_url_shown(target, shown));
        char *next = strdup(target);
        if (!next)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a redirect");
        free(*url);
        *url = next;
        return 0;
}

/* 200: the whole file, asked for or not. */
static int accept_whole(struct sf_endpoint *m, const struct sf_http_head *a, const struct sf_wanted *w, bool ranged,
                        const char *validator, struct sf_body *body, struct sf_error *err)
{
        if (w->sized && a->has_length && a->length != w->size)
                return sf_error_set(err, SF_ERR_CORRUPT, "has %llu bytes, not the %llu it should have", (ull)a->length,
                                    (ull)w->size);
        if (!w->sized && a->has_length && a->length > w->size)
                return sf_error_set(err, SF_ERR_LIMIT, "has %llu bytes, at most %llu are allowed", (ull)a->length,
                                    (ull)w->size);
        if (validator[0] && strcmp(validator, sf_http_head_validator(a)) != 0)
                return sf_error_set(err, SF_ERR_CORRUPT, "changed while it was being fetched");
        if (ranged)
                m->ranges = -1;
        body->skip = w->offset;
        body->sized = a->has_length;
        body->size = a->length;
        body->to_end = !w->sized || w->offset + w->length == w->size;
        return sf_transfer_expect(body->transfer, w->size, err);
}

/* 206: exactly the range that was asked for, of a file of exactly the known size. */
static int accept_part(struct sf_endpoint *m, const struct sf_http_head *a, const struct sf_wanted *w, bool ranged,
                       const char *validator, struct sf_body *body, struct sf_error *err)
{
        if (!ranged)
                return sf_error_set(err, SF_ERR_CORRUPT, "sends a part where the whole was asked for");
        if (!a->has_range)
                return sf_error_set(err, SF_ERR_CORRUPT, "sends a part and does not say which");
        if (a->size != w->size)
                return sf_error_set(err, SF_ERR_CORRUPT, "has %llu bytes, not the %llu it should have", (ull)a->size,
                                    (ull)w->size);
        if (a->first != w->offset || a->last != w->offset + w->length - 1)
                return sf_error_set(err, SF_ERR_CORRUPT, "sends bytes %llu-%llu where %llu-%llu were asked for",
                                    (ull)a->first, (ull)a->last, (ull)w->offset, (ull)(w->offset + w->length - 1));
        if (a->has_length && a->length != w->length)
                return sf_error_set(err, SF_ERR_CORRUPT, "sends %llu bytes where %llu were asked for", (ull)a->length,
                                    (ull)w->length);
        /* Last-Modified may be left out of an answer to If-Range, an entity tag may not differ. */
        if (validator[0] == '"' && a->etag[0] && strcmp(validator, a->etag) != 0)
                return sf_error_set(err, SF_ERR_CORRUPT, "changed while it was being fetched");
        m->ranges = 1;
        body->to_end = true;
        return sf_transfer_expect(body->transfer, w->length, err);
}

static int refuse(struct sf_endpoint *m, struct sf_transfer *t, unsigned status, struct sf_error *err)
{
        m->retry_after = sf_transfer_retry_after(t);
        sf_transfer_drain(t);
        if (status == 404 || status == 403 || status == 410)
                return sf_error_set(err, SF_ERR_NOT_FOUND, "not there (HTTP %u)", status);
        if (status == 416)
                return sf_error_set(err, SF_ERR_CORRUPT, "is shorter than it should be (HTTP 416)");
        if (status >= 500 || status == 408 || status == 425 || status == 429)
                return sf_error_set(err, SF_ERR_NETWORK, "the server cannot serve it now (HTTP %u)", status);
        if (status == 401 || status == 407)
                return sf_error_set(err, SF_ERR_FAILED,
                                    "the %s asks for credentials, or refuses those it got (HTTP %u)",
                                    status == 401 ? "server" : "proxy", status);
        return sf_error_set(err, SF_ERR_FAILED, "the server refuses (HTTP %u)", status);
}

/* Sends the request, along redirects, and judges the answer. *url ends as the address that answered. */
static int ask(struct sf_endpoint *m, const struct sf_wanted *w, char **url, struct sf_body *body, struct sf_error *err)
{
        struct sf_transfer *t = body->transfer;
        bool resumed_here = w->begun_at == m;
        const char *validator = resumed_here ? w->validator : "";
        /* Without a validator nothing says that the rest belongs to what this server sent before. */
        bool ranged = w->sized && w->length < w->size && !(resumed_here && !validator[0]);
        const struct sf_http_head *answer;
        int r;

        for (unsigned followed = 0;; followed++) {
                struct sf_request request = { .url = *url,
                                              .ranged = ranged,
                                              .offset = w->offset,
                                              .length = w->length,
                                              .validator = ranged ? validator : "" };
                if ((r = sf_transfer_start(t, &request, &answer, err)) < 0)
                        return r;
                if (!is_redirect(answer->status))
                        break;
                if ((r = follow(m, t, followed, url, err)) < 0)
                        return r;
        }
        if (answer->status != 200 && answer->status != 206)
                return refuse(m, t, answer->status, err);
        if (answer->encoded && !m->one_file)
                return sf_error_set(err, SF_ERR_CORRUPT, "is sent encoded, which nobody asked for");
        body->request = sf_transfer_requests(t);
        strcpy(body->validator, sf_http_head_validator(answer));
        return (answer->status == 200 ? accept_whole : accept_part)(m, answer, w, ranged, validator, body, err);
}

int sf_endpoint_open(struct sf_endpoint *m, struct sf_transfer *t, const struct sf_wanted *wanted, struct sf_body *ret,
                     struct sf_error *err)
{
        _cleanup_free_ char *url = NULL;
        struct sf_body body = { .transfer = t, .fd = -1 };
        char shown[SF_URL_SHOWN_MAX];
        int r;

        m->retry_after = 0;
        if (m->scheme == SF_URL_FILE)
                return open_local(m, wanted, ret, err);
        if ((r = address(m, wanted, &url, err)) < 0)
                return r;
        if ((r = ask(m, wanted, &url, &body, err)) < 0) {
                sf_transfer_stop(t);
                return sf_error_prefix(err, "%s", sf_url_shown(url, shown));
        }
        *ret = body;
        return 0;
}

static bool has_transfer(const struct sf_body *body)
{
        return body->transfer && body->request == sf_transfer_requests(body->transfer);
}

ssize_t sf_body_read(struct sf_body *body, void *buf, size_t len, struct sf_error *err)
{
        ssize_t n;

        if (!body->transfer) {
                n = pread(body->fd, buf, len, (off_t)body->at);
                if (n < 0)
                        return sf_error_errno(err, "cannot read");
                body->at += (uint64_t)n;
                return n;
        }
        if (!has_transfer(body))
                return sf_error_set(err, SF_ERR_NETWORK, "another request took its connection");
        while (body->skip > 0) {
                n = sf_transfer_read(body->transfer, buf, body->skip < len ? (size_t)body->skip : len, err);
                if (n <= 0)
                        return n;
                body->skip -= (uint64_t)n;
        }
        return sf_transfer_read(body->transfer, buf, len, err);
}

bool sf_body_skip(struct sf_body *body, uint64_t bytes, bool to_end)
{
        if (!has_transfer(body))
                return false;
        body->skip += bytes;
        body->to_end = to_end;
        return true;
}

int sf_body_finish(struct sf_body *body, struct sf_error *err)
{
        int r = has_transfer(body) && body->to_end ? sf_transfer_finish(body->transfer, err) : 0;

        sf_body_close(body);
        return r;
}

void sf_body_close(struct sf_body *body)
{
        if (has_transfer(body))
                sf_transfer_stop(body->transfer);
        sf_cleanup_close(&body->fd);
        *body = (struct sf_body)SF_BODY_INIT;
}
