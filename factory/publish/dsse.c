/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/dsse.c - see dsse.h. */
#include "factory/publish/dsse.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/json.h"
#include "factory/publish/keyring.h"
#include "factory/publish/sign.h"

static int no_memory(struct sf_error *err)
{
        return sf_error_set(err, SF_ERR_NOMEM, "out of memory");
}

/* A new reference; NULL without memory. */
static json_t *to_base64(const uint8_t *bytes, size_t len)
{
        _cleanup_free_ unsigned char *text = malloc(len / 3 * 4 + 5);

        return text ? json_stringn((const char *)text, (size_t)EVP_EncodeBlock(text, bytes, (int)len)) : NULL;
}

int sf_dsse_encode(const char *payload_type, const struct sf_buffer *payload, struct sf_buffer *ret,
                   struct sf_error *err)
{
        int r = sf_buffer_printf(ret, err, "DSSEv1 %zu %s %zu ", strlen(payload_type), payload_type, payload->len);

        return r < 0 ? r : sf_buffer_append(ret, payload->data, payload->len, err);
}

static int add_signature(const struct sf_signer *signer, const struct sf_buffer *encoded, json_t *signatures,
                         struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer hex = SF_BUFFER_INIT;
        _cleanup_free_ uint8_t *bytes = NULL;
        json_t *signature;
        int r = sf_signer_sign(signer, encoded->data, encoded->len, &hex, err);

        if (r < 0)
                return r;
        if (!(bytes = malloc(hex.len / 2 + 1)))
                return no_memory(err);
        if ((r = sf_hex_decode(sf_buffer_text(&hex), bytes, hex.len / 2, err)) < 0)
                return r;
        signature = json_pack("{s:s, s:o}", "keyid", sf_signer_keyid(signer), "sig", to_base64(bytes, hex.len / 2));
        return json_array_append_new(signatures, signature) < 0 ? no_memory(err) : 0;
}

/* In the order of the role's key ids, so that the same keys give the same bytes. */
static int add_signatures(const struct sf_metadata *metadata, const char *const *directories, const char *role,
                          const struct sf_buffer *encoded, json_t *signatures, struct sf_error *err)
{
        _cleanup_keyring_ struct sf_keyring ring = SF_KEYRING_INIT;
        const json_t *keys, *spec = sf_metadata_role(metadata, role, &keys), *keyid;
        json_int_t threshold = json_integer_value(json_object_get(spec, "threshold"));
        size_t i;
        int r = sf_keyring_load(directories, role, &ring, err);

        json_array_foreach (json_object_get(spec, "keyids"), i, keyid) {
                const struct sf_keyring_key *key = r == 0 ? sf_keyring_find(&ring, json_string_value(keyid)) : NULL;

                if (key && (r = add_signature(key->signer, encoded, signatures, err)) < 0)
                        return r;
        }
        if (r < 0)
                return r;
        if ((json_int_t)json_array_size(signatures) < threshold || json_array_size(signatures) == 0)
                return sf_error_set(err, SF_ERR_NOT_FOUND, "keys of %s are missing: %zu of %lld are at hand%s%s", role,
                                    json_array_size(signatures), (long long)threshold, ring.problem.code ? ": " : "",
                                    ring.problem.code ? ring.problem.text : "");
        return 0;
}

int sf_dsse_sign(const struct sf_metadata *metadata, const char *const *keys, const char *role,
                 const char *payload_type, const struct sf_buffer *payload, struct sf_buffer *ret, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer encoded = SF_BUFFER_INIT;
        _cleanup_json_ json_t *signatures = json_array();
        _cleanup_json_ json_t *envelope = NULL;
        _cleanup_free_ char *text = NULL;
        int r;

        if (!signatures)
                return no_memory(err);
        if ((r = sf_dsse_encode(payload_type, payload, &encoded, err)) < 0 ||
            (r = add_signatures(metadata, keys, role, &encoded, signatures, err)) < 0)
                return r;
        envelope = json_pack("{s:o, s:s, s:O}", "payload", to_base64(payload->data, payload->len), "payloadType",
                             payload_type, "signatures", signatures);
        text = envelope ? json_dumps(envelope, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
        return text ? sf_buffer_puts(ret, text, err) : no_memory(err);
}
