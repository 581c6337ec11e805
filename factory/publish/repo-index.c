/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/repo-index.c - why: tags are how people and tools name images; index.json maps them to digests. It
 * is derived, and sf-node never reads it, but a registry mirror sees nothing else. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/log.h"
#include "factory/pack/oci.h"
#include "factory/publish/repo.h"
#include "release/layout.h"

#define REF_NAME         "org.opencontainers.image.ref.name"
#define RELEASE          "io.slurm-factory.release"
#define INDEX_TEXT_LIMIT (64u << 20)

static int no_memory(struct sf_error *err)
{
        return sf_error_set(err, SF_ERR_NOMEM, "out of memory for " SF_LAYOUT_OCI_INDEX);
}

static const char *annotation(const json_t *descriptor, const char *name)
{
        const char *value = json_string_value(json_object_get(json_object_get(descriptor, "annotations"), name));

        return value ? value : "";
}

static int new_document(struct sf_repo_index *index, struct sf_error *err)
{
        index->document = json_pack("{s:i, s:s, s:[]}", "schemaVersion", 2, "mediaType", SF_OCI_INDEX, "manifests");
        return index->document ? 0 : no_memory(err);
}

int sf_repo_index_open(const char *repository, struct sf_repo_index *ret, struct sf_error *err)
{
        _cleanup_(sf_repo_index_close) struct sf_repo_index index = SF_REPO_INDEX_INIT;
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        json_t *manifests;
        int r;

        index.path = sf_fs_join(repository, SF_LAYOUT_OCI_INDEX);
        if (!index.path)
                return no_memory(err);
        if (!sf_fs_exists(index.path)) {
                r = new_document(&index, err);
        } else {
                struct sf_error why = SF_ERROR_INIT;
                r = sf_fs_read(index.path, INDEX_TEXT_LIMIT, &text, err);
                if (r == 0 && (sf_json_parse(index.path, text.data, text.len, &index.document, &why) < 0 ||
                               sf_json_array(index.document, index.path, "manifests", &manifests, &why) < 0)) {
                        sf_log_warning("%s: it is made anew", why.text);
                        json_decref(index.document);
                        r = new_document(&index, err);
                }
        }
        if (r < 0)
                return r;
        *ret = index;
        index = (struct sf_repo_index)SF_REPO_INDEX_INIT;
        return 0;
}

void sf_repo_index_close(struct sf_repo_index *index)
{
        free(index->path);
        json_decref(index->document);
        *index = (struct sf_repo_index)SF_REPO_INDEX_INIT;
}

void sf_repo_index_clear(struct sf_repo_index *index)
{
        json_t *manifests = json_object_get(index->document, "manifests");

        for (size_t i = json_array_size(manifests); i-- > 0;)
                if (*annotation(json_array_get(manifests, i), RELEASE))
                        json_array_remove(manifests, i);
}

void sf_repo_index_remove(struct sf_repo_index *index, const char *release)
{
        json_t *manifests = json_object_get(index->document, "manifests");

        for (size_t i = json_array_size(manifests); i-- > 0;)
                if (strcmp(annotation(json_array_get(manifests, i), RELEASE), release) == 0)
                        json_array_remove(manifests, i);
}

/* Series tags are made anew each time; only they have a name and no release. */
static void drop_series_tags(json_t *manifests)
{
        for (size_t i = json_array_size(manifests); i-- > 0;) {
                const json_t *descriptor = json_array_get(manifests, i);
                if (*annotation(descriptor, REF_NAME) && !*annotation(descriptor, RELEASE))
                        json_array_remove(manifests, i);
        }
}

/* "<what>-<toolchain>[-<arch>][-<build>]"; amd64 goes without saying. */
static char *tag_of(const struct sf_release_name *name, const char *what)
{
        bool common = strcmp(name->arch, "amd64") == 0;

        return sf_format("%s-%s%s%s%s%s", what, name->toolchain, common ? "" : "-", common ? "" : name->arch,
                         *name->build ? "-" : "", name->build);
}

static json_t *image_descriptor(const struct sf_index_release *release)
{
        _cleanup_free_ char *tag = tag_of(&release->name, release->name.version);
        json_t *descriptor = sf_oci_descriptor(SF_OCI_MANIFEST, &release->manifest);
        json_t *more = json_pack("{s:{s:s, s:s}, s:{s:s, s:s}}", "platform", "architecture", release->name.arch, "os",
                                 "linux", "annotations", REF_NAME, tag, RELEASE, release->name.text);

        json_object_update(descriptor, more);
        json_decref(more);
        return descriptor;
}

static json_t *artifact_descriptor(const char *release, const struct sf_repo_artifact *artifact)
{
        json_t *descriptor = sf_oci_descriptor(SF_OCI_MANIFEST, &artifact->manifest);
        json_t *more = json_pack("{s:s, s:{s:s}}", "artifactType", artifact->type, "annotations", RELEASE, release);

        json_object_update(descriptor, more);
        json_decref(more);
        return descriptor;
}

/* True where a descriptor is the image of a release that a series tag may point to. */
static bool is_candidate(const json_t *descriptor, struct sf_release_name *ret, struct sf_version *ret_version)
{
        return *annotation(descriptor, REF_NAME) &&
               sf_release_name_parse(annotation(descriptor, RELEASE), ret, NULL) == 0 && !*ret->build &&
               sf_version_parse(ret->version, ret_version, NULL) == 0;
}

/* Whether any other candidate of the same series, toolchain and architecture is newer. */
static bool is_newest(const json_t *manifests, const struct sf_release_name *name, const struct sf_version *version)
{
        struct sf_release_name other;
        struct sf_version other_version;
        const json_t *descriptor;
        size_t i;

        json_array_foreach (manifests, i, descriptor)
                if (is_candidate(descriptor, &other, &other_version) && strcmp(other.toolchain, name->toolchain) == 0 &&
                    strcmp(other.arch, name->arch) == 0 && sf_version_same_series(&other_version, version) &&
                    sf_version_compare(&other_version, version) > 0)
                        return false;
        return true;
}

static int add_series_tags(json_t *manifests, struct sf_error *err)
{
        size_t count = json_array_size(manifests);

        for (size_t i = 0; i < count; i++) {
                const json_t *descriptor = json_array_get(manifests, i);
                struct sf_release_name name;
                struct sf_version version;

                if (!is_candidate(descriptor, &name, &version) || !is_newest(manifests, &name, &version))
                        continue;
                _cleanup_free_ char *series = sf_format("%u.%02u", version.major, version.minor);
                _cleanup_free_ char *tag = series ? tag_of(&name, series) : NULL;
                json_t *alias = json_deep_copy(descriptor);
                if (json_object_set_new(alias, "annotations", json_pack("{s:s}", REF_NAME, tag)) < 0 ||
                    json_array_append_new(manifests, alias) < 0)
                        return no_memory(err);
        }
        return 0;
}

/* By tag, then by digest, so that the order of publishing leaves no trace. */
static int compare_descriptors(const void *a, const void *b)
{
        const json_t *x = *(const json_t *const *)a, *y = *(const json_t *const *)b;
        int order = strcmp(annotation(x, REF_NAME), annotation(y, REF_NAME));

        return order ? order
                     : strcmp(json_string_value(json_object_get(x, "digest")),
                              json_string_value(json_object_get(y, "digest")));
}

static int sort(json_t *index, struct sf_error *err)
{
        json_t *manifests = json_object_get(index, "manifests");
        size_t count = json_array_size(manifests);
        _cleanup_free_ json_t **list = calloc(count + 1, sizeof *list);
        json_t *sorted = json_array();

        for (size_t i = 0; list && i < count; i++)
                list[i] = json_array_get(manifests, i);
        if (!list || !sorted) {
                json_decref(sorted);
                return no_memory(err);
        }
        qsort(list, count, sizeof *list, compare_descriptors);
        for (size_t i = 0; i < count; i++)
                json_array_append(sorted, list[i]);
        return json_object_set_new(index, "manifests", sorted) < 0 ? no_memory(err) : 0;
}

int sf_repo_index_store(struct sf_repo_index *index, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT, before = SF_BUFFER_INIT;
        int r;

        drop_series_tags(json_object_get(index->document, "manifests"));
        r = add_series_tags(json_object_get(index->document, "manifests"), err);
        if (r == 0)
                r = sort(index->document, err);
        if (r == 0)
                r = sf_oci_dump(index->document, &text, err);
        if (r < 0)
                return r;
        if (sf_fs_read(index->path, INDEX_TEXT_LIMIT, &before, NULL) == 0 && before.len == text.len &&
            memcmp(before.data, text.data, text.len) == 0)
                return 0;
        return sf_fs_write(index->path, text.data, text.len, 0644, err);
}

int sf_repo_index_put(struct sf_repo_index *index, const struct sf_index_release *release,
                      const struct sf_repo_artifact *artifacts, size_t count, struct sf_error *err)
{
        json_t *manifests = json_object_get(index->document, "manifests");

        sf_repo_index_remove(index, release->name.text);
        if (json_array_append_new(manifests, image_descriptor(release)) < 0)
                return no_memory(err);
        for (size_t i = 0; i < count; i++)
                if (json_array_append_new(manifests, artifact_descriptor(release->name.text, &artifacts[i])) < 0)
                        return no_memory(err);
        return 0;
}

int sf_repo_releases(const char *repository, struct sf_release_name **ret, size_t *ret_count, struct sf_error *err)
{
        _cleanup_(sf_repo_index_close) struct sf_repo_index index = SF_REPO_INDEX_INIT;
        _cleanup_free_ struct sf_release_name *names = NULL;
        const json_t *descriptor, *manifests;
        size_t count = 0, i;
        int r = sf_repo_index_open(repository, &index, err);

        if (r < 0)
                return r;
        manifests = json_object_get(index.document, "manifests");
        names = calloc(json_array_size(manifests) + 1, sizeof *names);
        if (!names)
                return no_memory(err);
        json_array_foreach (manifests, i, descriptor)
                if (*annotation(descriptor, REF_NAME) &&
                    sf_release_name_parse(annotation(descriptor, RELEASE), &names[count], NULL) == 0)
                        count++;
        *ret = sf_steal_pointer(names);
        *ret_count = count;
        return 0;
}

int sf_repo_artifacts(const char *repository, const char *release, json_t **ret, struct sf_error *err)
{
        _cleanup_(sf_repo_index_close) struct sf_repo_index index = SF_REPO_INDEX_INIT;
        _cleanup_json_ json_t *list = json_array();
        json_t *descriptor;
        size_t i;
        int r = sf_repo_index_open(repository, &index, err);

        if (r < 0)
                return r;
        json_array_foreach (json_object_get(index.document, "manifests"), i, descriptor)
                if (json_object_get(descriptor, "artifactType") &&
                    strcmp(annotation(descriptor, RELEASE), release) == 0 && json_array_append(list, descriptor) < 0)
                        return no_memory(err);
        *ret = sf_steal_pointer(list);
        return *ret ? 0 : no_memory(err);
}
