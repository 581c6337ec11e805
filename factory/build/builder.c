/* SPDX-License-Identifier: Apache-2.0 */
/* factory/build/builder.c - one layer, from source archive to the cache. See builder.h. */
#include "factory/build/builder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "factory/build/compile.h"
#include "factory/build/extract.h"
#include "factory/build/prefix.h"
#include "factory/build/run_paths.h"
#include "factory/build/source.h"

/* One build in progress: its directories below CACHE/work, and whom to tell. */
struct bench {
        const struct sf_builder *builder;
        const struct sf_plan_layer *layer;
        const char *makeflags;
        struct sf_builder_progress *progress;
        char *root, *prefix, *build, *logs, *patches;
};

static void bench_free(struct bench *b)
{
        free(b->root);
        free(b->prefix);
        free(b->build);
        free(b->logs);
        free(b->patches);
}

/* Empties what an earlier, interrupted build may have left: the caller holds the layer's lock. */
static int bench_make(struct bench *b, struct sf_error *err)
{
        const struct sf_plan *plan = b->builder->plan;
        const struct sf_recipe *recipe = &b->layer->recipe;
        int r;

        b->root = sf_cache_path(plan->cache, "work", b->layer->key.name);
        b->prefix = b->root ? sf_fs_join(b->root, "prefix") : NULL;
        b->build = b->root ? sf_fs_join(b->root, "build") : NULL;
        /* Locks are per key: so are the logs that a build removes. */
        b->logs = sf_format("%s/logs/%s-%s-%s-%s-%.8s", plan->cache->root, recipe->name, recipe->version,
                            plan->toolchain->name, plan->toolchain->arch, strrchr(b->layer->key.name, '-') + 1);
        b->patches = sf_format("%s/recipes/patches", plan->data);
        if (!b->prefix || !b->build || !b->logs || !b->patches)
                return sf_error_set(err, SF_ERR_NOMEM, "build");
        if ((r = sf_fs_remove_tree(b->root, err)) < 0 || (r = sf_fs_remove_tree(b->logs, err)) < 0 ||
            (r = sf_fs_mkdirs(b->prefix, 0755, err)) < 0 || (r = sf_fs_mkdirs(b->build, 0755, err)) < 0)
                return r;
        return sf_fs_mkdirs(b->logs, 0755, err);
}

/* --- the prefix ------------------------------------------------------------------------------------------------ */

static int each_needed(const struct bench *b, int (*act)(const char *prefix, const char *tree, struct sf_error *err),
                       struct sf_error *err)
{
        const struct sf_plan *plan = b->builder->plan;
        _cleanup_free_ bool *needed = calloc(plan->count + 1, sizeof *needed);
        int r = 0;

        if (!needed)
                return sf_error_set(err, SF_ERR_NOMEM, "build");
        sf_plan_mark_needed(plan, &b->layer->recipe, needed);
        for (size_t i = 0; i < plan->count && r == 0; i++)
                if (needed[i])
                        r = act(b->prefix, plan->layers[i].tree, err);
        return r < 0 ? sf_error_prefix(err, "%s", b->layer->recipe.name) : 0;
}

static int add_tree(const char *prefix, const char *tree, struct sf_error *err)
{
        return sf_prefix_add(tree, prefix, err);
}

/* --- compiling ------------------------------------------------------------------------------------------------- */

static void begin_step(void *ctx, const char *step, size_t number, size_t count)
{
        struct sf_builder_progress *progress = ctx;

        progress->number = (unsigned)number;
        progress->count = (unsigned)count;
        progress->start = sf_clock_seconds();
        snprintf(progress->step, sizeof progress->step, "%s", step);
}

/* Steps inside the sandbox; the bench's directories hold the result afterwards, or what a failed step left. */
static int compile_inside(const struct bench *b, const char *archive, const char *only, struct sf_error *err)
{
        const struct sf_plan *plan = b->builder->plan;
        struct sf_compile compile = {
                .recipe = &b->layer->recipe,
                .toolchain = plan->toolchain,
                .sandbox = plan->sandbox,
                .patches = b->patches,
                .logs = b->logs,
                .jobs = b->builder->jobs,
                .makeflags = b->makeflags,
                .begin = begin_step,
                .begin_ctx = b->progress,
        };
        int r = sf_extract(archive, b->build, only, &compile.epoch, err);

        if (r < 0 || (r = sf_build_sandbox_enter(plan->sandbox, b->prefix, b->build, err)) < 0)
                return r;
        r = sf_compile_run(&compile, err);
        int left = sf_build_sandbox_leave(plan->sandbox, b->prefix, b->build, r < 0 ? NULL : err);
        return r < 0 ? r : left;
}

/* With the root's own strip, where the prefix lies at its place. */
static int strip_inside(const struct bench *b, struct sf_error *err)
{
        const struct sf_build_sandbox *sandbox = b->builder->plan->sandbox;
        int r = sf_build_sandbox_enter(sandbox, b->prefix, NULL, err);

        if (r < 0)
                return r;
        _cleanup_free_ char *tree = sf_format("%s%s", sandbox->root, sandbox->prefix);
        r = tree ? sf_prefix_strip(tree, sandbox->root, sandbox->prefix, err)
                 : sf_error_set(err, SF_ERR_NOMEM, "strip");
        int left = sf_build_sandbox_leave(sandbox, b->prefix, NULL, r < 0 ? NULL : err);
        return r < 0 ? r : left;
}

static void tell_run_path(void *ctx, const char *text)
{
        const struct bench *b = ctx;
        const struct sf_recipe *recipe = &b->layer->recipe;

        sf_log_warning("%s %s: %s", recipe->name, recipe->version, text);
}

static int build_layer(struct bench *b, struct sf_error *err)
{
        const struct sf_recipe *recipe = &b->layer->recipe;
        const struct sf_plan *plan = b->builder->plan;
        const struct sf_recipe_source *source;
        _cleanup_free_ char *archive = NULL;
        int r;

        if ((r = sf_source_fetch(plan->cache, b->builder->mirrors, recipe, &archive, &source, err)) < 0)
                return r;
        sf_log_info("%s %s: building", recipe->name, recipe->version);
        if ((r = bench_make(b, err)) < 0 || (r = each_needed(b, add_tree, err)) < 0 ||
            (r = compile_inside(b, archive, source->directory, err)) < 0 ||
            (r = sf_run_paths_check(b->prefix, plan->sandbox->prefix, tell_run_path, b, err)) < 0 ||
            (r = each_needed(b, sf_prefix_subtract, err)) < 0 ||
            (r = sf_prefix_remove(b->prefix, &recipe->remove, err)) < 0 ||
            (recipe->strip && (r = strip_inside(b, err)) < 0) ||
            (r = sf_cache_store(plan->cache, &b->layer->key, b->prefix, err)) < 0)
                return r;
        return sf_fs_remove_tree(b->root, err);
}

/* Locks: one per layer, and one for all where builders share the fallback paths. Says so when it has to wait. */
static int lock_for(const struct sf_plan *plan, const struct sf_plan_layer *layer, int *ret_fd, struct sf_error *err)
{
        const char *name = plan->sandbox->is_private ? layer->key.name : "workshop";
        int r = sf_cache_lock(plan->cache, name, false, ret_fd, err);

        if (r != SF_ERR_BUSY)
                return r;
        sf_log_info("%s %s: another slurm-factory is building, waiting for it", layer->recipe.name,
                    layer->recipe.version);
        return sf_cache_lock(plan->cache, name, true, ret_fd, err);
}

/* Returns 1 where the layer has to be built after all: what cannot be fetched, or is not what was signed, costs time
 * only. */
static int fetch_layer(const struct sf_builder *builder, const struct sf_plan_layer *layer,
                       struct sf_builder_progress *progress, struct sf_error *err)
{
        const struct sf_recipe *recipe = &layer->recipe;
        struct sf_error why = SF_ERROR_INIT;
        double start = sf_clock_seconds();
        int r;

        begin_step(progress, "fetch", 1, 1);
        r = sf_layer_source_fetch(builder->plan->source, &layer->key, &why);
        if (r == 0)
                sf_log_info("%s %s: fetched in %.1f s", recipe->name, recipe->version, sf_clock_seconds() - start);
        if (r == 0 || r == SF_ERR_INTERRUPTED || r == SF_ERR_NO_SPACE || r == SF_ERR_NOMEM)
                return r < 0 ? sf_error_set(err, r, "%s", why.text) : 0;
        sf_log_warning("%s %s: not fetched (%s), building it", recipe->name, recipe->version, why.text);
        return 1;
}

int sf_builder_provide(const struct sf_builder *builder, const struct sf_plan_layer *layer, const char *makeflags,
                       struct sf_builder_progress *progress, struct sf_error *err)
{
        const struct sf_recipe *recipe = &layer->recipe;
        _cleanup_(bench_free) struct bench b = {
                .builder = builder, .layer = layer, .makeflags = makeflags, .progress = progress
        };
        _cleanup_close_ int lock = -1;
        _cleanup_free_ char *tree = NULL;
        double start;
        int r;

        if ((r = sf_build_sandbox_split(builder->plan->sandbox, err)) < 0 ||
            (r = lock_for(builder->plan, layer, &lock, err)) < 0)
                return r;
        r = sf_cache_find(builder->plan->cache, &layer->key, &tree, err);
        if (r == 0)
                sf_log_info("%s %s: cached", recipe->name, recipe->version);
        if (r != SF_ERR_NOT_FOUND)
                return r;
        sf_error_clear(err);
        start = sf_clock_seconds();
        if (layer->state == SF_PLAN_FETCH && (r = fetch_layer(builder, layer, progress, err)) != 1)
                return r;
        if ((r = build_layer(&b, err)) < 0)
                return r;
        sf_log_info("%s %s: built in %.0f s", recipe->name, recipe->version, sf_clock_seconds() - start);
        return 0;
}
