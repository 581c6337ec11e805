/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/registry-referrers.c - see registry-referrers.h. */
#include "factory/publish/registry-referrers.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/log.h"
#include "factory/pack/oci.h"
#include "factory/publish/registry-skopeo.h"
#include "factory/publish/repo.h"
#include "release/layout.h"

#define OURS         "io.slurm-factory.release"
#define MANIFEST_MAX (4u << 20)
#define ROUNDS       8

struct referrers {
        const struct sf_registry *registry;
        const char *release;
        char tag[SF_SKOPEO_REFERENCE_MAX];
        json_t *ours;  /* descriptors: what the repository has */
        json_t *found; /* descriptors: what the registry's list has */
};

static void referrers_free(struct referrers *r)
{
        json_decref(r->ours);
        json_decref(r->found);
}

static int no_memory(struct sf_error *err)
{
        return sf_error_set(err, SF_ERR_NOMEM, "out of memory for a registry");
}

static const char *text_of(const json_t *descriptor, const char *name)
{
        const char *text = json_string_value(json_object_get(descriptor, name));

        return text ? text : "";
}

/* Compares digests. */
static bool holds(const json_t *list, const json_t *wanted)
{
        const json_t *descriptor;
        size_t i;

        json_array_foreach (list, i, descriptor)
                if (strcmp(text_of(descriptor, "digest"), text_of(wanted, "digest")) == 0)
                        return true;
        return false;
}

/* --- what there is ---------------------------------------------------------------------------------------------- */

/* "sha256:HEX" below a directory of blobs. NULL for anything else. */
static char *blob_path(const char *directory, const json_t *descriptor)
{
        struct sf_digest digest;
        _cleanup_free_ char *path = sf_oci_parse_digest(text_of(descriptor, "digest"), &digest) == 0
                                            ? sf_layout_blob(&digest)
                                            : NULL;

        return path ? sf_fs_join(directory, path) : NULL;
}

/* The manifest and all that it names, as a list of descriptors. A bucket's copy may lack some: then *ret is NULL. */
static int parts_of(const char *repository, json_t *descriptor, json_t **ret, struct sf_error *err)
{
        _cleanup_free_ char *path = blob_path(repository, descriptor);
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        _cleanup_json_ json_t *manifest = NULL, *parts = json_array();
        json_t *part;
        size_t i;
        int r;

        *ret = NULL;
        if (!path || !sf_fs_exists(path))
                return 0;
        if ((r = sf_fs_read(path, MANIFEST_MAX, &text, err)) < 0 ||
            (r = sf_json_parse(path, text.data, text.len, &manifest, err)) < 0)
                return r;
        if (!parts || json_array_append(parts, descriptor) < 0 ||
            json_array_append(parts, json_object_get(manifest, "config")) < 0 ||
            json_array_extend(parts, json_object_get(manifest, "layers")) < 0)
                return no_memory(err);
        json_array_foreach (parts, i, part) {
                _cleanup_free_ char *blob = blob_path(repository, part);
                if (!blob || !sf_fs_exists(blob))
                        return 0;
        }
        *ret = sf_steal_pointer(parts);
        return 0;
}

static int read_ours(struct referrers *referrers, struct sf_error *err)
{
        int r;

        json_decref(referrers->ours);
        referrers->ours = NULL;
        r = sf_repo_artifacts(referrers->registry->repository, referrers->release, &referrers->ours, err);
        for (size_t i = json_array_size(referrers->ours); r == 0 && i-- > 0;) {
                json_t *parts = NULL;
                r = parts_of(referrers->registry->repository, json_array_get(referrers->ours, i), &parts, err);
                if (r == 0 && !parts) {
                        sf_log_detail("%s: an artifact is not at hand here, not sent", referrers->release);
                        json_array_remove(referrers->ours, i);
                }
                json_decref(parts);
        }
        return r;
}

/* ret: descriptors, an empty array where there is no list; the caller's. */
static int read_list(const char *address, const char *tag, json_t **ret, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        _cleanup_json_ json_t *document = NULL;
        json_t *manifests;
        bool there;
        int r = sf_skopeo_inspect(address, tag, &there, &text, err);

        if (r == 0 && there)
                r = sf_json_parse(tag + 1, text.data, text.len, &document, err);
        if (r == 0 && there)
                r = sf_json_array(document, tag + 1, "manifests", &manifests, err);
        if (r < 0)
                return r;
        *ret = there ? json_incref(manifests) : json_array();
        return *ret ? 0 : no_memory(err);
}

/* --- sending ---------------------------------------------------------------------------------------------------- */

static json_t *plain_descriptor(const json_t *descriptor)
{
        return json_pack("{s:O, s:O, s:O}", "mediaType", json_object_get(descriptor, "mediaType"), "digest",
                         json_object_get(descriptor, "digest"), "size", json_object_get(descriptor, "size"));
}

static int send_artifact(const struct referrers *referrers, const json_t *descriptor, struct sf_error *err)
{
        const struct sf_registry *registry = referrers->registry;
        _cleanup_(sf_skopeo_layout_remove) char *layout = NULL;
        _cleanup_free_ char *blobs = sf_format("%s/blobs", registry->repository);
        _cleanup_free_ char *target = sf_format("%s@%s", registry->address, text_of(descriptor, "digest"));
        int r = blobs && target ? sf_skopeo_layout(plain_descriptor(descriptor), &layout, err) : no_memory(err);

        if (r < 0)
                return r;
        _cleanup_free_ char *source = sf_format("oci:%s", layout);
        const struct sf_skopeo_copy copy = { source, target, blobs, NULL, false };
        return source ? sf_skopeo_copy(&copy, err) : no_memory(err);
}

/* Puts one of our manifests, with what it names, into a layout; nothing is copied. */
static int link_artifact(const char *repository, const char *layout, json_t *descriptor, struct sf_error *err)
{
        _cleanup_free_ char *top = realpath(repository, NULL);
        _cleanup_json_ json_t *parts = NULL;
        const json_t *part;
        size_t i;
        int r = top ? parts_of(top, descriptor, &parts, err) : sf_error_errno(err, "%s", repository);

        json_array_foreach (parts, i, part) {
                _cleanup_free_ char *from = blob_path(top, part), *to = blob_path(layout, part);
                if (!from || !to)
                        return no_memory(err);
                if (!sf_fs_exists(to) && symlink(from, to) < 0)
                        return sf_error_errno(err, "cannot make %s", to);
        }
        return r;
}

/* An artifact of somebody else, which a list must not lose. */
static int fetch_artifact(const char *address, const char *layout, const json_t *descriptor, struct sf_error *err)
{
        _cleanup_free_ char *source = sf_format("%s@%s", address, text_of(descriptor, "digest"));
        _cleanup_free_ char *target = sf_format("oci:%s", layout);
        const struct sf_skopeo_copy copy = { source, target, NULL, NULL, false };

        return source && target ? sf_skopeo_copy(&copy, err) : no_memory(err);
}

static int send_layout(const struct referrers *referrers, const json_t *list, const char *layout, struct sf_error *err)
{
        const char *address = referrers->registry->address;
        _cleanup_free_ char *source = sf_format("oci:%s", layout);
        _cleanup_free_ char *target = sf_format("%s%s", address, referrers->tag);
        _cleanup_free_ char *path = sf_fs_join(layout, SF_LAYOUT_OCI_INDEX);
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT, top = SF_BUFFER_INIT;
        const struct sf_skopeo_copy copy = { source, target, NULL, NULL, true };
        struct sf_blob blob;
        int r = source && target && path ? sf_oci_dump(list, &text, err) : no_memory(err);

        if (r == 0)
                r = sf_repo_put(layout, text.data, text.len, &blob, err);
        if (r < 0)
                return r;
        _cleanup_json_ json_t *index = json_pack("{s:i, s:s, s:[o]}", "schemaVersion", 2, "mediaType", SF_OCI_INDEX,
                                                 "manifests", sf_oci_descriptor(SF_OCI_INDEX, &blob));
        if ((r = index ? sf_oci_dump(index, &top, err) : no_memory(err)) < 0 ||
            (r = sf_fs_write(path, top.data, top.len, 0644, err)) < 0)
                return r;
        return sf_skopeo_copy(&copy, err);
}

/* The list anew: what others have in it, then ours. */
static int send_list(const struct referrers *referrers, struct sf_error *err)
{
        _cleanup_(sf_skopeo_layout_remove) char *layout = NULL;
        _cleanup_json_ json_t *list = json_array();
        _cleanup_json_ json_t *document = json_pack("{s:i, s:s, s:O}", "schemaVersion", 2, "mediaType", SF_OCI_INDEX,
                                                    "manifests", list);
        json_t *descriptor;
        size_t i;
        int r = document ? sf_skopeo_layout(json_object(), &layout, err) : no_memory(err);

        if (r == 0)
                r = sf_repo_open(layout, err);
        json_array_foreach (referrers->found, i, descriptor)
                if (r == 0 && !holds(referrers->ours, descriptor)) {
                        r = fetch_artifact(referrers->registry->address, layout, descriptor, err);
                        json_array_append(list, descriptor);
                }
        json_array_foreach (referrers->ours, i, descriptor)
                if (r == 0) {
                        r = link_artifact(referrers->registry->repository, layout, descriptor, err);
                        json_array_append(list, descriptor);
                }
        return r < 0 ? r : send_layout(referrers, document, layout, err);
}

static int send_missing(const struct referrers *referrers, size_t *ret_missing, struct sf_error *err)
{
        const json_t *descriptor;
        size_t i;
        int r = 0;

        *ret_missing = 0;
        json_array_foreach (referrers->ours, i, descriptor)
                if (r == 0 && !holds(referrers->found, descriptor)) {
                        *ret_missing += 1;
                        if (!referrers->registry->dry_run)
                                r = send_artifact(referrers, descriptor, err);
                }
        return r;
}

int sf_registry_send_referrers(const struct sf_registry *registry, const char *release, const struct sf_digest *image,
                               struct sf_error *err)
{
        _cleanup_(referrers_free) struct referrers referrers = { .registry = registry, .release = release };
        size_t missing = 0, sent = 0;

        sf_skopeo_list_tag(image, referrers.tag);
        /* A list that another publisher read before and wrote after this one lacks something: both sides are read again
         * after each change. */
        for (unsigned round = 0; round < ROUNDS; round++) {
                json_decref(referrers.found);
                referrers.found = NULL;
                int r = read_ours(&referrers, err);
                if (r == 0)
                        r = read_list(registry->address, referrers.tag, &referrers.found, err);
                if (r == 0)
                        r = send_missing(&referrers, &missing, err);
                if (r == 0 && missing && !registry->dry_run)
                        r = send_list(&referrers, err);
                if (r < 0)
                        return sf_error_prefix(err, "artifacts of %s", release);
                if (registry->dry_run && json_array_size(referrers.ours) == 0)
                        return 0; /* not published yet: it has none that could be told */
                sent = sent > missing ? sent : missing;
                if (!missing || registry->dry_run) {
                        sf_log_info("%s: %zu artifacts, %zu %s", release, json_array_size(referrers.ours), sent,
                                    registry->dry_run ? "would be sent" : "sent");
                        return 0;
                }
        }
        return sf_error_set(err, SF_ERR_BUSY, "artifacts of %s: others change %s without end", release,
                            referrers.tag + 1);
}

/* --- deleting --------------------------------------------------------------------------------------------------- */

int sf_registry_delete_referrers(const char *address, const struct sf_digest *image, struct sf_error *err)
{
        char tag[SF_SKOPEO_REFERENCE_MAX];
        _cleanup_json_ json_t *found = NULL;
        const json_t *descriptor;
        size_t i;
        int r = read_list(address, sf_skopeo_list_tag(image, tag), &found, err);

        json_array_foreach (found, i, descriptor) {
                _cleanup_free_ char *reference = sf_format("@%s", text_of(descriptor, "digest"));
                if (r == 0 && *text_of(json_object_get(descriptor, "annotations"), OURS))
                        r = reference ? sf_skopeo_delete(address, reference, err) : no_memory(err);
        }
        return r == 0 && json_array_size(found) ? sf_skopeo_delete(address, tag, err) : r;
}
