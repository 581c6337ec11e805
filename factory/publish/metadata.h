/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/metadata.h - writes a repository's TUF metadata: what tuf/tuf.h verifies, from the other end.
 *
 *     sf_metadata_open -> sf_metadata_put_target (any number) -> sf_metadata_commit -> sf_metadata_close
 *
 * Roles: root and targets (offline), `releases` and `rollout` delegated by targets (release/layout.h), snapshot and
 * timestamp (online). Consistent snapshots always. Only the roles that change are signed again, so publishing needs no
 * offline key. Files are written durably in the order that keeps every reader consistent: target files, targets,
 * delegated roles, snapshot, timestamp (all but the timestamp under new names, so that nobody sees them before), and a
 * new root last. One writer at a time: REPO/.lock, which only those may open who may write the metadata.
 */
#ifndef SF_FACTORY_PUBLISH_METADATA_H
#define SF_FACTORY_PUBLISH_METADATA_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

struct sf_metadata_options {
        const char *repository;  /* directory that holds metadata/ and targets/ */
        const char *const *keys; /* NULL-terminated directories of private keys, see keys.h; searched in order */
        int64_t now;             /* seconds since the epoch: expiry is counted from here */
        unsigned days_offline;   /* validity of root, targets and agent; 0 = 365 */
        unsigned days_delegated; /* of releases, rollout and buildcache; 0 = 180 */
        unsigned days_online;    /* of snapshot and timestamp; 0 = 14 */
        /* Called by a commit when all but the timestamp is written: for files that must not run ahead of the
         * metadata, nor lag behind the timestamp. An error ends the commit there. May be NULL. */
        int (*before_timestamp)(void *ctx, struct sf_error *err);
        void *before_timestamp_ctx;
        /* Called when a commit has written everything, for instance to send it elsewhere. An error is the commit's. May
         * be NULL. */
        int (*after_commit)(void *ctx, struct sf_error *err);
        void *after_commit_ctx;
};

struct sf_metadata; /* opaque: the metadata as loaded plus what is to change */

/* Loads REPO/metadata, verifying it with the client's own rules except expiry. No repository: SF_ERR_NOT_FOUND. */
int sf_metadata_open(const struct sf_metadata_options *options, struct sf_metadata **ret, struct sf_error *err);
void sf_metadata_close(struct sf_metadata *metadata);
static inline void sf_cleanup_metadata(struct sf_metadata **m)
{
        sf_metadata_close(*m);
}
#define _cleanup_metadata_ __attribute__((cleanup(sf_cleanup_metadata)))

/* The content of a target as it stands (staged or published), at most max bytes. SF_ERR_NOT_FOUND. */
int sf_metadata_get_target(struct sf_metadata *metadata, const char *role, const char *name, size_t max,
                           struct sf_buffer *ret, struct sf_error *err);
/* Its SHA-256 in hexadecimal, staged or published; NULL where there is no such target. Valid until it is changed. */
const char *sf_metadata_target_hash(const struct sf_metadata *metadata, const char *role, const char *name);
/* Stages content for a target of `role` ("releases", "rollout", "targets"); the bytes are copied. Nothing is written
 * before the commit. Unchanged content changes nothing. */
int sf_metadata_put_target(struct sf_metadata *metadata, const char *role, const char *name, const void *data,
                           size_t len, struct sf_error *err);
int sf_metadata_remove_target(struct sf_metadata *metadata, const char *role, const char *name, struct sf_error *err);

/* Writes what was staged: the target files as targets/<dir>/<sha256>.<file>, each changed role with its version + 1,
 * then snapshot and timestamp. Nothing staged: nothing is written (before_timestamp is called all the same). A
 * missing key is SF_ERR_NOT_FOUND naming the role, and then nothing was written either. */
int sf_metadata_commit(struct sf_metadata *metadata, struct sf_error *err);

/* Signs snapshot and timestamp again with later expiry; any other role too where less than half of its time is left
 * and its keys are at hand. */
int sf_metadata_refresh(struct sf_metadata *metadata, struct sf_error *err);
/* Warns of each role, as it is now, that has expired or soon will: less than a sixth of its time is left (61 days of
 * root and targets), of snapshot and timestamp less than half. Returns how many. */
unsigned sf_metadata_warn_expiry(const struct sf_metadata *metadata);

/* --- for key ceremonies (keys.h) --------------------------------------------------------------------------------
 *
 * Starts a repository that has no metadata yet: `root` and `targets` are the first "signed" parts without version
 * and expiry, which the commit adds; every delegated role starts empty. SF_ERR_EXISTS where there is a root, unless
 * it is all there is and has the same keys: then it is kept, and the rest is made. */
int sf_metadata_create(const struct sf_metadata_options *options, json_t *root, json_t *targets,
                       struct sf_metadata **ret, struct sf_error *err);
/* A delegated role that targets' "delegations" name by now, but which has no metadata yet: starts empty. */
int sf_metadata_add_role(struct sf_metadata *metadata, const char *role, struct sf_error *err);
/* The "signed" part of a role for reading; NULL where the repository has no such role. Borrowed. */
const json_t *sf_metadata_body(const struct sf_metadata *metadata, const char *role);
/* The same for changing it: the commit gives it a new version and signs it again, with the keys that the role had when
 * it was opened as well as with the ones it has now, as far as both are at hand. */
json_t *sf_metadata_edit(struct sf_metadata *metadata, const char *role);
/* {keyids, threshold} of a role and the object of public keys they refer to. Borrowed; NULL for an unknown role. */
const json_t *sf_metadata_role(const struct sf_metadata *metadata, const char *role, const json_t **ret_keys);
/* Calls visit for every role: root, targets, its delegated roles, snapshot, timestamp. */
void sf_metadata_each(const struct sf_metadata *metadata, void (*visit)(void *ctx, const char *role), void *ctx);

#endif
