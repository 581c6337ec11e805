/* SPDX-License-Identifier: Apache-2.0 */
/* transport/s3.h - objects in a bucket of an S3-compatible store (Amazon S3 API, 2006-03-01).
 *
 * Requests are signed by libcurl (AWS Signature Version 4) with the SHA-256 of what they carry, so that the store
 * refuses what was damaged on the way. Connection faults, 429 and 5xx are tried again. Keys are relative to the prefix
 * of the URL; they consist of [A-Za-z0-9._~/-], which needs no encoding.
 *
 * Errors: SF_ERR_NOT_FOUND 404, and 403 where an object is asked for (so says S3 of a missing one to who may not list)
 * · SF_ERR_TRUST 403 where one is written: the keys may not · SF_ERR_EXISTS 409 and 412: a condition did not hold ·
 * SF_ERR_UNSUPPORTED 501 · SF_ERR_NETWORK, SF_ERR_TIMEOUT after all retries · SF_ERR_FAILED other refusals, with the
 * store's own words.
 */
#ifndef SF_TRANSPORT_S3_H
#define SF_TRANSPORT_S3_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/digest.h"
#include "base/error.h"

struct sf_s3; /* opaque; one request at a time: each thread opens its own */

struct sf_s3_options {
        const char *url;      /* s3://bucket or s3://bucket/prefix */
        const char *endpoint; /* http(s) URL of another store, addressed by path; NULL = AWS_ENDPOINT_URL_S3,
                               * AWS_ENDPOINT_URL, the profile's endpoint_url, else Amazon's own for the region */
        const volatile sig_atomic_t *stop;
        unsigned retries;       /* 0 = 4 */
        unsigned retry_wait_ms; /* before the first retry, doubled for each further one; 0 = 500 */
};

/* Credentials: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, else the profile AWS_PROFILE (or
 * "default") of AWS_SHARED_CREDENTIALS_FILE (~/.aws/credentials) and AWS_CONFIG_FILE (~/.aws/config). Region:
 * AWS_REGION, AWS_DEFAULT_REGION, the profile's, us-east-1. None to be found: SF_ERR_USAGE. */
int sf_s3_open(const struct sf_s3_options *options, struct sf_s3 **ret, struct sf_error *err);
void sf_s3_close(struct sf_s3 *s3);
static inline void sf_cleanup_s3(struct sf_s3 **s)
{
        sf_s3_close(*s);
}
#define _cleanup_s3_ __attribute__((cleanup(sf_cleanup_s3)))

/* The whole object, appended to ret; more than max bytes is SF_ERR_LIMIT. */
int sf_s3_get(struct sf_s3 *s3, const char *key, size_t max, struct sf_buffer *ret, struct sf_error *err);
/* Its size. */
int sf_s3_head(struct sf_s3 *s3, const char *key, uint64_t *ret_size, struct sf_error *err);

struct sf_s3_object {
        const char *key;
        const void *data; /* the content; NULL = [offset, offset + size) of the file */
        int fd;
        uint64_t offset, size;
        struct sf_digest digest;   /* of these bytes */
        const char *content_type;  /* NULL = application/octet-stream */
        const char *cache_control; /* NULL = none */
        bool only_new;             /* If-None-Match: *. Stores that do not know it write all the same */
};
int sf_s3_put(struct sf_s3 *s3, const struct sf_s3_object *object, struct sf_error *err);
/* A missing object is success. */
int sf_s3_delete(struct sf_s3 *s3, const char *key, struct sf_error *err);

/* Called per object whose key starts with `under`; key without the prefix of the URL, modified in seconds since the
 * epoch. */
typedef int sf_s3_visit_fn(void *ctx, const char *key, uint64_t size, int64_t modified, struct sf_error *err);
int sf_s3_list(struct sf_s3 *s3, const char *under, sf_s3_visit_fn *visit, void *ctx, struct sf_error *err);

/* Large objects in parts of at least 5 MiB (but the last), in any order, from several threads: begin once, put each
 * part, finish once. An upload that was begun stays open until it is finished or given up, also across processes. */
#define SF_S3_UPLOAD_ID_MAX 1024
#define SF_S3_TAG_MAX       128
int sf_s3_upload_begin(struct sf_s3 *s3, const struct sf_s3_object *object, char ret_id[SF_S3_UPLOAD_ID_MAX],
                       struct sf_error *err);
/* number: from 1. ret_tag: to be handed to finish. SF_ERR_NOT_FOUND: the store has forgotten the upload. */
int sf_s3_upload_part(struct sf_s3 *s3, const struct sf_s3_object *part, const char *id, unsigned number,
                      char ret_tag[SF_S3_TAG_MAX], struct sf_error *err);
int sf_s3_upload_finish(struct sf_s3 *s3, const char *key, const char *id, const char (*tags)[SF_S3_TAG_MAX],
                        unsigned count, struct sf_error *err);

/* Called per upload that was begun and not finished, of objects whose key starts with `under`; begun: seconds since the
 * epoch, 0 where the store does not say. SF_ERR_UNSUPPORTED: the store has no such list. */
typedef int sf_s3_visit_upload_fn(void *ctx, const char *key, const char *id, int64_t begun, struct sf_error *err);
int sf_s3_uploads(struct sf_s3 *s3, const char *under, sf_s3_visit_upload_fn *visit, void *ctx, struct sf_error *err);
/* Gives its parts up. One that is not there any more is success. */
int sf_s3_upload_abort(struct sf_s3 *s3, const char *key, const char *id, struct sf_error *err);

#endif
