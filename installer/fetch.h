/* installer/fetch.h - bytes from a repository: http, https and file, through libcurl.
 *
 * TLS is verified; redirects are few and never lead from https to http; the size is known before the first byte is
 * accepted; a stalled transfer is given up and resumed by range with matching validators; 429 and 503 are retried with
 * back-off and Retry-After; several base URLs of the same repository are tried in order. One connection is kept.
 */
#ifndef SF_INSTALLER_FETCH_H
#define SF_INSTALLER_FETCH_H

#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/stream.h"

struct sf_fetch_options {
        const char *const *bases; /* NULL-terminated base URLs, tried in order; each may end in '/' */
        uint64_t rate_limit;      /* bytes per second, 0 = none */
        const char *ca_bundle;    /* NULL = found on the usual paths of Debian, Ubuntu and Rocky */
        unsigned connect_timeout; /* seconds; 0 = 15 */
        unsigned stall_timeout;   /* seconds without stall_bytes arriving; 0 = 30 */
        unsigned retries;         /* per request, beyond the first try; default by sf_fetch_options_default: 4 */
        void (*notice)(void *ctx, const char *text); /* told of retries and changes of mirror; may be NULL */
        void *notice_ctx;
};
void sf_fetch_options_default(struct sf_fetch_options *options);

struct sf_fetcher; /* opaque: hides curl */
int sf_fetcher_open(const struct sf_fetch_options *options, struct sf_fetcher **ret, struct sf_error *err);
void sf_fetcher_close(struct sf_fetcher *fetcher);
/* Bytes of response bodies received so far, and requests made. */
uint64_t sf_fetcher_bytes(const struct sf_fetcher *fetcher);
uint64_t sf_fetcher_requests(const struct sf_fetcher *fetcher);

/* A whole small file at `path` below the base. More than max bytes is SF_ERR_LIMIT, 404/403 SF_ERR_NOT_FOUND.
 * Its signature fits struct sf_trust_source.fetch with ctx = fetcher once "metadata/" is put in front. */
int sf_fetch_small(struct sf_fetcher *fetcher, const char *path, size_t max, struct sf_buffer *ret,
                   struct sf_error *err);

/* Bytes [offset, offset + length) of a file whose whole size is `size`, as a stream. The transfer happens while the
 * stream is read and resumes by itself. A server without ranges is read from the start and the rest skipped, unless
 * that costs more than `size` bytes in all. One stream per fetcher at a time. */
int sf_fetch_range(struct sf_fetcher *fetcher, const char *path, uint64_t size, uint64_t offset, uint64_t length,
                   struct sf_stream **ret, struct sf_error *err);
/* What is known after the first range: 0 unknown, 1 the server serves ranges, -1 it does not. */
int sf_fetcher_ranges(const struct sf_fetcher *fetcher);

#endif
