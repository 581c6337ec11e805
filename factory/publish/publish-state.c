/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/publish-state.c - what a release consists of, copied from its build into the repository. */
#include "factory/publish/publish-state.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/log.h"
#include "factory/publish/repo.h"
#include "release/layout.h"

int sf_publish_has_blob(const struct sf_publish_session *s, const struct sf_blob *blob, bool *ret, struct sf_error *err)
{
        const struct sf_publish_store *store = s->publish->store;

        *ret = true;
        return store && store->has(store->ctx, blob) ? 0 : sf_repo_check(s->publish->repository, blob, ret, err);
}

static int copy_blob(struct sf_publish_session *s, const char *blobs, const struct sf_blob *blob, struct sf_error *err)
{
        char hex[SF_DIGEST_HEX + 1];
        bool there;
        int r;

        if (!s->publish->dry_run)
                return sf_repo_copy(s->publish->repository, blobs, blob, err);
        if ((r = sf_publish_has_blob(s, blob, &there, err)) < 0 || there)
                return r;
        sf_log_info("would be added: " SF_LAYOUT_BLOBS "/%s, %llu bytes", sf_digest_hex(&blob->digest, hex),
                    (unsigned long long)blob->size);
        s->missing_count++;
        s->missing_bytes += blob->size;
        return 0;
}

/* Copies the blob that an OCI descriptor names. */
static int copy_descriptor(struct sf_publish_session *s, const char *blobs, const json_t *descriptor, const char *where,
                           struct sf_error *err)
{
        struct sf_blob blob;
        const char *digest;
        int64_t size;
        int r = sf_json_string(descriptor, where, "digest", &digest, err);

        if (r == 0)
                r = sf_digest_parse(digest, &blob.digest, err);
        if (r == 0)
                r = sf_json_integer(descriptor, where, "size", 0, INT64_MAX, &size, err);
        if (r < 0)
                return r;
        blob.size = (uint64_t)size;
        return copy_blob(s, blobs, &blob, err);
}

int sf_publish_copy_blobs(struct sf_publish_session *s, const struct sf_build *build, struct sf_error *err)
{
        const struct sf_index_release *release = sf_build_release(build);
        char hex[SF_DIGEST_HEX + 1];
        _cleanup_free_ char *path = sf_fs_join(build->blobs, sf_digest_hex(&release->manifest.digest, hex));
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        _cleanup_json_ json_t *manifest = NULL;
        json_t *config, *layers;
        const json_t *layer;
        size_t i;
        int r = path ? sf_fs_read(path, SF_PUBLISH_MANIFEST_MAX, &text, err)
                     : sf_error_set(err, SF_ERR_NOMEM, "out of memory");

        if (r == 0)
                r = sf_json_parse(path, text.data, text.len, &manifest, err);
        if (r == 0)
                r = sf_json_object(manifest, "manifest", "config", &config, err);
        if (r == 0)
                r = sf_json_array(manifest, "manifest", "layers", &layers, err);
        if (r == 0)
                r = copy_descriptor(s, build->blobs, config, "manifest.config", err);
        if (r < 0)
                return r;
        json_array_foreach (layers, i, layer) {
                r = copy_descriptor(s, build->blobs, layer, "manifest.layers", err);
                if (r < 0)
                        return r;
        }
        r = copy_blob(s, build->blobs, &release->filelist, err);
        if (r == 0 && release->sbom.size)
                r = copy_blob(s, build->blobs, &release->sbom, err);
        return r < 0 ? r : copy_blob(s, build->blobs, &release->manifest, err);
}

bool sf_publish_is_same(const struct sf_index_release *a, const struct sf_index_release *b)
{
        return sf_digest_equal(&a->manifest.digest, &b->manifest.digest) && sf_digest_equal(&a->tree, &b->tree);
}

bool sf_publish_is_repeated(const struct sf_publication *all, size_t i)
{
        for (size_t k = 0; k < i; k++)
                if (strcmp(all[k].release.name.text, all[i].release.name.text) == 0)
                        return true;
        return false;
}
