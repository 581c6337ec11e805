/* SPDX-License-Identifier: Apache-2.0 */
/* base/digest.h - SHA-256: how every blob and file of a release is named (FIPS 180-4, computed by libcrypto). */
#ifndef SF_BASE_DIGEST_H
#define SF_BASE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define SF_DIGEST_BYTES 32
#define SF_DIGEST_HEX   64 /* lower-case hexadecimal, without the NUL */

struct sf_digest {
        uint8_t bytes[SF_DIGEST_BYTES];
};

/* A digest being computed. Opaque because it is libcrypto's. */
struct sf_digester;
/* SF_ERR_NOMEM, or SF_ERR_UNSUPPORTED where libcrypto has no SHA-256 (base/crypto.h). *ret is NULL then. */
int sf_digester_new(struct sf_digester **ret, struct sf_error *err);
void sf_digester_update(struct sf_digester *d, const void *bytes, size_t len);
/* Writes the digest and makes d ready for the next one. */
void sf_digester_finish(struct sf_digester *d, struct sf_digest *ret);
void sf_digester_free(struct sf_digester *d);
static inline void sf_cleanup_digester(struct sf_digester **d)
{
        sf_digester_free(*d);
}
#define _cleanup_digester_ __attribute__((cleanup(sf_cleanup_digester)))

/* The error that sf_digester_new would have, for who computes digests by the function below: asked where a program
 * begins with what needs them. */
int sf_digest_ready(struct sf_error *err);
/* All zero, which is no content's digest, where libcrypto has no SHA-256. */
void sf_digest_of(const void *bytes, size_t len, struct sf_digest *ret);
bool sf_digest_equal(const struct sf_digest *a, const struct sf_digest *b);
/* qsort order */
int sf_digest_compare(const struct sf_digest *a, const struct sf_digest *b);

/* out: SF_DIGEST_HEX + 1 bytes. Returns out. */
char *sf_digest_hex(const struct sf_digest *d, char out[SF_DIGEST_HEX + 1]);
/* Reads exactly 64 lower-case hexadecimal digits; a "sha256:" in front is accepted; anything else is SF_ERR_CORRUPT. */
int sf_digest_parse(const char *text, struct sf_digest *ret, struct sf_error *err);

/* Generic helpers for the same alphabet. hex must be exactly 2 * len lower-case digits. */
int sf_hex_decode(const char *hex, uint8_t *out, size_t len, struct sf_error *err);
void sf_hex_encode(const uint8_t *bytes, size_t len, char *out); /* 2 * len + 1 bytes */

#endif
