/* SPDX-License-Identifier: Apache-2.0 */
/* transport/fetch.h - bytes from a repository: http, https and file, over several mirrors.
 *
 * TLS is verified; redirects are few and never lead from https to http, nor to a file; the size is known before the
 * first byte is accepted; a stalled transfer is given up and resumed by range with matching validators; connection
 * faults, 429 and 5xx are retried with back-off and Retry-After; several base URLs of the same repository are tried in
 * order, and one that failed goes to the back for the rest of the run. One connection is kept.
 *
 * Paths are relative URL paths (see sf_url_join: an escape that is already there is kept).
 *
 * Errors of the calls that fetch: SF_ERR_NOT_FOUND 404, 403 (so says S3) or no such file, and no other base has it ·
 * SF_ERR_NETWORK, SF_ERR_TIMEOUT after all retries · SF_ERR_TRUST certificate, or https leading to http ·
 * SF_ERR_CORRUPT an answer that contradicts itself or the size · SF_ERR_LIMIT more bytes than there may be ·
 * SF_ERR_FAILED other refusals (4xx, endless redirects) · SF_ERR_INTERRUPTED.
 */
#ifndef SF_TRANSPORT_FETCH_H
#define SF_TRANSPORT_FETCH_H

#include <signal.h>
#include <stdbool.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/stream.h"
#include "transport/credentials.h"

#define SF_FETCH_BASES_MAX     16
#define SF_FETCH_REDIRECTS_MAX 5

struct sf_fetch_options {
        const char *const *bases; /* NULL-terminated base URLs, tried in order; each may end in '/' */
        bool one_file;            /* each base is the URL of one file, which may have a query; see sf_fetch_file */
        uint64_t rate_limit;      /* bytes per second, 0 = none */
        const char *ca_bundle;    /* NULL = found on the usual paths of Debian, Ubuntu and Rocky */
        struct sf_access access;  /* who we are to which host, and the proxy */
        unsigned connect_timeout; /* seconds; 0 = 15 */
        unsigned stall_timeout;   /* seconds in which too little arrives; 0 = 30 */
        uint64_t stall_rate;      /* bytes per second that are too little; 0 = 1024 */
        unsigned retries;         /* per request, beyond the first try; default by sf_fetch_options_default: 4 */
        unsigned retry_wait_ms;   /* before the first retry, doubled for each further one, with jitter; 0 = 500 */
        unsigned retry_wait_max;  /* seconds that no wait exceeds, whatever Retry-After says; 0 = 30 */
        const volatile sig_atomic_t *stop;           /* set by a signal handler: give up soon; may be NULL */
        void (*notice)(void *ctx, const char *text); /* told of retries and changes of mirror; may be NULL */
        void *notice_ctx;
};
/* The CA bundle that a fetcher with this setting (NULL = none) would use; NULL where there is none. */
const char *sf_fetch_ca_bundle(const char *configured);
void sf_fetch_options_default(struct sf_fetch_options *options);

/* Strings and the stop flag are borrowed while the fetcher is open. An https base without any CA bundle is
 * SF_ERR_USAGE. */
struct sf_fetcher; /* opaque */
int sf_fetcher_open(const struct sf_fetch_options *options, struct sf_fetcher **ret, struct sf_error *err);
void sf_fetcher_close(struct sf_fetcher *fetcher);
static inline void sf_cleanup_fetcher(struct sf_fetcher **f)
{
        sf_fetcher_close(*f);
}
#define _cleanup_fetcher_ __attribute__((cleanup(sf_cleanup_fetcher)))

/* Bytes of response bodies received so far (a file: base counts as well). Any thread may ask. */
uint64_t sf_fetcher_bytes(const struct sf_fetcher *fetcher);

/* While something is fetched, `tick` is called some times a second by the reading thread, also where nothing arrives:
 * it may ask for sf_fetcher_bytes. NULL = nobody. A file: base does not tick. */
void sf_fetcher_tick(struct sf_fetcher *fetcher, void (*tick)(void *ctx), void *ctx);

/* What was fetched last turned out to be damaged, or to be something else (a captive portal's page): the mirror that
 * served it is not asked again, and the caller may fetch again from the others. False where every mirror was
 * rejected by now; then all of them may be asked again. `why` goes into the notice. */
bool sf_fetcher_reject(struct sf_fetcher *fetcher, const char *why);

/* A whole small file at `path` below the base, appended to ret. More than max bytes is SF_ERR_LIMIT, 404/403
 * SF_ERR_NOT_FOUND. Its signature fits struct sf_tuf_source.fetch with ctx = fetcher once "metadata/" is put in
 * front. */
int sf_fetch_small(struct sf_fetcher *fetcher, const char *path, size_t max, struct sf_buffer *ret,
                   struct sf_error *err);

/* Bytes [offset, offset + length) of a file whose whole size is `size`, as a stream that ends after exactly `length`
 * bytes or with an error. The request is sent here, the transfer happens while the stream is read (by one thread,
 * which may be another one) and resumes by itself; what the kernel buffers arrives in the meantime. Read in pieces
 * of 128 KiB or more.
 *
 * A server without ranges is read from the start and the rest skipped; a later range of the same file reads on in
 * the same answer, so parts in ascending order cost no more than the whole. Where that is not possible, and it would
 * cost more than `size` bytes of the same path in all, it is SF_ERR_UNSUPPORTED: take the whole file. One request at
 * a time: another fetch while the stream is open breaks its transfer off, which then resumes like any other. The
 * fetcher outlives its streams. */
int sf_fetch_range(struct sf_fetcher *fetcher, const char *path, uint64_t size, uint64_t offset, uint64_t length,
                   struct sf_stream **ret, struct sf_error *err);

/* A whole file whose size is not known beforehand, at most `max` bytes (more is SF_ERR_LIMIT), as a stream like the one
 * above. *ret_size is what the server says of its size, 0 where it says nothing; such a transfer cannot be resumed.
 *
 * With options.one_file the file is at the base itself and path is "". This is for content that the caller knows by
 * its digest and that strangers serve: a redirect may lead from https to http, and a Content-Encoding that the
 * server puts on an archive is taken as a remark: the bytes are handed out as they come. */
int sf_fetch_file(struct sf_fetcher *fetcher, const char *path, uint64_t max, struct sf_stream **ret,
                  uint64_t *ret_size, struct sf_error *err);

#endif
