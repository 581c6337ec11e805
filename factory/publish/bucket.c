/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/bucket.c - opening a bucket: the lock, and the copy of what is signed. See bucket.h. */
#include "factory/publish/bucket.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/log.h"
#include "base/stop.h"
#include "factory/publish/bucket-state.h"
#include "release/layout.h"
#include "tuf/tufmeta.h"

#define BLOB_DIRECTORY SF_LAYOUT_BLOBS "/"
#define BLOB_MAX       ((size_t)2 << 30)
#define OCI_INDEX_MAX  (64u << 20)
#define TARGET_MAX     (8u << 20)

static int no_memory(struct sf_error *err)
{
        return sf_error_set(err, SF_ERR_NOMEM, "no memory for the copy of a bucket");
}

/* --- connections ------------------------------------------------------------------------------------------------ */

static int open_connection(const struct sf_bucket *b, struct sf_s3 **ret, struct sf_error *err)
{
        const struct sf_s3_options options = { .url = b->options.url,
                                               .endpoint = b->options.endpoint,
                                               .stop = &sf_stop_requested };

        return sf_s3_open(&options, ret, err);
}

int sf_bucket_connect(struct sf_bucket *b, struct sf_s3 **ret, struct sf_error *err)
{
        struct sf_s3 *s3 = NULL;

        pthread_mutex_lock(&b->mutex);
        if (b->idle_count)
                s3 = b->idle[--b->idle_count];
        pthread_mutex_unlock(&b->mutex);
        if (!s3)
                return open_connection(b, ret, err);
        *ret = s3;
        return 0;
}

void sf_bucket_release(struct sf_bucket *b, struct sf_s3 *s3)
{
        pthread_mutex_lock(&b->mutex);
        if (b->idle_count < SF_BUCKET_CONNECTIONS) {
                b->idle[b->idle_count++] = s3;
                s3 = NULL;
        }
        pthread_mutex_unlock(&b->mutex);
        sf_s3_close(s3);
}

/* --- fetching --------------------------------------------------------------------------------------------------- */

/* One object into the copy. SF_ERR_NOT_FOUND where it is not there. */
static int pull(struct sf_bucket *b, const char *path, size_t max, struct sf_buffer *ret, struct sf_error *err)
{
        _cleanup_free_ char *full = sf_fs_join(b->copy, path);
        _cleanup_free_ char *parent = full ? strndup(full, (size_t)(strrchr(full, '/') - full)) : NULL;
        char hex[SF_DIGEST_HEX + 1];
        struct sf_digest digest;
        int r;

        if (!full || !parent)
                return no_memory(err);
        if (!sf_fs_path_is_plain(path))
                return sf_error_set(err, SF_ERR_TRUST, "%s names a file %s", b->options.url, path);
        if ((r = sf_s3_get(b->s3, path, max, ret, err)) < 0 || (r = sf_fs_mkdirs(parent, 0755, err)) < 0 ||
            (r = sf_fs_write(full, ret->data, ret->len, 0644, err)) < 0)
                return r;
        sf_digest_of(ret->data, ret->len, &digest);
        return json_object_set_new(b->pulled, path, json_string(sf_digest_hex(&digest, hex))) < 0 ? no_memory(err) : 0;
}

static int pull_optional(struct sf_bucket *b, const char *path, size_t max, bool *ret_there, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer content = SF_BUFFER_INIT;
        struct sf_error why = SF_ERROR_INIT;
        int r = pull(b, path, max, &content, &why);

        *ret_there = r == 0;
        return r == 0 || r == SF_ERR_NOT_FOUND ? 0 : sf_error_set(err, why.code, "%s", why.text);
}

static int pull_roots(struct sf_bucket *b, struct sf_error *err)
{
        bool there = true;
        int r = 0;

        for (int64_t version = 1; r == 0 && there; version++) {
                _cleanup_free_ char *path = sf_format(SF_LAYOUT_METADATA "/%" PRId64 ".root.json", version);
                r = path ? pull_optional(b, path, SF_TUF_ROOT_MAX, &there, err) : no_memory(err);
        }
        return r;
}

/* The agent's own programs: agent/<version>/sf-node-<arch>. */
static bool is_program(const char *name)
{
        return strncmp(name, SF_LAYOUT_AGENT "/", strlen(SF_LAYOUT_AGENT "/")) == 0 &&
               strcmp(name, SF_LAYOUT_AGENTS_TARGET) != 0;
}

/* Everything that the publisher reads or may replace: not the programs. */
static int pull_targets(struct sf_bucket *b, const json_t *targets, struct sf_error *err)
{
        const char *name;
        json_t *entry;

        json_object_foreach ((json_t *)targets, name, entry) {
                const char *hash = json_string_value(json_object_get(json_object_get(entry, "hashes"), "sha256"));
                const char *slash = strrchr(name, '/');
                int head = slash ? (int)(slash + 1 - name) : 0;
                _cleanup_(sf_buffer_free) struct sf_buffer content = SF_BUFFER_INIT;
                _cleanup_free_ char *path = sf_format(SF_LAYOUT_TARGETS "/%.*s%s.%s", head, name, hash ? hash : "",
                                                      name + head);
                int r;
                if (!path)
                        return no_memory(err);
                if (!is_program(name) && (r = pull(b, path, TARGET_MAX, &content, err)) < 0)
                        return r;
        }
        return 0;
}

/* [version.]role.json, parsed but not verified: whoever opens the copy does that. */
static int pull_role(struct sf_bucket *b, const char *file, const char *type, int64_t version, struct sf_tufmeta *ret,
                     struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer content = SF_BUFFER_INIT;
        _cleanup_free_ char *path = version ? sf_format(SF_LAYOUT_METADATA "/%" PRId64 ".%s", version, file)
                                            : sf_format(SF_LAYOUT_METADATA "/%s", file);
        int r = path ? pull(b, path, SF_TUF_TARGETS_MAX, &content, err) : no_memory(err);

        if (r == 0)
                r = sf_tufmeta_parse(path, type, content.data, content.len, ret, err);
        if (r == 0 && !version)
                r = sf_buffer_append(&b->timestamp, content.data, content.len, err);
        return r;
}

static int64_t listed_version(const struct sf_tufmeta *meta, const char *file)
{
        return json_integer_value(
                json_object_get(json_object_get(json_object_get(meta->body, "meta"), file), "version"));
}

static int pull_roles(struct sf_bucket *b, struct sf_error *err)
{
        _cleanup_tufmeta_ struct sf_tufmeta timestamp = SF_TUFMETA_INIT, snapshot = SF_TUFMETA_INIT;
        const char *file;
        json_t *unused;
        int r = pull_role(b, "timestamp.json", "timestamp", 0, &timestamp, err);

        if (r == SF_ERR_NOT_FOUND) { /* a new repository */
                sf_error_clear(err);
                return 0;
        }
        if (r == 0)
                r = pull_role(b, "snapshot.json", "snapshot", listed_version(&timestamp, "snapshot.json"), &snapshot,
                              err);
        if (r < 0)
                return r;
        json_object_foreach (json_object_get(snapshot.body, "meta"), file, unused) {
                _cleanup_tufmeta_ struct sf_tufmeta role = SF_TUFMETA_INIT;
                if ((r = pull_role(b, file, "targets", listed_version(&snapshot, file), &role, err)) < 0 ||
                    (r = pull_targets(b, json_object_get(role.body, "targets"), err)) < 0)
                        return r;
        }
        return 0;
}

/* --- opening ---------------------------------------------------------------------------------------------------- */

static int visit_blob(void *ctx, const char *key, uint64_t size, int64_t modified, struct sf_error *err)
{
        struct sf_bucket *b = ctx;

        (void)modified;
        return json_object_set_new(b->blobs, key + strlen(BLOB_DIRECTORY), json_integer((json_int_t)size)) < 0
                       ? no_memory(err)
                       : 0;
}

static bool has(const struct sf_bucket *b, const char *name, uint64_t size)
{
        const json_t *there = json_object_get(b->blobs, name);

        return there && json_integer_value(there) == (json_int_t)size;
}

/* What the bucket does not have was left by a run that failed, or has been pruned since: it must not come back. */
static int visit_left_over(void *ctx, int dirfd, const char *name, const char *path, const struct stat *st,
                           struct sf_error *err)
{
        const struct sf_bucket *b = ctx;

        if (S_ISREG(st->st_mode) && !has(b, name, (uint64_t)st->st_size) && unlinkat(dirfd, name, 0) < 0)
                return sf_error_errno(err, "cannot delete %s/" BLOB_DIRECTORY "%s", b->copy, path);
        return 0;
}

/* All but blobs is fetched anew. */
static int clear_copy(struct sf_bucket *b, struct sf_error *err)
{
        _cleanup_free_ char *blobs = sf_fs_join(b->copy, SF_LAYOUT_BLOBS);
        int r = blobs ? sf_fs_mkdirs(blobs, 0755, err) : no_memory(err);
        DIR *dir = r == 0 ? opendir(b->copy) : NULL;

        if (r == 0 && !dir)
                return sf_error_errno(err, "cannot open %s", b->copy);
        for (struct dirent *entry; r == 0 && (entry = readdir(dir));)
                if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
                    strcmp(entry->d_name, "blobs") != 0)
                        r = sf_fs_remove_tree_at(dirfd(dir), entry->d_name, err);
        if (dir)
                closedir(dir);
        return r < 0 ? r : sf_fs_walk(blobs, visit_left_over, b, err);
}

static int place_copy(struct sf_bucket *b, struct sf_error *err)
{
        _cleanup_free_ char *address = sf_format("%s|%s", b->options.url,
                                                 b->options.endpoint ? b->options.endpoint : "");
        struct sf_digest digest;
        char hex[SF_DIGEST_HEX + 1];

        if (!address)
                return no_memory(err);
        sf_digest_of(address, strlen(address), &digest);
        _cleanup_free_ char *top = sf_format("%s/buckets/%.16s", b->options.cache, sf_digest_hex(&digest, hex));
        _cleanup_free_ char *lock = top ? sf_fs_join(top, "lock") : NULL;
        b->copy = top ? sf_fs_join(top, "repository") : NULL;
        b->uploads = top ? sf_fs_join(top, "uploads") : NULL;
        if (!b->copy || !b->uploads || !lock)
                return no_memory(err);
        int r = sf_fs_mkdirs(b->uploads, 0700, err);
        if (r < 0)
                return r;
        b->local_lock = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (b->local_lock < 0)
                return sf_error_errno(err, "cannot open %s", lock);
        if (flock(b->local_lock, LOCK_EX | LOCK_NB) < 0)
                return errno == EWOULDBLOCK
                               ? sf_error_set(err, SF_ERR_BUSY, "%s: another process of this machine is publishing",
                                              b->options.url)
                               : sf_error_errno(err, "cannot lock %s", lock);
        return 0;
}

static int pull_all(struct sf_bucket *b, struct sf_error *err)
{
        bool unused;
        int r = sf_s3_list(b->s3, BLOB_DIRECTORY, visit_blob, b, err);

        if (r == 0)
                r = clear_copy(b, err);
        if (r == 0)
                r = pull_roots(b, err);
        if (r == 0)
                r = pull_roles(b, err);
        if (r == 0)
                r = pull_optional(b, SF_LAYOUT_OCI_INDEX, OCI_INDEX_MAX, &unused, err);
        return r < 0 ? r : pull_optional(b, SF_LAYOUT_OCI_LAYOUT, 1024, &unused, err);
}

int sf_bucket_open(const struct sf_bucket_options *options, struct sf_bucket **ret, struct sf_error *err)
{
        _cleanup_bucket_ struct sf_bucket *b = calloc(1, sizeof *b);
        int r;

        if (!b)
                return no_memory(err);
        b->options = *options;
        b->local_lock = -1;
        pthread_mutex_init(&b->mutex, NULL);
        b->pulled = json_object();
        b->blobs = json_object();
        if (!b->pulled || !b->blobs)
                return no_memory(err);
        if ((r = place_copy(b, err)) < 0 || (r = open_connection(b, &b->s3, err)) < 0 ||
            (!options->dry_run && (r = sf_bucket_lock(b, err)) < 0) || (r = pull_all(b, err)) < 0)
                return r;
        *ret = sf_steal_pointer(b);
        return 0;
}

void sf_bucket_close(struct sf_bucket *b)
{
        if (!b)
                return;
        if (b->s3)
                sf_bucket_unlock(b);
        sf_s3_close(b->s3);
        while (b->idle_count)
                sf_s3_close(b->idle[--b->idle_count]);
        pthread_mutex_destroy(&b->mutex);
        json_decref(b->pulled);
        json_decref(b->blobs);
        sf_buffer_free(&b->timestamp);
        sf_cleanup_close(&b->local_lock);
        free(b->copy);
        free(b->uploads);
        free(b);
}

const char *sf_bucket_copy(const struct sf_bucket *b)
{
        return b->copy;
}

bool sf_bucket_has(void *ctx, const struct sf_blob *blob)
{
        char hex[SF_DIGEST_HEX + 1];

        return has(ctx, sf_digest_hex(&blob->digest, hex), blob->size);
}

int sf_bucket_fetch(void *ctx, const struct sf_blob *blob, struct sf_error *err)
{
        struct sf_bucket *b = ctx;
        _cleanup_(sf_buffer_free) struct sf_buffer content = SF_BUFFER_INIT;
        _cleanup_free_ char *path = sf_layout_blob(&blob->digest);
        _cleanup_free_ char *full = path ? sf_fs_join(b->copy, path) : NULL;
        struct sf_digest digest;
        int r;

        if (!full)
                return no_memory(err);
        if (sf_fs_exists(full))
                return 0;
        if (blob->size > BLOB_MAX)
                return sf_error_set(err, SF_ERR_LIMIT, "%s: too large to be fetched", path);
        if ((r = sf_s3_get(b->s3, path, (size_t)blob->size, &content, err)) < 0)
                return r;
        sf_digest_of(content.data, content.len, &digest);
        if (content.len != blob->size || !sf_digest_equal(&digest, &blob->digest))
                return sf_error_set(err, SF_ERR_CORRUPT, "%s/%s is damaged", b->options.url, path);
        return sf_fs_write(full, content.data, content.len, 0644, err);
}
