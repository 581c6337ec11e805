/* SPDX-License-Identifier: Apache-2.0 */
/* factory/commands/command-export.c - the verb export: a release for those who do not use sf-node. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"
#include "factory/build/cache.h"
#include "factory/commands/command.h"
#include "factory/pack/builds.h"
#include "factory/pack/export.h"
#include "factory/publish/image.h"

/* A directory (the working one by default) gets a file of the usual name. */
static int output_path(const char *given, const struct sf_release_name *name, enum sf_export_format format, char **ret,
                       struct sf_error *err)
{
        _cleanup_free_ char *usual = sf_export_name(name, format);
        struct stat st;

        if (!usual)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a file name");
        if (!given)
                *ret = sf_steal_pointer(usual);
        else if (format != SF_EXPORT_OCI && stat(given, &st) == 0 && S_ISDIR(st.st_mode))
                *ret = sf_fs_join(given, usual);
        else
                *ret = strdup(given);
        return *ret ? 0 : sf_error_set(err, SF_ERR_NOMEM, "no memory for a file name");
}

static int export_tar(const struct sf_factory *factory, const struct sf_build *build, enum sf_export_format format,
                      const char *path, json_t *result, struct sf_error *err)
{
        struct sf_export_result exported;
        char hex[SF_DIGEST_HEX + 1], size[32];
        int r = sf_export_tar(build, format, path, &exported, err);

        if (r == 0)
                r = sf_export_sign(path, factory->gpg_key, err);
        if (r < 0)
                return r;
        sf_log_info("%s: %s, %zu files, %zu of them name the prefix%s", path, sf_log_size(exported.size, size),
                    exported.file_count, exported.relocated, factory->gpg_key ? "; signed" : "; not signed");
        json_object_set_new(result, "file", sf_json_text(path));
        json_object_set_new(result, "bytes", json_integer((json_int_t)exported.size));
        json_object_set_new(result, "sha256", sf_json_text(sf_digest_hex(&exported.digest, hex)));
        json_object_set_new(result, "signed", json_boolean(factory->gpg_key != NULL));
        return 0;
}

static int export_image(const struct sf_build *build, const char *base, const char *path, json_t *result,
                        struct sf_error *err)
{
        const struct sf_image image = { .build = build, .base = base, .output = path };
        struct sf_image_result exported;
        char hex[SF_DIGEST_HEX + 1];
        int r = base ? sf_image_export(&image, &exported, err)
                     : sf_error_set(err, SF_ERR_USAGE,
                                    "--format oci needs --base: a root file system, a tar file of one, or an image");

        if (r < 0)
                return r;
        sf_log_info("oci:%s:%s on %s", path, exported.tag, base);
        json_object_set_new(result, "directory", sf_json_text(path));
        json_object_set_new(result, "tag", sf_json_text(exported.tag));
        json_object_set_new(result, "manifest", sf_json_text(sf_digest_hex(&exported.manifest, hex)));
        return 0;
}

int sf_command_export(const struct sf_factory *factory, const struct sf_command_line *line, json_t *result,
                      struct sf_error *err)
{
        _cleanup_(sf_cache_close) struct sf_cache cache = { NULL };
        _cleanup_(sf_build_close) struct sf_build build = { 0 };
        _cleanup_free_ char *builds = NULL, *path = NULL;
        const char *wanted = sf_option_get(line, "format");
        enum sf_export_format format = SF_EXPORT_TAR_GZ;
        int r = wanted ? sf_export_format_parse(wanted, &format, err) : 0;

        if (r < 0 || (r = sf_cache_open(factory->cache, &cache, err)) < 0)
                return r;
        builds = sf_cache_path(&cache, "builds", NULL);
        if (!builds)
                return sf_error_set(err, SF_ERR_NOMEM, "out of memory");
        if ((r = sf_build_open(builds, line->arguments[0], &build, err)) < 0)
                return r;
        const struct sf_release_name *name = &sf_build_release(&build)->name;
        json_object_set_new(result, "release", sf_json_text(name->text));
        if ((r = output_path(sf_option_get(line, "output"), name, format, &path, err)) < 0)
                return r;
        if (format == SF_EXPORT_OCI)
                return export_image(&build, sf_option_get(line, "base"), path, result, err);
        return export_tar(factory, &build, format, path, result, err);
}
