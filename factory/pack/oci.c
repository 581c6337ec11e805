/* SPDX-License-Identifier: Apache-2.0 */
/* factory/pack/oci.c - why: a release is also a container image, so that skopeo, podman and registries work as they
 * are. */
#include "factory/pack/oci.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/json.h"
#include "release/filelist.h"
#include "release/layout.h"

static int no_memory(struct sf_error *err)
{
        return sf_error_set(err, SF_ERR_NOMEM, "out of memory for an OCI document");
}

/* A blob's digest as OCI writes it: "sha256:" and 64 digits. Returns out. */
static char *oci_digest(const struct sf_digest *digest, char out[7 + SF_DIGEST_HEX + 1])
{
        memcpy(out, "sha256:", 7);
        sf_digest_hex(digest, out + 7);
        return out;
}

int sf_oci_parse_digest(const char *text, struct sf_digest *ret)
{
        return strncmp(text, "sha256:", 7) == 0 ? sf_digest_parse(text, ret, NULL) : SF_ERR_CORRUPT;
}

void sf_oci_blob_of(const struct sf_buffer *content, struct sf_blob *ret)
{
        sf_digest_of(content->data, content->len, &ret->digest);
        ret->size = content->len;
}

json_t *sf_oci_descriptor(const char *media_type, const struct sf_blob *blob)
{
        char digest[7 + SF_DIGEST_HEX + 1];

        return json_pack("{s:s, s:s, s:I}", "mediaType", media_type, "digest", oci_digest(&blob->digest, digest),
                         "size", (json_int_t)blob->size);
}

int sf_oci_dump(const json_t *document, struct sf_buffer *ret, struct sf_error *err)
{
        _cleanup_free_ char *text = document ? json_dumps(document, JSON_COMPACT | JSON_SORT_KEYS) : NULL;

        return text ? sf_buffer_puts(ret, text, err) : no_memory(err);
}

int sf_oci_config(const struct sf_release_name *name, int64_t created, const struct sf_oci_layer *layers, size_t count,
                  struct sf_buffer *ret, struct sf_error *err)
{
        _cleanup_json_ json_t *diff_ids = json_array();
        _cleanup_json_ json_t *history = json_array();
        _cleanup_json_ json_t *document = NULL;
        char digest[7 + SF_DIGEST_HEX + 1], time[32];
        int r = diff_ids && history ? 0 : -1;

        sf_clock_stamp(created, time);
        for (size_t i = 0; i < count && r == 0; i++) {
                r = json_array_append_new(diff_ids, json_string(oci_digest(&layers[i].diff_id, digest)));
                if (r == 0)
                        r = json_array_append_new(history, json_pack("{s:s, s:s+}", "created", time, "created_by",
                                                                     "slurm-factory: layer ", layers[i].name));
        }
        if (r < 0)
                return no_memory(err);
        document = json_pack("{s:s, s:s, s:s, s:{s:[s], s:{s:s, s:s}}, s:{s:s, s:O}, s:O}", "architecture", name->arch,
                             "os", "linux", "created", time, "config", "Env",
                             "PATH=" SF_CANONICAL_PREFIX "/bin:" SF_CANONICAL_PREFIX
                             "/sbin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                             "Labels", "org.opencontainers.image.title", "slurm", "org.opencontainers.image.version",
                             name->version, "rootfs", "type", "layers", "diff_ids", diff_ids, "history", history);
        return sf_oci_dump(document, ret, err);
}

int sf_oci_manifest(const struct sf_release_name *name, const struct sf_blob *config, const struct sf_oci_layer *layers,
                    size_t count, struct sf_buffer *ret, struct sf_error *err)
{
        _cleanup_json_ json_t *list = json_array();
        _cleanup_json_ json_t *document = NULL;

        for (size_t i = 0; i < count; i++) {
                json_t *layer = sf_oci_descriptor(SF_MEDIA_LAYER, &layers[i].blob);
                json_t *annotations = json_pack("{s:s}", "org.opencontainers.image.title", layers[i].name);
                if (json_object_set_new(layer, "annotations", annotations) < 0 ||
                    json_array_append_new(list, layer) < 0)
                        return no_memory(err);
        }
        document = json_pack("{s:i, s:s, s:o, s:O, s:{s:s, s:s}}", "schemaVersion", 2, "mediaType", SF_OCI_MANIFEST,
                             "config", sf_oci_descriptor(SF_OCI_CONFIG, config), "layers", list, "annotations",
                             "org.opencontainers.image.version", name->version, "org.opencontainers.image.title",
                             name->text);
        return sf_oci_dump(document, ret, err);
}

int sf_oci_artifact(const char *type, const struct sf_blob *blobs, size_t count, const struct sf_blob *subject,
                    struct sf_buffer *ret, struct sf_error *err)
{
        _cleanup_json_ json_t *list = json_array();
        _cleanup_json_ json_t *document = NULL;
        struct sf_blob empty = { .size = strlen(SF_OCI_EMPTY_TEXT) };

        sf_digest_of(SF_OCI_EMPTY_TEXT, empty.size, &empty.digest);
        for (size_t i = 0; i < count; i++)
                if (json_array_append_new(list, sf_oci_descriptor(type, &blobs[i])) < 0)
                        return no_memory(err);
        document = json_pack("{s:i, s:s, s:s, s:o, s:O, s:o}", "schemaVersion", 2, "mediaType", SF_OCI_MANIFEST,
                             "artifactType", type, "config", sf_oci_descriptor(SF_OCI_EMPTY, &empty), "layers", list,
                             "subject", sf_oci_descriptor(SF_OCI_MANIFEST, subject));
        return sf_oci_dump(document, ret, err);
}
