/* SPDX-License-Identifier: Apache-2.0 */
/* transport/url.h - the addresses of a repository: join, look inside, and show without secrets. */
#ifndef SF_TRANSPORT_URL_H
#define SF_TRANSPORT_URL_H

#include "base/error.h"

enum sf_url_scheme { SF_URL_HTTP, SF_URL_HTTPS, SF_URL_FILE };

/* The scheme of an absolute URL; any other one, or none, is SF_ERR_USAGE. */
int sf_url_scheme(const char *url, enum sf_url_scheme *ret, struct sf_error *err);

/* base + "/" + path with exactly one slash between. `path` is a relative URL path: bytes that may not stand in one
 * (space, '?', '#', control and non-ASCII bytes) are escaped, an escape ('%') that is already there is kept. A ".."
 * component is SF_ERR_USAGE. *ret is owned by the caller. */
int sf_url_join(const char *base, const char *path, char **ret, struct sf_error *err);

/* The path of a file: URL on this machine, escapes decoded. A host other than localhost, and a ".." component
 * in whatever disguise, is SF_ERR_USAGE. *ret is owned by the caller. */
int sf_url_local_path(const char *url, char **ret, struct sf_error *err);

/* For messages: without user, password, query and fragment, which may hold secrets. Returns out, truncated if
 * longer. */
#define SF_URL_SHOWN_MAX 512
char *sf_url_shown(const char *url, char out[SF_URL_SHOWN_MAX]);

#endif
