/* SPDX-License-Identifier: Apache-2.0 */
/* transport/http_head.h - what an HTTP server says about the body it is going to send.
 *
 * Header lines come from a stranger: each is read strictly, what is malformed is refused, and the whole head is
 * bounded. Formats: RFC 9110 (Content-Length 8.6, ETag 8.8.3, Last-Modified 8.8.2, Content-Range 14.4), RFC 9112
 * (status line).
 */
#ifndef SF_TRANSPORT_HTTP_HEAD_H
#define SF_TRANSPORT_HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define SF_HTTP_HEAD_MAX 65536 /* bytes of all header lines of one request, interim answers and trailers included */
#define SF_HTTP_HEAD_VALIDATOR_MAX 128

struct sf_http_head {
        unsigned status;     /* 0 before the status line */
        bool complete;       /* the empty line after a final (not 1xx) head was seen */
        bool has_length;
        uint64_t length;     /* Content-Length */
        bool has_range;
        uint64_t first, last, size; /* Content-Range: bytes first-last/size */
        bool encoded;        /* a Content-Encoding other than identity */
        bool has_location;
        char etag[SF_HTTP_HEAD_VALIDATOR_MAX];     /* strong entity tag with its quotes; "" where weak or absent */
        char modified[SF_HTTP_HEAD_VALIDATOR_MAX]; /* Last-Modified as sent; "" where absent */
        size_t head_bytes;   /* of all lines so far */
};

#define SF_HTTP_HEAD_INIT { 0 }

/* Takes one header line, its line end included or not, not necessarily NUL-terminated. SF_ERR_CORRUPT for a header that
 * matters and is malformed or contradicts an earlier one, SF_ERR_LIMIT for too large a head. */
int sf_http_head_line(struct sf_http_head *answer, const char *line, size_t len, struct sf_error *err);

/* What a later request compares: the entity tag, else Last-Modified, else "". */
const char *sf_http_head_validator(const struct sf_http_head *answer);

#endif
