/* SPDX-License-Identifier: Apache-2.0 */
/* factory/build/layer_source.c - see layer_source.h. */
#include "factory/build/layer_source.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/log.h"
#include "base/stop.h"
#include "factory/build/extract.h"
#include "factory/build/prefix.h"
#include "release/layout.h"
#include "transport/fetch.h"
#include "tuf/tuf.h"

#define KEY_MAX     (1u << 20)
#define ROOT_MAX    (1u << 20)
#define CHUNK       (256u << 10)
#define LAYER_LIMIT ((int64_t)1 << 36)

/* --- trust ----------------------------------------------------------------------------------------------------- */

int sf_layer_source_trust(const struct sf_cache *cache, const char *root_file, bool force, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer root = SF_BUFFER_INIT;
        _cleanup_free_ char *directory = sf_cache_path(cache, "trust", NULL);
        int r;

        if (!directory)
                return sf_error_set(err, SF_ERR_NOMEM, "trust");
        if ((r = sf_fs_read(root_file, ROOT_MAX, &root, err)) < 0 || (r = sf_fs_mkdirs(directory, 0755, err)) < 0)
                return r;
        return sf_tuf_pin(directory, root.data, root.len, force, err);
}

static void tell(void *ctx, const char *text)
{
        (void)ctx;
        sf_log_warning("%s", text);
}

int sf_layer_source_fetcher(const struct sf_layer_source *source, struct sf_fetcher **ret, struct sf_error *err)
{
        struct sf_fetch_options options;

        sf_fetch_options_default(&options);
        options.bases = sf_words_argv(source->urls);
        options.retries = 2;
        options.stop = &sf_stop_requested;
        options.notice = tell;
        return sf_fetcher_open(&options, ret, err);
}

static int fetch_metadata(void *ctx, const char *name, size_t max, struct sf_buffer *ret, struct sf_error *err)
{
        _cleanup_free_ char *path = sf_format(SF_LAYOUT_METADATA "/%s", name);

        return path ? sf_fetch_small(ctx, path, max, ret, err) : sf_error_set(err, SF_ERR_NOMEM, "metadata");
}

/* --- the repository's index ------------------------------------------------------------------------------------ */

static int read_index(struct sf_layer_source *source, struct sf_fetcher *fetcher, struct sf_tuf *trust,
                      struct sf_error *err)
{
        const struct sf_tuf_source from = { fetch_metadata, fetcher };
        _cleanup_free_ char *name = sf_layout_buildcache_target(source->toolchain, source->arch), *path = NULL;
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        _cleanup_json_ json_t *root = NULL;
        struct sf_tuf_target target;
        int64_t format;
        json_t *layers;
        int r;

        if (!name)
                return sf_error_set(err, SF_ERR_NOMEM, "build cache");
        if ((r = sf_tuf_refresh(trust, &from, err)) < 0 || (r = sf_tuf_find(trust, &from, name, &target, err)) < 0)
                return r;
        path = sf_format(SF_LAYOUT_TARGETS "/%s", target.download_name);
        r = path ? sf_fetch_small(fetcher, path, SF_BUILDCACHE_INDEX_MAX, &text, err)
                 : sf_error_set(err, SF_ERR_NOMEM, "build cache");
        if (r == 0)
                r = sf_tuf_target_check(&target, text.data, text.len, err);
        sf_tuf_target_free(&target);
        if (r < 0 || (r = sf_json_parse(name, text.data, text.len, &root, err)) < 0 ||
            (r = sf_json_integer(root, name, "buildcache", 1, SF_BUILDCACHE_FORMAT, &format, err)) < 0 ||
            (r = sf_json_object(root, name, "layers", &layers, err)) < 0)
                return r;
        source->layers = json_incref(layers);
        source->releases = json_incref(json_object_get(root, "releases"));
        return 0;
}

int sf_layer_source_open(struct sf_layer_source *source, struct sf_error *err)
{
        _cleanup_free_ char *directory = sf_cache_path(source->cache, "trust", NULL);
        const struct sf_tuf_options options = { .directory = directory, .now = time(NULL), .notice = tell };
        _cleanup_fetcher_ struct sf_fetcher *fetcher = NULL;
        struct sf_tuf *trust;
        int r;

        source->layers = source->releases = NULL;
        if (source->urls->count == 0)
                return 0;
        if (!directory)
                return sf_error_set(err, SF_ERR_NOMEM, "build cache");
        if ((r = sf_layer_source_fetcher(source, &fetcher, err)) < 0)
                return r;
        r = sf_tuf_open(&options, &trust, err);
        if (r == SF_ERR_NOT_FOUND)
                return sf_error_set(err, SF_ERR_USAGE,
                                    "no repository's build cache is trusted yet: run slurm-factory trust ROOT.json, or "
                                    "build everything with --no-buildcache");
        if (r < 0)
                return r;
        r = read_index(source, fetcher, trust, err);
        sf_tuf_close(trust);
        return r;
}

void sf_layer_source_close(struct sf_layer_source *source)
{
        json_decref(source->layers);
        json_decref(source->releases);
        source->layers = source->releases = NULL;
}

static char *local_layer(const struct sf_layer_source *source, const char *layer)
{
        return source->local ? sf_format("%s/buildcache/%s", source->local, layer) : NULL;
}

bool sf_layer_source_has(const struct sf_layer_source *source, const char *layer)
{
        _cleanup_free_ char *local = local_layer(source, layer);

        return (local && sf_fs_exists(local)) || json_object_get(source->layers, layer);
}

/* --- one layer ------------------------------------------------------------------------------------------------- */

/* Takes the tree where the key beside it is ours to the letter. */
static int store(const struct sf_layer_source *source, const struct sf_cache_key *key, const char *work,
                 struct sf_error *err)
{
        _cleanup_free_ char *tree = sf_fs_join(work, "tree"), *path = sf_fs_join(work, "key");
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        int r;

        if (!tree || !path)
                return sf_error_set(err, SF_ERR_NOMEM, "layer %s", key->name);
        if ((r = sf_fs_read(path, KEY_MAX, &text, err)) < 0)
                return r;
        if (strcmp(sf_buffer_text(&text), key->text) != 0)
                return sf_error_set(err, SF_ERR_CORRUPT, "layer %s: its key is not the one of its name", key->name);
        return sf_cache_store(source->cache, key, tree, err);
}

static int copy_local(const char *from, const char *work, struct sf_error *err)
{
        return sf_prefix_add(from, work, err);
}

static int save(struct sf_stream *in, const char *path, struct sf_digest *ret, struct sf_error *err)
{
        _cleanup_digester_ struct sf_digester *digester = NULL;
        _cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        _cleanup_free_ char *chunk = malloc(CHUNK);
        ssize_t n;

        if (!chunk)
                return sf_error_set(err, SF_ERR_NOMEM, "%s", path);
        int r = sf_digester_new(&digester, err);
        if (r < 0)
                return r;
        if (fd < 0)
                return sf_error_errno(err, "cannot create %s", path);
        while ((n = sf_stream_read(in, chunk, CHUNK, err)) > 0) {
                if ((r = sf_fs_write_all(fd, chunk, (size_t)n, path, err)) < 0)
                        return r;
                sf_digester_update(digester, chunk, (size_t)n);
        }
        if (n == 0)
                sf_digester_finish(digester, ret);
        return (int)n;
}

int sf_layer_source_download(struct sf_fetcher *fetcher, const char *path, const struct sf_blob *wanted, const char *to,
                             struct sf_error *err)
{
        _cleanup_stream_ struct sf_stream *in = NULL;
        struct sf_digest is;
        int r;

        if ((r = sf_fetch_range(fetcher, path, wanted->size, 0, wanted->size, &in, err)) < 0 ||
            (r = save(in, to, &is, err)) < 0)
                return r;
        return sf_digest_equal(&wanted->digest, &is)
                       ? 0
                       : sf_error_set(err, SF_ERR_CORRUPT, "%s: what arrived is not what was signed", path);
}

static int download(const struct sf_layer_source *source, const char *layer, const char *work, struct sf_error *err)
{
        const json_t *entry = json_object_get(source->layers, layer);
        _cleanup_free_ char *path = sf_format(SF_LAYOUT_BUILDCACHE "/%s.tar.zst", layer);
        _cleanup_free_ char *archive = sf_fs_join(work, "archive");
        _cleanup_fetcher_ struct sf_fetcher *fetcher = NULL;
        struct sf_blob wanted;
        const char *hex;
        int64_t size, epoch;
        int r;

        if (!path || !archive)
                return sf_error_set(err, SF_ERR_NOMEM, "layer %s", layer);
        if ((r = sf_json_string(entry, layer, "sha256", &hex, err)) < 0 ||
            (r = sf_digest_parse(hex, &wanted.digest, err)) < 0 ||
            (r = sf_json_integer(entry, layer, "size", 1, LAYER_LIMIT, &size, err)) < 0)
                return r;
        wanted.size = (uint64_t)size;
        if ((r = sf_layer_source_fetcher(source, &fetcher, err)) < 0 ||
            (r = sf_layer_source_download(fetcher, path, &wanted, archive, err)) < 0)
                return sf_error_prefix(err, "layer %s", layer);
        return sf_extract(archive, work, "", &epoch, err);
}

int sf_layer_source_fetch(const struct sf_layer_source *source, const struct sf_cache_key *key, struct sf_error *err)
{
        _cleanup_free_ char *work = sf_cache_path(source->cache, "work", key->name);
        _cleanup_free_ char *local = local_layer(source, key->name);
        int r;

        if (!work)
                return sf_error_set(err, SF_ERR_NOMEM, "layer %s", key->name);
        if ((r = sf_fs_remove_tree(work, err)) < 0 || (r = sf_fs_mkdirs(work, 0755, err)) < 0)
                return r;
        r = local && sf_fs_exists(local) ? copy_local(local, work, err) : download(source, key->name, work, err);
        if (r == 0)
                r = store(source, key, work, err);
        int removed = sf_fs_remove_tree(work, r < 0 ? NULL : err);
        return r < 0 ? r : removed;
}
