/* SPDX-License-Identifier: Apache-2.0 */
/* transport/fetch-state.h - what fetch.c (which mirror, when again) and fetch-range.c (streams) share. Private to them.
 */
#ifndef SF_TRANSPORT_FETCH_STATE_H
#define SF_TRANSPORT_FETCH_STATE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "transport/fetch.h"
#include "transport/endpoint.h"
#include "transport/transfer.h"

/* A file that a server without ranges is still sending: whoever wants a later part of it reads on. */
struct sf_parked {
        char *path; /* NULL = none */
        struct sf_body body;
        struct sf_endpoint *from;
        uint64_t position; /* of the body's next byte in the file */
};

struct sf_fetcher {
        struct sf_fetch_options options;
        struct sf_transfer *transfer;
        struct sf_endpoint mirrors[SF_FETCH_BASES_MAX];
        struct sf_endpoint *order[SF_FETCH_BASES_MAX]; /* those that failed stand behind */
        size_t count;
        struct sf_endpoint *last; /* the one that answered last; NULL before the first answer */
        char *skipped_path;       /* the last file that a server without ranges sent from its start, and ... */
        uint64_t skipped_bytes;   /* ... how much it had to send so far */
        struct sf_parked parked;
        atomic_uint_fast64_t file_bytes, file_requests;
};

/* Asks the mirrors, patiently, until one of them answers. *ret_from is the one whose body it is. */
int sf_fetch_open_body(struct sf_fetcher *f, const struct sf_wanted *wanted, struct sf_body *ret,
                       struct sf_endpoint **ret_from, struct sf_error *err);
/* A body broke off, why says how. 0 = try again; else the failure is in err. */
int sf_fetch_after_break(struct sf_fetcher *f, struct sf_endpoint *from, const char *path, unsigned *breaks,
                         struct sf_error *why, struct sf_error *err);
void sf_fetch_drop_parked(struct sf_fetcher *f);

/* For tests: requests sent so far; what is known of ranges: 0 unknown, 1 the server serves them, -1 it does not. */
uint64_t sf_fetcher_requests(const struct sf_fetcher *fetcher);
int sf_fetcher_ranges(const struct sf_fetcher *fetcher);

#endif
