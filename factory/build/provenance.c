/* SPDX-License-Identifier: Apache-2.0 */
/* factory/build/provenance.c - see provenance.h. */
#include "factory/build/provenance.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/json.h"
#include "release/host.h"

#define BUILDER  "https://slurm-factory.invalid/builder"
#define LIST_MAX ((size_t)16 << 20)

static int no_memory(struct sf_error *err)
{
        return sf_error_set(err, SF_ERR_NOMEM, "provenance");
}

/* --- materials -------------------------------------------------------------------------------------------------- */

/* Takes name. */
static int add_file(json_t *list, char *name, const char *uri, const struct sf_digest *digest, struct sf_error *err)
{
        _cleanup_free_ char *owned = name;
        char hex[SF_DIGEST_HEX + 1];
        json_t *entry = !owned ? NULL
                               : json_pack("{s:s, s:{s:s}}", "name", owned, "digest", "sha256",
                                           sf_digest_hex(digest, hex));

        if (entry && uri && json_object_set_new(entry, "uri", json_string(uri)) < 0)
                return no_memory(err);
        return json_array_append_new(list, entry) < 0 ? no_memory(err) : 0;
}

static int add_package(json_t *list, const struct sf_recipe *recipe, struct sf_error *err)
{
        int r = add_file(list, sf_format("recipe/%s", recipe->name), NULL, &recipe->identity, err);

        for (size_t i = 0; i < recipe->source_count && r == 0; i++) {
                const struct sf_recipe_source *source = &recipe->sources[i];

                r = add_file(list, sf_format("source/%s", source->file),
                             source->urls.count ? source->urls.items[0] : NULL, &source->digest, err);
        }
        for (size_t i = 0; i < recipe->patch_count && r == 0; i++)
                r = add_file(list, sf_format("patch/%s", recipe->patches[i].file), NULL, &recipe->patches[i].digest,
                             err);
        return r;
}

static int add_systems(json_t *list, const struct sf_toolchain *toolchain, struct sf_error *err)
{
        for (size_t i = 0; i < toolchain->os_count; i++) {
                const struct sf_toolchain_os *os = &toolchain->os[i];
                _cleanup_free_ char *name = sf_format("os/%s", os->name);

                if (!os->version)
                        continue;
                if (!name || json_array_append_new(list, json_pack("{s:s, s:{s:s, s:s}}", "name", name, "annotations",
                                                                   "package", os->package, "version", os->version)) < 0)
                        return no_memory(err);
        }
        return 0;
}

/* A prepared root is known by the list of its packages and by what it was made from. This machine's own system is only
 * known by what toolchain and os/... say. */
static int add_root(json_t *list, const struct sf_plan *plan, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer packages = SF_BUFFER_INIT, origin = SF_BUFFER_INIT;
        _cleanup_free_ char *path = sf_format("%s/../packages", plan->toolchain->root);
        _cleanup_free_ char *from = sf_format("%s/../origin", plan->toolchain->root);
        struct sf_digest digest;
        json_t *entry;
        int r;

        if (!*plan->toolchain->root)
                return 0;
        if (!path || !from)
                return no_memory(err);
        if ((r = sf_fs_read(path, LIST_MAX, &packages, err)) < 0 || (r = sf_fs_read(from, LIST_MAX, &origin, err)) < 0)
                return r;
        sf_digest_of(packages.data, packages.len, &digest);
        if ((r = add_file(list, sf_format("root/%s", plan->toolchain->name), NULL, &digest, err)) < 0)
                return r;
        entry = json_array_get(list, json_array_size(list) - 1);
        return json_object_set_new(entry, "annotations",
                                   json_pack("{s:o}", "origin", sf_json_text(sf_buffer_text(&origin)))) < 0
                       ? no_memory(err)
                       : 0;
}

static int list_materials(const struct sf_plan *plan, json_t *list, struct sf_error *err)
{
        int r = add_root(list, plan, err);

        for (size_t i = 0; i < plan->count && r == 0; i++)
                r = add_package(list, &plan->layers[i].recipe, err);
        return r < 0 ? r : add_systems(list, plan->toolchain, err);
}

/* --- the statement ---------------------------------------------------------------------------------------------- */

/* New references; NULL without memory. */
static json_t *asked_for(const struct sf_plan *plan)
{
        return json_pack("{s:s, s:s, s:s, s:s}", "slurm-version", plan->version, "toolchain", plan->toolchain->name,
                         "arch", plan->toolchain->arch, "profile", plan->profile ? plan->profile : "full");
}

static json_t *built_with(const struct sf_plan *plan)
{
        const struct sf_toolchain *tc = plan->toolchain;
        const char *host = sf_host_arch();

        /* s*: left out where the programs ran on a machine of their own architecture. */
        return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s*}", "compiler", tc->compiler, "libc", tc->libc,
                         "cflags", tc->cflags, "cxxflags", tc->cxxflags, "ldflags", tc->ldflags, "cpu", tc->cpu,
                         "prefix", plan->sandbox->prefix, "emulated-on", strcmp(tc->arch, host) != 0 ? host : NULL);
}

int sf_provenance_write(const struct sf_plan *plan, const char *release, const struct sf_digest *manifest,
                        struct sf_buffer *ret, struct sf_error *err)
{
        _cleanup_json_ json_t *materials = json_array();
        _cleanup_json_ json_t *statement = NULL;
        _cleanup_free_ char *text = NULL;
        char hex[SF_DIGEST_HEX + 1];
        int r = materials ? list_materials(plan, materials, err) : no_memory(err);

        if (r < 0)
                return r;
        statement = json_pack("{s:s, s:[{s:s, s:{s:s}}], s:s, s:{s:{s:s, s:o, s:o, s:O}, s:{s:{s:s, s:{s:s}}}}}",
                              "_type", "https://in-toto.io/Statement/v1", "subject", "name", release, "digest",
                              "sha256", sf_digest_hex(manifest, hex), "predicateType", "https://slsa.dev/provenance/v1",
                              "predicate", "buildDefinition", "buildType",
                              "https://slurm-factory.invalid/build-slurm/v1", "externalParameters", asked_for(plan),
                              "internalParameters", built_with(plan), "resolvedDependencies", materials, "runDetails",
                              "builder", "id", BUILDER, "version", "slurm-factory", SF_VERSION);
        text = statement ? json_dumps(statement, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
        return text ? sf_buffer_puts(ret, text, err) : no_memory(err);
}
