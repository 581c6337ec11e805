/* SPDX-License-Identifier: Apache-2.0 */
/* tuf/tufmeta.c - the structure of TUF metadata: everything a hostile file could get wrong is refused here, once. */
#include "tuf/tufmeta.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/crypto.h"
#include "base/digest.h"
#include "base/json.h"
#include "tuf/tufkey.h"
#include "tuf/tuftext.h"

#define WHERE_MAX 320

static const char *const top_roles[] = { "root", "timestamp", "snapshot", "targets" };

static bool is_top_role(const char *name)
{
        for (size_t i = 0; i < sizeof top_roles / sizeof *top_roles; i++)
                if (strcmp(name, top_roles[i]) == 0)
                        return true;
        return false;
}

static int corrupt(struct sf_error *err, const char *where, const char *what)
{
        return sf_error_set(err, SF_ERR_CORRUPT, "%s: %s", where, what);
}

/* Every element is a string, and no two are equal. */
static int check_string_set(const json_t *object, const char *where, const char *key, struct sf_error *err)
{
        json_t *array;
        _cleanup_json_ json_t *seen = json_object();
        const json_t *element;
        size_t i;
        int r = sf_json_array(object, where, key, &array, err);

        if (r < 0)
                return r;
        json_array_foreach (array, i, element) {
                const char *text = json_string_value(element);
                if (!text)
                        return sf_error_set(err, SF_ERR_CORRUPT, "%s.%s: holds something that is not a string", where,
                                            key);
                if (json_object_get(seen, text))
                        return sf_error_set(err, SF_ERR_CORRUPT, "%s.%s: %s stands there twice", where, key, text);
                if (json_object_set_new(seen, text, json_true()) < 0)
                        return sf_error_set(err, SF_ERR_NOMEM, "no memory for %s", where);
        }
        return 0;
}

/* {keyids, threshold}: what a role, a delegation and a set of hashed bins have in common. */
static int check_role(const json_t *role, const char *where, struct sf_error *err)
{
        int64_t threshold;
        int r = check_string_set(role, where, "keyids", err);

        return r < 0 ? r : sf_json_integer(role, where, "threshold", 1, INT32_MAX, &threshold, err);
}

static int check_keys(const json_t *parent, const char *where, struct sf_error *err)
{
        json_t *keys, *value, *keyval;
        const char *keyid, *text;
        char at[WHERE_MAX];
        int r = sf_json_object(parent, where, "keys", &keys, err);

        if (r < 0)
                return r;
        json_object_foreach (keys, keyid, value) {
                snprintf(at, sizeof at, "%s.keys.%.64s", where, keyid);
                if ((r = sf_json_string(value, at, "keytype", &text, err)) < 0 ||
                    (r = sf_json_string(value, at, "scheme", &text, err)) < 0 ||
                    (r = sf_json_object(value, at, "keyval", &keyval, err)) < 0)
                        return r;
        }
        return 0;
}

static int check_hashes(const json_t *entry, const char *where, struct sf_error *err)
{
        json_t *hashes, *value;
        const char *algorithm;
        int r = sf_json_object(entry, where, "hashes", &hashes, err);

        if (r < 0)
                return r;
        if (json_object_size(hashes) == 0)
                return sf_error_set(err, SF_ERR_CORRUPT, "%s.hashes: empty", where);
        json_object_foreach (hashes, algorithm, value)
                if (!json_is_string(value))
                        return sf_error_set(err, SF_ERR_CORRUPT, "%s.hashes.%s: not a string", where, algorithm);
        return 0;
}

/* Entries of snapshot and timestamp: {version, length?, hashes?}. */
static int check_listed(const json_t *meta, const char *where, struct sf_error *err)
{
        const char *name;
        json_t *entry;
        int64_t number;
        char at[WHERE_MAX];
        int r = 0;

        json_object_foreach ((json_t *)meta, name, entry) {
                snprintf(at, sizeof at, "%s.meta.%.200s", where, name);
                r = sf_json_integer(entry, at, "version", 1, INT64_MAX, &number, err);
                if (r == 0 && json_object_get(entry, "length"))
                        r = sf_json_integer(entry, at, "length", 0, INT64_MAX, &number, err);
                if (r == 0 && json_object_get(entry, "hashes"))
                        r = check_hashes(entry, at, err);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* The four roles have to be there; of others only "mirrors" means anything to anybody (section 4.3). */
static int check_root_roles(json_t *roles, const char *where, struct sf_error *err)
{
        const char *name;
        json_t *role;
        char at[WHERE_MAX];
        int r = 0;

        for (size_t i = 0; r == 0 && i < sizeof top_roles / sizeof *top_roles; i++)
                r = sf_json_object(roles, where, top_roles[i], &role, err);
        if (r < 0)
                return r;
        json_object_foreach (roles, name, role) {
                snprintf(at, sizeof at, "%.200s.%.64s", where, name);
                if (!is_top_role(name) && strcmp(name, "mirrors") != 0)
                        return corrupt(err, at, "no such role");
                if ((r = check_role(role, at, err)) < 0)
                        return r;
        }
        return 0;
}

static int check_root(const json_t *body, const char *name, struct sf_error *err)
{
        json_t *roles;
        bool consistent;
        char where[WHERE_MAX];
        int r = check_keys(body, name, err);

        if (r == 0 && json_object_get(body, "consistent_snapshot"))
                r = sf_json_bool(body, name, "consistent_snapshot", &consistent, err);
        if (r == 0)
                r = sf_json_object(body, name, "roles", &roles, err);
        snprintf(where, sizeof where, "%.200s.roles", name);
        return r < 0 ? r : check_root_roles(roles, where, err);
}

static int check_timestamp(const json_t *body, const char *where, struct sf_error *err)
{
        json_t *meta, *entry;
        int r = sf_json_object(body, where, "meta", &meta, err);

        if (r == 0)
                r = sf_json_object(meta, where, "snapshot.json", &entry, err);
        return r < 0 ? r : check_listed(meta, where, err);
}

static int check_snapshot(const json_t *body, const char *where, struct sf_error *err)
{
        json_t *meta;
        int r = sf_json_object(body, where, "meta", &meta, err);

        return r < 0 ? r : check_listed(meta, where, err);
}

/* A delegated role must not pass for a top-level one on disk, and its file name must stay within reason. */
static int check_role_name(const char *name, const char *where, struct sf_error *err)
{
        _cleanup_free_ char *encoded = sf_tuftext_encode(name);

        if (!encoded)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for %s", where);
        if (!*name || strlen(encoded) > SF_TUF_ROLE_NAME_MAX)
                return corrupt(err, where, "a delegated role's name is empty or too long");
        if (is_top_role(name))
                return sf_error_set(err, SF_ERR_CORRUPT, "%s: delegates to the top-level role %s", where, name);
        return 0;
}

static int check_delegated_role(const json_t *role, const char *where, json_t *names, struct sf_error *err)
{
        const char *name;
        bool flag;
        char at[WHERE_MAX];
        bool paths = json_object_get(role, "paths") != NULL;
        bool prefixes = json_object_get(role, "path_hash_prefixes") != NULL;
        int r = sf_json_string(role, where, "name", &name, err);

        if (r < 0)
                return r;
        snprintf(at, sizeof at, "%.100s.%.200s", where, name);
        if ((r = check_role_name(name, at, err)) < 0 || (r = check_role(role, at, err)) < 0 ||
            (r = sf_json_bool(role, at, "terminating", &flag, err)) < 0)
                return r;
        if (paths == prefixes)
                return corrupt(err, at, "needs either paths or path_hash_prefixes");
        if (json_object_get(names, name))
                return corrupt(err, at, "delegated to twice");
        if (json_object_set_new(names, name, json_true()) < 0)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for %s", where);
        return check_string_set(role, at, paths ? "paths" : "path_hash_prefixes", err);
}

static int check_delegated_roles(const json_t *delegations, const char *where, struct sf_error *err)
{
        _cleanup_json_ json_t *names = json_object();
        json_t *roles, *role;
        size_t i;
        int r = sf_json_array(delegations, where, "roles", &roles, err);

        if (r < 0)
                return r;
        if (json_array_size(roles) > SF_TUF_DELEGATIONS_MAX)
                return sf_error_set(err, SF_ERR_LIMIT, "%s: %zu delegated roles, at most %u are read", where,
                                    json_array_size(roles), SF_TUF_DELEGATIONS_MAX);
        json_array_foreach (roles, i, role)
                if ((r = check_delegated_role(role, where, names, err)) < 0)
                        return r;
        return 0;
}

static int check_succinct(const json_t *delegations, const char *where, struct sf_error *err)
{
        json_t *roles;
        const char *prefix;
        int64_t bits;
        char at[WHERE_MAX];
        int r = sf_json_object(delegations, where, "succinct_roles", &roles, err);

        snprintf(at, sizeof at, "%.200s.succinct_roles", where);
        if (r < 0 || (r = check_role(roles, at, err)) < 0 ||
            (r = sf_json_integer(roles, at, "bit_length", 1, 32, &bits, err)) < 0 ||
            (r = sf_json_string(roles, at, "name_prefix", &prefix, err)) < 0)
                return r;
        return check_role_name(prefix, at, err);
}

static int check_delegations(const json_t *body, const char *name, struct sf_error *err)
{
        json_t *delegations;
        char where[WHERE_MAX];
        int r;

        if (!json_object_get(body, "delegations"))
                return 0;
        snprintf(where, sizeof where, "%.200s.delegations", name);
        if ((r = sf_json_object(body, name, "delegations", &delegations, err)) < 0 ||
            (r = check_keys(delegations, where, err)) < 0)
                return r;
        if (!json_object_get(delegations, "roles") == !json_object_get(delegations, "succinct_roles"))
                return corrupt(err, where, "needs either roles or succinct_roles");
        return json_object_get(delegations, "roles") ? check_delegated_roles(delegations, where, err)
                                                     : check_succinct(delegations, where, err);
}

static int check_targets(const json_t *body, const char *where, struct sf_error *err)
{
        const char *path;
        json_t *targets, *entry;
        int64_t length;
        char at[WHERE_MAX];
        int r = sf_json_object(body, where, "targets", &targets, err);

        if (r < 0)
                return r;
        json_object_foreach (targets, path, entry) {
                snprintf(at, sizeof at, "%.100s.targets.%.200s", where, path);
                if ((r = sf_json_integer(entry, at, "length", 0, INT64_MAX, &length, err)) < 0 ||
                    (r = check_hashes(entry, at, err)) < 0)
                        return r;
        }
        return check_delegations(body, where, err);
}

/* Each keyid signs at most once: a second signature under the same name is refused even where it is not needed. */
static int check_signatures(const json_t *document, const char *name, struct sf_error *err)
{
        _cleanup_json_ json_t *seen = json_object();
        json_t *signatures, *entry;
        const char *keyid, *text;
        size_t i;
        int r = sf_json_array(document, name, "signatures", &signatures, err);

        if (r < 0)
                return r;
        json_array_foreach (signatures, i, entry) {
                if ((r = sf_json_string(entry, name, "keyid", &keyid, err)) < 0 ||
                    (r = sf_json_string(entry, name, "sig", &text, err)) < 0)
                        return sf_error_prefix(err, "signatures");
                if (json_object_get(seen, keyid))
                        return sf_error_set(err, SF_ERR_CORRUPT, "%s: two signatures with keyid %.64s", name, keyid);
                if (json_object_set_new(seen, keyid, json_true()) < 0)
                        return sf_error_set(err, SF_ERR_NOMEM, "no memory for %s", name);
        }
        return 0;
}

/* "1.N" or "1.N.M": another major version may mean something else by the same words. */
static int check_spec_version(const json_t *body, const char *name, struct sf_error *err)
{
        const char *text;
        unsigned major, minor, patch;
        int used = 0;
        int r = sf_json_string(body, name, "spec_version", &text, err);

        if (r < 0)
                return r;
        if (strspn(text, "0123456789.") != strlen(text) || strlen(text) > 16 ||
            (sscanf(text, "%u.%u%n", &major, &minor, &used), used == 0) ||
            (text[used] && (sscanf(text + used, ".%u%n", &patch, &r), text[used + r])))
                return sf_error_set(err, SF_ERR_CORRUPT, "%s.spec_version: \"%.20s\" is not a version", name, text);
        if (major != 1)
                return sf_error_set(err, SF_ERR_UNSUPPORTED, "%s: written for TUF %.20s, this program reads 1.x", name,
                                    text);
        return 0;
}

static int check_body(struct sf_tufmeta *meta, const char *name, const char *type, struct sf_error *err)
{
        const char *text;
        int r = sf_json_string(meta->body, name, "_type", &text, err);

        if (r < 0)
                return r;
        if (strcmp(text, type) != 0)
                return sf_error_set(err, SF_ERR_CORRUPT, "%s: its type is %.20s, not %s", name, text, type);
        if ((r = check_spec_version(meta->body, name, err)) < 0 ||
            (r = sf_json_integer(meta->body, name, "version", 1, INT64_MAX - 1, &meta->version, err)) < 0 ||
            (r = sf_json_string(meta->body, name, "expires", &text, err)) < 0)
                return r;
        if ((r = sf_tuftext_read_time(text, &meta->expires, err)) < 0)
                return sf_error_prefix(err, "%s.expires", name);
        if (strcmp(type, "root") == 0)
                return check_root(meta->body, name, err);
        if (strcmp(type, "timestamp") == 0)
                return check_timestamp(meta->body, name, err);
        if (strcmp(type, "snapshot") == 0)
                return check_snapshot(meta->body, name, err);
        return check_targets(meta->body, name, err);
}

int sf_tufmeta_parse(const char *name, const char *type, const void *text, size_t len, struct sf_tufmeta *ret,
                     struct sf_error *err)
{
        _cleanup_tufmeta_ struct sf_tufmeta meta = SF_TUFMETA_INIT;
        int r = sf_json_parse(name, text, len, &meta.document, err);

        if (r == 0)
                r = check_signatures(meta.document, name, err);
        if (r == 0)
                r = sf_json_object(meta.document, name, "signed", &meta.body, err);
        if (r == 0)
                r = check_body(&meta, name, type, err);
        if (r < 0)
                return r;
        *ret = meta;
        meta = (struct sf_tufmeta)SF_TUFMETA_INIT;
        return 0;
}

void sf_tufmeta_free(struct sf_tufmeta *meta)
{
        json_decref(meta->document);
        *meta = (struct sf_tufmeta)SF_TUFMETA_INIT;
}

int sf_tufmeta_verify(const struct sf_tufmeta *meta, const char *name, const json_t *keys, const json_t *role,
                      struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer canonical = SF_BUFFER_INIT;
        int r = sf_json_canonical(meta->body, &canonical, err);

        if (r < 0)
                return sf_error_prefix(err, "%s", name);
        return sf_tufkey_check_threshold(name, keys, role, json_object_get(meta->document, "signatures"),
                                         canonical.data, canonical.len, err);
}

int sf_tufmeta_verify_top(const struct sf_tufmeta *meta, const struct sf_tufmeta *root, const char *role,
                          struct sf_error *err)
{
        const json_t *keys = json_object_get(root->body, "keys");
        const json_t *spec = json_object_get(json_object_get(root->body, "roles"), role);

        return sf_tufmeta_verify(meta, role, keys, spec, err);
}

const json_t *sf_tufmeta_listed(const struct sf_tufmeta *meta, const char *role)
{
        _cleanup_free_ char *name = sf_format("%s.json", role);

        return name ? json_object_get(json_object_get(meta->body, "meta"), name) : NULL;
}

/* 1 the hash matches, 0 the algorithm is unknown, SF_ERR_CORRUPT it does not match. */
static int check_hash(const char *name, const char *algorithm, const char *expected, const void *data, size_t len,
                      struct sf_error *err)
{
        uint8_t bytes[EVP_MAX_MD_SIZE];
        char hex[2 * EVP_MAX_MD_SIZE + 1];
        unsigned size;
        const EVP_MD *md;

        if (strcmp(algorithm, "sha256") == 0)
                md = EVP_sha256();
        else if (strcmp(algorithm, "sha512") == 0)
                md = EVP_sha512();
        else
                return 0;
        if (EVP_Digest(data, len, bytes, &size, md, NULL) != 1)
                return sf_crypto_error(err, "%s: %s", name, algorithm);
        sf_hex_encode(bytes, size, hex);
        if (strcmp(hex, expected) != 0)
                return sf_error_set(err, SF_ERR_CORRUPT, "%s: %s is %.16s..., expected %.16s...", name, algorithm, hex,
                                    expected);
        return 1;
}

int sf_tufmeta_check_bytes(const char *name, const json_t *entry, const void *data, size_t len, struct sf_error *err)
{
        const json_t *length = json_object_get(entry, "length");
        json_t *hashes = json_object_get(entry, "hashes");
        const char *algorithm;
        const json_t *value;
        bool known = false;

        if (length && (json_int_t)len != json_integer_value(length))
                return sf_error_set(err, SF_ERR_CORRUPT, "%s: %zu bytes, expected %lld", name, len,
                                    (long long)json_integer_value(length));
        if (!hashes)
                return 0;
        json_object_foreach (hashes, algorithm, value) {
                int r = check_hash(name, algorithm, json_string_value(value), data, len, err);
                if (r < 0)
                        return r;
                known = known || r > 0;
        }
        if (!known)
                return sf_error_set(err, SF_ERR_UNSUPPORTED, "%s: none of its hashes is sha256 or sha512", name);
        return 0;
}
