/* SPDX-License-Identifier: Apache-2.0 */
/* factory/build/plan.c - see plan.h. */
#include "factory/build/plan.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "factory/build/prefix.h"
#include "release/version.h"

/* Deeper than any sane chain of recipes: a cycle. */
#define DEPTH_MAX 32
#define SUFFIX    ".ini"
/* What --gpu selects. */
#define GPU_OPTION "nvml"

const struct sf_plan_layer *sf_plan_find(const struct sf_plan *plan, const char *name)
{
        for (size_t i = 0; i < plan->count; i++)
                if (strcmp(plan->layers[i].recipe.name, name) == 0)
                        return &plan->layers[i];
        return NULL;
}

void sf_plan_mark_needed(const struct sf_plan *plan, const struct sf_recipe *recipe, bool *needed)
{
        for (size_t i = 0; i < recipe->depends.count; i++) {
                const struct sf_plan_layer *layer = sf_plan_find(plan, recipe->depends.items[i]);

                if (layer && !needed[layer - plan->layers]) {
                        needed[layer - plan->layers] = true;
                        sf_plan_mark_needed(plan, &layer->recipe, needed);
                }
        }
}

/* --- the graph ------------------------------------------------------------------------------------------------- */

static void layer_free(struct sf_plan_layer *layer)
{
        sf_recipe_free(&layer->recipe);
        sf_cache_key_free(&layer->key);
        free(layer->tree);
}

static int make_key(const struct sf_plan *plan, struct sf_plan_layer *layer, struct sf_error *err)
{
        size_t count = layer->recipe.depends.count;
        _cleanup_free_ const struct sf_cache_key **keys = calloc(count + 1, sizeof *keys);

        if (!keys)
                return sf_error_set(err, SF_ERR_NOMEM, "plan");
        for (size_t i = 0; i < count; i++)
                keys[i] = &sf_plan_find(plan, layer->recipe.depends.items[i])->key;
        return sf_cache_key_make(&layer->recipe, plan->toolchain, plan->sandbox->prefix, keys, count, &layer->key, err);
}

static int look_up(const struct sf_plan *plan, struct sf_plan_layer *layer, struct sf_error *err)
{
        int r = sf_cache_find(plan->cache, &layer->key, &layer->tree, err);

        layer->state = SF_PLAN_CACHED;
        if (r != SF_ERR_NOT_FOUND)
                return r;
        sf_error_clear(err);
        layer->state = plan->source && sf_layer_source_has(plan->source, layer->key.name) ? SF_PLAN_FETCH
                                                                                          : SF_PLAN_BUILD;
        return 0;
}

/* Adds DATA/options/OPTION.ini, or DATA/options/RECIPE/OPTION.ini, where there is one. */
static int add_option(const struct sf_plan *plan, const char *recipe, const char *option, struct sf_words *files,
                      struct sf_error *err)
{
        _cleanup_free_ char *path = sf_format("%s/options/%s%s%s" SUFFIX, plan->data, recipe ? recipe : "",
                                              recipe ? "/" : "", option);

        if (!path)
                return sf_error_set(err, SF_ERR_NOMEM, "plan");
        return sf_fs_exists(path) ? sf_words_append(files, path, err) : 0;
}

static int add_recipes(struct sf_plan *plan, const char *owner, const struct sf_words *names, unsigned depth,
                       struct sf_error *err);

/* The line that says a value of [package]; the last one counts. */
static const struct sf_conf_entry *said_by(struct sf_recipe *recipe, const char *key)
{
        const struct sf_conf_entry *said = NULL, *e = NULL;

        while ((e = sf_conf_next(&recipe->conf, "package", key, e)))
                said = e;
        return said;
}

/* Other recipes call a package by its file's name, a user calls Slurm's version by its: a copied file whose text was
 * not changed would be another package than the one that was asked for. */
static int check_called(struct sf_recipe *recipe, const char *key, const char *says, const char *is, const char *file,
                        struct sf_error *err)
{
        const struct sf_conf_entry *said = said_by(recipe, key);

        if (strcmp(is, file) == 0)
                return 0;
        return sf_error_set(err, SF_ERR_USAGE, "%s:%d: %s %s, the file %s" SUFFIX, said->file, said->line, says, is,
                            file);
}

/* Takes the recipe, also on failure. */
static int add_layer(struct sf_plan *plan, struct sf_recipe *recipe, unsigned depth, struct sf_error *err)
{
        _cleanup_(layer_free) struct sf_plan_layer layer = { .recipe = *recipe };
        struct sf_plan_layer *grown;
        struct sf_words also;
        int r;

        if ((r = add_recipes(plan, layer.recipe.name, &layer.recipe.depends, depth, err)) < 0)
                return r;
        if (plan->toolchain && ((r = make_key(plan, &layer, err)) < 0 || (r = look_up(plan, &layer, err)) < 0))
                return r;
        grown = realloc(plan->layers, (plan->count + 1) * sizeof *grown);
        if (!grown)
                return sf_error_set(err, SF_ERR_NOMEM, "plan");
        plan->layers = grown;
        plan->layers[plan->count++] = layer;
        also = layer.recipe.also;
        layer = (struct sf_plan_layer){ .tree = NULL };
        return add_recipes(plan, recipe->name, &also, depth, err);
}

/* The recipe, and what the profile's options change of it. */
static int load_recipe(const struct sf_plan *plan, const char *name, struct sf_recipe *ret, struct sf_error *err)
{
        _cleanup_(sf_words_free) struct sf_words files = SF_WORDS_INIT;
        int r = sf_words_printf(&files, err, "%s/recipes/%s" SUFFIX, plan->data, name);

        for (size_t i = 0; i < plan->options.count && r == 0; i++)
                r = add_option(plan, name, plan->options.items[i], &files, err);
        return r < 0 ? r : sf_recipe_load(sf_words_argv(&files), files.count, ret, err);
}

static int add_recipes(struct sf_plan *plan, const char *owner, const struct sf_words *names, unsigned depth,
                       struct sf_error *err)
{
        if (depth > DEPTH_MAX)
                return sf_error_set(err, SF_ERR_USAGE, "recipe %s depends on itself", owner);
        for (size_t i = 0; i < names->count; i++) {
                struct sf_recipe recipe;
                int r;

                if (sf_plan_find(plan, names->items[i]))
                        continue;
                if ((r = load_recipe(plan, names->items[i], &recipe, err)) < 0)
                        return sf_error_prefix(err, "%s needs %s", owner, names->items[i]);
                r = check_called(&recipe, "name", "the package is named", recipe.name, names->items[i], err);
                if (r < 0)
                        sf_recipe_free(&recipe);
                if (r < 0 || (r = add_layer(plan, &recipe, depth + 1, err)) < 0)
                        return r;
        }
        return 0;
}

/* --- Slurm's versions ------------------------------------------------------------------------------------------ */

static int is_recipe(const struct dirent *entry)
{
        size_t length = strlen(entry->d_name);

        return length > strlen(SUFFIX) && strcmp(entry->d_name + length - strlen(SUFFIX), SUFFIX) == 0;
}

/* Somebody who mistypes a version wants to see those there are. */
static int unknown_version(struct dirent **entries, int count, const char *version, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer known = SF_BUFFER_INIT;

        for (int i = 0; i < count; i++)
                sf_buffer_printf(&known, NULL, " %.*s", (int)(strlen(entries[i]->d_name) - strlen(SUFFIX)),
                                 entries[i]->d_name);
        return sf_error_set(err, SF_ERR_USAGE, "no recipe for Slurm %s; there are:%s", version,
                            count > 0 ? sf_buffer_text(&known) : " none");
}

/* The version as a file says it: the wanted one, or the newest of the series that is meant, or of all for "".
 * Entries are sorted. */
static char *choose_version(struct dirent **entries, int count, const char *wanted)
{
        struct sf_version series, is;
        bool whole = sf_version_parse(wanted, &series, NULL) < 0 || series.has_micro;

        for (int i = count - 1; i >= 0; i--) {
                _cleanup_free_ char *version = strndup(entries[i]->d_name, strlen(entries[i]->d_name) - strlen(SUFFIX));

                if (version &&
                    (!*wanted || strcmp(version, wanted) == 0 ||
                     (!whole && sf_version_parse(version, &is, NULL) == 0 && sf_version_same_series(&is, &series))))
                        return sf_steal_pointer(version);
        }
        return NULL;
}

static int resolve_version(const struct sf_plan *plan, const char *wanted, char **ret, struct sf_error *err)
{
        _cleanup_free_ char *directory = sf_format("%s/slurm", plan->data);
        struct dirent **entries = NULL;
        int count = directory ? scandir(directory, &entries, is_recipe, versionsort) : -1;

        *ret = choose_version(entries, count, wanted);
        int r = *ret ? 0 : unknown_version(entries, count, wanted, err);
        for (int i = 0; i < count; i++)
                free(entries[i]);
        free(entries);
        return r;
}

/* The profile's file; NULL for "full", which is everything. */
static int profile_path(const struct sf_plan *plan, char **ret, struct sf_error *err)
{
        const char *profile = plan->profile;

        *ret = NULL;
        if (!profile || strcmp(profile, "full") == 0)
                return 0;
        if (!(*ret = sf_format("%s/profiles/%s" SUFFIX, plan->data, profile)))
                return sf_error_set(err, SF_ERR_NOMEM, "plan");
        if (strchr(profile, '/') || !sf_fs_exists(*ret))
                return sf_error_set(err, SF_ERR_USAGE, "there is no profile %s: no %s", profile, *ret);
        return 0;
}

/* Adds DATA/DIRECTORY/NAME.ini to the files that make Slurm's recipe. */
static int add_file(const struct sf_plan *plan, const char *directory, const char *name, struct sf_words *files,
                    struct sf_error *err)
{
        return sf_words_printf(files, err, "%s/%s/%s" SUFFIX, plan->data, directory, name);
}

/* An option whose file says only why there is none. */
static int refuse_option(const char *file, const char *name, struct sf_error *err)
{
        _cleanup_(sf_conf_free) struct sf_conf conf = SF_CONF_INIT;
        const char *reason;
        int r = sf_conf_load(&conf, file, err);

        if (r < 0)
                return r;
        reason = sf_conf_get(&conf, "package", "refuse");
        return reason ? sf_error_set(err, SF_ERR_UNSUPPORTED, "option %s: %s (%s)", name, reason, file) : 0;
}

/* The options that the profile selects, and --gpu. Their part for Slurm stands before the profile itself: it has the
 * last word. profile: NULL = full. */
static int add_options(struct sf_plan *plan, const char *profile, struct sf_words *files, struct sf_error *err)
{
        _cleanup_(sf_conf_free) struct sf_conf conf = SF_CONF_INIT;
        struct sf_words *options = &plan->options;
        int r = profile ? sf_conf_load(&conf, profile, err) : 0;

        for (const struct sf_conf_entry *e = NULL; r == 0 && (e = sf_conf_next(&conf, "package", "options", e));)
                r = sf_words_split(options, e->value, err);
        if (r == 0 && plan->gpu)
                r = sf_words_append(options, GPU_OPTION, err);
        for (size_t i = 0; i < options->count && r == 0; i++) {
                size_t before = files->count;

                if (strchr(options->items[i], '/'))
                        return sf_error_set(err, SF_ERR_USAGE, "%s: \"%s\" is not the name of an option", profile,
                                            options->items[i]);
                if ((r = add_option(plan, NULL, options->items[i], files, err)) == 0 && files->count > before)
                        r = refuse_option(files->items[before], options->items[i], err);
        }
        return r;
}

/* An option that no package's recipe has a file of would silently have no effect. */
static int check_options(const struct sf_plan *plan, struct sf_error *err)
{
        for (size_t i = 0; i < plan->options.count; i++) {
                _cleanup_(sf_words_free) struct sf_words files = SF_WORDS_INIT;
                const char *option = plan->options.items[i];
                int r = add_option(plan, NULL, option, &files, err);

                for (size_t k = 0; k < plan->count && r == 0 && files.count == 0; k++)
                        r = add_option(plan, plan->layers[k].recipe.name, option, &files, err);
                if (r < 0)
                        return r;
                if (files.count == 0)
                        return sf_error_set(err, SF_ERR_USAGE,
                                            "profile %s: there is no option %s for what this release holds: no "
                                            "%s/options/%s" SUFFIX ", nor options/PACKAGE/%s" SUFFIX,
                                            plan->profile ? plan->profile : "full", option, plan->data, option, option);
        }
        return 0;
}

/* The release is named when everything is built: too late to learn that it cannot have the profile's word. */
static int check_build(struct sf_recipe *slurm, struct sf_error *err)
{
        const struct sf_conf_entry *said = said_by(slurm, "build");
        struct sf_release_name name;

        if (!*slurm->build || sf_release_name_make("1.1.1", "any", "any", slurm->build, &name, NULL) == 0)
                return 0;
        return sf_error_set(err, SF_ERR_USAGE,
                            "%s:%d: build = %s cannot be part of a release's name: at most %zu of a-z, 0-9, '.', '+', "
                            "'_' and '-', the first of them a letter or a digit",
                            said->file, said->line, slurm->build, sizeof name.build - 1);
}

/* What is common to all versions, what the version says, the profile's options, the profile. */
static int load_slurm(struct sf_plan *plan, struct sf_recipe *ret, struct sf_error *err)
{
        _cleanup_(sf_words_free) struct sf_words files = SF_WORDS_INIT;
        _cleanup_free_ char *profile = NULL;
        int r;

        if ((r = profile_path(plan, &profile, err)) < 0 || (r = add_file(plan, "recipes", "slurm", &files, err)) < 0 ||
            (r = add_file(plan, "slurm", plan->version, &files, err)) < 0 ||
            (r = add_options(plan, profile, &files, err)) < 0 ||
            (profile && (r = sf_words_append(&files, profile, err)) < 0))
                return r;
        if ((r = sf_recipe_load(sf_words_argv(&files), files.count, ret, err)) < 0)
                return r;
        if ((r = check_called(ret, "name", "the package is named", ret->name, "slurm", err)) < 0 ||
            (r = check_called(ret, "version", "the version is", ret->version, plan->version, err)) < 0 ||
            (r = check_build(ret, err)) < 0)
                sf_recipe_free(ret);
        return r;
}

/* A release with --gpu is another one than the profile's own. */
static int name_gpu(struct sf_plan *plan, struct sf_error *err)
{
        struct sf_release_name name;

        plan->gpu_build = sf_format("%s%sgpu", plan->build, *plan->build ? "-" : "");
        if (!plan->gpu_build)
                return sf_error_set(err, SF_ERR_NOMEM, "plan");
        plan->build = plan->gpu_build;
        return sf_release_name_make("1.1.1", "any", "any", plan->build, &name, err);
}

/* --- entries --------------------------------------------------------------------------------------------------- */

int sf_plan_slurm(struct sf_plan *plan, const char *version, struct sf_error *err)
{
        struct sf_recipe slurm;
        int r;

        if ((r = resolve_version(plan, version, &plan->version, err)) < 0 || (r = load_slurm(plan, &slurm, err)) < 0)
                return r;
        if ((r = add_layer(plan, &slurm, 0, err)) < 0 || (r = check_options(plan, err)) < 0)
                return r;
        plan->build = sf_plan_find(plan, "slurm")->recipe.build;
        return plan->gpu ? name_gpu(plan, err) : 0;
}

int sf_plan_deps(struct sf_plan *plan, struct sf_error *err)
{
        struct sf_recipe slurm;
        int r;

        /* What Slurm depends on differs little from version to version; that of the newest counts. */
        if ((r = resolve_version(plan, "", &plan->version, err)) < 0 || (r = load_slurm(plan, &slurm, err)) < 0)
                return r;
        if ((r = add_recipes(plan, slurm.name, &slurm.depends, 0, err)) == 0)
                r = add_recipes(plan, slurm.name, &slurm.also, 0, err);
        if (r == 0)
                r = check_options(plan, err);
        sf_recipe_free(&slurm);
        free(plan->version);
        plan->version = NULL;
        return r;
}

void sf_plan_free(struct sf_plan *plan)
{
        for (size_t i = 0; i < plan->count; i++)
                layer_free(&plan->layers[i]);
        free(plan->layers);
        free(plan->version);
        sf_words_free(&plan->options);
        free(plan->gpu_build);
        plan->gpu_build = NULL;
        plan->layers = NULL;
        plan->version = NULL;
        plan->count = 0;
}

int sf_plan_compose(const struct sf_plan *plan, const char *release_layer, const char *to, size_t *ret_count,
                    struct sf_error *err)
{
        int r = 0;

        *ret_count = 0;
        for (size_t i = 0; i < plan->count && r == 0; i++) {
                if (strcmp(plan->layers[i].recipe.layer, release_layer) != 0)
                        continue;
                r = sf_prefix_add(plan->layers[i].tree, to, err);
                ++*ret_count;
        }
        return r;
}
