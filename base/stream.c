/* SPDX-License-Identifier: Apache-2.0 */
/* base/stream.c - the sources and filters of stream.h. Each implementation embeds struct sf_stream first. */
#include "base/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

ssize_t sf_stream_read(struct sf_stream *s, void *buf, size_t len, struct sf_error *err)
{
        return s->ops->read(s, buf, len, err);
}

int sf_stream_read_full(struct sf_stream *s, void *buf, size_t len, struct sf_error *err)
{
        size_t have = 0;

        while (have < len) {
                ssize_t n = sf_stream_read(s, (uint8_t *)buf + have, len - have, err);
                if (n < 0)
                        return (int)n;
                if (n == 0)
                        return sf_error_set(err, SF_ERR_CORRUPT, "ends after %zu of %zu bytes", have, len);
                have += (size_t)n;
        }
        return 0;
}

int sf_stream_read_all(struct sf_stream *s, size_t max, struct sf_buffer *ret, struct sf_error *err)
{
        size_t start = ret->len;

        for (;;) {
                int r = sf_buffer_reserve(ret, 65536, err);
                if (r < 0)
                        return r;
                ssize_t n = sf_stream_read(s, ret->data + ret->len, 65536, err);
                if (n < 0)
                        return (int)n;
                if (n == 0)
                        break;
                ret->len += (size_t)n;
                if (ret->len - start > max)
                        return sf_error_set(err, SF_ERR_LIMIT, "longer than the %zu bytes allowed", max);
        }
        ret->data[ret->len] = 0;
        return 0;
}

void sf_stream_close(struct sf_stream *s)
{
        if (s)
                s->ops->close(s);
}

/* Allocates an implementation of `size` bytes, zeroed. */
static void *new_stream(size_t size, const struct sf_stream_ops *ops, struct sf_error *err)
{
        struct sf_stream *s = calloc(1, size);

        if (s)
                s->ops = ops;
        else
                sf_error_set(err, SF_ERR_NOMEM, "no memory for a stream");
        return s;
}

/* --- memory ---------------------------------------------------------------------------------------------------- */

struct memory_stream {
        struct sf_stream stream;
        const uint8_t *data;
        size_t len;
};

static ssize_t memory_read(struct sf_stream *s, void *buf, size_t len, struct sf_error *err)
{
        struct memory_stream *m = (struct memory_stream *)s;
        size_t n = len < m->len ? len : m->len;

        (void)err;
        if (n)
                memcpy(buf, m->data, n);
        m->data += n;
        m->len -= n;
        return (ssize_t)n;
}

static void memory_close(struct sf_stream *s)
{
        free(s);
}

int sf_stream_from_memory(const void *data, size_t len, struct sf_stream **ret, struct sf_error *err)
{
        static const struct sf_stream_ops ops = { memory_read, memory_close };
        struct memory_stream *m = new_stream(sizeof *m, &ops, err);

        if (!m)
                return SF_ERR_NOMEM;
        /* An empty source may come without an address; arithmetic on NULL is undefined. */
        m->data = data ? data : (const uint8_t *)"";
        m->len = len;
        *ret = &m->stream;
        return 0;
}

/* --- descriptor ------------------------------------------------------------------------------------------------ */

struct fd_stream {
        struct sf_stream stream;
        int fd;
        char *name;
};

static ssize_t fd_read(struct sf_stream *s, void *buf, size_t len, struct sf_error *err)
{
        struct fd_stream *f = (struct fd_stream *)s;
        ssize_t n;

        do
                n = read(f->fd, buf, len);
        while (n < 0 && errno == EINTR);
        return n < 0 ? sf_error_errno(err, "cannot read %s", f->name) : n;
}

static void fd_close(struct sf_stream *s)
{
        struct fd_stream *f = (struct fd_stream *)s;

        close(f->fd);
        free(f->name);
        free(f);
}

static int stream_from_fd(int fd, const char *name, struct sf_stream **ret, struct sf_error *err)
{
        static const struct sf_stream_ops ops = { fd_read, fd_close };
        struct fd_stream *f = new_stream(sizeof *f, &ops, err);

        if (!f)
                return SF_ERR_NOMEM;
        f->name = strdup(name);
        if (!f->name) {
                free(f);
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a stream");
        }
        f->fd = fd;
        *ret = &f->stream;
        return 0;
}

int sf_stream_from_file(const char *path, struct sf_stream **ret, struct sf_error *err)
{
        int fd = open(path, O_RDONLY | O_CLOEXEC);

        if (fd < 0)
                return sf_error_errno(err, "cannot open %s", path);
        int r = stream_from_fd(fd, path, ret, err);
        if (r < 0)
                close(fd);
        return r;
}

/* --- exact size and digest ------------------------------------------------------------------------------------- */

struct exact_stream {
        struct sf_stream stream;
        struct sf_stream *inner;
        char *name;
        uint64_t left, size;
        bool check_digest, ended;
        struct sf_digest expected;
        struct sf_digester *digester;
};

/* Everything expected has passed: the source must end here and the digest must be the listed one. */
static int exact_end(struct exact_stream *e, struct sf_error *err)
{
        struct sf_digest got;
        char hex[SF_DIGEST_HEX + 1], want[SF_DIGEST_HEX + 1];
        uint8_t extra;
        ssize_t n = sf_stream_read(e->inner, &extra, 1, err);

        if (n < 0)
                return (int)n;
        if (n > 0)
                return sf_error_set(err, SF_ERR_CORRUPT, "%s: longer than its listed %llu bytes", e->name,
                                    (unsigned long long)e->size);
        if (e->check_digest) {
                sf_digester_finish(e->digester, &got);
                if (!sf_digest_equal(&got, &e->expected))
                        return sf_error_set(err, SF_ERR_CORRUPT, "%s: sha256 mismatch: is %.16s…, listed %.16s…",
                                            e->name, sf_digest_hex(&got, hex), sf_digest_hex(&e->expected, want));
        }
        e->ended = true;
        return 0;
}

static ssize_t exact_read(struct sf_stream *s, void *buf, size_t len, struct sf_error *err)
{
        struct exact_stream *e = (struct exact_stream *)s;

        if (e->ended)
                return 0;
        if (e->left == 0)
                return exact_end(e, err);
        if (len > e->left)
                len = (size_t)e->left;
        ssize_t n = sf_stream_read(e->inner, buf, len, err);
        if (n < 0)
                return n;
        if (n == 0)
                return sf_error_set(err, SF_ERR_CORRUPT, "%s: ends after %llu of %llu bytes", e->name,
                                    (unsigned long long)(e->size - e->left), (unsigned long long)e->size);
        if (e->check_digest)
                sf_digester_update(e->digester, buf, (size_t)n);
        e->left -= (uint64_t)n;
        return n;
}

static void exact_close(struct sf_stream *s)
{
        struct exact_stream *e = (struct exact_stream *)s;

        sf_stream_close(e->inner);
        sf_digester_free(e->digester);
        free(e->name);
        free(e);
}

int sf_stream_exact(struct sf_stream *inner, const char *name, uint64_t size, const struct sf_digest *digest,
                    struct sf_stream **ret, struct sf_error *err)
{
        static const struct sf_stream_ops ops = { exact_read, exact_close };
        struct exact_stream *e = new_stream(sizeof *e, &ops, err);

        if (!e)
                return SF_ERR_NOMEM;
        e->name = strdup(name);
        int r = e->name ? sf_digester_new(&e->digester, err)
                        : sf_error_set(err, SF_ERR_NOMEM, "no memory for a stream");
        if (r < 0) {
                exact_close(&e->stream);
                return r;
        }
        e->left = e->size = size;
        if (digest) {
                e->check_digest = true;
                e->expected = *digest;
        }
        e->inner = inner;
        *ret = &e->stream;
        return 0;
}

/* --- zstd ------------------------------------------------------------------------------------------------------ */

struct zstd_stream {
        struct sf_stream stream;
        struct sf_stream *inner;
        ZSTD_DCtx *decoder;
        uint8_t *room;
        size_t room_size;
        ZSTD_inBuffer in;
        bool inside_frame, inner_ended;
};

/* Refills the input; at the end of the source a frame must not be open. Returns 1, 0 at a clean end, or an error. */
static int zstd_refill(struct zstd_stream *z, struct sf_error *err)
{
        if (z->in.pos < z->in.size)
                return 1;
        ssize_t n = z->inner_ended ? 0 : sf_stream_read(z->inner, z->room, z->room_size, err);
        if (n < 0)
                return (int)n;
        if (n == 0) {
                z->inner_ended = true;
                if (z->inside_frame)
                        return sf_error_set(err, SF_ERR_CORRUPT, "zstd data end inside a frame");
                return 0;
        }
        z->in = (ZSTD_inBuffer){ z->room, (size_t)n, 0 };
        return 1;
}

static ssize_t zstd_read(struct sf_stream *s, void *buf, size_t len, struct sf_error *err)
{
        struct zstd_stream *z = (struct zstd_stream *)s;
        ZSTD_outBuffer out = { buf, len, 0 };

        while (out.pos == 0) {
                /* A decoder that filled the last output may hold more without needing input. */
                if (!z->inside_frame || z->in.pos == z->in.size) {
                        if (z->inside_frame) {
                                ZSTD_inBuffer none = { z->room, 0, 0 };
                                size_t hint = ZSTD_decompressStream(z->decoder, &out, &none);
                                if (ZSTD_isError(hint))
                                        return sf_error_set(err, SF_ERR_CORRUPT, "zstd: %s", ZSTD_getErrorName(hint));
                                z->inside_frame = hint != 0;
                                if (out.pos)
                                        break;
                        }
                        int r = zstd_refill(z, err);
                        if (r <= 0)
                                return r;
                }
                size_t hint = ZSTD_decompressStream(z->decoder, &out, &z->in);
                if (ZSTD_isError(hint))
                        return sf_error_set(err, SF_ERR_CORRUPT, "zstd: %s", ZSTD_getErrorName(hint));
                z->inside_frame = hint != 0;
        }
        return (ssize_t)out.pos;
}

static void zstd_close(struct sf_stream *s)
{
        struct zstd_stream *z = (struct zstd_stream *)s;

        sf_stream_close(z->inner);
        ZSTD_freeDCtx(z->decoder);
        free(z->room);
        free(z);
}

int sf_stream_zstd(struct sf_stream *inner, int window_log_max, struct sf_stream **ret, struct sf_error *err)
{
        static const struct sf_stream_ops ops = { zstd_read, zstd_close };
        struct zstd_stream *z = new_stream(sizeof *z, &ops, err);

        if (!z)
                return SF_ERR_NOMEM;
        z->decoder = ZSTD_createDCtx();
        z->room_size = ZSTD_DStreamInSize();
        z->room = malloc(z->room_size);
        if (!z->decoder || !z->room ||
            ZSTD_isError(ZSTD_DCtx_setParameter(z->decoder, ZSTD_d_windowLogMax, window_log_max))) {
                zstd_close(&z->stream);
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a zstd decoder");
        }
        z->inner = inner;
        *ret = &z->stream;
        return 0;
}
