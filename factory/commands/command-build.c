/* SPDX-License-Identifier: Apache-2.0 */
/* factory/commands/command-build.c - the verbs about what is built: build-deps, build-slurm, mirror, root, clean. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/output.h"
#include "base/stop.h"
#include "factory/build/builder.h"
#include "factory/build/provenance.h"
#include "factory/build/release_source.h"
#include "factory/build/root.h"
#include "factory/build/sbom.h"
#include "factory/build/source.h"
#include "factory/commands/command.h"
#include "factory/pack/pack.h"

/* What a build verb holds open. */
struct session {
        const struct sf_factory *factory;
        struct sf_cache cache;
        struct sf_toolchain toolchain;
        struct sf_build_sandbox sandbox;
        struct sf_layer_source source;
        struct sf_plan plan;
        char *root;
};

static void session_close(struct session *s)
{
        sf_plan_free(&s->plan);
        sf_layer_source_close(&s->source);
        sf_build_sandbox_close(&s->sandbox);
        sf_toolchain_free(&s->toolchain);
        sf_cache_close(&s->cache);
        free(s->root);
}

/* A build cache that does not answer costs time, not the build; one that cannot be trusted ends it. */
static int open_source(struct session *s, const struct sf_command_line *line, struct sf_error *err)
{
        static const struct sf_words none = SF_WORDS_INIT;
        struct sf_error why = SF_ERROR_INIT;
        int r;

        s->source = (struct sf_layer_source){
                .cache = &s->cache,
                .local = sf_option_get(line, "local-cache"),
                .urls = sf_option_given(line, "no-buildcache") ? &none : &s->factory->buildcaches,
                .toolchain = s->toolchain.name,
                .arch = s->toolchain.arch,
        };
        r = sf_layer_source_open(&s->source, &why);
        if (r == SF_ERR_NETWORK || r == SF_ERR_TIMEOUT || r == SF_ERR_NOT_FOUND) {
                sf_log_warning("no build cache: %s", why.text);
                return 0;
        }
        return r < 0 ? sf_error_set(err, r, "build cache: %s", why.text) : 0;
}

static int session_open(const struct sf_factory *factory, const struct sf_command_line *line, struct session *s,
                        struct sf_error *err)
{
        _cleanup_free_ char *toolchains = sf_fs_join(factory->data, "toolchains");
        const char *arch = sf_option_get(line, "arch");
        int r;

        if (!toolchains)
                return sf_error_set(err, SF_ERR_NOMEM, "toolchain");
        sf_stop_catch();
        /* The user's own mask must not show in what is built. */
        umask(022);
        s->factory = factory;
        if ((r = sf_cache_open(factory->cache, &s->cache, err)) < 0 ||
            (r = sf_root_find(&s->cache, factory->toolchain, arch, &s->root, err)) < 0)
                return r;
        const struct sf_build_system system = { .root = s->root, .emulator = { arch, factory->qemu } };
        const struct sf_toolchain_place place = { .root = s->root, .arch = arch };
        if ((r = sf_build_sandbox_open(&s->cache, &system, &s->sandbox, err)) < 0 ||
            (r = sf_toolchain_load(toolchains, factory->toolchain, &place, &s->toolchain, err)) < 0 ||
            (r = sf_build_sandbox_prepare(&s->cache, &s->toolchain, &s->sandbox, err)) < 0 ||
            (r = open_source(s, line, err)) < 0)
                return r;
        if (!s->sandbox.is_private)
                sf_log_warning("no private mount namespace (%s): building at a path inside %s, which becomes part of "
                               "every layer's key",
                               s->sandbox.refusal, s->cache.root);
        sf_log_detail("toolchain %s %s: %s, %s%s%s", s->toolchain.name, s->toolchain.arch, s->toolchain.compiler,
                      s->toolchain.libc, *s->root ? ", in " : "", s->root);
        s->plan = (struct sf_plan){
                .cache = &s->cache,
                .toolchain = &s->toolchain,
                .sandbox = &s->sandbox,
                .data = factory->data,
                .source = &s->source,
                .profile = sf_option_get(line, "profile"),
                .gpu = sf_option_given(line, "gpu"),
                .build = "",
        };
        return 0;
}

static void report_layers(const struct session *s, json_t *result)
{
        json_t *layers = json_array();

        for (size_t i = 0; i < s->plan.count; i++)
                json_array_append_new(layers, sf_json_text(s->plan.layers[i].key.name));
        json_object_set_new(result, "toolchain", sf_json_text(s->toolchain.name));
        json_object_set_new(result, "layers", layers);
}

/* --dry-run: what would happen to each package, and why. */
static int print_plan(const struct session *s, json_t *result, struct sf_error *err)
{
        static const char *const words[] = {
                [SF_PLAN_CACHED] = "reuse", [SF_PLAN_FETCH] = "fetch", [SF_PLAN_BUILD] = "build"
        };
        json_t *plan = json_array();
        int r = 0;

        for (size_t i = 0; i < s->plan.count && r == 0; i++) {
                const struct sf_plan_layer *layer = &s->plan.layers[i];
                _cleanup_(sf_buffer_free) struct sf_buffer why = SF_BUFFER_INIT;

                if (layer->state != SF_PLAN_CACHED)
                        r = sf_plan_explain(&s->plan, layer, &why, err);
                if (!sf_output_is_json())
                        sf_output_line("%-6s %s %s%s%s", words[layer->state], layer->recipe.name, layer->recipe.version,
                                       why.len ? ": " : "", sf_buffer_text(&why));
                json_array_append_new(plan, json_pack("{s:s, s:s, s:s, s:s}", "package", layer->recipe.name, "version",
                                                      layer->recipe.version, "action", words[layer->state], "why",
                                                      sf_buffer_text(&why)));
        }
        json_object_set_new(result, "plan", plan);
        return r;
}

/* Makes what the plan lacks, or with --dry-run only says so. Returns 1 in that case. */
static int carry_out(struct session *s, const struct sf_command_line *line, json_t *result, struct sf_error *err)
{
        struct sf_builder builder = {
                .plan = &s->plan,
                .mirrors = &s->factory->mirrors,
                .jobs = s->factory->jobs,
                .keep_going = sf_option_given(line, "keep-going"),
        };
        int r;

        report_layers(s, result);
        if (sf_option_given(line, "dry-run"))
                return (r = print_plan(s, result, err)) < 0 ? r : 1;
        return sf_builder_run(&builder, err);
}

int sf_command_build_deps(const struct sf_factory *factory, const struct sf_command_line *line, json_t *result,
                          struct sf_error *err)
{
        _cleanup_(session_close) struct session s = { 0 };
        int r;

        if ((r = session_open(factory, line, &s, err)) < 0 || (r = sf_plan_deps(&s.plan, err)) < 0 ||
            (r = carry_out(&s, line, result, err)) < 0)
                return r;
        return 0;
}

/* --- packing --------------------------------------------------------------------------------------------------- */

static void print_finding(void *ctx, const char *text)
{
        (void)ctx;
        sf_log_error("finding: %s", text);
}

/* Counts the ways in which the same layers were packed: 2 has share/slurm/devel. */
#define PACKING 2

/* What a release was packed from: equal text, equal release. */
static int describe(const struct session *s, const struct sf_buffer *sbom, struct sf_buffer *ret, struct sf_error *err)
{
        char hex[SF_DIGEST_HEX + 1];
        struct sf_digest digest;

        sf_digest_of(sbom->data, sbom->len, &digest);
        int r = sf_buffer_printf(ret, err, "sbom %s\n", sf_digest_hex(&digest, hex));
        if (r == 0)
                r = sf_buffer_printf(ret, err, "slurm-factory %s\npacking %d\nepoch %lld\n", SF_VERSION, PACKING,
                                     (long long)sf_pack_epoch());

        for (size_t i = 0; i < s->plan.count && r == 0; i++)
                r = sf_buffer_printf(ret, err, "layer %s\n", s->plan.layers[i].key.name);
        return r;
}

static bool is_packed(const char *directory, const char *marker, const struct sf_buffer *from)
{
        _cleanup_(sf_buffer_free) struct sf_buffer is = SF_BUFFER_INIT;

        return sf_fs_exists(directory) && sf_fs_read(marker, 1u << 20, &is, NULL) == 0 && is.len == from->len &&
               memcmp(is.data, from->data, is.len) == 0;
}

/* The trees of a release's layers, in their order; a layer that no package belongs to is left out. */
struct trees {
        char *directory;
        char *paths[4];
        struct sf_pack_layer layers[4];
        size_t count;
};

static void trees_free(struct trees *t)
{
        for (size_t i = 0; i < sizeof t->paths / sizeof *t->paths; i++)
                free(t->paths[i]);
        free(t->directory);
}

static int compose_trees(const struct session *s, const struct sf_release_name *name, struct trees *t,
                         struct sf_error *err)
{
        int r;

        t->directory = sf_format("%s/work/%s.layers", s->cache.root, name->text);
        if (!t->directory)
                return sf_error_set(err, SF_ERR_NOMEM, "pack");
        if ((r = sf_fs_remove_tree(t->directory, err)) < 0)
                return r;
        for (const char *const *layer = sf_recipe_layers; *layer; layer++) {
                char *path = t->paths[t->count] = sf_fs_join(t->directory, *layer);
                size_t packages;

                if (!path)
                        return sf_error_set(err, SF_ERR_NOMEM, "pack");
                if ((r = sf_fs_mkdirs(path, 0755, err)) < 0 ||
                    (r = sf_plan_compose(&s->plan, *layer, path, &packages, err)) < 0)
                        return r;
                if (packages)
                        t->layers[t->count++] = (struct sf_pack_layer){ *layer, path };
                else
                        free(sf_steal_pointer(t->paths[t->count]));
        }
        return 0;
}

static int write_provenance(void *ctx, const struct sf_index_release *release, struct sf_buffer *ret,
                            struct sf_error *err)
{
        const struct session *s = ctx;

        return sf_provenance_write(&s->plan, release->name.text, &release->manifest.digest, ret, err);
}

static int pack(struct session *s, const struct sf_release_name *name, const struct sf_buffer *sbom, json_t *result,
                struct sf_error *err)
{
        _cleanup_free_ char *builds = sf_cache_path(&s->cache, "builds", NULL);
        _cleanup_(trees_free) struct trees trees = { 0 };
        struct sf_pack_result packed;
        char download[32], installed[32];
        int r = builds ? compose_trees(s, name, &trees, err) : sf_error_set(err, SF_ERR_NOMEM, "pack");

        if (r < 0)
                return r;
        const struct sf_pack pack = {
                .name = name,
                .layers = trees.layers,
                .layer_count = trees.count,
                .placeholder = s->sandbox.prefix,
                .cpu = s->toolchain.cpu,
                .sysroot = *s->root ? s->root : NULL,
                .builds = builds,
                .epoch = sf_pack_epoch(),
                .sbom = sbom,
                .describe = write_provenance,
                .describe_ctx = s,
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
        return sf_fs_remove_tree(trees.directory, err);
}

/* Whether the release came from the repository whose layers are used. What goes wrong there costs time, no more. */
static bool fetch(struct session *s, const struct sf_release_name *name, const struct sf_buffer *from,
                  const struct sf_buffer *sbom, json_t *result)
{
        _cleanup_free_ char *builds = sf_cache_path(&s->cache, "builds", NULL);
        const struct sf_release_source source = { .repository = &s->source,
                                                  .builds = builds,
                                                  .name = name->text,
                                                  .from = from,
                                                  .sbom = sbom,
                                                  .describe = write_provenance,
                                                  .describe_ctx = s };
        struct sf_index_release release;
        struct sf_error why = SF_ERROR_INIT;
        char download[32], installed[32];
        int r = builds ? sf_release_source_fetch(&source, &release, &why) : 0;

        if (r < 0)
                sf_log_warning("%s is packed here: %s", name->text, why.text);
        if (r <= 0)
                return false;
        sf_log_info("%s: packed by others from the same layers, fetched; %s to download, %s installed", name->text,
                    sf_log_size(release.download, download), sf_log_size(release.installed, installed));
        json_object_set_new(result, "download", json_integer((json_int_t)release.download));
        json_object_set_new(result, "installed", json_integer((json_int_t)release.installed));
        return true;
}

static int provide_release(struct session *s, json_t *result, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer from = SF_BUFFER_INIT, sbom = SF_BUFFER_INIT;
        _cleanup_free_ char *directory = NULL, *marker = NULL;
        _cleanup_close_ int lock = -1;
        struct sf_release_name name;
        int r;

        if ((r = sf_release_name_make(s->plan.version, s->toolchain.name, s->toolchain.arch, s->plan.build, &name,
                                      err)) < 0 ||
            (r = sf_sbom_write(&s->plan, name.text, sf_pack_epoch(), &sbom, err)) < 0 ||
            (r = describe(s, &sbom, &from, err)) < 0 || (r = sf_cache_lock(&s->cache, name.text, true, &lock, err)) < 0)
                return r;
        directory = sf_cache_path(&s->cache, "builds", name.text);
        marker = directory ? sf_fs_join(directory, "from") : NULL;
        if (!marker)
                return sf_error_set(err, SF_ERR_NOMEM, "pack");
        json_object_set_new(result, "release", sf_json_text(name.text));
        json_object_set_new(result, "directory", sf_json_text(directory));
        if (is_packed(directory, marker, &from)) {
                sf_log_info("%s: packed already, in %s", name.text, directory);
                return 0;
        }
        if (!fetch(s, &name, &from, &sbom, result) && (r = pack(s, &name, &sbom, result, err)) < 0)
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
        if (sf_option_given(line, "check") || sf_option_given(line, "check-only"))
                return sf_command_check(factory, line, result, err);
        if ((r = session_open(factory, line, &s, err)) < 0 || (r = sf_plan_slurm(&s.plan, version, err)) < 0 ||
            (r = carry_out(&s, line, result, err)) < 0)
                return r;
        return r > 0 ? 0 : provide_release(&s, result, err);
}

int sf_command_trust(const struct sf_factory *factory, const struct sf_command_line *line, json_t *result,
                     struct sf_error *err)
{
        _cleanup_(sf_cache_close) struct sf_cache cache = { NULL };
        int r;

        (void)result;
        if ((r = sf_cache_open(factory->cache, &cache, err)) < 0 ||
            (r = sf_layer_source_trust(&cache, line->arguments[0], sf_option_given(line, "force"), err)) < 0)
                return r;
        sf_log_info("%s: its build cache is trusted", line->arguments[0]);
        return 0;
}

/* --- roots and mirrors ----------------------------------------------------------------------------------------- */

int sf_command_root(const struct sf_factory *factory, const struct sf_command_line *line, json_t *result,
                    struct sf_error *err)
{
        _cleanup_(sf_cache_close) struct sf_cache cache = { NULL };
        _cleanup_free_ char *toolchains = sf_fs_join(factory->data, "toolchains"), *path = NULL;
        struct sf_root root = {
                .cache = &cache,
                .toolchains = toolchains,
                .name = line->arguments[0],
                .from = sf_option_get(line, "from"),
                .registry = factory->registry,
                .emulator = { .arch = sf_option_get(line, "arch"), .program = factory->qemu },
                .bare = sf_option_given(line, "no-packages"),
        };
        int r;

        if (!toolchains)
                return sf_error_set(err, SF_ERR_NOMEM, "root");
        sf_stop_catch();
        umask(022);
        if ((r = sf_cache_open(factory->cache, &cache, err)) < 0 || (r = sf_root_prepare(&root, &path, err)) < 0)
                return r;
        sf_log_info("root of %s: %s", root.name, path);
        json_object_set_new(result, "root", sf_json_text(path));
        return 0;
}

/* Every archive that a release is built from, flat in one directory: recipes say enough, no toolchain is needed. */
int sf_command_mirror(const struct sf_factory *factory, const struct sf_command_line *line, json_t *result,
                      struct sf_error *err)
{
        _cleanup_(sf_cache_close) struct sf_cache cache = { NULL };
        _cleanup_(sf_plan_free) struct sf_plan plan = { .data = factory->data,
                                                        .profile = sf_option_get(line, "profile") };
        const char *version = sf_option_get(line, "slurm-version"), *directory = line->arguments[1];
        size_t copied = 0;
        int r;

        if (strcmp(line->arguments[0], "create") != 0)
                return sf_error_set(err, SF_ERR_USAGE, "mirror %s: only \"mirror create DIR\" is known",
                                    line->arguments[0]);
        sf_stop_catch();
        umask(022);
        if ((r = sf_fs_mkdirs(directory, 0755, err)) < 0 || (r = sf_cache_open(factory->cache, &cache, err)) < 0 ||
            (r = version ? sf_plan_slurm(&plan, version, err) : sf_plan_deps(&plan, err)) < 0)
                return r;
        for (size_t i = 0; i < plan.count; copied += (size_t)r, i++)
                if ((r = sf_source_mirror(&cache, &factory->mirrors, &plan.layers[i].recipe, directory, err)) < 0)
                        return r;
        sf_log_info("%s: %zu packages' sources, %zu archives new", directory, plan.count, copied);
        json_object_set_new(result, "archives", json_integer((json_int_t)copied));
        return 0;
}

/* --- cleaning -------------------------------------------------------------------------------------- */

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
