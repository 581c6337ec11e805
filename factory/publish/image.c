/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/image.c - see image.h. Manifest and config are the base's with the release's entries appended. */
#include "factory/publish/image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/json.h"
#include "factory/pack/oci.h"
#include "factory/publish/image-base.h"
#include "factory/publish/repo.h"
#include "release/filelist.h"
#include "release/layout.h"

#define SLURM_PATH "PATH=" SF_CANONICAL_PREFIX "/bin:" SF_CANONICAL_PREFIX "/sbin:"
#define USUAL_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static int no_memory(struct sf_error *err)
{
        return sf_error_set(err, SF_ERR_NOMEM, "out of memory for an image");
}

/* Each layer of a manifest, into the output. */
static int copy_layers(const char *output, const char *blobs, const json_t *layers, struct sf_error *err)
{
        int r = 0;

        for (size_t i = 0; i < json_array_size(layers) && r == 0; i++) {
                const json_t *layer = json_array_get(layers, i);
                struct sf_blob blob;
                const char *digest;
                int64_t size;

                if ((r = sf_json_string(layer, "layers", "digest", &digest, err)) < 0 ||
                    (r = sf_json_integer(layer, "layers", "size", 0, INT64_MAX, &size, err)) < 0)
                        return r;
                blob.size = (uint64_t)size;
                if (sf_oci_parse_digest(digest, &blob.digest) < 0)
                        return sf_error_set(err, SF_ERR_CORRUPT, "layer %s is not named by a SHA-256", digest);
                r = sf_repo_copy(output, blobs, &blob, err);
        }
        return r;
}

/* The base's environment with Slurm's programs first in PATH. */
static json_t *merge_environment(const json_t *base)
{
        json_t *merged = json_array();
        const char *path = USUAL_PATH;

        for (size_t i = 0; i < json_array_size(base); i++) {
                const char *text = json_string_value(json_array_get(base, i));
                if (text && strncmp(text, "PATH=", 5) == 0)
                        path = text + 5;
                else if (text)
                        json_array_append_new(merged, json_string(text));
        }
        _cleanup_free_ char *all = sf_format(SLURM_PATH "%s", path);
        if (!all || json_array_insert_new(merged, 0, json_string(all)) < 0)
                return json_decref(merged), NULL;
        return merged;
}

/* The object or array below `key`, made where the base has none; borrowed. */
static json_t *member(json_t *object, const char *key, json_t *(*make)(void))
{
        json_t *value = json_object_get(object, key);

        if (!value || json_is_null(value)) {
                json_object_set_new(object, key, make());
                value = json_object_get(object, key);
        }
        return value;
}

static int merge_config(json_t *base, const json_t *release, struct sf_error *err)
{
        json_t *config = member(base, "config", json_object), *rootfs = member(base, "rootfs", json_object);
        const json_t *ours = json_object_get(release, "config");
        json_t *labels = member(config, "Labels", json_object), *diff_ids = member(rootfs, "diff_ids", json_array);
        json_t *environment = merge_environment(json_object_get(config, "Env"));

        if (json_object_set_new(config, "Env", environment) < 0 ||
            json_object_update(labels, json_object_get(ours, "Labels")) < 0 ||
            json_array_extend(diff_ids, json_object_get(json_object_get(release, "rootfs"), "diff_ids")) < 0 ||
            json_array_extend(member(base, "history", json_array), json_object_get(release, "history")) < 0 ||
            json_object_set(base, "created", json_object_get(release, "created")) < 0)
                return sf_error_set(err, SF_ERR_CORRUPT,
                                    "the base image's config is not what the OCI specification says");
        return 0;
}

/* Stores the config, then the manifest that names it. */
static int store_image(const char *output, json_t *config, const json_t *base_layers, const json_t *release,
                       struct sf_blob *ret, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT, manifest_text = SF_BUFFER_INIT;
        _cleanup_json_ json_t *layers = json_deep_copy(base_layers), *manifest = json_deep_copy(release);
        struct sf_blob blob;
        int r;

        if (!layers || !manifest || json_array_extend(layers, json_object_get(release, "layers")) < 0)
                return no_memory(err);
        if ((r = sf_oci_dump(config, &text, err)) < 0 || (r = sf_repo_put(output, text.data, text.len, &blob, err)) < 0)
                return r;
        if (json_object_set_new(manifest, "config", sf_oci_descriptor(SF_OCI_CONFIG, &blob)) < 0 ||
            json_object_set(manifest, "layers", layers) < 0)
                return no_memory(err);
        r = sf_oci_dump(manifest, &manifest_text, err);
        return r < 0 ? r : sf_repo_put(output, manifest_text.data, manifest_text.len, ret, err);
}

static int tag_image(const struct sf_image *image, const struct sf_blob *manifest, struct sf_error *err)
{
        _cleanup_(sf_repo_index_close) struct sf_repo_index index = SF_REPO_INDEX_INIT;
        struct sf_index_release release = *sf_build_release(image->build);
        int r = sf_repo_index_open(image->output, &index, err);

        release.manifest = *manifest;
        if (r == 0)
                r = sf_repo_index_put(&index, &release, NULL, 0, err);
        return r < 0 ? r : sf_repo_index_store(&index, err);
}

static int check_architecture(const struct sf_image *image, const json_t *config, struct sf_error *err)
{
        const char *found = json_string_value(json_object_get(config, "architecture"));
        const struct sf_release_name *name = &sf_build_release(image->build)->name;

        if (!found || strcmp(found, name->arch) == 0)
                return 0;
        return sf_error_set(err, SF_ERR_USAGE, "--base %s: an image for %s, the release is for %s", image->base, found,
                            name->arch);
}

int sf_image_export(const struct sf_image *image, struct sf_image_result *ret, struct sf_error *err)
{
        _cleanup_json_ json_t *base_config = NULL, *base_layers = NULL, *manifest = NULL, *config = NULL;
        const struct sf_index_release *release = sf_build_release(image->build);
        _cleanup_free_ char *blobs = sf_fs_join(image->output, SF_LAYOUT_BLOBS);
        char digest[7 + SF_DIGEST_HEX + 1] = "sha256:";
        struct sf_blob stored;

        sf_digest_hex(&release->manifest.digest, digest + 7);
        int r = blobs ? sf_fs_mkdirs(image->output, 0755, err) : no_memory(err);
        if (r == 0)
                r = sf_repo_open(image->output, err);
        if (r == 0)
                r = sf_image_read(image->build->blobs, digest, &manifest, &config, err);
        if (r == 0)
                r = sf_image_base_add(image->base, release->name.arch, image->output, &base_config, &base_layers, err);
        if (r == 0)
                r = check_architecture(image, base_config, err);
        if (r == 0)
                r = copy_layers(image->output, image->build->blobs, json_object_get(manifest, "layers"), err);
        if (r == 0)
                r = merge_config(base_config, config, err);
        if (r == 0)
                r = store_image(image->output, base_config, base_layers, manifest, &stored, err);
        if (r == 0)
                r = tag_image(image, &stored, err);
        if (r < 0)
                return r;
        ret->manifest = stored.digest;
        snprintf(ret->tag, sizeof ret->tag, "%s-%s%s%s", release->name.version, release->name.toolchain,
                 *release->name.build ? "-" : "", release->name.build);
        return 0;
}
