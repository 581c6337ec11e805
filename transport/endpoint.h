/* SPDX-License-Identifier: Apache-2.0 */
/* transport/endpoint.h - one base URL of a repository: is what it answers what was asked for?
 *
 * Here every claim of a server is compared with what is known beforehand: redirects, sizes, ranges, validators.
 * Retrying and choosing between mirrors is transport/fetch.c's.
 */
#ifndef SF_TRANSPORT_ENDPOINT_H
#define SF_TRANSPORT_ENDPOINT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "transport/transfer.h"
#include "transport/url.h"

struct sf_endpoint {
        const char *url; /* borrowed */
        enum sf_url_scheme scheme;
        bool one_file;        /* url names a file; the wanted path is not appended. See sf_fetch_options.one_file. */
        bool failed;          /* in this run */
        bool rejected;        /* what it served was damaged: not asked again while another one may be */
        bool hopeless;        /* for the request at hand: asking again will not help */
        int ranges;           /* 0 unknown, 1 serves them, -1 does not */
        uint64_t retry_after; /* seconds, as its last refusal said */
};

/* What is asked for. */
struct sf_wanted {
        const char *path;
        bool sized;
        uint64_t size;   /* of the whole file; unsized: at most */
        uint64_t offset; /* sized only: [offset, offset + length) */
        uint64_t length;
        const struct sf_endpoint *begun_at; /* a resumed transfer: where its earlier bytes came from, and ... */
        const char *validator;              /* ... what that server said they are; "" = nothing */
};

/* A body that is on its way. */
struct sf_body {
        struct sf_transfer *transfer; /* NULL for a file */
        uint64_t request;             /* its number: the transfer may have gone on to another one since */
        int fd;                       /* of a file: base, else -1; owned */
        uint64_t at;                  /* in the file, of the next byte that the server sends */
        uint64_t skip;                /* bytes that come before the wanted ones */
        bool to_end;                  /* the answer ends where the wanted bytes end */
        bool sized;                   /* the server says how large the whole file is: */
        uint64_t size;
        char validator[SF_HTTP_HEAD_VALIDATOR_MAX];
};

#define SF_BODY_INIT     \
        {                \
                .fd = -1 \
        }

/* Asks this mirror. Errors as in fetch.h; SF_ERR_NETWORK and SF_ERR_TIMEOUT may pass. */
int sf_endpoint_open(struct sf_endpoint *mirror, struct sf_transfer *transfer, const struct sf_wanted *wanted,
                     struct sf_body *ret, struct sf_error *err);

/* Wanted bytes as they come; 0 where the answer ends. len > 0 is at most what is still wanted. */
ssize_t sf_body_read(struct sf_body *body, void *buf, size_t len, struct sf_error *err);
/* Leaves out the next bytes of an answer that is still on its way; to_end: what comes then is wanted to the end.
 * False where the connection has gone on to another request. */
bool sf_body_skip(struct sf_body *body, uint64_t bytes, bool to_end);
/* All wanted bytes are there: checks that no more come and leaves the connection usable. Closes the body. */
int sf_body_finish(struct sf_body *body, struct sf_error *err);
void sf_body_close(struct sf_body *body);

#endif
