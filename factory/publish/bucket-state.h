/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/bucket-state.h - what bucket.c (opening, fetching), bucket-lock.c and bucket-push.c share. Private to
 * them. */
#ifndef SF_FACTORY_PUBLISH_BUCKET_STATE_H
#define SF_FACTORY_PUBLISH_BUCKET_STATE_H

#include <jansson.h>
#include <pthread.h>

#include "base/buffer.h"
#include "factory/publish/bucket.h"
#include "transport/s3.h"

#define SF_BUCKET_CONNECTIONS 8

struct sf_bucket {
        struct sf_bucket_options options;
        struct sf_s3 *s3;
        char *copy;                 /* CACHE/buckets/<digest of the address>/repository */
        char *uploads;              /* beside it: what is known of uploads in parts that were begun */
        int local_lock;             /* two processes of this machine on one copy */
        char *lock;                 /* key of our lock object; NULL = none */
        json_t *pulled;             /* path -> SHA-256 of what the bucket has */
        json_t *blobs;              /* name -> size of what the bucket has */
        struct sf_buffer timestamp; /* as it was read; empty = none */

        pthread_mutex_t mutex; /* of what follows */
        struct sf_s3 *idle[SF_BUCKET_CONNECTIONS];
        size_t idle_count;
        struct sf_bucket_sent sent;
};

/* Writes our lock object and makes sure that it is the only one. */
int sf_bucket_lock(struct sf_bucket *bucket, struct sf_error *err);
/* Whether it still is. */
int sf_bucket_check_lock(struct sf_bucket *bucket, struct sf_error *err);
/* Whether it still is, and the timestamp the one that was read or pushed: nobody else has published meanwhile. */
int sf_bucket_check_unchanged(struct sf_bucket *bucket, struct sf_error *err);
void sf_bucket_unlock(struct sf_bucket *bucket);

/* A connection for one thread, and back. */
int sf_bucket_connect(struct sf_bucket *bucket, struct sf_s3 **ret, struct sf_error *err);
void sf_bucket_release(struct sf_bucket *bucket, struct sf_s3 *s3);

#endif
