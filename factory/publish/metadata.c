/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/metadata.c - opening the repository's TUF metadata, by the client's rules, so that a repository that
 * clients would refuse is never built upon.
 */
#include "factory/publish/metadata.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/json.h"
#include "factory/publish/metadata-state.h"
#include "release/layout.h"
#include "tuf/tufmeta.h"

#define LOCK_FILE ".lock" /* in the repository; mode 0600, so a web server does not serve it */

struct sf_metadata_role *sf_metadata_find(const struct sf_metadata *metadata, const char *name)
{
        for (size_t i = 0; i < metadata->role_count; i++)
                if (strcmp(metadata->roles[i].name, name) == 0)
                        return &metadata->roles[i];
        return NULL;
}

const json_t *sf_metadata_body(const struct sf_metadata *metadata, const char *role)
{
        const struct sf_metadata_role *r = sf_metadata_find(metadata, role);

        return r ? r->body : NULL;
}

json_t *sf_metadata_edit(struct sf_metadata *metadata, const char *role)
{
        struct sf_metadata_role *r = sf_metadata_find(metadata, role);

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

const json_t *sf_metadata_spec(const json_t *root, const json_t *targets, const char *role, const json_t **ret_keys)
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
        return sf_metadata_spec(sf_metadata_body(metadata, "root"), sf_metadata_body(metadata, "targets"), role,
                                ret_keys);
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

/* Before snapshot and timestamp, which name it: the order of roles is the order of writing. */
int sf_metadata_add_role(struct sf_metadata *metadata, const char *role, struct sf_error *err)
{
        _cleanup_json_ json_t *empty = json_pack("{s:s, s:{}}", "_type", "targets", "targets");
        int r = empty ? add_role(metadata, role, empty, err) : sf_error_set(err, SF_ERR_NOMEM, "no memory for a role");

        if (r < 0)
                return r;
        size_t last = metadata->role_count - 1, at = last;
        struct sf_metadata_role added = metadata->roles[last];
        while (at && (strcmp(metadata->roles[at - 1].name, "snapshot") == 0 ||
                      strcmp(metadata->roles[at - 1].name, "timestamp") == 0)) {
                metadata->roles[at] = metadata->roles[at - 1];
                at--;
        }
        added.changed = true;
        metadata->roles[at] = added;
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

/* Whoever may open a file may lock it. The lock is therefore a file that only those may open who may write the
 * metadata: its owner, and its group where that may write the directory. */
static int open_lock(const char *path, const char *directory, int *ret, struct sf_error *err)
{
        struct stat st, is;

        if (stat(directory, &st) < 0)
                return sf_error_errno(err, "%s", directory);
        mode_t mode = st.st_mode & S_IWGRP ? 0660 : 0600;
        _cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, mode);
        if (fd < 0 || fstat(fd, &is) < 0)
                return sf_error_errno(err, "cannot open lock %s", path);
        if (!S_ISREG(is.st_mode))
                return sf_error_set(err, SF_ERR_TRUST, "lock %s: not a file", path);
        bool group = mode == 0660 && is.st_gid != st.st_gid;
        if (is.st_uid == geteuid() &&
            ((group && fchown(fd, (uid_t)-1, st.st_gid) < 0) || ((is.st_mode & 0777) != mode && fchmod(fd, mode) < 0)))
                return sf_error_errno(err, "cannot protect lock %s", path);
        *ret = sf_steal_fd(&fd);
        return 0;
}

/* Two publishers at once would both write version N + 1. */
static int lock_repository(struct sf_metadata *metadata, struct sf_error *err)
{
        _cleanup_free_ char *path = sf_fs_join(metadata->options.repository, LOCK_FILE);
        int r = path ? open_lock(path, metadata->directory, &metadata->lock, err)
                     : sf_error_set(err, SF_ERR_NOMEM, "no memory for a lock");

        if (r < 0)
                return r;
        if (flock(metadata->lock, LOCK_EX | LOCK_NB) == 0)
                return 0;
        if (errno == EWOULDBLOCK)
                return sf_error_set(err, SF_ERR_BUSY, "repository %s: somebody else is publishing",
                                    metadata->options.repository);
        return sf_error_errno(err, "cannot lock %s", path);
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
                r = lock_repository(metadata, err);
        if (r == 0)
                r = load_all(metadata, err);
        if (r < 0)
                return r;
        *ret = sf_steal_pointer(metadata);
        return 0;
}

/* A root without a timestamp: what an older version of this program left when it was interrupted. It stays as it is
 * if the keys at hand are its keys. */
static int keep_unfinished_root(struct sf_metadata *metadata, const json_t *root, const char *path,
                                struct sf_error *err)
{
        _cleanup_tufmeta_ struct sf_tufmeta there = SF_TUFMETA_INIT;
        _cleanup_free_ char *timestamp = sf_metadata_role_path(metadata->directory, "timestamp", 0);
        int r;

        if (!timestamp)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for metadata");
        if (sf_fs_exists(timestamp))
                return sf_error_set(err, SF_ERR_EXISTS, "%s: the repository already has a root", path);
        if ((r = read_role(metadata, "root", "root", 1, &there, err)) < 0 ||
            (r = sf_tufmeta_verify_top(&there, &there, "root", err)) < 0)
                return r;
        if (!json_equal(json_object_get(there.body, "roles"), json_object_get(root, "roles")))
                return sf_error_set(err, SF_ERR_EXISTS,
                                    "%s: a root without any other metadata, and its keys are not the ones at hand",
                                    path);
        return add_role(metadata, "root", there.body, err);
}

static int create_roles(struct sf_metadata *metadata, json_t *root, json_t *targets, struct sf_error *err)
{
        _cleanup_json_ json_t *empty = json_pack("{s:s, s:{}}", "_type", "targets", "targets");
        _cleanup_json_ json_t *lists = json_pack("{s:s, s:{}}", "_type", "snapshot", "meta");
        _cleanup_json_ json_t *stamp = json_pack("{s:s, s:{}}", "_type", "timestamp", "meta");
        _cleanup_free_ char *first = sf_metadata_role_path(metadata->directory, "root", 1);
        const json_t *entry;
        size_t i;
        int r;

        if (!first)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for metadata");
        r = sf_fs_exists(first) ? keep_unfinished_root(metadata, root, first, err)
                                : add_role(metadata, "root", root, err);
        if (r == 0)
                r = add_role(metadata, "targets", targets, err);
        json_array_foreach (json_object_get(json_object_get(targets, "delegations"), "roles"), i, entry)
                if (r == 0)
                        r = add_role(metadata, json_string_value(json_object_get(entry, "name")), empty, err);
        if (r == 0)
                r = add_role(metadata, "snapshot", lists, err);
        return r < 0 ? r : add_role(metadata, "timestamp", stamp, err);
}

int sf_metadata_create(const struct sf_metadata_options *options, json_t *root, json_t *targets,
                       struct sf_metadata **ret, struct sf_error *err)
{
        _cleanup_metadata_ struct sf_metadata *metadata = NULL;
        int r = prepare(options, &metadata, err);

        if (r == 0)
                r = sf_fs_mkdirs(metadata->directory, 0755, err);
        if (r == 0)
                r = lock_repository(metadata, err);
        if (r == 0)
                r = create_roles(metadata, root, targets, err);
        if (r < 0)
                return r;
        for (size_t i = 0; i < metadata->role_count; i++)
                metadata->roles[i].changed = !json_object_get(metadata->roles[i].body, "version");
        *ret = sf_steal_pointer(metadata);
        return 0;
}

void sf_metadata_unstage(struct sf_metadata *metadata)
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
        sf_metadata_unstage(metadata);
        sf_cleanup_close(&metadata->lock);
        free(metadata->directory);
        free(metadata);
}
