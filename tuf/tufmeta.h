/* SPDX-License-Identifier: Apache-2.0 */
/* tuf/tufmeta.h - one TUF metadata file: its bytes become a checked structure, and its signatures are counted.
 *
 * Structure is checked completely when a file is parsed (section 4 of the specification, more strictly where it leaves
 * room), so that everything after may take members for granted. Unknown members are kept: they are signed, too.
 * Private to release/ and the factory's metadata writer.
 */
#ifndef SF_TUF_TUFMETA_H
#define SF_TUF_TUFMETA_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Larger files are refused before they are read to the end. */
#define SF_TUF_ROOT_MAX 512000u
#define SF_TUF_TIMESTAMP_MAX 16384u
#define SF_TUF_SNAPSHOT_MAX 2000000u
#define SF_TUF_TARGETS_MAX 5000000u
#define SF_TUF_DELEGATIONS_MAX 4096u /* delegated roles listed by one file */
#define SF_TUF_ROLE_NAME_MAX 200u    /* bytes of a role's name once it is percent-encoded: file names stay short */

struct sf_tufmeta {
        json_t *document; /* owned; NULL in an empty struct */
        json_t *body;     /* borrowed: the document's "signed" */
        int64_t version;  /* at least 1 */
        int64_t expires;  /* seconds since the epoch */
};

#define SF_TUFMETA_INIT { NULL, NULL, 0, 0 }

/* Parses and checks a file of the given type: "root", "timestamp", "snapshot" or "targets" (also for delegated roles).
 * `name` is for errors. Says nothing about signatures. SF_ERR_CORRUPT. */
int sf_tufmeta_parse(const char *name, const char *type, const void *text, size_t len, struct sf_tufmeta *ret,
                     struct sf_error *err);
void sf_tufmeta_free(struct sf_tufmeta *meta);
#define _cleanup_tufmeta_ __attribute__((cleanup(sf_tufmeta_free)))

/* Signed by a threshold of the role's keys? SF_ERR_TRUST. */
int sf_tufmeta_verify(const struct sf_tufmeta *meta, const char *name, const json_t *keys, const json_t *role,
                      struct sf_error *err);
/* The same with the keys that `root` lists for a top-level role. */
int sf_tufmeta_verify_top(const struct sf_tufmeta *meta, const struct sf_tufmeta *root, const char *role,
                          struct sf_error *err);

/* What snapshot or timestamp say about another file: borrowed {version, length?, hashes?}; NULL where it is not listed.
 * `role` is the plain name. */
const json_t *sf_tufmeta_listed(const struct sf_tufmeta *meta, const char *role);
/* Bytes against length and hashes of such an entry (or of a target's). At least one of the hashes must be known
 * (sha256, sha512) and every known one must match; no hashes at all is fine for metadata, not for targets.
 * SF_ERR_CORRUPT. */
int sf_tufmeta_check_bytes(const char *name, const json_t *entry, const void *data, size_t len, struct sf_error *err);

#endif
