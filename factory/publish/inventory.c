/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/inventory.c - see inventory.h. */
#include "factory/publish/inventory.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/json.h"
#include "factory/publish/catalog.h"
#include "factory/publish/metadata.h"
#include "release/layout.h"

#define SBOM_MAX ((size_t)16 << 20)

struct reading {
        const char *repository;
        const struct sf_publish_store *store;
        struct sf_inventory *inventory;
};

static int no_memory(struct sf_error *err)
{
        return sf_error_set(err, SF_ERR_NOMEM, "inventory");
}

static int add(json_t *packages, const char *name, const char *version, struct sf_error *err)
{
        return json_array_append_new(packages, json_pack("{s:s, s:s}", "name", name, "version", version)) < 0
                       ? no_memory(err)
                       : 0;
}

/* Packages that are in the release: not the release itself, nor what the node's system brings. */
static int read_packages(const char *where, const json_t *document, json_t *packages, struct sf_error *err)
{
        static const char ours[] = "SPDXRef-Package-";
        json_t *list;
        const json_t *element;
        size_t i;
        int r = sf_json_array(document, where, "packages", &list, err);

        if (r < 0)
                return r;
        json_array_foreach (list, i, element) {
                const char *id, *name, *version;

                if ((r = sf_json_string(element, where, "SPDXID", &id, err)) < 0)
                        return r;
                if (strncmp(id, ours, strlen(ours)) != 0)
                        continue;
                if ((r = sf_json_string(element, where, "name", &name, err)) < 0 ||
                    (r = sf_json_string(element, where, "versionInfo", &version, err)) < 0 ||
                    (r = add(packages, name, version, err)) < 0)
                        return r;
        }
        return 0;
}

static int read_sbom(const struct reading *reading, const struct sf_blob *blob, json_t *packages, struct sf_error *err)
{
        _cleanup_free_ char *path = sf_layout_blob(&blob->digest);
        _cleanup_free_ char *full = path ? sf_fs_join(reading->repository, path) : NULL;
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        _cleanup_json_ json_t *document = NULL;
        struct sf_digest digest;
        int r = full ? 0 : no_memory(err);

        if (r == 0 && !sf_fs_exists(full) && reading->store)
                r = reading->store->fetch(reading->store->ctx, blob, err);
        if (r < 0 || (r = sf_fs_read(full, SBOM_MAX, &text, err)) < 0)
                return r;
        sf_digest_of(text.data, text.len, &digest);
        if (!sf_digest_equal(&digest, &blob->digest))
                return sf_error_set(err, SF_ERR_CORRUPT, "%s: sha256 mismatch; publish the release again", path);
        r = sf_json_parse(path, text.data, text.len, &document, err);
        return r < 0 ? r : read_packages(path, document, packages, err);
}

static int add_release(const struct reading *reading, const struct sf_index_release *release, bool is_withdrawn,
                       struct sf_error *err)
{
        struct sf_inventory *inventory = reading->inventory;
        struct sf_inventory_release *grown = reallocarray(inventory->releases, inventory->count + 1, sizeof *grown);
        int r;

        if (!grown)
                return no_memory(err);
        inventory->releases = grown;
        grown = &grown[inventory->count];
        *grown = (struct sf_inventory_release){ .name = release->name,
                                                .is_withdrawn = is_withdrawn,
                                                .is_partial = release->sbom.size == 0,
                                                .packages = json_array() };
        if (!grown->packages)
                return no_memory(err);
        inventory->count++;
        r = grown->is_partial ? add(grown->packages, "slurm", release->name.version, err)
                              : read_sbom(reading, &release->sbom, grown->packages, err);
        return r < 0 ? sf_error_prefix(err, "%s", release->name.text) : 0;
}

static int read_all(const struct reading *reading, const struct sf_catalog *catalog, struct sf_error *err)
{
        int r = 0;

        for (size_t i = 0; i < catalog->count; i++)
                for (size_t k = 0; k < catalog->indexes[i].index.release_count && r == 0; k++) {
                        const struct sf_index_release *release = &catalog->indexes[i].index.releases[k];

                        r = add_release(reading, release,
                                        sf_rollout_withdrawn(&catalog->rollout, release->name.text) != NULL, err);
                }
        return r;
}

int sf_inventory_read(const char *repository, const struct sf_publish_store *store, struct sf_inventory *ret,
                      struct sf_error *err)
{
        static const char *const no_keys[] = { NULL };
        const struct sf_metadata_options options = { .repository = repository, .keys = no_keys, .now = time(NULL) };
        _cleanup_metadata_ struct sf_metadata *metadata = NULL;
        _cleanup_(sf_catalog_close) struct sf_catalog catalog = SF_CATALOG_INIT;
        _cleanup_(sf_inventory_free) struct sf_inventory inventory = { NULL, 0 };
        const struct reading reading = { repository, store, &inventory };
        int r;

        if ((r = sf_metadata_open(&options, &metadata, err)) < 0 ||
            (r = sf_catalog_open(metadata, &catalog, err)) < 0 || (r = read_all(&reading, &catalog, err)) < 0)
                return r;
        *ret = inventory;
        inventory = (struct sf_inventory){ NULL, 0 };
        return 0;
}

void sf_inventory_free(struct sf_inventory *inventory)
{
        for (size_t i = 0; i < inventory->count; i++)
                json_decref(inventory->releases[i].packages);
        free(inventory->releases);
        *inventory = (struct sf_inventory){ NULL, 0 };
}
