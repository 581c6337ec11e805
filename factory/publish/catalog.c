/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/catalog.c - see catalog.h. */
#include "factory/publish/catalog.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "factory/pack/oci.h"
#include "release/layout.h"

static int no_memory(struct sf_error *err)
{
        return sf_error_set(err, SF_ERR_NOMEM, "out of memory");
}

/* --- reading ---------------------------------------------------------------------------------------------------- */

static int add_index(struct sf_catalog *catalog, const char *target, struct sf_catalog_index **ret,
                     struct sf_error *err)
{
        struct sf_catalog_index *grown = reallocarray(catalog->indexes, catalog->count + 1, sizeof *grown);

        if (!grown)
                return no_memory(err);
        catalog->indexes = grown;
        grown[catalog->count] = (struct sf_catalog_index){ .target = strdup(target) };
        if (!grown[catalog->count].target)
                return no_memory(err);
        *ret = &grown[catalog->count++];
        return 0;
}

static int read_index(struct sf_catalog *catalog, const char *target, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        struct sf_catalog_index *entry;
        int r = sf_metadata_get_target(catalog->metadata, SF_ROLE_RELEASES, target, SF_INDEX_TEXT_MAX, &text, err);

        if (r == 0)
                r = add_index(catalog, target, &entry, err);
        return r < 0 ? r : sf_index_parse(target, text.data, text.len, &entry->index, err);
}

static int read_rollout(struct sf_catalog *catalog, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        int r = sf_metadata_get_target(catalog->metadata, SF_ROLE_ROLLOUT, SF_LAYOUT_ROLLOUT_TARGET,
                                       SF_ROLLOUT_TEXT_MAX, &text, err);

        return r < 0 ? r : sf_rollout_parse(SF_LAYOUT_ROLLOUT_TARGET, text.data, text.len, &catalog->rollout, err);
}

int sf_catalog_open(struct sf_metadata *metadata, struct sf_catalog *ret, struct sf_error *err)
{
        _cleanup_(sf_catalog_close) struct sf_catalog catalog = SF_CATALOG_INIT;
        const json_t *targets = json_object_get(sf_metadata_body(metadata, SF_ROLE_RELEASES), "targets");
        const char *name;
        json_t *unused;
        int r;

        catalog.metadata = metadata;
        r = read_rollout(&catalog, err);
        json_object_foreach ((json_t *)targets, name, unused)
                if (r == 0 && strncmp(name, "index/", strlen("index/")) == 0)
                        r = read_index(&catalog, name, err);
        if (r < 0)
                return r;
        *ret = catalog;
        catalog = (struct sf_catalog)SF_CATALOG_INIT;
        return 0;
}

void sf_catalog_close(struct sf_catalog *catalog)
{
        for (size_t i = 0; i < catalog->count; i++) {
                free(catalog->indexes[i].target);
                sf_index_free(&catalog->indexes[i].index);
        }
        free(catalog->indexes);
        sf_rollout_free(&catalog->rollout);
        *catalog = (struct sf_catalog)SF_CATALOG_INIT;
}

/* --- changing --------------------------------------------------------------------------------------------------- */

int sf_catalog_index(struct sf_catalog *catalog, const struct sf_release_name *name, struct sf_index **ret,
                     struct sf_error *err)
{
        _cleanup_free_ char *target = sf_layout_index_target(name->toolchain, name->arch);
        struct sf_catalog_index *entry = NULL;
        int r;

        if (!target)
                return no_memory(err);
        for (size_t i = 0; i < catalog->count && !entry; i++)
                if (strcmp(catalog->indexes[i].target, target) == 0)
                        entry = &catalog->indexes[i];
        if (!entry) {
                if ((r = add_index(catalog, target, &entry, err)) < 0)
                        return r;
                memcpy(entry->index.toolchain, name->toolchain, sizeof entry->index.toolchain);
                memcpy(entry->index.arch, name->arch, sizeof entry->index.arch);
        }
        *ret = &entry->index;
        return 0;
}

int sf_catalog_choose(const struct sf_catalog *catalog, const char *wanted, struct sf_release_name *ret,
                      struct sf_error *err)
{
        _cleanup_free_ struct sf_release_name *names = NULL;
        size_t count = 0, chosen;
        int r;

        for (size_t i = 0; i < catalog->count; i++)
                count += catalog->indexes[i].index.release_count;
        if (!(names = calloc(count + 1, sizeof *names)))
                return no_memory(err);
        count = 0;
        for (size_t i = 0; i < catalog->count; i++)
                for (size_t k = 0; k < catalog->indexes[i].index.release_count; k++)
                        names[count++] = catalog->indexes[i].index.releases[k].name;
        if ((r = sf_release_name_choose(names, count, wanted, &chosen, err)) == 0)
                *ret = names[chosen];
        return r;
}

/* --- staging ---------------------------------------------------------------------------------------------------- */

static int stage_index(const struct sf_catalog *catalog, const struct sf_catalog_index *entry, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        int r = sf_index_write(&entry->index, &text, err);

        if (r == 0 && text.len > SF_INDEX_TEXT_MAX)
                r = sf_error_set(err, SF_ERR_LIMIT, "%s would be larger than nodes accept", entry->target);
        return r < 0 ? r
                     : sf_metadata_put_target(catalog->metadata, SF_ROLE_RELEASES, entry->target, text.data, text.len,
                                              err);
}

int sf_catalog_stage(const struct sf_catalog *catalog, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        int r = 0;

        for (size_t i = 0; i < catalog->count && r == 0; i++)
                r = stage_index(catalog, &catalog->indexes[i], err);
        if (r == 0)
                r = sf_rollout_write(&catalog->rollout, &text, err);
        return r < 0 ? r
                     : sf_metadata_put_target(catalog->metadata, SF_ROLE_ROLLOUT, SF_LAYOUT_ROLLOUT_TARGET, text.data,
                                              text.len, err);
}

/* --- for OCI tools ---------------------------------------------------------------------------------------------- */

static int make_artifact(const char *repository, const struct sf_index_release *release, const char *type,
                         const struct sf_blob *blobs, size_t count, struct sf_repo_artifact *ret, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        int r = sf_oci_artifact(type, blobs, count, &release->manifest, &text, err);

        ret->type = type;
        if (r < 0)
                return r;
        if (repository)
                return sf_repo_put(repository, text.data, text.len, &ret->manifest, err);
        sf_oci_blob_of(&text, &ret->manifest);
        return 0;
}

int sf_catalog_artifacts(const struct sf_index_release *release, const char *repository, struct sf_repo_artifact **ret,
                         size_t *ret_count, struct sf_error *err)
{
        _cleanup_free_ struct sf_repo_artifact *artifacts = calloc(3 + release->delta_count, sizeof *artifacts);
        size_t count = 1;
        int r;

        if (!artifacts)
                return no_memory(err);
        r = make_artifact(repository, release, SF_MEDIA_FILELIST, &release->filelist, 1, &artifacts[0], err);
        if (r == 0 && release->sbom.size)
                r = make_artifact(repository, release, SF_MEDIA_SBOM, &release->sbom, 1, &artifacts[count++], err);
        if (r == 0 && release->provenance.size)
                r = make_artifact(repository, release, SF_MEDIA_PROVENANCE, &release->provenance, 1,
                                  &artifacts[count++], err);
        for (size_t i = 0; i < release->delta_count && r == 0; i++) {
                const struct sf_blob pair[] = { release->deltas[i].filelist, release->deltas[i].content };
                r = make_artifact(repository, release, SF_MEDIA_DELTA, pair, 2, &artifacts[count++], err);
        }
        if (r < 0)
                return r;
        *ret = sf_steal_pointer(artifacts);
        *ret_count = count;
        return 0;
}

static int tag_release(const struct sf_index_release *release, const char *repository, struct sf_repo_index *tags,
                       struct sf_error *err)
{
        _cleanup_free_ struct sf_repo_artifact *artifacts = NULL;
        size_t count;
        int r = sf_catalog_artifacts(release, repository, &artifacts, &count, err);

        return r < 0 ? r : sf_repo_index_put(tags, release, artifacts, count, err);
}

int sf_catalog_tag(const struct sf_catalog *catalog, const char *repository, struct sf_repo_index *tags,
                   struct sf_error *err)
{
        struct sf_blob empty;
        int r = sf_repo_put(repository, SF_OCI_EMPTY_TEXT, strlen(SF_OCI_EMPTY_TEXT), &empty, err);

        sf_repo_index_clear(tags);
        for (size_t i = 0; i < catalog->count; i++)
                for (size_t k = 0; r == 0 && k < catalog->indexes[i].index.release_count; k++) {
                        const struct sf_index_release *release = &catalog->indexes[i].index.releases[k];
                        if (!sf_rollout_withdrawn(&catalog->rollout, release->name.text))
                                r = tag_release(release, repository, tags, err);
                }
        return r;
}
