/* SPDX-License-Identifier: Apache-2.0 */
/* transport/fetch-range.c - parts of a file as streams that mend themselves; the other half of fetch.h. */
#include <stdlib.h>
#include <string.h>

#include "transport/fetch-state.h"
#include "transport/url.h"

/* A stream that got this far since its last break may break as often as a new one. */
#define PROGRESS_BYTES ((uint64_t)1 << 20)

struct range_stream {
        struct sf_stream stream;
        struct sf_fetcher *fetcher;
        char *path;
        uint64_t size, position, end;
        bool unsized; /* size and end are no more than limits */
        struct sf_body body;
        bool open;
        struct sf_endpoint *from; /* where the body comes from, or came from before it broke */
        char validator[SF_HTTP_HEAD_VALIDATOR_MAX];
        bool begun;      /* bytes of `from` were handed out */
        unsigned breaks; /* since `progress` */
        uint64_t progress;
};

static int range_open(struct range_stream *s, struct sf_error *err)
{
        struct sf_wanted wanted = { .path = s->path,
                                    .sized = !s->unsized,
                                    .size = s->size,
                                    .offset = s->position,
                                    .length = s->end - s->position,
                                    .begun_at = s->begun ? s->from : NULL,
                                    .validator = s->validator };
        struct sf_endpoint *from;
        int r = sf_fetch_open_body(s->fetcher, &wanted, &s->body, &from, err);

        if (r < 0)
                return r;
        s->open = true;
        s->from = from;
        strcpy(s->validator, s->body.validator);
        if (s->unsized && s->body.sized) {
                s->size = s->end = s->body.size;
                s->unsized = false;
        }
        return 0;
}

/* All wanted bytes are there. What a server without ranges would send next may be wanted, too. */
static int range_done(struct range_stream *s, struct sf_error *err)
{
        struct sf_fetcher *f = s->fetcher;

        if (s->from->ranges >= 0 || !s->body.transfer || s->body.to_end)
                return sf_body_finish(&s->body, err);
        sf_fetch_drop_parked(f);
        f->parked = (struct sf_parked){ strdup(s->path), s->body, s->from, s->end };
        if (!f->parked.path)
                return sf_body_finish(&s->body, err);
        s->body = (struct sf_body)SF_BODY_INIT;
        return 0;
}

/* True where the stream can read on in what is being sent already. */
static bool range_unpark(struct range_stream *s)
{
        struct sf_parked *p = &s->fetcher->parked;

        if (!p->path || strcmp(p->path, s->path) != 0 || p->position > s->position ||
            !sf_body_skip(&p->body, s->position - p->position, s->end == s->size))
                return false;
        s->body = p->body;
        s->from = p->from;
        s->open = true;
        strcpy(s->validator, s->body.validator);
        free(p->path);
        *p = (struct sf_parked){ 0 };
        return true;
}

static ssize_t range_step(struct range_stream *s, void *buf, size_t len, struct sf_error *err)
{
        uint64_t left = s->end - s->position;
        ssize_t n = sf_body_read(&s->body, buf, left < len ? (size_t)left : len, err);

        if (n < 0)
                return n;
        if (n == 0 && s->unsized) {
                s->open = false;
                s->size = s->end = s->position;
                return sf_body_finish(&s->body, err);
        }
        if (n == 0)
                return sf_error_set(err, SF_ERR_NETWORK, "ends after %llu of %llu bytes",
                                    (unsigned long long)s->position, (unsigned long long)s->size);
        if ((uint64_t)n == left) {
                s->open = false;
                int r = range_done(s, err);
                if (r < 0)
                        return r;
        }
        s->position += (uint64_t)n;
        s->begun = true;
        if (s->from->scheme == SF_URL_FILE)
                atomic_fetch_add_explicit(&s->fetcher->file_bytes, (uint64_t)n, memory_order_relaxed);
        return n;
}

static ssize_t range_read(struct sf_stream *stream, void *buf, size_t len, struct sf_error *err)
{
        struct range_stream *s = (struct range_stream *)stream;

        while (s->position < s->end) {
                struct sf_error why = SF_ERROR_INIT;
                int r;
                if (s->fetcher->options.stop && *s->fetcher->options.stop) /* a file: base waits for nobody */
                        return sf_error_set(err, SF_ERR_INTERRUPTED, "interrupted");
                if (!s->open && (r = range_open(s, err)) < 0)
                        return r;
                ssize_t n = range_step(s, buf, len, &why);
                if (n >= 0)
                        return n;
                sf_body_close(&s->body);
                s->open = false;
                if (s->unsized && s->begun) {
                        char shown[SF_URL_SHOWN_MAX];
                        return sf_error_set(err, why.code, "%s: %s", sf_url_shown(s->from->url, shown), why.text);
                }
                if (s->position - s->progress >= PROGRESS_BYTES) {
                        s->progress = s->position;
                        s->breaks = 0;
                }
                if ((r = sf_fetch_after_break(s->fetcher, s->from, s->path, &s->breaks, &why, err)) < 0)
                        return r;
        }
        return 0;
}

static void range_close(struct sf_stream *stream)
{
        struct range_stream *s = (struct range_stream *)stream;

        sf_body_close(&s->body);
        free(s->path);
        free(s);
}

static const struct sf_stream_ops range_ops = { range_read, range_close };

/* What servers without ranges have to send of one file, summed up: more than the file itself is a waste. */
static int account_skipping(struct sf_fetcher *f, const char *path, uint64_t size, uint64_t cost, struct sf_error *err)
{
        bool same = f->skipped_path && strcmp(f->skipped_path, path) == 0;

        if (!same) {
                free(f->skipped_path);
                f->skipped_bytes = 0;
                f->skipped_path = strdup(path);
                if (!f->skipped_path)
                        return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        }
        if (cost > size - f->skipped_bytes)
                return sf_error_set(err, SF_ERR_UNSUPPORTED, "%s: the server serves no ranges", path);
        f->skipped_bytes += cost;
        return 0;
}

/* Sends the request of a stream, unless an answer that is on its way will do. */
static int range_start(struct range_stream *s, struct sf_error *err)
{
        struct sf_fetcher *f = s->fetcher;
        bool part = s->position > 0 || s->end < s->size, known = f->order[0]->ranges != 0;
        int r = 0;

        if (s->position == s->end || range_unpark(s))
                return 0;
        if (part && f->order[0]->ranges < 0)
                r = account_skipping(f, s->path, s->size, s->end, err);
        if (r == 0)
                r = range_open(s, err);
        if (r == 0 && part && !known && s->from->ranges < 0)
                r = account_skipping(f, s->path, s->size, s->end, err);
        return r;
}

static int range_new(struct sf_fetcher *f, const char *path, uint64_t size, struct range_stream **ret,
                     struct sf_error *err)
{
        struct range_stream *s = calloc(1, sizeof *s);
        char *copy = strdup(path);

        if (!s || !copy) {
                free(s);
                free(copy);
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a stream");
        }
        *s = (struct range_stream){
                .stream = { &range_ops }, .fetcher = f, .path = copy, .size = size, .end = size, .body = SF_BODY_INIT
        };
        *ret = s;
        return 0;
}

int sf_fetch_range(struct sf_fetcher *f, const char *path, uint64_t size, uint64_t offset, uint64_t length,
                   struct sf_stream **ret, struct sf_error *err)
{
        struct range_stream *s;
        int r;

        if (offset > size || length > size - offset)
                return sf_error_set(err, SF_ERR_USAGE, "%s: a range beyond its %llu bytes", path,
                                    (unsigned long long)size);
        if ((r = range_new(f, path, size, &s, err)) < 0)
                return r;
        s->position = s->progress = offset;
        s->end = offset + length;
        if ((r = range_start(s, err)) < 0) {
                range_close(&s->stream);
                return r;
        }
        *ret = &s->stream;
        return 0;
}

int sf_fetch_file(struct sf_fetcher *f, const char *path, uint64_t max, struct sf_stream **ret, uint64_t *ret_size,
                  struct sf_error *err)
{
        struct range_stream *s;
        int r = range_new(f, path, max, &s, err);

        if (r < 0)
                return r;
        s->unsized = true;
        if ((r = range_open(s, err)) < 0) {
                range_close(&s->stream);
                return r;
        }
        *ret_size = s->unsized ? 0 : s->size;
        *ret = &s->stream;
        return 0;
}
