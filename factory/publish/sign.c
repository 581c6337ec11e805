/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/sign.c - secret keys: making them, finding them in files or behind a provider, signing with them. */
#include "factory/publish/sign.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "base/cleanup.h"
#include "base/crypto.h"
#include "base/digest.h"
#include "base/fs.h"
#include "base/json.h"
#include "factory/publish/sign-store.h"

#define PEM_MAX 65536u

struct sf_signer {
        EVP_PKEY *pkey;
        json_t *public;
        char keyid[SF_DIGEST_HEX + 1];
};

/* --- the public half ------------------------------------------------------------------------------------------- */

static json_t *public_ed25519(EVP_PKEY *pkey)
{
        uint8_t raw[32];
        char hex[2 * sizeof raw + 1];
        size_t len = sizeof raw;

        if (EVP_PKEY_get_raw_public_key(pkey, raw, &len) != 1 || len != sizeof raw)
                return NULL;
        sf_hex_encode(raw, sizeof raw, hex);
        return json_pack("{s:s, s:s, s:{s:s}}", "keytype", "ed25519", "scheme", "ed25519", "keyval", "public", hex);
}

static json_t *public_pem(EVP_PKEY *pkey, const char *keytype, const char *scheme)
{
        EVP_PKEY *plain = sf_sign_store_plain(pkey);
        BIO *bio = BIO_new(BIO_s_mem());
        json_t *public = NULL;
        char *text;

        if (bio && plain && PEM_write_bio_PUBKEY(bio, plain) == 1) {
                long len = BIO_get_mem_data(bio, &text);
                public = json_pack("{s:s, s:s, s:{s:s%}}", "keytype", keytype, "scheme", scheme, "keyval", "public",
                                   text, (size_t)len);
        }
        BIO_free(bio);
        EVP_PKEY_free(plain);
        return public;
}

static json_t *public_half(EVP_PKEY *pkey)
{
        switch (EVP_PKEY_base_id(pkey)) {
        case EVP_PKEY_ED25519:
                return public_ed25519(pkey);
        case EVP_PKEY_EC:
                return EVP_PKEY_bits(pkey) == 256 ? public_pem(pkey, "ecdsa", "ecdsa-sha2-nistp256") : NULL;
        case EVP_PKEY_RSA:
                return EVP_PKEY_bits(pkey) >= 2048 ? public_pem(pkey, "rsa", "rsassa-pss-sha256") : NULL;
        default:
                return NULL;
        }
}

/* Takes pkey, also on failure. */
static int wrap(EVP_PKEY *pkey, const char *name, struct sf_signer **ret, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer canonical = SF_BUFFER_INIT;
        _cleanup_signer_ struct sf_signer *signer = calloc(1, sizeof *signer);
        struct sf_digest digest;
        int r;

        if (!signer) {
                EVP_PKEY_free(pkey);
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for key %s", name);
        }
        signer->pkey = pkey;
        ERR_clear_error();
        signer->public = public_half(pkey);
        if (!signer->public && ERR_peek_error())
                return sf_crypto_error(err, "%s: its public half", name);
        if (!signer->public)
                return sf_error_set(err, SF_ERR_UNSUPPORTED,
                                    "%s: neither Ed25519 nor ECDSA P-256 nor RSA with 2,048 bits", name);
        if ((r = sf_json_canonical(signer->public, &canonical, err)) < 0)
                return r;
        sf_digest_of(canonical.data, canonical.len, &digest);
        sf_digest_hex(&digest, signer->keyid);
        *ret = sf_steal_pointer(signer);
        return 0;
}

/* --- where keys come from -------------------------------------------------------------------------------------- */

int sf_signer_generate(const char *path, struct sf_signer **ret, struct sf_error *err)
{
        EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_id(EVP_PKEY_ED25519, NULL);
        BIO *bio = BIO_new(BIO_s_secmem());
        EVP_PKEY *pkey = NULL;
        char *text = NULL;
        int r;

        if (sf_fs_exists(path))
                r = sf_error_set(err, SF_ERR_EXISTS, "%s is already there", path);
        else if (!context || !bio || EVP_PKEY_keygen_init(context) <= 0 || EVP_PKEY_keygen(context, &pkey) <= 0 ||
                 PEM_write_bio_PKCS8PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL) != 1)
                r = sf_crypto_error(err, "cannot make a key");
        else {
                long len = BIO_get_mem_data(bio, &text);
                r = sf_fs_write(path, text, (size_t)len, 0600, err);
        }
        BIO_free(bio);
        EVP_PKEY_CTX_free(context);
        if (r < 0) {
                EVP_PKEY_free(pkey);
                return r;
        }
        return wrap(pkey, path, ret, err);
}

static int open_file(const char *path, EVP_PKEY **ret, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer pem = SF_BUFFER_INIT;
        char reason[512];
        struct stat st;
        BIO *bio;
        int r;

        if (stat(path, &st) < 0)
                return sf_error_errno(err, "key %s", path);
        if (st.st_mode & 077)
                return sf_error_set(err, SF_ERR_TRUST, "key %s: others may read it (mode %04o, must be 0600)", path,
                                    (unsigned)st.st_mode & 07777);
        if ((r = sf_fs_read(path, PEM_MAX, &pem, err)) < 0)
                return r;
        bio = BIO_new_mem_buf(pem.data, (int)pem.len);
        *ret = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
        BIO_free(bio);
        OPENSSL_cleanse(pem.data, pem.len);
        if (*ret)
                return 0;
        sf_crypto_reason(reason, sizeof reason);
        return sf_error_set(err, SF_ERR_CORRUPT, "key %s: %s", path, reason);
}

/* "scheme:rest" (RFC 3986) unless a file of that name exists. */
static bool is_uri(const char *text)
{
        size_t scheme = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.");

        return scheme > 1 && text[scheme] == ':' && !sf_fs_exists(text);
}

int sf_signer_open(const char *path_or_uri, struct sf_signer **ret, struct sf_error *err)
{
        EVP_PKEY *pkey = NULL;
        _cleanup_free_ char *shown = sf_sign_store_shown(path_or_uri);
        int r = is_uri(path_or_uri) ? sf_sign_store_open(path_or_uri, &pkey, err) : open_file(path_or_uri, &pkey, err);

        return r < 0 ? r : wrap(pkey, shown ? shown : "", ret, err);
}

void sf_signer_free(struct sf_signer *signer)
{
        if (!signer)
                return;
        EVP_PKEY_free(signer->pkey);
        json_decref(signer->public);
        free(signer);
}

json_t *sf_signer_public(const struct sf_signer *signer)
{
        return signer->public;
}

const char *sf_signer_keyid(const struct sf_signer *signer)
{
        return signer->keyid;
}

/* --- signing --------------------------------------------------------------------------------------------------- */

int sf_signer_sign(const struct sf_signer *signer, const void *data, size_t len, struct sf_buffer *ret,
                   struct sf_error *err)
{
        int type = EVP_PKEY_base_id(signer->pkey);
        EVP_MD_CTX *context = EVP_MD_CTX_new();
        EVP_PKEY_CTX *parameters; /* owned by the context */
        uint8_t signature[1024];
        char hex[2 * sizeof signature + 1];
        size_t size = sizeof signature;
        bool done = context &&
                    EVP_DigestSignInit(context, &parameters, type == EVP_PKEY_ED25519 ? NULL : EVP_sha256(), NULL,
                                       signer->pkey) > 0 &&
                    (type != EVP_PKEY_RSA ||
                     (EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING) > 0 &&
                      EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, RSA_PSS_SALTLEN_DIGEST) > 0)) &&
                    EVP_DigestSign(context, signature, &size, data, len) == 1;

        EVP_MD_CTX_free(context);
        if (!done)
                return sf_crypto_error(err, "key %.16s cannot sign", signer->keyid);
        sf_hex_encode(signature, size, hex);
        return sf_buffer_puts(ret, hex, err);
}
