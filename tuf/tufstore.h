/* SPDX-License-Identifier: Apache-2.0 */
/* tuf/tufstore.h - the directory of trusted metadata: <role>.json, unversioned, byte-exact, replaced atomically.
 *
 * A role's name is percent-encoded in its file name, so that no name leaves the directory. "pinned-root" keeps the root
 * that the administrator handed over. Private to tuf/.
 */
#ifndef SF_TUF_TUFSTORE_H
#define SF_TUF_TUFSTORE_H

#include <jansson.h>
#include <stddef.h>

#include "base/buffer.h"
#include "base/error.h"
#include "tuf/tufmeta.h"

char *sf_tufstore_path(const char *directory, const char *role); /* owned by the caller, NULL without memory */

/* A role as it is read: from the trusted copy or from the network. All borrowed. */
struct sf_tuf_role {
        const char *name; /* "timestamp", or a delegated role's */
        const char *type; /* "timestamp", "snapshot", "targets" */
        const json_t *keys, *spec; /* {keyids, threshold} and the keys they refer to */
        size_t max;       /* bytes */
};

/* What is stored for a role, if it is well-formed and still signed by a threshold of its keys; ret_bytes
 * receives the file. Returns 1, or 0 where there is nothing (more) to trust. A file that is there and cannot be read
 * is an error: going on without it would mean to forget which versions were seen. */
int sf_tufstore_read(const char *directory, const struct sf_tuf_role *role, struct sf_buffer *ret_bytes,
                     struct sf_tufmeta *ret, struct sf_error *err);
int sf_tufstore_write(const char *directory, const char *role, const struct sf_buffer *bytes, struct sf_error *err);
/* A missing file is success. */
int sf_tufstore_remove(const char *directory, const char *role, struct sf_error *err);

#endif
