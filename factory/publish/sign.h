/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/sign.h - the only code that touches secret keys.
 *
 * A signer is a private key that lies in a file (PKCS#8 PEM, mode 0600) or behind an OpenSSL provider and is named by
 * an OSSL_STORE URI ("pkcs11:token=root;object=1", "file:/mnt/usb/root.pem"; OpenSSL's own configuration says which
 * provider serves the scheme). Ed25519, ECDSA P-256 and RSA (PSS, SHA-256) keys sign; Ed25519 is what is generated.
 */
#ifndef SF_FACTORY_PUBLISH_SIGN_H
#define SF_FACTORY_PUBLISH_SIGN_H

#include <jansson.h>
#include <stddef.h>

#include "base/buffer.h"
#include "base/error.h"

struct sf_signer; /* opaque: hides libcrypto */

/* Makes an Ed25519 key and writes it to `path`, mode 0600. An existing file is SF_ERR_EXISTS, never overwritten. */
int sf_signer_generate(const char *path, struct sf_signer **ret, struct sf_error *err);
/* Opens a key: a path or an OSSL_STORE URI. A file that others may read is refused (SF_ERR_TRUST). */
int sf_signer_open(const char *path_or_uri, struct sf_signer **ret, struct sf_error *err);
void sf_signer_free(struct sf_signer *signer);
static inline void sf_cleanup_signer(struct sf_signer **s) { sf_signer_free(*s); }
#define _cleanup_signer_ __attribute__((cleanup(sf_cleanup_signer)))

/* The TUF key object {keytype, scheme, keyval}; borrowed. */
json_t *sf_signer_public(const struct sf_signer *signer);
/* SHA-256 of the canonical form of the key object, 64 hexadecimal digits; borrowed. */
const char *sf_signer_keyid(const struct sf_signer *signer);

/* Appends the hexadecimal signature of `data` to ret. */
int sf_signer_sign(const struct sf_signer *signer, const void *data, size_t len, struct sf_buffer *ret,
                   struct sf_error *err);

#endif
