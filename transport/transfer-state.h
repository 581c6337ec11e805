/* SPDX-License-Identifier: Apache-2.0 */
/* transport/transfer-state.h - what transfer.c (one request and its answer) and transfer-request.c (the request as
 * libcurl's options) share. Private to them.
 */
#ifndef SF_TRANSPORT_TRANSFER_STATE_H
#define SF_TRANSPORT_TRANSFER_STATE_H

#include <curl/curl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "transport/http_head.h"
#include "transport/transfer.h"

struct sf_transfer {
        bool signs; /* the last request was signed */
        struct sf_transfer_options options;
        void (*tick)(void *ctx);
        void *tick_ctx;
        CURLM *multi;
        CURL *easy;
        struct curl_slist *headers;
        char reason[CURL_ERROR_SIZE]; /* libcurl's words for a failure */

        bool running;  /* the easy handle is in the multi handle */
        bool finished; /* libcurl reported the end: result is valid */
        CURLcode result;
        bool paused;
        struct sf_http_head answer;
        struct sf_error refusal; /* what a callback found; code 0 = nothing */
        uint64_t received;       /* body bytes of this request */
        uint64_t allowed;        /* of them, at most */

        uint8_t *target; /* the reader's buffer while a read is served */
        size_t target_len, target_used;
        uint8_t *spill; /* SPILL_BYTES */
        size_t spill_at, spill_end;

        struct sf_upload upload; /* what this request carries, and ... */
        uint64_t sent;           /* ... how much of it was handed to libcurl */
        uint64_t window_sent;    /* of it, in the current stall window */

        uint64_t waited_ms;    /* spent waiting in the current stall window, and ... */
        uint64_t window_bytes; /* ... received in it */
        size_t burst;          /* bytes taken at once: less under a rate limit, and ... */
        size_t pumped;         /* ... taken since libcurl was last let loose */
        uint64_t free_at_ns;   /* the rate limit allows the next bytes then */

        atomic_uint_fast64_t bytes, requests; /* totals */
};

/* Sets every option that a request has, also where the one before had another. SF_ERR_UNSUPPORTED where it is to be
 * signed and this libcurl cannot. */
int sf_transfer_set_request(struct sf_transfer *transfer, const struct sf_request *request, struct sf_error *err);

/* Sets how servers are reached, once. Not 0 where libcurl refuses. */
int sf_transfer_set_proxy(struct sf_transfer *transfer);

/* libcurl's read and seek callbacks; ctx is the transfer. */
size_t sf_transfer_upload(char *buffer, size_t size, size_t count, void *ctx);
int sf_transfer_seek(void *ctx, curl_off_t offset, int origin);

#endif
