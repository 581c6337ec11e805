/* SPDX-License-Identifier: Apache-2.0 */
/* factory/build/release_source.c - see release_source.h. */
#include "factory/build/release_source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/stream.h"
#include "release/layout.h"
#include "transport/fetch.h"

#define MANIFEST_MAX  (4u << 20)
#define FILELIST_MAX  ((size_t)256 << 20)
#define WINDOW_LOG    27
#define DIGEST_PREFIX "sha256:"

/* A release on its way into the cache. */
struct arrival {
        const struct sf_release_source *source;
        struct sf_index index;
        const struct sf_index_release *release; /* of index */
        struct sf_buffer statement;             /* provenance, ours */
        struct sf_fetcher *fetcher;
        char *work; /* BUILDS/.<release>.partial */
};

static void arrival_free(struct arrival *a)
{
        sf_fetcher_close(a->fetcher);
        if (a->work)
                (void)sf_fs_remove_tree(a->work, NULL);
        sf_index_free(&a->index);
        sf_buffer_free(&a->statement);
        free(a->work);
}

static int no_memory(struct sf_error *err)
{
        return sf_error_set(err, SF_ERR_NOMEM, "release");
}

/* --- what the repository has ------------------------------------------------------------------------------------ */

/* Returns 1 where it has the release that would be packed here. */
static int find(struct arrival *a, struct sf_error *err)
{
        const struct sf_release_source *source = a->source;
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        char hex[SF_DIGEST_HEX + 1];
        struct sf_digest digest;
        const json_t *entry;
        int r;

        sf_digest_of(source->from->data, source->from->len, &digest);
        entry = json_object_get(source->repository->releases, sf_digest_hex(&digest, hex));
        if (!entry)
                return 0;
        if ((r = sf_json_canonical(entry, &text, err)) < 0 ||
            (r = sf_index_parse("build cache", text.data, text.len, &a->index, err)) < 0)
                return r;
        if (a->index.release_count != 1 || strcmp(a->index.releases[0].name.text, source->name) != 0)
                return sf_error_set(err, SF_ERR_CORRUPT, "build cache: %s is not one release %s", hex, source->name);
        a->release = &a->index.releases[0];
        if ((r = source->describe(source->describe_ctx, a->release, &a->statement, err)) < 0)
                return r;
        /* A root with other packages changes the statement, though perhaps no layer. */
        sf_digest_of(a->statement.data, a->statement.len, &digest);
        return sf_digest_equal(&digest, &a->release->provenance.digest);
}

/* --- blobs ------------------------------------------------------------------------------------------------------ */

/* New; NULL without memory. */
static char *blob_place(const struct arrival *a, const struct sf_digest *digest)
{
        _cleanup_free_ char *path = sf_layout_blob(digest);

        return path ? sf_fs_join(a->work, path) : NULL;
}

static int fetch_blob(struct arrival *a, const struct sf_blob *blob, struct sf_error *err)
{
        _cleanup_free_ char *path = sf_layout_blob(&blob->digest), *to = blob_place(a, &blob->digest);

        return path && to ? sf_layer_source_download(a->fetcher, path, blob, to, err) : no_memory(err);
}

static int fetch_described(struct arrival *a, const json_t *descriptor, struct sf_error *err)
{
        struct sf_blob blob;
        const char *digest;
        int64_t size;
        int r;

        if ((r = sf_json_string(descriptor, "manifest", "digest", &digest, err)) < 0 ||
            (r = sf_json_integer(descriptor, "manifest", "size", 0, INT64_MAX, &size, err)) < 0)
                return r;
        if (strncmp(digest, DIGEST_PREFIX, strlen(DIGEST_PREFIX)) != 0)
                return sf_error_set(err, SF_ERR_CORRUPT, "manifest: %s", digest);
        blob.size = (uint64_t)size;
        r = sf_digest_parse(digest + strlen(DIGEST_PREFIX), &blob.digest, err);
        return r < 0 ? r : fetch_blob(a, &blob, err);
}

/* The image's manifest, its configuration and its layers. */
static int fetch_image(struct arrival *a, struct sf_error *err)
{
        _cleanup_free_ char *place = blob_place(a, &a->release->manifest.digest);
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        _cleanup_json_ json_t *manifest = NULL;
        json_t *config, *layers;
        size_t i;
        int r;

        if (!place)
                return no_memory(err);
        if ((r = fetch_blob(a, &a->release->manifest, err)) < 0 ||
            (r = sf_fs_read(place, MANIFEST_MAX, &text, err)) < 0 ||
            (r = sf_json_parse("manifest", text.data, text.len, &manifest, err)) < 0 ||
            (r = sf_json_object(manifest, "manifest", "config", &config, err)) < 0 ||
            (r = sf_json_array(manifest, "manifest", "layers", &layers, err)) < 0 ||
            (r = fetch_described(a, config, err)) < 0)
                return r;
        for (i = 0; i < json_array_size(layers) && r == 0; i++)
                r = fetch_described(a, json_array_get(layers, i), err);
        return r;
}

/* --- what else lies beside the blobs ---------------------------------------------------------------------------- */

static int put_file(const struct arrival *a, const char *name, const struct sf_buffer *content, struct sf_error *err)
{
        _cleanup_free_ char *path = sf_fs_join(a->work, name);

        return path ? sf_fs_write(path, content->data, content->len, 0644, err) : no_memory(err);
}

static int put_filelist(struct arrival *a, struct sf_error *err)
{
        _cleanup_free_ char *place = blob_place(a, &a->release->filelist.digest);
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        _cleanup_stream_ struct sf_stream *plain = NULL;
        struct sf_stream *packed;
        struct sf_digest tree;
        int r;

        if (!place)
                return no_memory(err);
        if ((r = fetch_blob(a, &a->release->filelist, err)) < 0 || (r = sf_stream_from_file(place, &packed, err)) < 0 ||
            (r = sf_stream_zstd(packed, WINDOW_LOG, &plain, err)) < 0 ||
            (r = sf_stream_read_all(plain, FILELIST_MAX, &text, err)) < 0)
                return r;
        sf_digest_of(text.data, text.len, &tree);
        if (!sf_digest_equal(&tree, &a->release->tree))
                return sf_error_set(err, SF_ERR_CORRUPT, "%s: another file list than the index says", a->source->name);
        return put_file(a, "filelist", &text, err);
}

/* Papers that are known here, and what the release is called in an index. */
static int put_papers(struct arrival *a, struct sf_error *err)
{
        _cleanup_free_ char *sbom = blob_place(a, &a->release->sbom.digest);
        _cleanup_free_ char *statement = blob_place(a, &a->release->provenance.digest);
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        const struct sf_buffer *bill = a->source->sbom;
        struct sf_digest digest;
        int r;

        if (!sbom || !statement)
                return no_memory(err);
        sf_digest_of(bill->data, bill->len, &digest);
        if (!sf_digest_equal(&digest, &a->release->sbom.digest))
                return sf_error_set(err, SF_ERR_CORRUPT, "%s: another bill of materials", a->source->name);
        if ((r = sf_fs_write(sbom, bill->data, bill->len, 0644, err)) < 0 ||
            (r = sf_fs_write(statement, a->statement.data, a->statement.len, 0644, err)) < 0 ||
            (r = sf_index_write(&a->index, &text, err)) < 0)
                return r;
        return put_file(a, "release.json", &text, err);
}

/* --- the whole -------------------------------------------------------------------------------------------------- */

static int finish(struct arrival *a, struct sf_error *err)
{
        _cleanup_free_ char *final = sf_fs_join(a->source->builds, a->source->name);
        int r = final ? sf_fs_remove_tree(final, err) : no_memory(err);

        if (r == 0 && rename(a->work, final) < 0)
                return sf_error_errno(err, "cannot rename %s", a->work);
        return r;
}

int sf_release_source_fetch(const struct sf_release_source *source, struct sf_index_release *ret, struct sf_error *err)
{
        _cleanup_(arrival_free) struct arrival a = { .source = source };
        _cleanup_free_ char *blobs = NULL;
        int r = find(&a, err);

        if (r <= 0)
                return r;
        a.work = sf_format("%s/.%s.partial", source->builds, source->name);
        blobs = a.work ? sf_fs_join(a.work, SF_LAYOUT_BLOBS) : NULL;
        if (!blobs)
                return no_memory(err);
        if ((r = sf_fs_remove_tree(a.work, err)) < 0 || (r = sf_fs_mkdirs(blobs, 0755, err)) < 0 ||
            (r = sf_layer_source_fetcher(source->repository, &a.fetcher, err)) < 0 || (r = fetch_image(&a, err)) < 0 ||
            (r = put_filelist(&a, err)) < 0 || (r = put_papers(&a, err)) < 0 || (r = finish(&a, err)) < 0)
                return r;
        *ret = *a.release;
        ret->deltas = NULL;
        ret->delta_count = 0;
        return 1;
}
