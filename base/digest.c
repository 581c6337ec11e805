/* SPDX-License-Identifier: Apache-2.0 */
/* base/digest.c - SHA-256 through libcrypto's EVP interface, which picks the processor's SHA instructions by itself. */
#include "base/digest.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "base/crypto.h"

struct sf_digester {
        EVP_MD_CTX *context;
};

int sf_digester_new(struct sf_digester **ret, struct sf_error *err)
{
        struct sf_digester *d = calloc(1, sizeof *d);

        *ret = NULL;
        if (!d)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a digest");
        ERR_clear_error();
        d->context = EVP_MD_CTX_new();
        if (!d->context || EVP_DigestInit_ex(d->context, EVP_sha256(), NULL) != 1) {
                sf_digester_free(d);
                return sf_crypto_error(err, "SHA-256");
        }
        *ret = d;
        return 0;
}

int sf_digest_ready(struct sf_error *err)
{
        struct sf_digester *d;
        int r = sf_digester_new(&d, err);

        sf_digester_free(d);
        return r;
}

void sf_digester_update(struct sf_digester *d, const void *bytes, size_t len)
{
        EVP_DigestUpdate(d->context, bytes, len);
}

void sf_digester_finish(struct sf_digester *d, struct sf_digest *ret)
{
        EVP_DigestFinal_ex(d->context, ret->bytes, NULL);
        EVP_DigestInit_ex(d->context, NULL, NULL);
}

void sf_digester_free(struct sf_digester *d)
{
        if (!d)
                return;
        EVP_MD_CTX_free(d->context);
        free(d);
}

void sf_digest_of(const void *bytes, size_t len, struct sf_digest *ret)
{
        if (EVP_Digest(bytes, len, ret->bytes, NULL, EVP_sha256(), NULL) != 1)
                memset(ret->bytes, 0, sizeof ret->bytes);
}

bool sf_digest_equal(const struct sf_digest *a, const struct sf_digest *b)
{
        return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

int sf_digest_compare(const struct sf_digest *a, const struct sf_digest *b)
{
        return memcmp(a->bytes, b->bytes, sizeof a->bytes);
}

void sf_hex_encode(const uint8_t *bytes, size_t len, char *out)
{
        static const char digits[] = "0123456789abcdef";

        for (size_t i = 0; i < len; i++) {
                out[2 * i] = digits[bytes[i] >> 4];
                out[2 * i + 1] = digits[bytes[i] & 15];
        }
        out[2 * len] = '\0';
}

char *sf_digest_hex(const struct sf_digest *d, char out[SF_DIGEST_HEX + 1])
{
        sf_hex_encode(d->bytes, sizeof d->bytes, out);
        return out;
}

static int nibble(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        return -1;
}

int sf_hex_decode(const char *hex, uint8_t *out, size_t len, struct sf_error *err)
{
        if (strnlen(hex, 2 * len + 1) != 2 * len)
                return sf_error_set(err, SF_ERR_CORRUPT, "'%.80s' is not %zu hexadecimal digits", hex, 2 * len);
        for (size_t i = 0; i < len; i++) {
                int high = nibble(hex[2 * i]), low = nibble(hex[2 * i + 1]);
                if (high < 0 || low < 0)
                        return sf_error_set(err, SF_ERR_CORRUPT, "'%.80s' is not lower-case hexadecimal", hex);
                out[i] = (uint8_t)(high << 4 | low);
        }
        return 0;
}

int sf_digest_parse(const char *text, struct sf_digest *ret, struct sf_error *err)
{
        struct sf_digest parsed;

        if (strncmp(text, "sha256:", 7) == 0)
                text += 7;
        int r = sf_hex_decode(text, parsed.bytes, sizeof parsed.bytes, err);
        if (r < 0)
                return r;
        *ret = parsed;
        return 0;
}
