/* factory/build/download.h - one HTTP(S) download into a file, with libcurl. */
#ifndef SF_FACTORY_BUILD_DOWNLOAD_H
#define SF_FACTORY_BUILD_DOWNLOAD_H

#include "base/digest.h"
#include "base/error.h"

/* Fetches url (http or https; redirects stay within these) into `path`, which is created or emptied, and hashes what
 * arrives. what: name for the progress line. SF_ERR_NOT_FOUND for 403, 404 and 410, SF_ERR_NETWORK for what may pass,
 * SF_ERR_INTERRUPTED after SIGINT. The file is left behind on failure. */
int sf_download(const char *url, const char *path, const char *what, struct sf_digest *ret, struct sf_error *err);

#endif
