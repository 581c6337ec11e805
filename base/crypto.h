/* SPDX-License-Identifier: Apache-2.0 */
/* base/crypto.h - why libcrypto refused: its own words, and the configuration file that it was set up by.
 *
 * ERR_get_error(3), config(5). A provider that this file names and that is not there, or properties that no provider
 * has ("fips=yes"), leave a program without SHA-256.
 */
#ifndef SF_BASE_CRYPTO_H
#define SF_BASE_CRYPTO_H

#include <stddef.h>

#include "base/error.h"

/* libcrypto's reasons, oldest first, "no reason given" where it gives none; empties the thread's queue. What repeats
 * the URI of a token is left out, for it may hold a PIN. */
void sf_crypto_reason(char *ret, size_t size);

/* Sets "<formatted>: OpenSSL: <reasons> (configured by <file> ...)". SF_ERR_NOMEM where that is the reason, else
 * SF_ERR_UNSUPPORTED. */
int sf_crypto_error(struct sf_error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
