/* SPDX-License-Identifier: Apache-2.0 */
/* tuf/tufkey.c - signature checks: the only place where a public key decides about metadata. */
#include "tuf/tufkey.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/crypto.h"
#include "base/digest.h"

#define SIGNATURE_MAX 1024 /* bytes: RSA with 8,192 bits */
#define RSA_BITS_MIN  2048

/* SubjectPublicKeyInfo of a P-256 key up to the point (RFC 5480): algorithm id-ecPublicKey, curve prime256v1, then a
 * bit string of 65 bytes. Comparing it tells the curve in every version of OpenSSL. */
static const uint8_t p256_head[26] = { 0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01,
                                       0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00 };
#define P256_POINT 65

static void cleanup_pkey(EVP_PKEY **key)
{
        EVP_PKEY_free(*key);
}

static void cleanup_context(EVP_MD_CTX **context)
{
        EVP_MD_CTX_free(*context);
}

static EVP_PKEY *read_pem(const char *text)
{
        BIO *bio = BIO_new_mem_buf(text, -1);
        EVP_PKEY *key = bio ? PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL) : NULL;

        BIO_free(bio);
        return key;
}

static EVP_PKEY *read_ed25519(const char *public)
{
        uint8_t raw[32];

        if (sf_hex_decode(public, raw, sizeof raw, NULL) < 0)
                return NULL;
        return EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, raw, sizeof raw);
}

static bool is_p256(EVP_PKEY *key)
{
        uint8_t *der = NULL;
        int len = i2d_PUBKEY(key, &der);
        bool same = len == (int)sizeof p256_head + P256_POINT && memcmp(der, p256_head, sizeof p256_head) == 0;

        OPENSSL_free(der);
        return same;
}

static EVP_PKEY *read_p256(const char *public)
{
        uint8_t der[sizeof p256_head + P256_POINT];
        const uint8_t *cursor = der;

        if (strncmp(public, "-----BEGIN", 10) == 0)
                return read_pem(public);
        memcpy(der, p256_head, sizeof p256_head);
        if (sf_hex_decode(public, der + sizeof p256_head, P256_POINT, NULL) < 0)
                return NULL;
        return d2i_PUBKEY(NULL, &cursor, sizeof der);
}

/* The key if it is one of the three kinds and really is what it says; else NULL. */
static EVP_PKEY *read_key(const json_t *key)
{
        const char *keytype = json_string_value(json_object_get(key, "keytype"));
        const char *scheme = json_string_value(json_object_get(key, "scheme"));
        const char *public = json_string_value(json_object_get(json_object_get(key, "keyval"), "public"));
        _cleanup_(cleanup_pkey) EVP_PKEY *pkey = NULL;
        bool fits = false;

        if (!keytype || !scheme || !public)
                return NULL;
        if (strcmp(scheme, "ed25519") == 0 && strcmp(keytype, "ed25519") == 0) {
                pkey = read_ed25519(public);
                fits = pkey != NULL;
        } else if (strcmp(scheme, "ecdsa-sha2-nistp256") == 0 &&
                   (strcmp(keytype, "ecdsa") == 0 || strcmp(keytype, scheme) == 0)) {
                pkey = read_p256(public);
                fits = pkey && is_p256(pkey);
        } else if (strcmp(scheme, "rsassa-pss-sha256") == 0 && strcmp(keytype, "rsa") == 0) {
                pkey = read_pem(public);
                fits = pkey && EVP_PKEY_base_id(pkey) == EVP_PKEY_RSA && EVP_PKEY_bits(pkey) >= RSA_BITS_MIN;
        }
        return fits ? sf_steal_pointer(pkey) : NULL;
}

/* 1 = good, 0 = not; negative where libcrypto cannot tell, and its queue says why. */
static int verify(EVP_PKEY *pkey, const char *signature, const void *data, size_t len)
{
        _cleanup_(cleanup_context) EVP_MD_CTX *context = EVP_MD_CTX_new();
        EVP_PKEY_CTX *parameters; /* owned by the context */
        uint8_t raw[SIGNATURE_MAX];
        size_t digits = strlen(signature);
        int type = EVP_PKEY_base_id(pkey);

        if (digits == 0 || digits % 2 || digits / 2 > sizeof raw)
                return 0;
        if (sf_hex_decode(signature, raw, digits / 2, NULL) < 0)
                return 0;
        if (!context ||
            EVP_DigestVerifyInit(context, &parameters, type == EVP_PKEY_ED25519 ? NULL : EVP_sha256(), NULL, pkey) <= 0)
                return -1;
        if (type == EVP_PKEY_RSA && (EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING) <= 0 ||
                                     EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, RSA_PSS_SALTLEN_AUTO) <= 0))
                return -1;
        return EVP_DigestVerify(context, raw, digits / 2, data, len) == 1;
}

static const char *signature_of(const json_t *signatures, const char *keyid)
{
        const json_t *entry;
        size_t i;

        json_array_foreach ((json_t *)signatures, i, entry) {
                const char *id = json_string_value(json_object_get(entry, "keyid"));
                if (id && strcmp(id, keyid) == 0)
                        return json_string_value(json_object_get(entry, "sig"));
        }
        return NULL;
}

/* Marks the key as counted; false where the same public key counted before under another keyid. */
static bool count_once(json_t *counted, EVP_PKEY *pkey)
{
        uint8_t *der = NULL;
        int len = i2d_PUBKEY(pkey, &der);
        struct sf_digest digest;
        char name[SF_DIGEST_HEX + 1];

        if (len <= 0)
                return false;
        sf_digest_of(der, (size_t)len, &digest);
        OPENSSL_free(der);
        sf_digest_hex(&digest, name);
        return !json_object_get(counted, name) && json_object_set_new(counted, name, json_true()) == 0;
}

int sf_tufkey_check_threshold(const char *name, const json_t *keys, const json_t *role, const json_t *signatures,
                              const void *data, size_t len, struct sf_error *err)
{
        const json_t *keyids = json_object_get(role, "keyids");
        json_int_t threshold = json_integer_value(json_object_get(role, "threshold"));
        json_t *counted = json_object();
        struct sf_error refused = SF_ERROR_INIT;
        json_int_t good = 0;
        const json_t *keyid;
        size_t i;

        if (!counted)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for signatures");
        json_array_foreach ((json_t *)keyids, i, keyid) {
                const char *signature = signature_of(signatures, json_string_value(keyid));
                const json_t *key = signature ? json_object_get(keys, json_string_value(keyid)) : NULL;
                ERR_clear_error();
                _cleanup_(cleanup_pkey) EVP_PKEY *pkey = read_key(key);
                int fits = pkey ? verify(pkey, signature, data, len) : ERR_peek_error() ? -1 : 0;

                if (fits > 0 && count_once(counted, pkey))
                        good++;
                if (fits < 0 && !refused.code)
                        sf_crypto_error(&refused, "key %.16s", json_string_value(keyid));
        }
        json_decref(counted);
        if (threshold >= 1 && good < threshold && refused.code)
                return sf_error_set(err, SF_ERR_TRUST, "%s: %lld good signatures of the %lld required; %s", name,
                                    (long long)good, (long long)threshold, refused.text);
        if (threshold < 1 || good < threshold)
                return sf_error_set(err, SF_ERR_TRUST, "%s: %lld good signatures of the %lld required", name,
                                    (long long)good, (long long)threshold);
        return 0;
}
