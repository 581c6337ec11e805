/* SPDX-License-Identifier: Apache-2.0 */
/* tuf/tuf.h - the TUF client (The Update Framework 1.0, https://theupdateframework.github.io/specification/).
 *
 * Verifies, never signs. All roles, thresholds, root rotation, delegations, consistent and plain snapshots, ed25519,
 * ecdsa-sha2-nistp256 and rsassa-pss-sha256. Trusted metadata is kept in a directory as <role>.json, unversioned and
 * byte-exact; a rejected file never replaces a trusted one.
 */
#ifndef SF_TUF_TUF_H
#define SF_TUF_TUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

/* How metadata is fetched: a function so that this floor needs no network. */
struct sf_tuf_source {
        /* Appends the file at `name` ("timestamp.json", "2.root.json"; a URL path, odd characters already
         * percent-encoded) to ret. More than max bytes is SF_ERR_LIMIT; missing (404, and 403 as S3 says it) is
         * SF_ERR_NOT_FOUND. */
        int (*fetch)(void *ctx, const char *name, size_t max, struct sf_buffer *ret, struct sf_error *err);
        void *ctx;
};

struct sf_tuf_options {
        const char *directory;   /* trusted metadata; must exist */
        int64_t now;             /* the fixed time of this run, seconds since the epoch */
        int64_t grace; /* seconds an expired timestamp or snapshot is still accepted (air-gapped mirrors); 0 */
        void (*notice)(void *ctx, const char *text); /* told when grace was used; may be NULL */
        void *notice_ctx;
};

/* A file named by targets metadata. Owned by the caller; free with sf_tuf_target_free. */
struct sf_tuf_target {
        char *name;              /* as asked for */
        char *download_name;     /* URL path below targets/, percent-encoded; with the digest in front of the file name
                                  * where snapshots are consistent */
        uint64_t length;         /* bytes, exactly */
        char sha256[65];         /* hexadecimal, "" where the metadata has none */
        char sha512[129];
};

struct sf_tuf; /* opaque: parsed trusted metadata of this run */

/* Pins `root` (the bytes of a root.json, self-consistently signed) in an existing directory. The same root again is
 * success, also after it was rotated; another one is SF_ERR_EXISTS unless force, which also drops all other trusted
 * metadata. Keeps the pinned bytes beside root.json as "pinned-root". */
int sf_tuf_pin(const char *directory, const void *root, size_t len, bool force, struct sf_error *err);

/* Loads the pinned root and whatever was trusted before. No root: SF_ERR_NOT_FOUND. */
int sf_tuf_open(const struct sf_tuf_options *options, struct sf_tuf **ret, struct sf_error *err);
void sf_tuf_close(struct sf_tuf *trust);

/* The specification's detailed client workflow (section 5): root, timestamp, snapshot, targets. Persists each step.
 * Unchanged metadata costs two requests: the next root and the timestamp. */
int sf_tuf_refresh(struct sf_tuf *trust, const struct sf_tuf_source *source, struct sf_error *err);

/* Finds a target, loading delegated roles as needed (pre-order, at most 32 roles). SF_ERR_NOT_FOUND where no role that
 * is trusted for the name lists it. Needs a successful refresh in this run. */
int sf_tuf_find(struct sf_tuf *trust, const struct sf_tuf_source *source, const char *name,
                  struct sf_tuf_target *ret, struct sf_error *err);
/* Names of the targets that the same roles list which are trusted for `beside`, for messages about what there is
 * instead: whether those roles are trusted for these names as well only sf_tuf_find says. */
int sf_tuf_each_beside(struct sf_tuf *trust, const struct sf_tuf_source *source, const char *beside,
                       int (*visit)(void *ctx, const char *name, struct sf_error *err), void *ctx,
                       struct sf_error *err);
void sf_tuf_target_free(struct sf_tuf_target *target);

/* Checks content against length and the listed hashes. SF_ERR_CORRUPT. */
int sf_tuf_target_check(const struct sf_tuf_target *target, const void *data, size_t len, struct sf_error *err);

#endif
