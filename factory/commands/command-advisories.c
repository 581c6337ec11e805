/* SPDX-License-Identifier: Apache-2.0 */
/* factory/commands/command-advisories.c - the verbs advisories and sbom: what published releases contain, and which
 * advisories concern it. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/output.h"
#include "factory/commands/command.h"
#include "factory/pack/builds.h"
#include "factory/publish/inventory.h"
#include "factory/publish/osv.h"

/* --- what is published ------------------------------------------------------------------------------------------ */

/* A bucket is read through its local copy; nothing is sent. */
static int read_inventory(const struct sf_factory *factory, struct sf_inventory *ret, struct sf_error *err)
{
        _cleanup_(sf_cache_close) struct sf_cache cache = { NULL };
        struct sf_bucket_options options = { .url = factory->repository,
                                             .endpoint = factory->endpoint,
                                             .dry_run = true };
        struct sf_bucket *bucket = NULL;
        int r;

        if (!factory->repository)
                return sf_error_set(err, SF_ERR_USAGE,
                                    "--repo is needed (or [repository] directory in the configuration)");
        if (strncmp(factory->repository, "s3://", strlen("s3://")) != 0)
                return strstr(factory->repository, "://")
                               ? sf_error_set(err, SF_ERR_USAGE, "--repo %s: a directory or an s3:// URL is needed",
                                              factory->repository)
                               : sf_inventory_read(factory->repository, NULL, ret, err);
        if ((r = sf_cache_open(factory->cache, &cache, err)) < 0)
                return r;
        options.cache = cache.root;
        if ((r = sf_bucket_open(&options, &bucket, err)) < 0)
                return r;
        const struct sf_publish_store store = { sf_bucket_has, sf_bucket_fetch, bucket };
        r = sf_inventory_read(sf_bucket_copy(bucket), &store, ret, err);
        sf_bucket_close(bucket);
        return r;
}

/* --- matching --------------------------------------------------------------------------------------------------- */

/* One run: what was found so far; the lists are borrowed from the result. */
struct matching {
        json_t *affected, *unclear;
        size_t counted; /* findings in releases that are on offer */
};

static void print_finding(const json_t *advisory, const struct sf_inventory_release *release, const json_t *package,
                          enum sf_osv_verdict verdict, const char *fixed)
{
        const char *summary = json_string_value(json_object_get(advisory, "summary"));

        sf_output_line("%s: %s %s in %s%s%s%s%s%s%s", sf_osv_id(advisory),
                       json_string_value(json_object_get(package, "name")),
                       json_string_value(json_object_get(package, "version")), release->name.text,
                       release->is_withdrawn ? " (withdrawn)" : "",
                       verdict == SF_OSV_UNCLEAR ? ": cannot be told, only commits are named" : "",
                       *fixed ? ", fixed in " : "", fixed, summary ? ": " : "", summary ? summary : "");
}

static int note_finding(struct matching *m, const json_t *advisory, const struct sf_inventory_release *release,
                        const json_t *package, enum sf_osv_verdict verdict, const char *fixed, struct sf_error *err)
{
        json_t *list = verdict == SF_OSV_AFFECTED ? m->affected : m->unclear;
        json_t *aliases = json_object_get(advisory, "aliases");
        json_t *finding = json_pack("{s:o, s:O, s:O, s:o, s:b, s:o, s:o}", "id", sf_json_text(sf_osv_id(advisory)),
                                    "package", json_object_get(package, "name"), "version",
                                    json_object_get(package, "version"), "release", sf_json_text(release->name.text),
                                    "withdrawn", release->is_withdrawn, "fixed", sf_json_text(fixed), "summary",
                                    sf_json_text(json_string_value(json_object_get(advisory, "summary"))));

        if (finding && json_is_array(aliases))
                json_object_set(finding, "aliases", aliases);
        if (json_array_append_new(list, finding) < 0)
                return sf_error_set(err, SF_ERR_NOMEM, "advisories");
        m->counted += !release->is_withdrawn;
        if (!sf_output_is_json())
                print_finding(advisory, release, package, verdict, fixed);
        return 0;
}

static int match_release(struct matching *m, const json_t *advisory, const struct sf_inventory_release *release,
                         struct sf_error *err)
{
        const json_t *package;
        size_t i;

        json_array_foreach (release->packages, i, package) {
                enum sf_osv_verdict verdict;
                const char *fixed;
                int r = sf_osv_judge(advisory, json_string_value(json_object_get(package, "name")),
                                     json_string_value(json_object_get(package, "version")), &verdict, &fixed, err);

                if (r == 0 && verdict >= SF_OSV_UNCLEAR)
                        r = note_finding(m, advisory, release, package, verdict, fixed, err);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int match_all(struct matching *m, const json_t *advisories, const struct sf_inventory *inventory,
                     struct sf_error *err)
{
        const json_t *advisory;
        size_t i;
        int r = 0;

        json_array_foreach ((json_t *)advisories, i, advisory)
                for (size_t k = 0; k < inventory->count && r == 0 && !sf_osv_is_withdrawn(advisory); k++)
                        r = match_release(m, advisory, &inventory->releases[k], err);
        return r;
}

static void tell_limits(const struct sf_inventory *inventory)
{
        for (size_t i = 0; i < inventory->count; i++)
                if (inventory->releases[i].is_partial)
                        sf_log_warning("%s has no bill of materials: only Slurm itself was looked at",
                                       inventory->releases[i].name.text);
}

int sf_command_advisories(const struct sf_factory *factory, const struct sf_command_line *line, json_t *result,
                          struct sf_error *err)
{
        const char *file = line->arguments[0];
        _cleanup_(sf_inventory_free) struct sf_inventory inventory = { NULL, 0 };
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        _cleanup_json_ json_t *advisories = NULL;
        struct matching m = { .affected = json_array(), .unclear = json_array() };
        int r;

        json_object_set_new(result, "affected", m.affected);
        json_object_set_new(result, "unclear", m.unclear);
        if ((r = sf_fs_read(file, SF_OSV_TEXT_MAX, &text, err)) < 0 ||
            (r = sf_osv_parse(file, text.data, text.len, &advisories, err)) < 0 ||
            (r = read_inventory(factory, &inventory, err)) < 0)
                return r;
        if ((r = match_all(&m, advisories, &inventory, err)) < 0)
                return sf_error_prefix(err, "%s", file);
        tell_limits(&inventory);
        json_object_set_new(result, "advisories", json_integer((json_int_t)json_array_size(advisories)));
        json_object_set_new(result, "releases", json_integer((json_int_t)inventory.count));
        sf_log_info("%zu advisories, %zu releases: %zu findings, %zu that cannot be told", json_array_size(advisories),
                    inventory.count, json_array_size(m.affected), json_array_size(m.unclear));
        return m.counted ? SF_COMMAND_FOUND : 0;
}

/* --- one bill of materials -------------------------------------------------------------------------------------- */

int sf_command_sbom(const struct sf_factory *factory, const struct sf_command_line *line, json_t *result,
                    struct sf_error *err)
{
        _cleanup_(sf_cache_close) struct sf_cache cache = { NULL };
        _cleanup_(sf_build_close) struct sf_build build = { 0 };
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        _cleanup_free_ char *builds = NULL, *path = NULL;
        char hex[SF_DIGEST_HEX + 1];
        json_t *document;
        int r;

        if ((r = sf_cache_open(factory->cache, &cache, err)) < 0)
                return r;
        if (!(builds = sf_cache_path(&cache, "builds", NULL)))
                return sf_error_set(err, SF_ERR_NOMEM, "sbom");
        if ((r = sf_build_open(builds, line->arguments[0], &build, err)) < 0)
                return r;
        const struct sf_index_release *release = sf_build_release(&build);
        if (!release->sbom.size)
                return sf_error_set(err, SF_ERR_NOT_FOUND,
                                    "%s has no bill of materials: it was imported, or built by an "
                                    "older slurm-factory",
                                    release->name.text);
        if (!(path = sf_fs_join(build.blobs, sf_digest_hex(&release->sbom.digest, hex))))
                return sf_error_set(err, SF_ERR_NOMEM, "sbom");
        if ((r = sf_fs_read(path, (size_t)16 << 20, &text, err)) < 0 ||
            (r = sf_json_parse(path, text.data, text.len, &document, err)) < 0)
                return r;
        json_object_set_new(result, "release", sf_json_text(release->name.text));
        json_object_set_new(result, "sbom", document);
        if (!sf_output_is_json())
                sf_output_line("%s", sf_buffer_text(&text));
        return 0;
}
