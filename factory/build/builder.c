/* SPDX-License-Identifier: Apache-2.0 */
/* factory/build/builder.c - see builder.h. */
#include "factory/build/builder.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "factory/build/compile.h"
#include "factory/build/extract.h"
#include "factory/build/prefix.h"
#include "factory/build/source.h"

/* Deeper than any sane chain of recipes: a cycle. */
#define DEPTH_MAX 32

/* The directories of one build in progress, below CACHE/work. */
struct bench {
        char *root, *prefix, *build, *logs;
};

static void bench_free(struct bench *b)
{
        free(b->root);
        free(b->prefix);
        free(b->build);
        free(b->logs);
}

/* Empties what an earlier, interrupted build may have left: the caller holds the layer's lock. */
static int bench_make(const struct sf_cache *cache, const struct sf_builder_layer *layer, struct bench *b,
                      struct sf_error *err)
{
        int r;

        b->root = sf_cache_path(cache, "work", layer->key.name);
        b->prefix = b->root ? sf_fs_join(b->root, "prefix") : NULL;
        b->build = b->root ? sf_fs_join(b->root, "build") : NULL;
        b->logs = sf_format("%s/logs/%s-%s", cache->root, layer->recipe.name, layer->recipe.version);
        if (!b->prefix || !b->build || !b->logs)
                return sf_error_set(err, SF_ERR_NOMEM, "build");
        if ((r = sf_fs_remove_tree(b->root, err)) < 0 || (r = sf_fs_remove_tree(b->logs, err)) < 0 ||
            (r = sf_fs_mkdirs(b->prefix, 0755, err)) < 0 || (r = sf_fs_mkdirs(b->build, 0755, err)) < 0)
                return r;
        return sf_fs_mkdirs(b->logs, 0755, err);
}

static const struct sf_builder_layer *find_layer(const struct sf_builder *build, const char *name)
{
        for (size_t i = 0; i < build->layer_count; i++)
                if (strcmp(build->layers[i].recipe.name, name) == 0)
                        return &build->layers[i];
        return NULL;
}

/* --- one layer ------------------------------------------------------------------------------------------------- */

/* The layers a recipe needs, with what those need: needed[i] says layer i. */
static void mark_needed(const struct sf_builder *build, const struct sf_recipe *recipe, bool *needed)
{
        for (size_t i = 0; i < recipe->depends.count; i++) {
                const struct sf_builder_layer *layer = find_layer(build, recipe->depends.items[i]);

                if (layer && !needed[layer - build->layers]) {
                        needed[layer - build->layers] = true;
                        mark_needed(build, &layer->recipe, needed);
                }
        }
}

static int each_needed(const struct sf_builder *build, const struct sf_recipe *recipe, const char *prefix,
                       int (*act)(const char *prefix, const char *tree, struct sf_error *err), struct sf_error *err)
{
        _cleanup_free_ bool *needed = calloc(build->layer_count + 1, sizeof *needed);
        int r = 0;

        if (!needed)
                return sf_error_set(err, SF_ERR_NOMEM, "build");
        mark_needed(build, recipe, needed);
        for (size_t i = 0; i < build->layer_count && r == 0; i++)
                if (needed[i])
                        r = act(prefix, build->layers[i].tree, err);
        return r < 0 ? sf_error_prefix(err, "%s", recipe->name) : 0;
}

static int add_tree(const char *prefix, const char *tree, struct sf_error *err)
{
        return sf_prefix_add(tree, prefix, err);
}

/* Steps inside the workshop; the bench's directories hold the result afterwards, or the ruins. */
static int compile_in_workshop(const struct sf_builder *build, const struct sf_builder_layer *layer,
                               const struct bench *b, const char *archive, struct sf_error *err)
{
        struct sf_compile compile = {
                .recipe = &layer->recipe,
                .toolchain = build->toolchain,
                .prefix = build->workshop->prefix,
                .source = build->workshop->build,
                .logs = b->logs,
                .jobs = build->jobs,
        };
        int r = sf_build_sandbox_enter(build->workshop, b->prefix, b->build, err);

        if (r < 0)
                return r;
        r = sf_extract(archive, build->workshop->build, &compile.epoch, err);
        if (r == 0)
                r = sf_compile_steps(&compile, err);
        int left = sf_build_sandbox_leave(build->workshop, b->prefix, b->build, r < 0 ? NULL : err);
        return r < 0 ? r : left;
}

static int make_layer(const struct sf_builder *build, const struct sf_builder_layer *layer, const char *archive,
                      struct sf_error *err)
{
        _cleanup_(bench_free) struct bench b = { 0 };
        int r;

        if ((r = bench_make(build->cache, layer, &b, err)) < 0 ||
            (r = each_needed(build, &layer->recipe, b.prefix, add_tree, err)) < 0 ||
            (r = compile_in_workshop(build, layer, &b, archive, err)) < 0 ||
            (r = each_needed(build, &layer->recipe, b.prefix, sf_prefix_subtract, err)) < 0 ||
            (r = sf_prefix_remove(b.prefix, &layer->recipe.remove, err)) < 0 ||
            (layer->recipe.strip && (r = sf_prefix_strip(b.prefix, err)) < 0) ||
            (r = sf_cache_store(build->cache, &layer->key, b.prefix, err)) < 0)
                return r;
        return sf_fs_remove_tree(b.root, err);
}

/* Locks: one per layer, and one for all where builders share the fallback paths. Says so when it has to wait. */
static int lock_for(const struct sf_builder *build, const struct sf_builder_layer *layer, int *ret_fd,
                    struct sf_error *err)
{
        const char *name = build->workshop->is_private ? layer->key.name : "workshop";
        int r = sf_cache_lock(build->cache, name, false, ret_fd, err);

        if (r != SF_ERR_BUSY)
                return r;
        sf_log_info("%s %s: another slurm-factory is building, waiting for it", layer->recipe.name,
                    layer->recipe.version);
        return sf_cache_lock(build->cache, name, true, ret_fd, err);
}

static int provide_layer(const struct sf_builder *build, struct sf_builder_layer *layer, struct sf_error *err)
{
        _cleanup_free_ char *archive = NULL;
        _cleanup_close_ int lock = -1;
        double start;
        int r = sf_cache_find(build->cache, &layer->key, &layer->tree, err);

        if (r == SF_ERR_NOT_FOUND && (r = lock_for(build, layer, &lock, err)) == 0)
                r = sf_cache_find(build->cache, &layer->key, &layer->tree, err);
        if (r == 0)
                sf_log_info("%s %s: cached", layer->recipe.name, layer->recipe.version);
        if (r != SF_ERR_NOT_FOUND)
                return r;
        sf_error_clear(err);
        if ((r = sf_source_fetch(build->cache, build->mirrors, &layer->recipe, &archive, err)) < 0)
                return r;
        sf_log_info("%s %s: building", layer->recipe.name, layer->recipe.version);
        start = sf_clock_seconds();
        if ((r = make_layer(build, layer, archive, err)) < 0)
                return r;
        sf_log_info("%s %s: built in %.0f s", layer->recipe.name, layer->recipe.version, sf_clock_seconds() - start);
        return sf_cache_find(build->cache, &layer->key, &layer->tree, err);
}

/* --- the graph ------------------------------------------------------------------------------------------------- */

static void layer_free(struct sf_builder_layer *layer)
{
        sf_recipe_free(&layer->recipe);
        sf_cache_key_free(&layer->key);
        free(layer->tree);
}

static int make_key(const struct sf_builder *build, struct sf_builder_layer *layer, struct sf_error *err)
{
        size_t count = layer->recipe.depends.count;
        _cleanup_free_ const struct sf_cache_key **keys = calloc(count + 1, sizeof *keys);

        if (!keys)
                return sf_error_set(err, SF_ERR_NOMEM, "build");
        for (size_t i = 0; i < count; i++)
                keys[i] = &find_layer(build, layer->recipe.depends.items[i])->key;
        return sf_cache_key_make(&layer->recipe, build->toolchain, build->workshop->prefix, keys, count, &layer->key,
                                 err);
}

static int add_dependencies(struct sf_builder *build, const struct sf_recipe *recipe, unsigned depth,
                            struct sf_error *err);

/* Takes the recipe, also on failure. */
static int add_layer(struct sf_builder *build, struct sf_recipe *recipe, unsigned depth, struct sf_error *err)
{
        _cleanup_(layer_free) struct sf_builder_layer layer = { .recipe = *recipe };
        struct sf_builder_layer *grown;
        int r;

        if ((r = add_dependencies(build, &layer.recipe, depth, err)) < 0 || (r = make_key(build, &layer, err)) < 0 ||
            (r = provide_layer(build, &layer, err)) < 0)
                return r;
        grown = realloc(build->layers, (build->layer_count + 1) * sizeof *grown);
        if (!grown)
                return sf_error_set(err, SF_ERR_NOMEM, "build");
        build->layers = grown;
        build->layers[build->layer_count++] = layer;
        layer = (struct sf_builder_layer){ 0 };
        return 0;
}

static int add_dependencies(struct sf_builder *build, const struct sf_recipe *recipe, unsigned depth,
                            struct sf_error *err)
{
        if (depth > DEPTH_MAX)
                return sf_error_set(err, SF_ERR_USAGE, "recipe %s depends on itself", recipe->name);
        for (size_t i = 0; i < recipe->depends.count; i++) {
                const char *name = recipe->depends.items[i];
                _cleanup_free_ char *path = sf_format("%s/recipes/%s.ini", build->data, name);
                struct sf_recipe dependency;
                int r;

                if (find_layer(build, name))
                        continue;
                if (!path)
                        return sf_error_set(err, SF_ERR_NOMEM, "build");
                if ((r = sf_recipe_load((const char *const[]){ path }, 1, &dependency, err)) < 0)
                        return sf_error_prefix(err, "%s depends on %s", recipe->name, name);
                if ((r = add_layer(build, &dependency, depth + 1, err)) < 0)
                        return r;
        }
        return 0;
}

/* --- entries --------------------------------------------------------------------------------------------------- */

static int is_recipe(const struct dirent *entry)
{
        size_t length = strlen(entry->d_name);

        return length > strlen(".ini") && strcmp(entry->d_name + length - strlen(".ini"), ".ini") == 0;
}

/* Somebody who mistypes a version wants to see those there are. */
static int unknown_version(const char *data, const char *version, struct sf_error *err)
{
        _cleanup_free_ char *directory = sf_format("%s/slurm", data);
        _cleanup_(sf_buffer_free) struct sf_buffer known = SF_BUFFER_INIT;
        struct dirent **entries = NULL;
        int count = directory ? scandir(directory, &entries, is_recipe, versionsort) : -1;

        for (int i = 0; i < count; i++) {
                sf_buffer_printf(&known, NULL, " %.*s", (int)(strlen(entries[i]->d_name) - strlen(".ini")),
                                 entries[i]->d_name);
                free(entries[i]);
        }
        free(entries);
        return sf_error_set(err, SF_ERR_USAGE, "no recipe for Slurm %s; there are:%s", version,
                            count > 0 ? sf_buffer_text(&known) : " none");
}

static int load_slurm(const struct sf_builder *build, const char *version, struct sf_recipe *ret, struct sf_error *err)
{
        _cleanup_free_ char *common = sf_format("%s/recipes/slurm.ini", build->data);
        _cleanup_free_ char *own = sf_format("%s/slurm/%s.ini", build->data, version);

        if (!common || !own)
                return sf_error_set(err, SF_ERR_NOMEM, "build");
        if (strchr(version, '/') || !sf_fs_exists(own))
                return unknown_version(build->data, version, err);
        return sf_recipe_load((const char *const[]){ common, own }, 2, ret, err);
}

int sf_builder_deps(struct sf_builder *build, struct sf_error *err)
{
        _cleanup_free_ char *path = sf_format("%s/recipes/slurm.ini", build->data);
        _cleanup_(sf_conf_free) struct sf_conf conf = SF_CONF_INIT;
        struct sf_recipe slurm = { .name = "slurm" };
        const struct sf_conf_entry *entry = NULL;
        int r;

        /* Without a version the recipe is not whole, but what it depends on is known. */
        if (!path)
                return sf_error_set(err, SF_ERR_NOMEM, "build");
        if ((r = sf_conf_load(&conf, path, err)) < 0)
                return r;
        while ((entry = sf_conf_next(&conf, "package", "depends", entry)) && r == 0)
                r = sf_words_split(&slurm.depends, entry->value, err);
        if (r == 0)
                r = add_dependencies(build, &slurm, 0, err);
        sf_words_free(&slurm.depends);
        return r;
}

int sf_builder_slurm(struct sf_builder *build, const char *version, struct sf_error *err)
{
        struct sf_recipe slurm;
        int r = load_slurm(build, version, &slurm, err);

        return r < 0 ? r : add_layer(build, &slurm, 0, err);
}

void sf_builder_free(struct sf_builder *build)
{
        for (size_t i = 0; i < build->layer_count; i++)
                layer_free(&build->layers[i]);
        free(build->layers);
        build->layers = NULL;
        build->layer_count = 0;
}

int sf_builder_compose(const struct sf_builder *build, size_t first, size_t last, const char *to, struct sf_error *err)
{
        int r = 0;

        for (size_t i = first; i < last && r == 0; i++)
                r = sf_prefix_add(build->layers[i].tree, to, err);
        return r;
}
