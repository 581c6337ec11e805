/* SPDX-License-Identifier: Apache-2.0 */
/* transport/s3-state.h - what s3.c (requests, objects, lists) and s3-uploads.c (uploads in parts) share. Private to
 * them. */
#ifndef SF_TRANSPORT_S3_STATE_H
#define SF_TRANSPORT_S3_STATE_H

#include "transport/aws_profile.h"
#include "transport/http_head.h"
#include "transport/s3.h"
#include "transport/transfer.h"

#define SF_S3_ANSWER_MAX (8u << 20) /* a list of 1,000 keys has 0.5 MB */

struct sf_s3 {
        struct sf_s3_options options;
        struct sf_aws_profile profile;
        struct sf_transfer *transfer;
        char *base;   /* URL of the bucket, no slash at its end */
        char *prefix; /* "" or "a/b/" */
        char *host;   /* for messages: s3://bucket */
};

/* One request, which may have to be sent more than once. */
struct sf_s3_call {
        const char *method, *key, *query;
        const struct sf_s3_object *object; /* what it carries; NULL = nothing */
        const char *extra[2];              /* more headers; NULL = none */
        size_t max;                        /* bytes of the answer */
        bool as_missing;                   /* 403 means that the object is not there */
        struct sf_buffer body;             /* the answer */
        char tag[SF_HTTP_HEAD_VALIDATOR_MAX];
        uint64_t length; /* the answer's Content-Length */
};

/* Sends it until it is answered for good. The caller frees the body. */
int sf_s3_send(struct sf_s3 *s3, struct sf_s3_call *call, struct sf_error *err);
int sf_s3_check_key(const char *key, struct sf_error *err);

/* The text of the first <name> at or after *at, copied with its five entities decoded; *at moves behind it. NULL where
 * there is none (or no memory). The documents are flat enough for that. */
char *sf_s3_take_element(const char **at, const char *end, const char *name);
char *sf_s3_find_element(const struct sf_buffer *document, const char *name);
/* Everything that is not unreserved, as a query wants it. */
int sf_s3_encode(struct sf_buffer *to, const char *text, struct sf_error *err);
/* "2026-11-30T03:14:15.000Z"; 0 for anything else. */
int64_t sf_s3_parse_time(const char *text);

#endif
