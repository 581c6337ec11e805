/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/bucket.h - a repository in an S3 bucket, worked on through a copy on this machine.
 *
 *     sf_bucket_open -> any function that takes a repository's directory, on sf_bucket_copy -> sf_bucket_push
 *
 * open takes the bucket's lock and fetches the signed metadata and what it names but blobs. push sends what is new:
 * blobs first, then target files and metadata, index.json and the page for people, the timestamp, a new root last. Each
 * of these steps leaves a repository that verifies, wherever it is interrupted.
 *
 * The lock is an object lock/<host>-<pid>-<random>: each publisher writes its own, then lists them, and gives way where
 * there is another one. Lists of S3 are consistent, so two never go on. An object of a process of this host that is
 * gone, or one older than an hour, is nobody's and is deleted. Before the timestamp is written the lock must still be
 * there and the timestamp the one that was read.
 */
#ifndef SF_FACTORY_PUBLISH_BUCKET_H
#define SF_FACTORY_PUBLISH_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "factory/publish/files.h"
#include "release/index.h"

struct sf_bucket; /* opaque */

struct sf_bucket_options {
        const char *url;      /* s3://bucket/prefix */
        const char *endpoint; /* as in transport/s3.h; NULL = found */
        const char *cache;    /* directory for copies */
        bool dry_run;         /* take no lock, write nothing */
};

/* SF_ERR_BUSY: somebody else is publishing. A bucket without metadata gives an empty copy. */
int sf_bucket_open(const struct sf_bucket_options *options, struct sf_bucket **ret, struct sf_error *err);
/* Gives the lock back. What was not pushed is forgotten by the next open. */
void sf_bucket_close(struct sf_bucket *bucket);
static inline void sf_cleanup_bucket(struct sf_bucket **b)
{
        sf_bucket_close(*b);
}
#define _cleanup_bucket_ __attribute__((cleanup(sf_cleanup_bucket)))

/* The directory of the copy; valid while it is open. */
const char *sf_bucket_copy(const struct sf_bucket *bucket);
/* Whether the bucket has the blob, by name and size. ctx is a struct sf_bucket. */
bool sf_bucket_has(void *ctx, const struct sf_blob *blob);
/* Brings a blob into the copy, checked. ctx is a struct sf_bucket. */
int sf_bucket_fetch(void *ctx, const struct sf_blob *blob, struct sf_error *err);

struct sf_bucket_sent {
        uint64_t files, bytes;
};
int sf_bucket_push(struct sf_bucket *bucket, struct sf_bucket_sent *ret, struct sf_error *err);

/* What lies in the bucket itself; what was not pushed is unknown to it. Before and while files are deleted the lock
 * must be there and the timestamp the one that was read or pushed, else it is SF_ERR_BUSY. */
void sf_bucket_files(struct sf_bucket *bucket, struct sf_files *ret);

/* Gives up uploads in parts of blobs that were begun before `before` (seconds since the epoch); in a dry run they are
 * only counted. A store that cannot list them is told of in a warning, and is no error. */
int sf_bucket_clear_uploads(struct sf_bucket *bucket, int64_t before, size_t *ret_count, struct sf_error *err);

#endif
