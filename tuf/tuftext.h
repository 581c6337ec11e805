/* SPDX-License-Identifier: Apache-2.0 */
/* tuf/tuftext.h - how TUF's names and times are written outside of metadata: in URLs and file names, and back.
 * Private to release/ and the factory's metadata writer.
 */
#ifndef SF_TUF_TUFTEXT_H
#define SF_TUF_TUFTEXT_H

#include <stdint.h>

#include "base/error.h"

/* A role's name as part of a file name or URL: all but [A-Za-z0-9_.~-] percent-encoded. Owned by the caller, NULL only
 * without memory. */
char *sf_tuftext_encode(const char *role);
/* A target's path as part of a URL: the same, but '/' and the other characters that RFC 3986 allows in a path stay. */
char *sf_tuftext_encode_path(const char *path);

/* RFC 3339 as TUF wants it: "2026-11-23T12:00:00Z", nothing else. Seconds since the epoch. SF_ERR_CORRUPT. */
int sf_tuftext_read_time(const char *text, int64_t *ret, struct sf_error *err);

#endif
