/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/metadata-commit.c - changing the repository: targets are staged, everything that changes is signed in
 * memory, and only then the first byte is written, in an order that keeps every reader consistent.
 */
#include "factory/publish/metadata.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/log.h"
#include "factory/publish/metadata-state.h"
#include "release/layout.h"
#include "tuf/tuftext.h"

#define DAY 86400

/* --- targets --------------------------------------------------------------------------------------------------- */

/* targets/<dir>/<sha256>.<file>, below the repository. */
static char *target_path(const char *name, const char *sha256)
{
        const char *slash = strrchr(name, '/');
        int directory = slash ? (int)(slash + 1 - name) : 0;

        return sf_format(SF_LAYOUT_TARGETS "/%.*s%s.%s", directory, name, sha256, name + directory);
}

const char *sf_metadata_target_hash(const struct sf_metadata *metadata, const char *role, const char *name)
{
        const json_t *entry = json_object_get(json_object_get(sf_metadata_body(metadata, role), "targets"), name);

        return json_string_value(json_object_get(json_object_get(entry, "hashes"), "sha256"));
}

/* A file that was damaged since it was signed must not be signed again. */
static int read_checked(const char *path, const char *sha256, size_t max, struct sf_buffer *ret, struct sf_error *err)
{
        size_t before = ret->len;
        struct sf_digest digest;
        char is[SF_DIGEST_HEX + 1];
        int r = sf_fs_read(path, max, ret, err);

        if (r < 0)
                return r;
        sf_digest_of(ret->data + before, ret->len - before, &digest);
        if (strcmp(sf_digest_hex(&digest, is), sha256) != 0)
                return sf_error_set(err, SF_ERR_CORRUPT,
                                    "%s: damaged, its sha256 is %.16s…; bring the file back from a mirror or a backup",
                                    path, is);
        return 0;
}

int sf_metadata_get_target(struct sf_metadata *metadata, const char *role, const char *name, size_t max,
                           struct sf_buffer *ret, struct sf_error *err)
{
        const char *hash = sf_metadata_target_hash(metadata, role, name);
        _cleanup_free_ char *path = hash ? target_path(name, hash) : NULL;
        _cleanup_free_ char *full = path ? sf_fs_join(metadata->options.repository, path) : NULL;

        if (!hash)
                return sf_error_set(err, SF_ERR_NOT_FOUND, "role %s has no target %s", role, name);
        if (!full)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for target %s", name);
        for (size_t i = 0; i < metadata->staged_count; i++)
                if (strcmp(metadata->staged[i].path, path) == 0)
                        return sf_buffer_append(ret, metadata->staged[i].content.data, metadata->staged[i].content.len,
                                                err);
        return read_checked(full, hash, max, ret, err);
}

static int stage(struct sf_metadata *metadata, const char *path, const void *data, size_t len, struct sf_error *err)
{
        struct sf_metadata_staged *grown = reallocarray(metadata->staged, metadata->staged_count + 1, sizeof *grown);
        struct sf_metadata_staged entry = { .path = strdup(path) };
        int r = grown && entry.path ? sf_buffer_append(&entry.content, data, len, err)
                                    : sf_error_set(err, SF_ERR_NOMEM, "no memory for %s", path);

        if (grown)
                metadata->staged = grown;
        if (r < 0) {
                free(entry.path);
                sf_buffer_free(&entry.content);
                return r;
        }
        metadata->staged[metadata->staged_count++] = entry;
        return 0;
}

/* What is replaced before it was ever written needs no file. */
static void unstage(struct sf_metadata *metadata, const char *path)
{
        for (size_t i = 0; i < metadata->staged_count; i++) {
                struct sf_metadata_staged *staged = &metadata->staged[i];
                if (strcmp(staged->path, path) != 0)
                        continue;
                free(staged->path);
                sf_buffer_free(&staged->content);
                *staged = metadata->staged[--metadata->staged_count];
                return;
        }
}

int sf_metadata_put_target(struct sf_metadata *metadata, const char *role, const char *name, const void *data,
                           size_t len, struct sf_error *err)
{
        const json_t *body = sf_metadata_body(metadata, role);
        const char *before = sf_metadata_target_hash(metadata, role, name);
        struct sf_digest digest;
        char hex[SF_DIGEST_HEX + 1];
        int r;

        if (!body || !sf_fs_path_is_plain(name))
                return sf_error_set(err, SF_ERR_USAGE, "no role %s, or a target must not be called %s", role, name);
        sf_digest_of(data, len, &digest);
        sf_digest_hex(&digest, hex);
        if (before && strcmp(before, hex) == 0)
                return 0;
        _cleanup_free_ char *path = target_path(name, hex);
        _cleanup_free_ char *path_before = before ? target_path(name, before) : NULL;
        if (!path || (before && !path_before))
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for target %s", name);
        if (path_before)
                unstage(metadata, path_before);
        if ((r = stage(metadata, path, data, len, err)) < 0)
                return r;
        json_t *entry = json_pack("{s:I, s:{s:s}}", "length", (json_int_t)len, "hashes", "sha256", hex);
        if (json_object_set_new(json_object_get(sf_metadata_edit(metadata, role), "targets"), name, entry) < 0)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for target %s", name);
        return 0;
}

int sf_metadata_remove_target(struct sf_metadata *metadata, const char *role, const char *name, struct sf_error *err)
{
        if (!sf_metadata_target_hash(metadata, role, name))
                return sf_error_set(err, SF_ERR_NOT_FOUND, "role %s has no target %s", role, name);
        json_object_del(json_object_get(sf_metadata_edit(metadata, role), "targets"), name);
        return 0;
}

/* --- commit ---------------------------------------------------------------------------------------------------- */

static unsigned days_of(const struct sf_metadata_options *options, const char *role)
{
        if (strcmp(role, "root") == 0 || strcmp(role, "targets") == 0 || strcmp(role, SF_ROLE_AGENT) == 0)
                return options->days_offline ? options->days_offline : 365;
        if (strcmp(role, "snapshot") == 0 || strcmp(role, "timestamp") == 0)
                return options->days_online ? options->days_online : 14;
        return options->days_delegated ? options->days_delegated : 180;
}

/* Version, expiry and signatures of a changed role; the finished file stays in role->bytes. */
static int finish_role(struct sf_metadata *metadata, struct sf_metadata_role *role, struct sf_error *err)
{
        struct sf_metadata_signing signing = { .keys = metadata->options.keys };
        const json_t *unused;

        signing.spec = sf_metadata_role(metadata, role->name, &unused);
        signing.spec_before = sf_metadata_spec(sf_metadata_find(metadata, "root")->before,
                                               sf_metadata_find(metadata, "targets")->before, role->name, &unused);
        return sf_metadata_role_sign(
                role, metadata->options.now + (int64_t)days_of(&metadata->options, role->name) * DAY, &signing, err);
}

/* Signs what changed, then snapshot and timestamp, which name the results by version, length and digest. */
static int finish_all(struct sf_metadata *metadata, struct sf_error *err)
{
        struct sf_metadata_role *snapshot = sf_metadata_find(metadata, "snapshot"),
                                *timestamp = sf_metadata_find(metadata, "timestamp");
        int r = 0;

        for (size_t i = 0; i < metadata->role_count; i++) {
                struct sf_metadata_role *role = &metadata->roles[i];
                if (!role->changed || role == snapshot || role == timestamp)
                        continue;
                r = finish_role(metadata, role, err);
                if (r == 0 && strcmp(role->name, "root") != 0)
                        r = sf_metadata_role_list(snapshot, role, err);
                if (r < 0)
                        return r;
        }
        if ((r = finish_role(metadata, snapshot, err)) < 0 || (r = sf_metadata_role_list(timestamp, snapshot, err)) < 0)
                return r;
        return finish_role(metadata, timestamp, err);
}

static int write_targets(const struct sf_metadata *metadata, struct sf_error *err)
{
        for (size_t i = 0; i < metadata->staged_count; i++) {
                const struct sf_metadata_staged *staged = &metadata->staged[i];
                _cleanup_free_ char *path = sf_fs_join(metadata->options.repository, staged->path);
                _cleanup_free_ char *parent = path ? strndup(path, (size_t)(strrchr(path, '/') - path)) : NULL;
                int r = parent ? sf_fs_mkdirs(parent, 0755, err)
                               : sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
                if (r == 0)
                        r = sf_fs_write(path, staged->content.data, staged->content.len, 0644, err);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int write_role(const struct sf_metadata *metadata, const struct sf_metadata_role *role, struct sf_error *err)
{
        bool versioned = strcmp(role->name, "timestamp") != 0;
        int64_t version = json_integer_value(json_object_get(role->body, "version"));
        _cleanup_free_ char *path = sf_metadata_role_path(metadata->directory, role->name, versioned ? version : 0);

        if (!path)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        return sf_fs_write(path, role->bytes.data, role->bytes.len, 0644, err);
}

static int call_before_timestamp(const struct sf_metadata *metadata, struct sf_error *err)
{
        const struct sf_metadata_options *options = &metadata->options;

        return options->before_timestamp ? options->before_timestamp(options->before_timestamp_ctx, err) : 0;
}

/* A new root comes last: what a rotation signs carries the old keys' signatures as well, so that clients of the old
 * root and of the new one both find a repository they accept, whenever they come by. So does the first one: a
 * repository that has a root is complete. */
static int write_all(const struct sf_metadata *metadata, struct sf_error *err)
{
        const struct sf_metadata_role *root = sf_metadata_find(metadata, "root");
        const struct sf_metadata_role *timestamp = sf_metadata_find(metadata, "timestamp");
        int r = write_targets(metadata, err);

        for (size_t i = 0; r == 0 && i < metadata->role_count; i++) {
                if (&metadata->roles[i] == timestamp)
                        r = call_before_timestamp(metadata, err);
                if (r == 0 && metadata->roles[i].bytes.len && &metadata->roles[i] != root)
                        r = write_role(metadata, &metadata->roles[i], err);
        }
        if (r == 0 && root->bytes.len)
                r = write_role(metadata, root, err);
        return r;
}

static int commit(struct sf_metadata *metadata, struct sf_error *err)
{
        int r = finish_all(metadata, err);

        if (r == 0)
                r = write_all(metadata, err);
        if (r == 0 && metadata->options.after_commit)
                r = metadata->options.after_commit(metadata->options.after_commit_ctx, err);
        if (r < 0)
                return sf_error_prefix(err, "metadata");
        for (size_t i = 0; i < metadata->role_count; i++)
                sf_metadata_role_committed(&metadata->roles[i]);
        sf_metadata_unstage(metadata);
        return 0;
}

int sf_metadata_commit(struct sf_metadata *metadata, struct sf_error *err)
{
        for (size_t i = 0; i < metadata->role_count; i++)
                if (metadata->roles[i].changed)
                        return commit(metadata, err);
        return call_before_timestamp(metadata, err);
}

/* As it is on disk. */
static int64_t expires_of(const struct sf_metadata_role *role)
{
        int64_t expires = 0;

        sf_tuftext_read_time(json_string_value(json_object_get(role->before, "expires")), &expires, NULL);
        return expires;
}

/* Less than 1 / part of the time that a role usually gets is left. */
static bool is_short_of_time(const struct sf_metadata *metadata, const struct sf_metadata_role *role, int part)
{
        int64_t left = expires_of(role) - metadata->options.now;

        return left < (int64_t)days_of(&metadata->options, role->name) * DAY / part;
}

/* Less than half of its time left, and enough keys at hand to do something about it. */
static bool wants_refresh(const struct sf_metadata *metadata, const struct sf_metadata_role *role)
{
        const json_t *keys, *spec = sf_metadata_role(metadata, role->name, &keys);

        return is_short_of_time(metadata, role, 2) &&
               sf_metadata_role_can_sign(role->name, spec, metadata->options.keys);
}

unsigned sf_metadata_warn_expiry(const struct sf_metadata *metadata)
{
        unsigned warned = 0;

        for (size_t i = 0; i < metadata->role_count; i++) {
                const struct sf_metadata_role *role = &metadata->roles[i];
                int64_t left = expires_of(role) - metadata->options.now;
                const char *when = json_string_value(json_object_get(role->before, "expires"));
                bool online = strcmp(role->name, "snapshot") == 0 || strcmp(role->name, "timestamp") == 0;

                if (!is_short_of_time(metadata, role, online ? 2 : 6))
                        continue;
                warned++;
                if (left <= 0)
                        sf_log_warning("%s expired at %s: no node accepts this repository until `refresh` ran with the "
                                       "keys of %s",
                                       role->name, when, role->name);
                else
                        sf_log_warning("%s expires at %s, in %lld days: run `refresh` with the keys of %s before",
                                       role->name, when, (long long)(left / DAY), role->name);
        }
        return warned;
}

int sf_metadata_refresh(struct sf_metadata *metadata, struct sf_error *err)
{
        for (size_t i = 0; i < metadata->role_count; i++)
                if (wants_refresh(metadata, &metadata->roles[i]))
                        metadata->roles[i].changed = true;
        return commit(metadata, err);
}
