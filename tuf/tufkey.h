/* SPDX-License-Identifier: Apache-2.0 */
/* tuf/tufkey.h - TUF public keys and the question whether enough of them signed.
 *
 * Keys are JSON objects {keytype, scheme, keyval: {public}} as the specification's section 4.2 has them: ed25519 (64
 * hexadecimal digits), ecdsa-sha2-nistp256 (PEM, or the uncompressed point in hexadecimal) and rsassa-pss-sha256 (PEM,
 * 2,048 bits or more). A key of any other kind is tolerated but never counts. Keyids are opaque: nothing is derived
 * from them. Private to release/ and the factory's metadata writer.
 */
#ifndef SF_TUF_TUFKEY_H
#define SF_TUF_TUFKEY_H

#include <jansson.h>
#include <stddef.h>

#include "base/error.h"

/* Counts the distinct keys of `role` ({keyids, threshold}) that have a good signature of `data` in `signatures` (an
 * array of {keyid, sig}). Two keyids with the same public key count once; unusable keys and signatures do not count.
 * Fewer than the threshold: SF_ERR_TRUST, with libcrypto's reason where it could not use a key. */
int sf_tufkey_check_threshold(const char *name, const json_t *keys, const json_t *role, const json_t *signatures,
                              const void *data, size_t len, struct sf_error *err);

#endif
