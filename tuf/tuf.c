/* SPDX-License-Identifier: Apache-2.0 */
/* tuf/tuf.c - the TUF client workflow: in which order metadata is fetched, what must hold before a file replaces the
 * trusted one, and how a target is found. Numbers in comments are sections of the TUF specification 1.0.
 */
#include "tuf/tuf.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"
#include "tuf/tufdelegation.h"
#include "tuf/tufmeta.h"
#include "tuf/tufstore.h"
#include "tuf/tuftext.h"

#define ROOT_ROTATIONS_MAX 256 /* new roots followed in one refresh (5.3.3) */

struct sf_tuf {
        char *directory;
        struct sf_tuf_options options;
        struct sf_tufmeta root, timestamp, snapshot, targets; /* empty while nothing is trusted in this run */
        bool fresh;                                           /* a refresh succeeded */
};

/* --- small helpers --------------------------------------------------------------------------------------------- */

static void replace(struct sf_tufmeta *slot, struct sf_tufmeta *with)
{
        sf_tufmeta_free(slot);
        *slot = *with;
        *with = (struct sf_tufmeta)SF_TUFMETA_INIT;
}

static const json_t *top_keys(const struct sf_tuf *trust)
{
        return json_object_get(trust->root.body, "keys");
}

static const json_t *top_spec(const struct sf_tuf *trust, const char *role)
{
        return json_object_get(json_object_get(trust->root.body, "roles"), role);
}

static struct sf_tuf_role top_role(const struct sf_tuf *trust, const char *name, size_t max)
{
        return (struct sf_tuf_role){ name, name, top_keys(trust), top_spec(trust, name), max };
}

static bool consistent_snapshot(const struct sf_tuf *trust)
{
        return json_is_true(json_object_get(trust->root.body, "consistent_snapshot"));
}

/* --- expiry ---------------------------------------------------------------------------------------------------- */

/* `grace` > 0 lets expired metadata pass for that long, with a notice. */
static int check_expiry(const struct sf_tuf *trust, const struct sf_tufmeta *meta, const char *role, int64_t grace,
                        struct sf_error *err)
{
        char when[SF_CLOCK_STAMP];

        if (meta->expires > trust->options.now)
                return 0;
        sf_clock_stamp(meta->expires, when);
        if (trust->options.now - meta->expires >= grace)
                return sf_error_set(err, SF_ERR_EXPIRED, "%s version %" PRId64 " expired %s", role, meta->version,
                                    when);
        if (trust->options.notice) {
                _cleanup_free_ char *text = sf_format("%s version %" PRId64
                                                      " expired %s; accepted within the configured grace",
                                                      role, meta->version, when);
                trust->options.notice(trust->options.notice_ctx, text ? text : role);
        }
        return 0;
}

/* --- root (5.3) ------------------------------------------------------------------------------------------------ */

static bool lists_keyid(const json_t *spec, const json_t *wanted)
{
        const json_t *keyid;
        size_t i;

        json_array_foreach (json_object_get(spec, "keyids"), i, keyid)
                if (json_equal(keyid, wanted))
                        return true;
        return false;
}

/* True where `next` takes a key away from the role: whoever held it may have driven version numbers up. */
static bool key_retired(const struct sf_tuf *trust, const struct sf_tufmeta *next, const char *role)
{
        const json_t *spec = json_object_get(json_object_get(next->body, "roles"), role);
        const json_t *keyid;
        size_t i;

        json_array_foreach (json_object_get(top_spec(trust, role), "keyids"), i, keyid)
                if (!lists_keyid(spec, keyid))
                        return true;
        return false;
}

/* One step of the chain: signed by the old keys and the new, and exactly the next version. */
static int accept_root(struct sf_tuf *trust, const char *name, const struct sf_buffer *bytes, struct sf_error *err)
{
        _cleanup_tufmeta_ struct sf_tufmeta next = SF_TUFMETA_INIT;
        int r = sf_tufmeta_parse(name, "root", bytes->data, bytes->len, &next, err);

        if (r == 0)
                r = sf_tufmeta_verify_top(&next, &trust->root, "root", err);
        if (r == 0)
                r = sf_tufmeta_verify_top(&next, &next, "root", err);
        if (r < 0)
                return r;
        if (next.version != trust->root.version + 1)
                return sf_error_set(err, SF_ERR_TRUST, "%s: its version is %" PRId64, name, next.version);
        /* Fast-forward recovery (5.3.11), before the root is stored: a crash in between must not keep the old ones. */
        if (key_retired(trust, &next, "timestamp") || key_retired(trust, &next, "snapshot"))
                if ((r = sf_tufstore_remove(trust->directory, "timestamp", err)) < 0 ||
                    (r = sf_tufstore_remove(trust->directory, "snapshot", err)) < 0)
                        return r;
        if ((r = sf_tufstore_write(trust->directory, "root", bytes, err)) < 0)
                return r;
        replace(&trust->root, &next);
        return 0;
}

static int update_root(struct sf_tuf *trust, const struct sf_tuf_source *source, struct sf_error *err)
{
        for (int i = 0; i < ROOT_ROTATIONS_MAX; i++) {
                _cleanup_(sf_buffer_free) struct sf_buffer bytes = SF_BUFFER_INIT;
                _cleanup_free_ char *name = sf_format("%" PRId64 ".root.json", trust->root.version + 1);
                struct sf_error problem = SF_ERROR_INIT;
                int r = name ? source->fetch(source->ctx, name, SF_TUF_ROOT_MAX, &bytes, &problem)
                             : sf_error_set(&problem, SF_ERR_NOMEM, "no memory for root");
                if (r == SF_ERR_NOT_FOUND)
                        break;
                if (r == 0)
                        r = accept_root(trust, name, &bytes, &problem);
                if (r < 0) {
                        if (err)
                                *err = problem;
                        return r;
                }
        }
        return check_expiry(trust, &trust->root, "root", 0, err);
}

/* --- timestamp (5.4) ------------------------------------------------------------------------------------------- */

static json_int_t listed_version(const json_t *entry)
{
        return json_integer_value(json_object_get(entry, "version"));
}

/* The old and the new timestamp: -1 refused, 0 the old one stays, 1 the new one replaces it. */
static int compare_timestamps(const struct sf_tufmeta *old, const struct sf_tufmeta *new, struct sf_error *err)
{
        if (new->version < old->version)
                return sf_error_set(err, SF_ERR_TRUST, "timestamp: version %" PRId64 " after %" PRId64 " was seen",
                                    new->version, old->version);
        if (new->version == old->version)
                return 0;
        if (listed_version(sf_tufmeta_listed(new, "snapshot")) < listed_version(sf_tufmeta_listed(old, "snapshot")))
                return sf_error_set(err, SF_ERR_TRUST, "timestamp: names snapshot version %lld after %lld was seen",
                                    (long long)listed_version(sf_tufmeta_listed(new, "snapshot")),
                                    (long long)listed_version(sf_tufmeta_listed(old, "snapshot")));
        return 1;
}

static int update_timestamp(struct sf_tuf *trust, const struct sf_tuf_source *source, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer old_bytes = SF_BUFFER_INIT, bytes = SF_BUFFER_INIT;
        _cleanup_tufmeta_ struct sf_tufmeta old = SF_TUFMETA_INIT, new = SF_TUFMETA_INIT;
        const struct sf_tuf_role role = top_role(trust, "timestamp", SF_TUF_TIMESTAMP_MAX);
        int known = sf_tufstore_read(trust->directory, &role, &old_bytes, &old, err);
        int r = known, newer = 1;

        if (r >= 0)
                r = source->fetch(source->ctx, "timestamp.json", SF_TUF_TIMESTAMP_MAX, &bytes, err);
        if (r == 0)
                r = sf_tufmeta_parse("timestamp.json", "timestamp", bytes.data, bytes.len, &new, err);
        if (r == 0)
                r = sf_tufmeta_verify_top(&new, &trust->root, "timestamp", err);
        if (r == 0 && known)
                r = newer = compare_timestamps(&old, &new, err);
        if (r < 0)
                return r;
        if ((r = check_expiry(trust, newer ? &new : &old, "timestamp", trust->options.grace, err)) < 0)
                return r;
        if (newer && (r = sf_tufstore_write(trust->directory, "timestamp", &bytes, err)) < 0)
                return r;
        replace(&trust->timestamp, newer ? &new : &old);
        return 0;
}

/* --- snapshot (5.5) -------------------------------------------------------------------------------------------- */

/* Everything after the timestamp is announced by another file: fetched by that announcement and checked against it. */
static int fetch_listed(const struct sf_tuf *trust, const struct sf_tuf_source *source, const struct sf_tuf_role *role,
                        const json_t *entry, struct sf_buffer *ret_bytes, struct sf_tufmeta *ret, struct sf_error *err)
{
        _cleanup_free_ char *encoded = sf_tuftext_encode(role->name);
        _cleanup_free_ char *name = !encoded ? NULL
                                    : consistent_snapshot(trust)
                                            ? sf_format("%lld.%s.json", (long long)listed_version(entry), encoded)
                                            : sf_format("%s.json", encoded);
        const json_t *length = json_object_get(entry, "length");
        size_t max = role->max;
        int r;

        if (!name)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for %s", role->name);
        if (length && (uint64_t)json_integer_value(length) > max)
                return sf_error_set(err, SF_ERR_LIMIT, "%s: announced with %lld bytes, at most %zu are read", name,
                                    (long long)json_integer_value(length), max);
        if (length)
                max = (size_t)json_integer_value(length);
        if ((r = source->fetch(source->ctx, name, max, ret_bytes, err)) < 0 ||
            (r = sf_tufmeta_check_bytes(name, entry, ret_bytes->data, ret_bytes->len, err)) < 0)
                return r;
        return sf_tufmeta_parse(name, role->type, ret_bytes->data, ret_bytes->len, ret, err);
}

static int check_version(const struct sf_tufmeta *meta, const char *role, const json_t *entry, struct sf_error *err)
{
        if (meta->version != listed_version(entry))
                return sf_error_set(err, SF_ERR_TRUST, "%s: version %" PRId64 ", announced was %lld", role,
                                    meta->version, (long long)listed_version(entry));
        return 0;
}

/* No targets metadata that was announced once may disappear or get older (5.5.5). */
static int check_no_rollback(const struct sf_tufmeta *old, const struct sf_tufmeta *new, struct sf_error *err)
{
        const json_t *listed = json_object_get(new->body, "meta");
        const char *name;
        json_t *before;

        json_object_foreach (json_object_get(old->body, "meta"), name, before) {
                const json_t *now = json_object_get(listed, name);
                if (!now)
                        return sf_error_set(err, SF_ERR_TRUST, "snapshot: no longer lists %s", name);
                if (listed_version(now) < listed_version(before))
                        return sf_error_set(err, SF_ERR_TRUST, "snapshot: lists %s version %lld after %lld was seen",
                                            name, (long long)listed_version(now), (long long)listed_version(before));
        }
        return 0;
}

static int update_snapshot(struct sf_tuf *trust, const struct sf_tuf_source *source, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer old_bytes = SF_BUFFER_INIT, bytes = SF_BUFFER_INIT;
        _cleanup_tufmeta_ struct sf_tufmeta old = SF_TUFMETA_INIT, new = SF_TUFMETA_INIT;
        const json_t *entry = sf_tufmeta_listed(&trust->timestamp, "snapshot");
        const struct sf_tuf_role role = top_role(trust, "snapshot", SF_TUF_SNAPSHOT_MAX);
        int known = sf_tufstore_read(trust->directory, &role, &old_bytes, &old, err);
        int r;

        if (known < 0)
                return known;
        if (known && check_version(&old, "snapshot", entry, NULL) == 0 &&
            sf_tufmeta_check_bytes("snapshot", entry, old_bytes.data, old_bytes.len, NULL) == 0) {
                if ((r = check_expiry(trust, &old, "snapshot", trust->options.grace, err)) < 0)
                        return r;
                replace(&trust->snapshot, &old);
                return 0;
        }
        r = fetch_listed(trust, source, &role, entry, &bytes, &new, err);
        if (r == 0)
                r = sf_tufmeta_verify_top(&new, &trust->root, "snapshot", err);
        if (r == 0)
                r = check_version(&new, "snapshot", entry, err);
        if (r == 0 && known)
                r = check_no_rollback(&old, &new, err);
        if (r == 0)
                r = check_expiry(trust, &new, "snapshot", trust->options.grace, err);
        if (r == 0)
                r = sf_tufstore_write(trust->directory, "snapshot", &bytes, err);
        if (r < 0)
                return r;
        replace(&trust->snapshot, &new);
        return 0;
}

/* --- targets and delegated targets (5.6) ----------------------------------------------------------------------- */

/* The trusted copy where it is still what the snapshot names, else a new one. */
static int load_targets(struct sf_tuf *trust, const struct sf_tuf_source *source, const char *role, const json_t *keys,
                        const json_t *spec, struct sf_tufmeta *ret, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer old_bytes = SF_BUFFER_INIT, bytes = SF_BUFFER_INIT;
        _cleanup_tufmeta_ struct sf_tufmeta meta = SF_TUFMETA_INIT;
        const json_t *entry = sf_tufmeta_listed(&trust->snapshot, role);
        int known, r;

        if (!entry)
                return sf_error_set(err, SF_ERR_TRUST, "%s: not listed by the snapshot", role);
        const struct sf_tuf_role wanted = { role, "targets", keys, spec, SF_TUF_TARGETS_MAX };
        known = sf_tufstore_read(trust->directory, &wanted, &old_bytes, &meta, err);
        if (known < 0)
                return known;
        if (known && check_version(&meta, role, entry, NULL) == 0 &&
            sf_tufmeta_check_bytes(role, entry, old_bytes.data, old_bytes.len, NULL) == 0) {
                if ((r = check_expiry(trust, &meta, role, 0, err)) < 0)
                        return r;
                replace(ret, &meta);
                return 0;
        }
        sf_tufmeta_free(&meta);
        r = fetch_listed(trust, source, &wanted, entry, &bytes, &meta, err);
        if (r == 0)
                r = sf_tufmeta_verify(&meta, role, keys, spec, err);
        if (r == 0)
                r = check_version(&meta, role, entry, err);
        if (r == 0)
                r = check_expiry(trust, &meta, role, 0, err);
        if (r == 0)
                r = sf_tufstore_write(trust->directory, role, &bytes, err);
        if (r < 0)
                return r;
        replace(ret, &meta);
        return 0;
}

int sf_tuf_refresh(struct sf_tuf *trust, const struct sf_tuf_source *source, struct sf_error *err)
{
        int r = update_root(trust, source, err);

        trust->fresh = false;
        if (r == 0)
                r = update_timestamp(trust, source, err);
        if (r == 0)
                r = update_snapshot(trust, source, err);
        if (r == 0)
                r = load_targets(trust, source, "targets", top_keys(trust), top_spec(trust, "targets"), &trust->targets,
                                 err);
        if (r < 0)
                return sf_error_prefix(err, "trust");
        trust->fresh = true;
        return 0;
}

/* --- opening --------------------------------------------------------------------------------------------------- */

int sf_tuf_open(const struct sf_tuf_options *options, struct sf_tuf **ret, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer bytes = SF_BUFFER_INIT;
        _cleanup_free_ char *path = sf_tufstore_path(options->directory, "root");
        struct sf_tuf *trust = calloc(1, sizeof *trust);
        int r;

        if (!path || !trust || !(trust->directory = strdup(options->directory))) {
                free(trust);
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for trusted metadata");
        }
        trust->options = *options;
        trust->options.directory = trust->directory;
        r = sf_fs_read(path, SF_TUF_ROOT_MAX, &bytes, err);
        if (r == 0)
                r = sf_tufmeta_parse(path, "root", bytes.data, bytes.len, &trust->root, err);
        if (r == 0)
                r = sf_tufmeta_verify_top(&trust->root, &trust->root, "root", err);
        if (r < 0) {
                sf_tuf_close(trust);
                return r;
        }
        *ret = trust;
        return 0;
}

void sf_tuf_close(struct sf_tuf *trust)
{
        if (!trust)
                return;
        sf_tufmeta_free(&trust->root);
        sf_tufmeta_free(&trust->timestamp);
        sf_tufmeta_free(&trust->snapshot);
        sf_tufmeta_free(&trust->targets);
        free(trust->directory);
        free(trust);
}

/* --- targets --------------------------------------------------------------------------------------------------- */

/* dir/<hash>.file: what a target is called where snapshots are consistent (6.2). */
static char *download_name(const struct sf_tuf *trust, const struct sf_tuf_target *target)
{
        _cleanup_free_ char *encoded = sf_tuftext_encode_path(target->name);
        const char *hash = *target->sha256 ? target->sha256 : target->sha512;
        const char *slash = encoded ? strrchr(encoded, '/') : NULL;
        int directory = slash ? (int)(slash + 1 - encoded) : 0;

        if (!encoded || !consistent_snapshot(trust))
                return sf_steal_pointer(encoded);
        return sf_format("%.*s%s.%s", directory, encoded, hash, encoded + directory);
}

static bool copy_hash(char *out, size_t room, const json_t *hashes, const char *algorithm)
{
        const char *text = json_string_value(json_object_get(hashes, algorithm));

        if (!text || strlen(text) != room - 1 || strspn(text, "0123456789abcdef") != room - 1)
                return false;
        memcpy(out, text, room);
        return true;
}

static int describe(const struct sf_tuf *trust, const char *name, const json_t *entry, struct sf_tuf_target *ret,
                    struct sf_error *err)
{
        const json_t *hashes = json_object_get(entry, "hashes");
        struct sf_tuf_target target = { .length = (uint64_t)json_integer_value(json_object_get(entry, "length")) };
        bool sha256 = copy_hash(target.sha256, sizeof target.sha256, hashes, "sha256");
        bool sha512 = copy_hash(target.sha512, sizeof target.sha512, hashes, "sha512");

        if (!sha256 && !sha512)
                return sf_error_set(err, SF_ERR_CORRUPT, "%s: no sha256 or sha512 hash", name);
        target.name = strdup(name);
        target.download_name = target.name ? download_name(trust, &target) : NULL;
        if (!target.download_name) {
                free(target.name);
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for target %s", name);
        }
        *ret = target;
        return 0;
}

static const json_t *target_of(const struct sf_tufmeta *meta, const char *name)
{
        return json_object_get(json_object_get(meta->body, "targets"), name);
}

/* Loads delegated roles in order until one lists the target. Their metadata is kept until the search ends: the walk
 * borrows from it. */
static int search_delegations(struct sf_tuf *trust, const struct sf_tuf_source *source, struct sf_tufwalk *walk,
                              struct sf_tufmeta *loaded, struct sf_tuf_target *ret, struct sf_error *err)
{
        struct sf_tufvisit visit;
        size_t count = 0;
        int r = sf_tufwalk_push(walk, trust->targets.body, err);

        while (r == 0 && (r = sf_tufwalk_next(walk, &visit, err)) > 0) {
                r = load_targets(trust, source, visit.role, visit.keys, visit.spec, &loaded[count], err);
                free(visit.role);
                if (r < 0)
                        return r;
                const json_t *entry = target_of(&loaded[count], walk->path);
                if (entry)
                        return describe(trust, walk->path, entry, ret, err);
                r = sf_tufwalk_push(walk, loaded[count++].body, err);
        }
        return r < 0 ? r : sf_error_set(err, SF_ERR_NOT_FOUND, "no trusted role lists %s", walk->path);
}

int sf_tuf_find(struct sf_tuf *trust, const struct sf_tuf_source *source, const char *name, struct sf_tuf_target *ret,
                struct sf_error *err)
{
        struct sf_tufmeta loaded[SF_TUF_VISITS_MAX] = { SF_TUFMETA_INIT };
        const json_t *entry;
        struct sf_tufwalk walk;
        int r;

        if (!trust->fresh)
                return sf_error_set(err, SF_ERR_TRUST, "%s: metadata was not refreshed", name);
        if ((entry = target_of(&trust->targets, name)))
                return describe(trust, name, entry, ret, err);
        if ((r = sf_tufwalk_init(&walk, name, err)) < 0)
                return r;
        r = search_delegations(trust, source, &walk, loaded, ret, err);
        sf_tufwalk_free(&walk);
        for (size_t i = 0; i < SF_TUF_VISITS_MAX; i++)
                sf_tufmeta_free(&loaded[i]);
        return r < 0 ? sf_error_prefix(err, "trust") : 0;
}

static int visit_names(const struct sf_tufmeta *meta, int (*visit)(void *ctx, const char *name, struct sf_error *err),
                       void *ctx, struct sf_error *err)
{
        json_t *targets = json_object_get(meta->body, "targets"), *entry;
        const char *name;
        int r = 0;

        json_object_foreach (targets, name, entry) {
                if ((r = visit(ctx, name, err)) != 0)
                        break;
        }
        return r;
}

int sf_tuf_each_beside(struct sf_tuf *trust, const struct sf_tuf_source *source, const char *beside,
                       int (*visit)(void *ctx, const char *name, struct sf_error *err), void *ctx, struct sf_error *err)
{
        struct sf_tufmeta loaded[SF_TUF_VISITS_MAX] = { SF_TUFMETA_INIT };
        struct sf_tufvisit next;
        struct sf_tufwalk walk;
        size_t count = 0;
        int r = trust->fresh ? sf_tufwalk_init(&walk, beside, err)
                             : sf_error_set(err, SF_ERR_TRUST, "%s: metadata was not refreshed", beside);

        if (r < 0)
                return r;
        r = visit_names(&trust->targets, visit, ctx, err);
        if (r == 0)
                r = sf_tufwalk_push(&walk, trust->targets.body, err);
        while (r == 0 && (r = sf_tufwalk_next(&walk, &next, err)) > 0) {
                r = load_targets(trust, source, next.role, next.keys, next.spec, &loaded[count], err);
                free(next.role);
                if (r == 0)
                        r = visit_names(&loaded[count], visit, ctx, err);
                if (r == 0)
                        r = sf_tufwalk_push(&walk, loaded[count++].body, err);
        }
        sf_tufwalk_free(&walk);
        for (size_t i = 0; i < SF_TUF_VISITS_MAX; i++)
                sf_tufmeta_free(&loaded[i]);
        return r;
}

void sf_tuf_target_free(struct sf_tuf_target *target)
{
        free(target->name);
        free(target->download_name);
        *target = (struct sf_tuf_target){ 0 };
}

int sf_tuf_target_check(const struct sf_tuf_target *target, const void *data, size_t len, struct sf_error *err)
{
        _cleanup_json_ json_t *entry = json_pack("{s:I, s:{}}", "length", (json_int_t)target->length, "hashes");
        json_t *hashes = json_object_get(entry, "hashes");

        if (!entry || (*target->sha256 && json_object_set_new(hashes, "sha256", json_string(target->sha256)) < 0) ||
            (*target->sha512 && json_object_set_new(hashes, "sha512", json_string(target->sha512)) < 0))
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for target %s", target->name);
        return sf_tufmeta_check_bytes(target->name, entry, data, len, err);
}
