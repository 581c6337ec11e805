/* SPDX-License-Identifier: Apache-2.0 */
/* base/stream.h - bytes that are pulled: small sources stacked on one another.
 *
 * A stream that wraps another owns it: closing the top closes the stack. `socket -> digest -> zstd -> tar` is
 * one pass, and no stage ever holds more than its own window.
 */
#ifndef SF_BASE_STREAM_H
#define SF_BASE_STREAM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buffer.h"
#include "base/digest.h"
#include "base/error.h"

struct sf_stream;

struct sf_stream_ops {
        /* Up to len (> 0) bytes into buf. Returns the count, 0 at the end (and again when asked again), or an error. */
        ssize_t (*read)(struct sf_stream *s, void *buf, size_t len, struct sf_error *err);
        /* Frees the stream and what it wraps. */
        void (*close)(struct sf_stream *s);
};

/* Embedded as the first member of each implementation. */
struct sf_stream {
        const struct sf_stream_ops *ops;
};

ssize_t sf_stream_read(struct sf_stream *s, void *buf, size_t len, struct sf_error *err);
/* Reads until len bytes are there; an earlier end is SF_ERR_CORRUPT ("ends after N of M bytes"). */
int sf_stream_read_full(struct sf_stream *s, void *buf, size_t len, struct sf_error *err);
/* Everything up to the end, appended to ret; more than max bytes is SF_ERR_LIMIT. */
int sf_stream_read_all(struct sf_stream *s, size_t max, struct sf_buffer *ret, struct sf_error *err);
/* NULL is fine. */
void sf_stream_close(struct sf_stream *s);
static inline void sf_cleanup_stream(struct sf_stream **s) { sf_stream_close(*s); }
#define _cleanup_stream_ __attribute__((cleanup(sf_cleanup_stream)))

/* Sources. All return 0 and set *ret, or an error and leave *ret alone. */
int sf_stream_from_memory(const void *data, size_t len, struct sf_stream **ret,
                          struct sf_error *err); /* borrows data */
int sf_stream_from_file(const char *path, struct sf_stream **ret, struct sf_error *err);

/* Filters. Each takes `inner`, on success only.
 *
 * exact: exactly `size` bytes whose SHA-256 is *digest pass, and not one byte more is read from below than that plus
 * one; a shorter, longer or different content is SF_ERR_CORRUPT, reported with `name` at the read that would have
 * returned the end. digest may be NULL (size only). */
int sf_stream_exact(struct sf_stream *inner, const char *name, uint64_t size, const struct sf_digest *digest,
                    struct sf_stream **ret, struct sf_error *err);
/* zstd: decodes one or more concatenated frames; windows above 2^window_log_max and trailing or missing bytes are
 * refused. */
int sf_stream_zstd(struct sf_stream *inner, int window_log_max, struct sf_stream **ret, struct sf_error *err);

#endif
