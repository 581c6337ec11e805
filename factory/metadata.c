/* factory/metadata.c - the repository's TUF metadata as something that can be opened, changed and committed.
 *
 * Loading follows the client's rules, so that a repository that clients would refuse is never built upon. A commit signs
 * everything in memory before it writes the first byte; the order of writing keeps every reader consistent.
 */
#include "factory/metadata.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/fs.h"
#include "base/json.h"
#include "factory/keyring.h"
#include "factory/metadata-role.h"
#include "release/layout.h"
#include "release/tufmeta.h"
#include "release/tuftext.h"

#define DAY 86400

struct staged {
        char *path; /* below the repository */
        struct sf_buffer content;
};

struct sf_metadata {
        struct sf_metadata_options options; /* its strings are borrowed */
        char *directory;                    /* REPO/metadata */
        int lock;
        struct sf_metadata_role *roles; /* root, targets, delegated ones, snapshot, timestamp: the order of writing */
        size_t role_count;
        struct staged *staged;
        size_t staged_count;
};

static struct sf_metadata_role *role_of(const struct sf_metadata *metadata, const char *name)
{
        for (size_t i = 0; i < metadata->role_count; i++)
                if (strcmp(metadata->roles[i].name, name) == 0)
                        return &metadata->roles[i];
        return NULL;
}

const json_t *sf_metadata_body(const struct sf_metadata *metadata, const char *role)
{
        const struct sf_metadata_role *r = role_of(metadata, role);

        return r ? r->body : NULL;
}

json_t *sf_metadata_edit(struct sf_metadata *metadata, const char *role)
{
        struct sf_metadata_role *r = role_of(metadata, role);

        if (!r)
                return NULL;
        r->changed = true;
        return r->body;
}

void sf_metadata_each(const struct sf_metadata *metadata, void (*visit)(void *ctx, const char *role), void *ctx)
{
        for (size_t i = 0; i < metadata->role_count; i++)
                visit(ctx, metadata->roles[i].name);
}

/* In `root` and `targets` bodies: who may sign for `role`. */
static const json_t *role_spec(const json_t *root, const json_t *targets, const char *role, const json_t **ret_keys)
{
        const json_t *spec = json_object_get(json_object_get(root, "roles"), role);
        const json_t *delegations = json_object_get(targets, "delegations"), *entry;
        size_t i;

        *ret_keys = json_object_get(spec ? root : delegations, "keys");
        if (spec)
                return spec;
        json_array_foreach (json_object_get(delegations, "roles"), i, entry) {
                const char *name = json_string_value(json_object_get(entry, "name"));
                if (name && strcmp(name, role) == 0)
                        return entry;
        }
        return NULL;
}

const json_t *sf_metadata_role(const struct sf_metadata *metadata, const char *role, const json_t **ret_keys)
{
        return role_spec(sf_metadata_body(metadata, "root"), sf_metadata_body(metadata, "targets"), role, ret_keys);
}

/* --- opening --------------------------------------------------------------------------------------------------- */

static int add_role(struct sf_metadata *metadata, const char *name, json_t *body, struct sf_error *err)
{
        struct sf_metadata_role *grown = reallocarray(metadata->roles, metadata->role_count + 1, sizeof *grown);
        struct sf_metadata_role role = { .name = strdup(name),
                                         .body = json_deep_copy(body),
                                         .before = json_deep_copy(body) };

        if (grown)
                metadata->roles = grown;
        if (!grown || !role.name || !role.body || !role.before) {
                sf_metadata_role_free(&role);
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for role %s", name);
        }
        metadata->roles[metadata->role_count++] = role;
        return 0;
}

/* Reads REPO/metadata/[version.]role.json; version 0 means a name without one. */
static int read_role(const struct sf_metadata *metadata, const char *role, const char *type, int64_t version,
                     struct sf_tufmeta *ret, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer bytes = SF_BUFFER_INIT;
        _cleanup_free_ char *path = sf_metadata_role_path(metadata->directory, role, version);
        int r = path ? sf_fs_read(path, SF_TUF_TARGETS_MAX, &bytes, err) : SF_ERR_NOMEM;

        return r < 0 ? r : sf_tufmeta_parse(path, type, bytes.data, bytes.len, ret, err);
}

/* The newest root, reached from the first one step by step as a client would. */
static int load_root(struct sf_metadata *metadata, struct sf_error *err)
{
        _cleanup_tufmeta_ struct sf_tufmeta root = SF_TUFMETA_INIT;
        int r = read_role(metadata, "root", "root", 1, &root, err);

        if (r == 0)
                r = sf_tufmeta_verify_top(&root, &root, "root", err);
        while (r == 0) {
                _cleanup_tufmeta_ struct sf_tufmeta next = SF_TUFMETA_INIT;
                _cleanup_free_ char *path = sf_metadata_role_path(metadata->directory, "root", root.version + 1);
                if (!path || !sf_fs_exists(path))
                        break;
                if ((r = read_role(metadata, "root", "root", root.version + 1, &next, err)) < 0 ||
                    (r = sf_tufmeta_verify_top(&next, &root, "root", err)) < 0 ||
                    (r = sf_tufmeta_verify_top(&next, &next, "root", err)) < 0)
                        break;
                sf_tufmeta_free(&root);
                root = next;
                next = (struct sf_tufmeta)SF_TUFMETA_INIT;
        }
        return r < 0 ? r : add_role(metadata, "root", root.body, err);
}

/* A role whose version another file announces. */
static int load_listed(struct sf_metadata *metadata, const char *role, const char *type,
                       const struct sf_tufmeta *lister, struct sf_tufmeta *ret, struct sf_error *err)
{
        const json_t *keys, *spec = sf_metadata_role(metadata, role, &keys);
        const json_t *entry = lister ? sf_tufmeta_listed(lister, role) : NULL;
        int64_t version = json_integer_value(json_object_get(entry, "version"));
        int r;

        if (!spec || (lister && !entry))
                return sf_error_set(err, SF_ERR_TRUST, "%s: not listed", role);
        if ((r = read_role(metadata, role, type, version, ret, err)) < 0 ||
            (r = sf_tufmeta_verify(ret, role, keys, spec, err)) < 0)
                return r;
        if (lister && ret->version != version)
                return sf_error_set(err, SF_ERR_TRUST, "%s: version %" PRId64 ", announced was %" PRId64, role,
                                    ret->version, version);
        return 0;
}

static int load_delegated(struct sf_metadata *metadata, const struct sf_tufmeta *snapshot, struct sf_error *err)
{
        const json_t *delegations = json_object_get(sf_metadata_body(metadata, "targets"), "delegations"), *entry;
        size_t i;
        int r = 0;

        json_array_foreach (json_object_get(delegations, "roles"), i, entry) {
                _cleanup_tufmeta_ struct sf_tufmeta meta = SF_TUFMETA_INIT;
                const char *name = json_string_value(json_object_get(entry, "name"));
                if ((r = load_listed(metadata, name, "targets", snapshot, &meta, err)) < 0 ||
                    (r = add_role(metadata, name, meta.body, err)) < 0)
                        return r;
        }
        return 0;
}

static int load_all(struct sf_metadata *metadata, struct sf_error *err)
{
        _cleanup_tufmeta_ struct sf_tufmeta timestamp = SF_TUFMETA_INIT, snapshot = SF_TUFMETA_INIT,
                                            targets = SF_TUFMETA_INIT;
        int r = load_root(metadata, err);

        if (r == 0)
                r = load_listed(metadata, "timestamp", "timestamp", NULL, &timestamp, err);
        if (r == 0)
                r = load_listed(metadata, "snapshot", "snapshot", &timestamp, &snapshot, err);
        if (r == 0)
                r = load_listed(metadata, "targets", "targets", &snapshot, &targets, err);
        if (r == 0)
                r = add_role(metadata, "targets", targets.body, err);
        if (r == 0)
                r = load_delegated(metadata, &snapshot, err);
        if (r == 0)
                r = add_role(metadata, "snapshot", snapshot.body, err);
        return r < 0 ? r : add_role(metadata, "timestamp", timestamp.body, err);
}

/* Two publishers at once would both write version N + 1. */
static int lock_directory(struct sf_metadata *metadata, struct sf_error *err)
{
        metadata->lock = open(metadata->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (metadata->lock < 0)
                return sf_error_errno(err, "repository %s", metadata->options.repository);
        if (flock(metadata->lock, LOCK_EX | LOCK_NB) == 0)
                return 0;
        if (errno == EWOULDBLOCK)
                return sf_error_set(err, SF_ERR_BUSY, "repository %s: somebody else is publishing",
                                    metadata->options.repository);
        return sf_error_errno(err, "cannot lock %s", metadata->directory);
}

static int prepare(const struct sf_metadata_options *options, struct sf_metadata **ret, struct sf_error *err)
{
        struct sf_metadata *metadata = calloc(1, sizeof *metadata);

        if (!metadata || !(metadata->directory = sf_fs_join(options->repository, SF_LAYOUT_METADATA))) {
                free(metadata);
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for metadata");
        }
        metadata->options = *options;
        metadata->lock = -1;
        *ret = metadata;
        return 0;
}

int sf_metadata_open(const struct sf_metadata_options *options, struct sf_metadata **ret, struct sf_error *err)
{
        _cleanup_metadata_ struct sf_metadata *metadata = NULL;
        int r = prepare(options, &metadata, err);

        if (r == 0)
                r = lock_directory(metadata, err);
        if (r == 0)
                r = load_all(metadata, err);
        if (r < 0)
                return r;
        *ret = sf_steal_pointer(metadata);
        return 0;
}

int sf_metadata_create(const struct sf_metadata_options *options, json_t *root, json_t *targets,
                       struct sf_metadata **ret, struct sf_error *err)
{
        _cleanup_metadata_ struct sf_metadata *metadata = NULL;
        _cleanup_json_ json_t *empty = json_pack("{s:s, s:{}}", "_type", "targets", "targets");
        _cleanup_json_ json_t *lists = json_pack("{s:s, s:{}}", "_type", "snapshot", "meta");
        _cleanup_json_ json_t *stamp = json_pack("{s:s, s:{}}", "_type", "timestamp", "meta");
        const json_t *entry;
        size_t i;
        int r = prepare(options, &metadata, err);

        if (r == 0)
                r = sf_fs_mkdirs(metadata->directory, 0755, err);
        if (r == 0)
                r = lock_directory(metadata, err);
        _cleanup_free_ char *first = r == 0 ? sf_metadata_role_path(metadata->directory, "root", 1) : NULL;
        if (r == 0 && first && sf_fs_exists(first))
                r = sf_error_set(err, SF_ERR_EXISTS, "%s: the repository already has a root", first);
        if (r == 0)
                r = add_role(metadata, "root", root, err);
        if (r == 0)
                r = add_role(metadata, "targets", targets, err);
        json_array_foreach (json_object_get(json_object_get(targets, "delegations"), "roles"), i, entry)
                if (r == 0)
                        r = add_role(metadata, json_string_value(json_object_get(entry, "name")), empty, err);
        if (r == 0)
                r = add_role(metadata, "snapshot", lists, err);
        if (r == 0)
                r = add_role(metadata, "timestamp", stamp, err);
        if (r < 0)
                return r;
        for (i = 0; i < metadata->role_count; i++)
                metadata->roles[i].changed = true;
        *ret = sf_steal_pointer(metadata);
        return 0;
}

static void drop_staged(struct sf_metadata *metadata)
{
        for (size_t i = 0; i < metadata->staged_count; i++) {
                free(metadata->staged[i].path);
                sf_buffer_free(&metadata->staged[i].content);
        }
        free(metadata->staged);
        metadata->staged = NULL;
        metadata->staged_count = 0;
}

void sf_metadata_close(struct sf_metadata *metadata)
{
        if (!metadata)
                return;
        for (size_t i = 0; i < metadata->role_count; i++)
                sf_metadata_role_free(&metadata->roles[i]);
        free(metadata->roles);
        drop_staged(metadata);
        sf_cleanup_close(&metadata->lock);
        free(metadata->directory);
        free(metadata);
}

/* --- targets --------------------------------------------------------------------------------------------------- */

/* targets/<dir>/<sha256>.<file>, below the repository. */
static char *target_path(const char *name, const char *sha256)
{
        const char *slash = strrchr(name, '/');
        int directory = slash ? (int)(slash + 1 - name) : 0;

        return sf_format(SF_LAYOUT_TARGETS "/%.*s%s.%s", directory, name, sha256, name + directory);
}

static const char *published_hash(const struct sf_metadata *metadata, const char *role, const char *name)
{
        const json_t *entry = json_object_get(json_object_get(sf_metadata_body(metadata, role), "targets"), name);

        return json_string_value(json_object_get(json_object_get(entry, "hashes"), "sha256"));
}

int sf_metadata_get_target(struct sf_metadata *metadata, const char *role, const char *name, size_t max,
                           struct sf_buffer *ret, struct sf_error *err)
{
        const char *hash = published_hash(metadata, role, name);
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
        return sf_fs_read(full, max, ret, err);
}

static int stage(struct sf_metadata *metadata, const char *path, const void *data, size_t len, struct sf_error *err)
{
        struct staged *grown = reallocarray(metadata->staged, metadata->staged_count + 1, sizeof *grown);
        struct staged entry = { .path = strdup(path) };
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
                struct staged *staged = &metadata->staged[i];
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
        const char *before = published_hash(metadata, role, name);
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
        if (!published_hash(metadata, role, name))
                return sf_error_set(err, SF_ERR_NOT_FOUND, "role %s has no target %s", role, name);
        json_object_del(json_object_get(sf_metadata_edit(metadata, role), "targets"), name);
        return 0;
}

/* --- commit ---------------------------------------------------------------------------------------------------- */

static unsigned days_of(const struct sf_metadata_options *options, const char *role)
{
        if (strcmp(role, "root") == 0 || strcmp(role, "targets") == 0)
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
        signing.spec_before = role_spec(role_of(metadata, "root")->before, role_of(metadata, "targets")->before,
                                        role->name, &unused);
        return sf_metadata_role_sign(
                role, metadata->options.now + (int64_t)days_of(&metadata->options, role->name) * DAY, &signing, err);
}

/* Signs what changed, then snapshot and timestamp, which name the results by version, length and digest. */
static int finish_all(struct sf_metadata *metadata, struct sf_error *err)
{
        struct sf_metadata_role *snapshot = role_of(metadata, "snapshot"), *timestamp = role_of(metadata, "timestamp");
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
                const struct staged *staged = &metadata->staged[i];
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

/* A new root comes last: what a rotation signs carries the old keys' signatures as well, so that clients of the old root
 * and of the new one both find a repository they accept, whenever they come by. The first root comes first. */
static int write_all(const struct sf_metadata *metadata, struct sf_error *err)
{
        const struct sf_metadata_role *root = role_of(metadata, "root");
        bool first = json_object_get(root->before, "version") == NULL;
        int r = write_targets(metadata, err);

        if (r == 0 && first)
                r = write_role(metadata, root, err);
        for (size_t i = 0; r == 0 && i < metadata->role_count; i++)
                if (metadata->roles[i].bytes.len && &metadata->roles[i] != root)
                        r = write_role(metadata, &metadata->roles[i], err);
        if (r == 0 && !first && root->bytes.len)
                r = write_role(metadata, root, err);
        return r;
}

static int commit(struct sf_metadata *metadata, struct sf_error *err)
{
        int r = finish_all(metadata, err);

        if (r == 0)
                r = write_all(metadata, err);
        if (r < 0)
                return sf_error_prefix(err, "metadata");
        for (size_t i = 0; i < metadata->role_count; i++)
                sf_metadata_role_committed(&metadata->roles[i]);
        drop_staged(metadata);
        return 0;
}

int sf_metadata_commit(struct sf_metadata *metadata, struct sf_error *err)
{
        for (size_t i = 0; i < metadata->role_count; i++)
                if (metadata->roles[i].changed)
                        return commit(metadata, err);
        return 0;
}

/* Less than half of its time left, and enough keys at hand to do something about it. */
static bool wants_refresh(const struct sf_metadata *metadata, const struct sf_metadata_role *role)
{
        const json_t *keys, *spec = sf_metadata_role(metadata, role->name, &keys);
        int64_t expires = 0;

        if (strcmp(role->name, "root") == 0 || strcmp(role->name, "targets") == 0 ||
            sf_tuftext_read_time(json_string_value(json_object_get(role->body, "expires")), &expires, NULL) < 0)
                return false;
        return expires - metadata->options.now < (int64_t)days_of(&metadata->options, role->name) * DAY / 2 &&
               sf_metadata_role_can_sign(role->name, spec, metadata->options.keys);
}

int sf_metadata_refresh(struct sf_metadata *metadata, struct sf_error *err)
{
        for (size_t i = 0; i < metadata->role_count; i++)
                if (wants_refresh(metadata, &metadata->roles[i]))
                        metadata->roles[i].changed = true;
        return commit(metadata, err);
}
