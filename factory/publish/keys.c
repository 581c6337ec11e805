/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/keys.c - key ceremonies: first keys and metadata, replacing a key, showing who signs what. */
#include "factory/publish/keys.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/output.h"
#include "factory/publish/keyring.h"
#include "release/layout.h"
#include "release/rollout.h"

/* --- init ------------------------------------------------------------------------------------------------------ */

static const struct initial_role {
        const char *name;
        bool offline;
        const char *path; /* pattern of what is delegated to it; NULL for top-level roles */
} initial_roles[] = {
        { "root", true, NULL },
        { "targets", true, NULL },
        { "snapshot", false, NULL },
        { "timestamp", false, NULL },
        { SF_ROLE_RELEASES, false, "index/*" },
        { SF_ROLE_ROLLOUT, false, "rollout/*" },
        { SF_ROLE_BUILDCACHE, false, "buildcache/*" },
        { SF_ROLE_AGENT, true, SF_LAYOUT_AGENT "/*" },
};

/* As many keys of a role as asked for: those that are there, then new ones. */
static int provide_keys(const char *directory, const char *role, size_t wanted, struct sf_keyring *ret,
                        struct sf_error *err)
{
        const char *const directories[] = { directory, NULL };
        int r = sf_fs_mkdirs(directory, 0700, err);

        for (;;) {
                _cleanup_free_ char *path = NULL;
                _cleanup_signer_ struct sf_signer *signer = NULL;
                struct sf_keyring ring = SF_KEYRING_INIT;

                if (r == 0)
                        r = sf_keyring_load(directories, role, &ring, err);
                if (r == 0 && ring.problem.code) /* never silently beside a key that was meant to be used */
                        r = sf_error_set(err, ring.problem.code, "%s", ring.problem.text);
                if (r == 0 && ring.count >= wanted) {
                        *ret = ring;
                        return 0;
                }
                sf_keyring_free(&ring);
                if (r == 0)
                        r = sf_keyring_new_path(directory, role, ".pem", &path, err);
                if (r == 0)
                        r = sf_signer_generate(path, &signer, err);
                if (r < 0)
                        return r;
        }
}

/* Enters the keys in `keys` and gives {keyids, threshold}; NULL without memory. */
static json_t *make_spec(json_t *keys, const struct sf_keyring *ring, unsigned threshold)
{
        json_t *keyids = json_array();

        for (size_t i = 0; i < ring->count; i++) {
                const struct sf_signer *signer = ring->keys[i].signer;
                json_object_set(keys, sf_signer_keyid(signer), sf_signer_public(signer));
                json_array_append_new(keyids, json_string(sf_signer_keyid(signer)));
        }
        return json_pack("{s:o, s:I}", "keyids", keyids, "threshold", (json_int_t)threshold);
}

static int add_initial_role(const struct initial_role *role, const struct sf_keys_init *init, json_t *root,
                            json_t *targets, struct sf_error *err)
{
        _cleanup_keyring_ struct sf_keyring ring = SF_KEYRING_INIT;
        bool is_root = strcmp(role->name, "root") == 0;
        size_t wanted = is_root && init->root_keys ? init->root_keys : 1;
        unsigned threshold = is_root && init->root_threshold ? init->root_threshold : 1;
        json_t *parent = role->path ? json_object_get(targets, "delegations") : root;
        int r = provide_keys(role->offline ? init->offline_keys : init->online_keys, role->name, wanted, &ring, err);

        if (r < 0)
                return r;
        if (threshold > ring.count)
                return sf_error_set(err, SF_ERR_USAGE, "role %s: a threshold of %u needs more than %zu keys",
                                    role->name, threshold, ring.count);
        json_t *spec = make_spec(json_object_get(parent, "keys"), &ring, threshold);
        if (!role->path)
                return json_object_set_new(json_object_get(root, "roles"), role->name, spec) < 0
                               ? sf_error_set(err, SF_ERR_NOMEM, "no memory for role %s", role->name)
                               : 0;
        json_t *paths = json_pack("[s]", role->path);
        if (strcmp(role->name, SF_ROLE_AGENT) == 0)
                json_array_append_new(paths, json_string(SF_LAYOUT_AGENT "/*/*"));
        if (json_object_set_new(spec, "name", json_string(role->name)) < 0 ||
            json_object_set_new(spec, "terminating", json_true()) < 0 ||
            json_object_set_new(spec, "paths", paths) < 0 ||
            json_array_append_new(json_object_get(parent, "roles"), spec) < 0)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for role %s", role->name);
        return 0;
}

/* What another role signed before is not its any more. */
static void take_paths(json_t *roles, const char *pattern)
{
        json_t *role, *path;
        size_t i, k;

        json_array_foreach (roles, i, role) {
                json_t *paths = json_object_get(role, "paths");
                json_array_foreach (paths, k, path)
                        if (strcmp(json_string_value(path), pattern) == 0)
                                break;
                if (k < json_array_size(paths))
                        json_array_remove(paths, k);
        }
}

int sf_keys_add(const struct sf_metadata_options *options, const char *role, const struct sf_keys_init *init,
                struct sf_error *err)
{
        _cleanup_metadata_ struct sf_metadata *metadata = NULL;
        const struct initial_role *wanted = NULL;
        int r;

        for (size_t i = 0; i < sizeof initial_roles / sizeof *initial_roles; i++)
                if (initial_roles[i].path && strcmp(initial_roles[i].name, role) == 0)
                        wanted = &initial_roles[i];
        if (!wanted)
                return sf_error_set(err, SF_ERR_USAGE, "no role %s can be added", role);
        if ((r = sf_metadata_open(options, &metadata, err)) < 0)
                return r;
        if (sf_metadata_body(metadata, role))
                return sf_error_set(err, SF_ERR_EXISTS, "%s has a role %s already", options->repository, role);
        json_t *targets = sf_metadata_edit(metadata, "targets");
        take_paths(json_object_get(json_object_get(targets, "delegations"), "roles"), wanted->path);
        if ((r = add_initial_role(wanted, init, NULL, targets, err)) < 0 ||
            (r = sf_metadata_add_role(metadata, role, err)) < 0)
                return r;
        return sf_metadata_commit(metadata, err);
}

static int put_rollout(struct sf_metadata *metadata, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        struct sf_rollout rollout;
        int r = sf_rollout_default(&rollout, err);

        if (r < 0)
                return r;
        r = sf_rollout_write(&rollout, &text, err);
        sf_rollout_free(&rollout);
        if (r == 0)
                r = sf_metadata_put_target(metadata, SF_ROLE_ROLLOUT, SF_LAYOUT_ROLLOUT_TARGET, text.data, text.len,
                                           err);
        return r;
}

int sf_keys_init(const struct sf_metadata_options *options, const struct sf_keys_init *init, struct sf_error *err)
{
        const char *const keys[] = { init->offline_keys, init->online_keys, NULL };
        struct sf_metadata_options with_keys = *options;
        _cleanup_json_ json_t *root = json_pack("{s:s, s:b, s:{}, s:{}}", "_type", "root", "consistent_snapshot", 1,
                                                "keys", "roles");
        _cleanup_json_ json_t *targets = json_pack("{s:s, s:{}, s:{s:{}, s:[]}}", "_type", "targets", "targets",
                                                   "delegations", "keys", "roles");
        _cleanup_metadata_ struct sf_metadata *metadata = NULL;
        _cleanup_free_ char *first = sf_format("%s/" SF_LAYOUT_METADATA "/1.root.json", options->repository);
        _cleanup_free_ char *stamp = sf_format("%s/" SF_LAYOUT_METADATA "/timestamp.json", options->repository);
        int r = 0;

        if (!root || !targets || !first || !stamp)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for metadata");
        if (sf_fs_exists(first) && sf_fs_exists(stamp)) /* asked before any key is made */
                return sf_error_set(err, SF_ERR_EXISTS, "%s: the repository already has a root", first);
        for (size_t i = 0; r == 0 && i < sizeof initial_roles / sizeof *initial_roles; i++)
                r = add_initial_role(&initial_roles[i], init, root, targets, err);
        with_keys.keys = keys;
        if (r == 0)
                r = sf_metadata_create(&with_keys, root, targets, &metadata, err);
        if (r == 0)
                r = put_rollout(metadata, err);
        return r < 0 ? r : sf_metadata_commit(metadata, err);
}

/* --- rotate ---------------------------------------------------------------------------------------------------- */

/* The one keyid of the role that starts with `retire` (NULL: the only one there is). */
static int choose_retired(const char *role, const json_t *spec, const char *retire, char **ret, struct sf_error *err)
{
        const char *found = NULL;
        const json_t *keyid;
        size_t i, matches = 0;

        json_array_foreach (json_object_get(spec, "keyids"), i, keyid) {
                const char *text = json_string_value(keyid);
                if (!retire || strncmp(text, retire, strlen(retire)) == 0) {
                        found = text;
                        matches++;
                }
        }
        if (matches != 1)
                return sf_error_set(err, SF_ERR_USAGE, "role %s: %zu keys match %s, name one", role, matches,
                                    retire ? retire : "(any)");
        *ret = strdup(found);
        return *ret ? 0 : sf_error_set(err, SF_ERR_NOMEM, "no memory for a keyid");
}

/* The new key, entered in the directory of keys under the role's name; ret_path is that file. */
static int provide_new_key(const char *directory, const char *role, const char *new_key, struct sf_signer **ret,
                           char **ret_path, struct sf_error *err)
{
        _cleanup_free_ char *path = NULL, *line = NULL;
        int r = sf_keyring_new_path(directory, role, new_key ? ".uri" : ".pem", &path, err);

        if (r == 0 && !new_key) {
                r = sf_signer_generate(path, ret, err);
        } else if (r == 0 && (r = sf_signer_open(new_key, ret, err)) == 0) {
                line = sf_format("%s\n", new_key);
                r = line ? sf_fs_write(path, line, strlen(line), 0600, err)
                         : sf_error_set(err, SF_ERR_NOMEM, "no memory for a key");
        }
        if (r == 0)
                *ret_path = sf_steal_pointer(path);
        return r;
}

static bool key_in_use(const struct sf_metadata *metadata, const char *parent, const char *keyid)
{
        const json_t *body = sf_metadata_body(metadata, parent), *element;
        const json_t *roles = json_object_get(body, "roles");
        _cleanup_json_ json_t *wanted = json_string(keyid);
        const char *name;
        json_t *role;
        size_t i, k;

        json_object_foreach ((json_t *)roles, name, role)
                json_array_foreach (json_object_get(role, "keyids"), k, element)
                        if (json_equal(element, wanted))
                                return true;
        json_array_foreach (json_object_get(json_object_get(body, "delegations"), "roles"), i, role)
                json_array_foreach (json_object_get(role, "keyids"), k, element)
                        if (json_equal(element, wanted))
                                return true;
        return false;
}

/* Swaps the keyid in the role's spec and the key in its parent's list. */
static int swap_key(struct sf_metadata *metadata, const char *role, const char *old, const struct sf_signer *new,
                    struct sf_error *err)
{
        const json_t *keys_view, *spec = sf_metadata_role(metadata, role, &keys_view);
        const char *parent = json_object_get(spec, "terminating") ? "targets" : "root";
        json_t *body = sf_metadata_edit(metadata, parent);
        json_t *keys = json_object_get(strcmp(parent, "root") == 0 ? body : json_object_get(body, "delegations"),
                                       "keys");
        json_t *keyids = json_object_get(spec, "keyids"), *element;
        size_t i;

        json_array_foreach (keyids, i, element)
                if (strcmp(json_string_value(element), old) == 0)
                        break;
        if (json_array_set_new(keyids, i, json_string(sf_signer_keyid(new))) < 0 ||
            json_object_set(keys, sf_signer_keyid(new), sf_signer_public(new)) < 0)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for keys");
        if (!key_in_use(metadata, parent, old))
                json_object_del(keys, old);
        sf_metadata_edit(metadata, role);
        return 0;
}

/* The old key's file stays for the record, under a name that nobody loads. */
static int retire_file(const struct sf_keyring_key *key, struct sf_error *err)
{
        _cleanup_free_ char *name = key ? sf_format("%s.retired", key->path) : NULL;

        if (key && name && rename(key->path, name) < 0)
                return sf_error_errno(err, "the new key is in force, but the old one's file cannot be renamed: %s",
                                      key->path);
        return 0;
}

static bool has_keyid(const json_t *spec, const char *keyid)
{
        const json_t *element;
        size_t i;

        json_array_foreach (json_object_get(spec, "keyids"), i, element)
                if (strcmp(json_string_value(element), keyid) == 0)
                        return true;
        return false;
}

/* Whether the repository on disk, as a node would see it, names this key for the role; also where that cannot be
 * told. */
static bool may_be_in_force(const struct sf_metadata_options *options, const char *role, const char *keyid)
{
        _cleanup_metadata_ struct sf_metadata *metadata = NULL;
        const json_t *spec, *unused;

        if (sf_metadata_open(options, &metadata, NULL) < 0 || !(spec = sf_metadata_role(metadata, role, &unused)))
                return true;
        return has_keyid(spec, keyid);
}

/* A rotation that failed half-way: the new key's file goes only where nobody can have seen the key. */
static void drop_new_key(const struct sf_metadata_options *options, const char *role, const struct sf_signer *new,
                         const char *path, struct sf_error *err)
{
        if (may_be_in_force(options, role, sf_signer_keyid(new)))
                (void)sf_error_prefix(err, "the new key %s is kept, it may be in force already (see `keys show`)",
                                      path);
        else
                unlink(path);
}

/* Where a new key of the role belongs: beside the old one. */
static char *directory_of(const struct sf_keyring_key *old, const char *const *keys)
{
        const char *slash = old ? strrchr(old->path, '/') : NULL;

        return slash ? strndup(old->path, (size_t)(slash - old->path)) : strdup(keys[0]);
}

int sf_keys_rotate(const struct sf_metadata_options *options, const char *role, const char *retire, const char *new_key,
                   struct sf_error *err)
{
        _cleanup_metadata_ struct sf_metadata *metadata = NULL;
        _cleanup_keyring_ struct sf_keyring ring = SF_KEYRING_INIT;
        _cleanup_signer_ struct sf_signer *new = NULL;
        _cleanup_free_ char *old = NULL, *directory = NULL, *new_path = NULL;
        const struct sf_keyring_key *old_key;
        const json_t *spec, *unused;
        int r = sf_metadata_open(options, &metadata, err);

        if (r < 0)
                return r;
        if (!(spec = sf_metadata_role(metadata, role, &unused)))
                return sf_error_set(err, SF_ERR_USAGE, "there is no role %s", role);
        if ((r = choose_retired(role, spec, retire, &old, err)) < 0 ||
            (r = sf_keyring_load(options->keys, role, &ring, err)) < 0)
                return r;
        old_key = sf_keyring_find(&ring, old);
        if (!(directory = directory_of(old_key, options->keys)))
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for keys");
        if ((r = provide_new_key(directory, role, new_key, &new, &new_path, err)) < 0)
                return r;
        if ((r = swap_key(metadata, role, old, new, err)) < 0 || (r = sf_metadata_commit(metadata, err)) < 0) {
                sf_metadata_close(sf_steal_pointer(metadata)); /* gives the lock back */
                drop_new_key(options, role, new, new_path, err);
                return r;
        }
        return retire_file(old_key, err);
}

/* --- show ------------------------------------------------------------------------------------------------------ */

struct show {
        const struct sf_metadata *metadata;
        const char *const *keys;
        json_t *rows;
};

/* Files that lie ready, or that an interrupted rotation left. */
static void show_unused(const struct show *show, const char *role, const json_t *spec, const struct sf_keyring *ring)
{
        for (size_t i = 0; i < ring->count; i++) {
                const struct sf_signer *signer = ring->keys[i].signer;
                const char *id = sf_signer_keyid(signer);
                const char *scheme = json_string_value(json_object_get(sf_signer_public(signer), "scheme"));
                if (has_keyid(spec, id))
                        continue;
                json_t *row = json_pack("{s:s, s:i, s:s, s:o}", "role", role, "threshold", 0, "keyid", id, "scheme",
                                        sf_json_text(scheme));
                sf_json_set_name(row, "private_key", ring->keys[i].path);
                json_array_append_new(show->rows, row);
                if (!sf_output_is_json())
                        sf_output_line("%-10s -       %.16s  %-20s  not in force  %s", role, id, scheme,
                                       ring->keys[i].path);
        }
}

static void show_role(void *ctx, const char *role)
{
        const struct show *show = ctx;
        _cleanup_keyring_ struct sf_keyring ring = SF_KEYRING_INIT;
        const json_t *keys, *spec = sf_metadata_role(show->metadata, role, &keys), *keyid;
        const json_t *body = sf_metadata_body(show->metadata, role);
        json_int_t threshold = json_integer_value(json_object_get(spec, "threshold"));
        size_t i;

        if (sf_keyring_load(show->keys, role, &ring, NULL) < 0)
                return;
        json_array_foreach (json_object_get(spec, "keyids"), i, keyid) {
                const char *id = json_string_value(keyid);
                const struct sf_keyring_key *key = sf_keyring_find(&ring, id);
                const char *scheme = json_string_value(json_object_get(json_object_get(keys, id), "scheme"));
                const char *expires = json_string_value(json_object_get(body, "expires"));
                json_t *row = json_pack("{s:s, s:I, s:o, s:o, s:o}", "role", role, "threshold", threshold, "keyid",
                                        sf_json_text(id), "scheme", sf_json_text(scheme), "expires",
                                        sf_json_text(expires));
                sf_json_set_name(row, "private_key", key ? key->path : "");
                json_array_append_new(show->rows, row);
                if (!sf_output_is_json())
                        sf_output_line("%-10s %lld of %zu  %.16s  %-20s  until %s  %s", role, (long long)threshold,
                                       json_array_size(json_object_get(spec, "keyids")), id, scheme, expires,
                                       key ? key->path : "(private key elsewhere)");
        }
        show_unused(show, role, spec, &ring);
}

int sf_keys_show(const struct sf_metadata_options *options, json_t *rows, struct sf_error *err)
{
        _cleanup_metadata_ struct sf_metadata *metadata = NULL;
        int r = sf_metadata_open(options, &metadata, err);

        if (r < 0)
                return r;
        struct show show = { metadata, options->keys, rows };
        sf_metadata_each(metadata, show_role, &show);
        return 0;
}
