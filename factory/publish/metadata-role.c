/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/metadata-role.c - from a changed "signed" part to a signed file. */
#include "factory/publish/metadata-role.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/json.h"
#include "factory/publish/keyring.h"
#include "tuf/tuftext.h"

#define SPEC_VERSION "1.0.34"

void sf_metadata_role_free(struct sf_metadata_role *role)
{
        free(role->name);
        json_decref(role->body);
        json_decref(role->before);
        sf_buffer_free(&role->bytes);
        *role = (struct sf_metadata_role){ 0 };
}

void sf_metadata_role_committed(struct sf_metadata_role *role)
{
        json_decref(role->before);
        role->before = json_deep_copy(role->body);
        role->changed = false;
        sf_buffer_free(&role->bytes);
}

char *sf_metadata_role_path(const char *directory, const char *role, int64_t version)
{
        _cleanup_free_ char *encoded = sf_tuftext_encode(role);

        if (!encoded)
                return NULL;
        return version ? sf_format("%s/%" PRId64 ".%s.json", directory, version, encoded)
                       : sf_format("%s/%s.json", directory, encoded);
}

/* --- signing --------------------------------------------------------------------------------------------------- */

static bool has_signature(const json_t *signatures, const char *keyid)
{
        const json_t *entry;
        size_t i;

        json_array_foreach ((json_t *)signatures, i, entry)
                if (strcmp(json_string_value(json_object_get(entry, "keyid")), keyid) == 0)
                        return true;
        return false;
}

static int add_signature(json_t *signatures, const struct sf_signer *signer, const struct sf_buffer *canonical,
                         struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer hex = SF_BUFFER_INIT;
        int r = sf_signer_sign(signer, canonical->data, canonical->len, &hex, err);

        if (r < 0 || has_signature(signatures, sf_signer_keyid(signer)))
                return r;
        if (json_array_append_new(signatures, json_pack("{s:s, s:s}", "keyid", sf_signer_keyid(signer), "sig",
                                                        sf_buffer_text(&hex))) < 0)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a signature");
        return 0;
}

/* Signs with every key of `spec` that is at hand; fewer than the threshold is an error where `required`. */
static int sign_with(json_t *signatures, const char *role, const json_t *spec, const struct sf_keyring *ring,
                     bool required, const struct sf_buffer *canonical, struct sf_error *err)
{
        json_int_t threshold = json_integer_value(json_object_get(spec, "threshold")), done = 0;
        const json_t *keyid;
        size_t i;

        json_array_foreach (json_object_get(spec, "keyids"), i, keyid) {
                const struct sf_keyring_key *key = sf_keyring_find(ring, json_string_value(keyid));
                int r = key ? add_signature(signatures, key->signer, canonical, err) : 0;
                if (r < 0)
                        return r;
                done += key != NULL;
        }
        if (required && done < threshold)
                return sf_error_set(err, SF_ERR_NOT_FOUND, "role %s: %lld of the %lld keys it needs are at hand%s%s",
                                    role, (long long)done, (long long)threshold, ring->problem.code ? "; " : "",
                                    ring->problem.text);
        return 0;
}

static int sign_body(struct sf_metadata_role *role, const struct sf_metadata_signing *signing, json_t *signatures,
                     struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer canonical = SF_BUFFER_INIT;
        _cleanup_keyring_ struct sf_keyring ring = SF_KEYRING_INIT;
        int r = sf_json_canonical(role->body, &canonical, err);

        if (r == 0)
                r = sf_keyring_load(signing->keys, role->name, &ring, err);
        if (r == 0)
                r = sign_with(signatures, role->name, signing->spec, &ring, true, &canonical, err);
        if (r == 0 && signing->spec_before)
                r = sign_with(signatures, role->name, signing->spec_before, &ring, strcmp(role->name, "root") == 0,
                              &canonical, err);
        return r;
}

static int stamp(struct sf_metadata_role *role, int64_t expires, struct sf_error *err)
{
        json_int_t version = json_integer_value(json_object_get(role->before, "version")) + 1;
        char when[SF_CLOCK_STAMP];

        sf_clock_stamp(expires, when);
        if (json_object_set_new(role->body, "version", json_integer(version)) < 0 ||
            json_object_set_new(role->body, "expires", json_string(when)) < 0 ||
            json_object_set_new(role->body, "spec_version", json_string(SPEC_VERSION)) < 0)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for role %s", role->name);
        return 0;
}

int sf_metadata_role_sign(struct sf_metadata_role *role, int64_t expires, const struct sf_metadata_signing *signing,
                          struct sf_error *err)
{
        _cleanup_json_ json_t *document = json_pack("{s:[], s:O}", "signatures", "signed", role->body);
        int r = document ? stamp(role, expires, err)
                         : sf_error_set(err, SF_ERR_NOMEM, "no memory for role %s", role->name);

        if (r == 0)
                r = sign_body(role, signing, json_object_get(document, "signatures"), err);
        if (r < 0)
                return r;
        _cleanup_free_ char *text = json_dumps(document, JSON_COMPACT | JSON_SORT_KEYS);
        if (!text)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for role %s", role->name);
        sf_buffer_free(&role->bytes);
        if ((r = sf_buffer_puts(&role->bytes, text, err)) < 0)
                return r;
        return sf_buffer_puts(&role->bytes, "\n", err);
}

bool sf_metadata_role_can_sign(const char *role, const json_t *spec, const char *const *keys)
{
        _cleanup_keyring_ struct sf_keyring ring = SF_KEYRING_INIT;
        json_int_t found = 0;
        const json_t *keyid;
        size_t i;

        if (sf_keyring_load(keys, role, &ring, NULL) < 0)
                return false;
        json_array_foreach (json_object_get(spec, "keyids"), i, keyid)
                found += sf_keyring_find(&ring, json_string_value(keyid)) != NULL;
        return found > 0 && found >= json_integer_value(json_object_get(spec, "threshold"));
}

int sf_metadata_role_list(struct sf_metadata_role *lister, const struct sf_metadata_role *role, struct sf_error *err)
{
        _cleanup_free_ char *name = sf_format("%s.json", role->name);
        struct sf_digest digest;
        char hex[SF_DIGEST_HEX + 1];
        json_t *entry;

        sf_digest_of(role->bytes.data, role->bytes.len, &digest);
        entry = json_pack("{s:O, s:I, s:{s:s}}", "version", json_object_get(role->body, "version"), "length",
                          (json_int_t)role->bytes.len, "hashes", "sha256", sf_digest_hex(&digest, hex));
        lister->changed = true;
        if (!name || json_object_set_new(json_object_get(lister->body, "meta"), name, entry) < 0)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for role %s", role->name);
        return 0;
}
