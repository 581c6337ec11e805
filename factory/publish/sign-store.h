/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/sign-store.h - private keys behind an OpenSSL provider: a PKCS#11 token, a TPM, a file.
 *
 * A key is named by an OSSL_STORE URI; "pkcs11:" is RFC 7512. Its PIN comes, in this order, from the URI (`pin-source`,
 * which the provider reads itself; `pin-value`), from the file that $SLURM_FACTORY_PIN_FILE names, from
 * $SLURM_FACTORY_PIN, or from the terminal. A refused PIN is not tried again by this process: tokens lock themselves
 * after a few. Private to sign.c: only there libcrypto is seen.
 */
#ifndef SF_FACTORY_PUBLISH_SIGN_STORE_H
#define SF_FACTORY_PUBLISH_SIGN_STORE_H

#include <openssl/evp.h>

#include "base/error.h"

/* SF_ERR_NOT_FOUND: no provider for the scheme, no token, no such key. SF_ERR_TRUST: no PIN, a wrong one, or one that
 * others may read. *ret is the caller's. No message shows a PIN. */
int sf_sign_store_open(const char *uri, EVP_PKEY **ret, struct sf_error *err);

/* The URI without the value of a PIN, for messages. Owned by the caller, NULL without memory. */
char *sf_sign_store_shown(const char *uri);

/* The public half as a key of OpenSSL's own provider. A token's provider may write it in another format: pkcs11-
 * provider 1.0 has PKCS#1 for RSA where SubjectPublicKeyInfo is asked for. NULL where that fails. The caller's. */
EVP_PKEY *sf_sign_store_plain(const EVP_PKEY *pkey);

#endif
