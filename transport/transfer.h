/* SPDX-License-Identifier: Apache-2.0 */
/* transport/transfer.h - one HTTP request at a time over kept connections. It and its parts alone know libcurl.
 *
 * A transfer answers the question "what does this server say to this request", then hands out the body as it is pulled.
 * It follows no redirect, retries nothing and trusts no size: transport/fetch.c decides. HTTP/1.1 only, http and https
 * only, no Accept-Encoding, TLS 1.2 or newer and verified, proxies by the options or the usual variables (libcurl
 * reads them). A request carries the credentials of its own host.
 */
#ifndef SF_TRANSPORT_TRANSFER_H
#define SF_TRANSPORT_TRANSFER_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "transport/credentials.h"
#include "transport/http_head.h"

struct sf_transfer_options {
        const char *ca_bundle;             /* PEM file; NULL = every https request is refused. Borrowed. */
        struct sf_access access;           /* who we are to which host, and the proxy. Borrowed. */
        uint64_t rate_limit;               /* bytes per second, 0 = none */
        unsigned connect_timeout;          /* seconds */
        unsigned stall_timeout;            /* seconds: the head must be complete, and then in each such span ... */
        uint64_t stall_rate;               /* ... this many bytes per second must arrive */
        const volatile sig_atomic_t *stop; /* non-zero = SF_ERR_INTERRUPTED; may be NULL. Borrowed. */
};

struct sf_transfer; /* opaque: hides curl */
int sf_transfer_open(const struct sf_transfer_options *options, struct sf_transfer **ret, struct sf_error *err);
void sf_transfer_close(struct sf_transfer *transfer);

/* Called each time that libcurl worked or was waited for, some times a second while a transfer is stalled. NULL =
 * nobody. */
void sf_transfer_tick(struct sf_transfer *transfer, void (*tick)(void *ctx), void *ctx);

/* The body of a request: `data`, or [offset, offset + size) of the file where that is NULL. Borrowed. */
struct sf_upload {
        const void *data;
        int fd;
        uint64_t offset, size;
};

/* AWS Signature Version 4, made by libcurl over all headers. SF_ERR_UNSUPPORTED before libcurl 7.75. */
struct sf_transfer_signature {
        const char *access_key, *secret_key, *region, *service;
};

struct sf_request {
        const char *url;
        const char *method;                            /* NULL = GET; HEAD has no body to read */
        const char *const *headers;                    /* "Name: value", NULL-terminated; NULL = none */
        const struct sf_upload *upload;                /* NULL = no body */
        const struct sf_transfer_signature *signature; /* NULL = not signed */
        bool ranged;                                   /* ask for [offset, offset + length) */
        uint64_t offset, length;
        const char *validator; /* for If-Range; NULL or "" = none */
};

/* Sends the request and waits for the head of the answer, whatever its status. An earlier request that is still
 * running is given up. *ret stays valid until the next request. SF_ERR_NETWORK or SF_ERR_TIMEOUT: may work later.
 * SF_ERR_TRUST: the certificate. SF_ERR_CORRUPT, SF_ERR_LIMIT: the head. */
int sf_transfer_start(struct sf_transfer *transfer, const struct sf_request *request, const struct sf_http_head **ret,
                      struct sf_error *err);

/* Where a redirect leads, made absolute; NULL where it says nothing. Known once the answer is drained, valid until the
 * next request. */
const char *sf_transfer_location(struct sf_transfer *transfer);
/* The Retry-After of the answer in seconds (dates included), 0 where it has none. */
uint64_t sf_transfer_retry_after(struct sf_transfer *transfer);

/* From now on a body of more than `bytes` is SF_ERR_LIMIT, before the first byte beyond it is handed out. */
int sf_transfer_expect(struct sf_transfer *transfer, uint64_t bytes, struct sf_error *err);

/* Body bytes as they come, at least one, at most len. 0 at the end that the server announced. Reads of 128 KiB and more
 * are served with a single copy out of libcurl's buffer. */
ssize_t sf_transfer_read(struct sf_transfer *transfer, void *buf, size_t len, struct sf_error *err);

/* The reader has all it wants, and that is all there should be: ends the request so that the connection can be used
 * again. Where the server never said how long the body is, waits a second for its end. One byte more is
 * SF_ERR_LIMIT. */
int sf_transfer_finish(struct sf_transfer *transfer, struct sf_error *err);
/* Throws away what is left of a short body (an error page, a redirect), so that the connection can be used again; a
 * body beyond 64 KiB, or one that does not come within a second, costs the connection instead. */
void sf_transfer_drain(struct sf_transfer *transfer);
/* Ends the request; the connection survives only where the body is complete. */
void sf_transfer_stop(struct sf_transfer *transfer);

/* Waits, at most until the time is up or `stop` is set (SF_ERR_INTERRUPTED). */
int sf_transfer_wait(struct sf_transfer *transfer, uint64_t milliseconds, struct sf_error *err);

/* Bytes of bodies received in this transfer's life. Safe to call from any thread. */
uint64_t sf_transfer_bytes(const struct sf_transfer *transfer);
uint64_t sf_transfer_requests(const struct sf_transfer *transfer);

#endif
