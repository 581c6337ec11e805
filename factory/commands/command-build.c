/* SPDX-License-Identifier: Apache-2.0 */
/* factory/commands/command-build.c - the verbs about what is built: build-deps, build-slurm, matrix, clean. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/stop.h"
#include "factory/build/builder.h"
#include "factory/commands/command.h"
#include "factory/commands/matrix.h"
#include "factory/pack/pack.h"

/* What a build verb holds open. */
struct session {
        struct sf_cache cache;
        struct sf_toolchain toolchain;
        struct sf_build_sandbox workshop;
        struct sf_builder build;
};

static void session_close(struct session *s)
{
        sf_builder_free(&s->build);
        sf_build_sandbox_close(&s->workshop);
        sf_toolchain_free(&s->toolchain);
        sf_cache_close(&s->cache);
}

static int session_open(const struct sf_factory *factory, struct session *s, struct sf_error *err)
{
        _cleanup_free_ char *toolchains = sf_fs_join(factory->data, "toolchains");
        int r;

        if (!toolchains)
                return sf_error_set(err, SF_ERR_NOMEM, "toolchain");
        sf_stop_catch();
        /* The user's own mask must not show in what is built. */
        umask(022);
        if ((r = sf_toolchain_load(toolchains, factory->toolchain, &s->toolchain, err)) < 0 ||
            (r = sf_cache_open(factory->cache, &s->cache, err)) < 0 ||
            (r = sf_build_sandbox_open(&s->cache, &s->toolchain, &s->workshop, err)) < 0)
                return r;
        if (!s->workshop.is_private)
                sf_log_warning("no private mount namespace (%s): building at a path inside %s, which becomes part of "
                               "every layer's key",
                               s->workshop.refusal, s->cache.root);
        sf_log_detail("toolchain %s %s: %s, %s", s->toolchain.name, s->toolchain.arch, s->toolchain.compiler,
                      s->toolchain.libc);
        s->build = (struct sf_builder){
                .cache = &s->cache,
                .toolchain = &s->toolchain,
                .workshop = &s->workshop,
                .data = factory->data,
                .mirrors = &factory->mirrors,
                .jobs = factory->jobs,
        };
        return 0;
}

static void report_layers(const struct session *s, json_t *result)
{
        json_t *layers = json_array();

        for (size_t i = 0; i < s->build.layer_count; i++)
                json_array_append_new(layers, json_string(s->build.layers[i].key.name));
        json_object_set_new(result, "toolchain", json_string(s->toolchain.name));
        json_object_set_new(result, "layers", layers);
}

int sf_command_build_deps(const struct sf_factory *factory, const struct sf_command_line *line, json_t *result,
                          struct sf_error *err)
{
        _cleanup_(session_close) struct session s = { 0 };
        int r;

        (void)line;
        if ((r = session_open(factory, &s, err)) < 0 || (r = sf_builder_deps(&s.build, err)) < 0)
                return r;
        report_layers(&s, result);
        return 0;
}

/* --- packing --------------------------------------------------------------------------------------------------- */

static void print_finding(void *ctx, const char *text)
{
        (void)ctx;
        sf_log_error("finding: %s", text);
}

/* What a release was packed from: equal text, equal release. */
static int describe(const struct session *s, struct sf_buffer *ret, struct sf_error *err)
{
        int r = sf_buffer_printf(ret, err, "slurm-factory %s\nepoch %lld\n", SF_VERSION, (long long)sf_pack_epoch());

        for (size_t i = 0; i < s->build.layer_count && r == 0; i++)
                r = sf_buffer_printf(ret, err, "layer %s\n", s->build.layers[i].key.name);
        return r;
}

static bool is_packed(const char *directory, const char *marker, const struct sf_buffer *from)
{
        _cleanup_(sf_buffer_free) struct sf_buffer is = SF_BUFFER_INIT;

        return sf_fs_exists(directory) && sf_fs_read(marker, 1u << 20, &is, NULL) == 0 && is.len == from->len &&
               memcmp(is.data, from->data, is.len) == 0;
}

/* All dependencies become one layer, Slurm, the last of the session's layers, the other. */
static int pack(const struct session *s, const struct sf_release_name *name, const char *builds, json_t *result,
                struct sf_error *err)
{
        _cleanup_free_ char *deps = sf_format("%s/work/%s.deps", s->cache.root, name->text);
        size_t last = s->build.layer_count - 1;
        struct sf_pack_result packed;
        char download[32], installed[32];
        int r;

        if (!deps)
                return sf_error_set(err, SF_ERR_NOMEM, "pack");
        if ((r = sf_fs_remove_tree(deps, err)) < 0 || (r = sf_fs_mkdirs(deps, 0755, err)) < 0 ||
            (r = sf_builder_compose(&s->build, 0, last, deps, err)) < 0)
                return r;
        const struct sf_pack_layer layers[] = { { "deps", deps }, { "slurm", s->build.layers[last].tree } };
        const struct sf_pack pack = {
                .name = name,
                .layers = layers,
                .layer_count = sizeof layers / sizeof *layers,
                .placeholder = s->workshop.prefix,
                .builds = builds,
                .epoch = sf_pack_epoch(),
                .finding = print_finding,
        };
        sf_log_status("%s: packing", name->text);
        r = sf_pack_release(&pack, &packed, err);
        sf_log_progress_end();
        if (r < 0)
                return sf_error_prefix(err, "%s", name->text);
        sf_log_info("%s: %zu files, %zu of them relocated; %s to download, %s installed", name->text, packed.file_count,
                    packed.relocated, sf_log_size(packed.download, download), sf_log_size(packed.installed, installed));
        json_object_set_new(result, "download", json_integer((json_int_t)packed.download));
        json_object_set_new(result, "installed", json_integer((json_int_t)packed.installed));
        sf_pack_result_free(&packed);
        return sf_fs_remove_tree(deps, err);
}

static int provide_release(const struct session *s, const char *version, json_t *result, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer from = SF_BUFFER_INIT;
        _cleanup_free_ char *builds = sf_cache_path(&s->cache, "builds", NULL);
        _cleanup_free_ char *directory = NULL, *marker = NULL;
        _cleanup_close_ int lock = -1;
        struct sf_release_name name;
        int r;

        if ((r = sf_release_name_make(version, s->toolchain.name, s->toolchain.arch, "", &name, err)) < 0 ||
            (r = describe(s, &from, err)) < 0 || (r = sf_cache_lock(&s->cache, name.text, true, &lock, err)) < 0)
                return r;
        directory = sf_cache_path(&s->cache, "builds", name.text);
        marker = directory ? sf_fs_join(directory, "from") : NULL;
        if (!builds || !marker)
                return sf_error_set(err, SF_ERR_NOMEM, "pack");
        json_object_set_new(result, "release", json_string(name.text));
        json_object_set_new(result, "directory", json_string(directory));
        if (is_packed(directory, marker, &from)) {
                sf_log_info("%s: packed already, in %s", name.text, directory);
                return 0;
        }
        if ((r = pack(s, &name, builds, result, err)) < 0)
                return r;
        return sf_fs_write(marker, from.data, from.len, 0644, err);
}

int sf_command_build_slurm(const struct sf_factory *factory, const struct sf_command_line *line, json_t *result,
                           struct sf_error *err)
{
        _cleanup_(session_close) struct session s = { 0 };
        const char *version = sf_option_get(line, "slurm-version");
        int r;

        if (!version)
                return sf_error_set(err, SF_ERR_USAGE, "--slurm-version is needed");
        if ((r = session_open(factory, &s, err)) < 0 || (r = sf_builder_slurm(&s.build, version, err)) < 0)
                return r;
        report_layers(&s, result);
        return provide_release(&s, version, result, err);
}

/* --- looking and cleaning -------------------------------------------------------------------------------------- */

static json_t *row_to_json(const struct sf_matrix_row *row)
{
        return json_pack("{s:s, s:b, s:b, s:b, s:b}", "release", row->name.text, "recipe", row->has_recipe, "cached",
                         row->is_cached, "built", row->is_built, "published", row->is_published);
}

int sf_command_matrix(const struct sf_factory *factory, const struct sf_command_line *line, json_t *result,
                      struct sf_error *err)
{
        _cleanup_(sf_cache_close) struct sf_cache cache = { NULL };
        _cleanup_(sf_matrix_free) struct sf_matrix matrix = { NULL, 0 };
        bool all = sf_option_given(line, "all");
        json_t *rows = json_array();
        int r;

        json_object_set_new(result, "rows", rows);
        if ((r = sf_cache_open(factory->cache, &cache, err)) < 0 ||
            (r = sf_matrix_make(&cache, factory->data, factory->repository, &matrix, err)) < 0)
                return r;
        if (!factory->json)
                printf("%-32s %-8s %-8s %-8s %s\n", "RELEASE", "RECIPE", "CACHED", "BUILT",
                       factory->repository ? "PUBLISHED" : "");
        for (size_t i = 0; i < matrix.count; i++) {
                const struct sf_matrix_row *row = &matrix.rows[i];

                if (!all && !row->is_cached && !row->is_built && !row->is_published)
                        continue;
                json_array_append_new(rows, row_to_json(row));
                if (!factory->json)
                        printf("%-32s %-8s %-8s %-8s %s\n", row->name.text, row->has_recipe ? "yes" : "-",
                               row->is_cached ? "yes" : "-", row->is_built ? "yes" : "-",
                               row->is_published     ? "yes"
                               : factory->repository ? "-"
                                                     : "");
        }
        return 0;
}

int sf_command_clean(const struct sf_factory *factory, const struct sf_command_line *line, json_t *result,
                     struct sf_error *err)
{
        _cleanup_(sf_cache_close) struct sf_cache cache = { NULL };
        uint64_t bytes;
        char size[32];
        int r;

        if ((r = sf_cache_open(factory->cache, &cache, err)) < 0 ||
            (r = sf_cache_clean(&cache, sf_option_given(line, "full"), &bytes, err)) < 0)
                return r;
        sf_log_info("%s: %s freed", cache.root, sf_log_size(bytes, size));
        json_object_set_new(result, "bytes_freed", json_integer((json_int_t)bytes));
        return 0;
}
