/* SPDX-License-Identifier: Apache-2.0 */
/* factory/build/recipe.c - see recipe.h. Recipes are data on purpose: what a build does can be read, diffed and
 * hashed. */
#include "factory/build/recipe.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fs.h"

static int need(struct sf_recipe *recipe, const char *section, const char *key, const char **ret, struct sf_error *err)
{
        const char *value = sf_conf_get(&recipe->conf, section, key);

        if (!value || !*value)
                return sf_error_set(err, SF_ERR_USAGE, "%s: [%s] has no %s", recipe->conf.entries[0].file, section,
                                    key);
        *ret = value;
        return 0;
}

static int all_words(struct sf_recipe *recipe, const char *section, const char *key, struct sf_words *words,
                     struct sf_error *err)
{
        const struct sf_conf_entry *entry = NULL;
        int r;

        while ((entry = sf_conf_next(&recipe->conf, section, key, entry)))
                if ((r = sf_words_split(words, entry->value, err)) < 0)
                        return sf_error_prefix(err, "%s:%d", entry->file, entry->line);
        return 0;
}

static int all_values(struct sf_recipe *recipe, const char *section, const char *key, struct sf_words *words,
                      struct sf_error *err)
{
        const struct sf_conf_entry *entry = NULL;
        int r;

        while ((entry = sf_conf_next(&recipe->conf, section, key, entry)))
                if ((r = sf_words_append(words, entry->value, err)) < 0)
                        return r;
        return 0;
}

static int read_package(struct sf_recipe *recipe, struct sf_error *err)
{
        int r;

        recipe->strip = true;
        if ((r = need(recipe, "package", "name", &recipe->name, err)) < 0 ||
            (r = need(recipe, "package", "version", &recipe->version, err)) < 0 ||
            (r = all_words(recipe, "package", "depends", &recipe->depends, err)) < 0 ||
            (r = all_words(recipe, "package", "remove", &recipe->remove, err)) < 0 ||
            (r = sf_conf_get_bool(&recipe->conf, "package", "strip", &recipe->strip, err)) < 0)
                return r;
        if (!sf_fs_path_is_plain(recipe->name) || strchr(recipe->name, '/') || !sf_fs_path_is_plain(recipe->version) ||
            strchr(recipe->version, '/'))
                return sf_error_set(err, SF_ERR_USAGE, "%s: name and version must be plain words",
                                    recipe->conf.entries[0].file);
        return 0;
}

static int read_source(struct sf_recipe *recipe, const char *section, struct sf_error *err)
{
        struct sf_recipe_source source = { .pool = "" };
        struct sf_recipe_source *grown;
        const char *hex = NULL, *pool;
        int r;

        if ((r = need(recipe, section, "file", &source.file, err)) < 0 ||
            (r = need(recipe, section, "sha256", &hex, err)) < 0)
                return r;
        if (!sf_fs_path_is_plain(source.file) || strchr(source.file, '/'))
                return sf_error_set(err, SF_ERR_USAGE, "[%s]: \"%s\" is not a plain file name", section, source.file);
        if (sf_digest_parse(hex, &source.digest, NULL) < 0)
                return sf_error_set(err, SF_ERR_USAGE, "[%s]: sha256 is not 64 lower-case hexadecimal digits", section);
        if ((pool = sf_conf_get(&recipe->conf, section, "pool")))
                source.pool = pool;
        if (*source.pool && !sf_fs_path_is_plain(source.pool))
                return sf_error_set(err, SF_ERR_USAGE, "[%s]: \"%s\" is not a relative path", section, source.pool);
        if ((r = all_words(recipe, section, "url", &source.urls, err)) < 0) {
                sf_words_free(&source.urls);
                return r;
        }
        grown = realloc(recipe->sources, (recipe->source_count + 1) * sizeof *grown);
        if (!grown) {
                sf_words_free(&source.urls);
                return sf_error_set(err, SF_ERR_NOMEM, "recipe");
        }
        recipe->sources = grown;
        recipe->sources[recipe->source_count++] = source;
        return 0;
}

static int read_step(struct sf_recipe *recipe, const char *section, struct sf_error *err)
{
        struct sf_recipe_step *grown = realloc(recipe->steps, (recipe->step_count + 1) * sizeof *grown), *step;
        const char *directory;
        int r;

        if (!grown)
                return sf_error_set(err, SF_ERR_NOMEM, "recipe");
        recipe->steps = grown;
        step = &grown[recipe->step_count++];
        *step = (struct sf_recipe_step){ .name = section + strlen("step "), .directory = "." };
        if ((r = all_words(recipe, section, "run", &step->run, err)) < 0 ||
            (r = all_values(recipe, section, "env", &step->env, err)) < 0)
                return r;
        if (step->run.count == 0)
                return sf_error_set(err, SF_ERR_USAGE, "[%s] has no run", section);
        if (!sf_fs_path_is_plain(step->name) || strchr(step->name, '/'))
                return sf_error_set(err, SF_ERR_USAGE, "[%s]: not a plain name", section);
        if ((directory = sf_conf_get(&recipe->conf, section, "directory")))
                step->directory = directory;
        for (size_t i = 0; i < step->env.count; i++)
                if (!strchr(step->env.items[i], '='))
                        return sf_error_set(err, SF_ERR_USAGE, "[%s] env: \"%s\" is not NAME=value", section,
                                            step->env.items[i]);
        return 0;
}

static bool appeared_before(const struct sf_conf *conf, size_t index)
{
        for (size_t i = 0; i < index; i++)
                if (strcmp(conf->entries[i].section, conf->entries[index].section) == 0)
                        return true;
        return false;
}

static int read_sections(struct sf_recipe *recipe, struct sf_error *err)
{
        for (size_t i = 0; i < recipe->conf.count; i++) {
                const char *section = recipe->conf.entries[i].section;
                int r = 0;

                if (appeared_before(&recipe->conf, i))
                        continue;
                if (strcmp(section, "source") == 0 || strncmp(section, "source ", strlen("source ")) == 0)
                        r = read_source(recipe, section, err);
                else if (strncmp(section, "step ", strlen("step ")) == 0)
                        r = read_step(recipe, section, err);
                if (r < 0)
                        return sf_error_prefix(err, "%s", recipe->conf.entries[i].file);
        }
        if (recipe->source_count == 0 || recipe->step_count == 0)
                return sf_error_set(err, SF_ERR_USAGE, "%s: a recipe needs a [source] and a [step ...]",
                                    recipe->conf.entries[0].file);
        return 0;
}

static int identify(struct sf_recipe *recipe, struct sf_error *err)
{
        _cleanup_digester_ struct sf_digester *digester = sf_digester_new();

        if (!digester)
                return sf_error_set(err, SF_ERR_NOMEM, "recipe");
        for (size_t i = 0; i < recipe->conf.count; i++) {
                const struct sf_conf_entry *entry = &recipe->conf.entries[i];
                const char *const parts[] = { entry->section, entry->key, entry->value };

                /* The NULs keep "ab" + "c" apart from "a" + "bc". */
                for (size_t p = 0; p < sizeof parts / sizeof *parts; p++)
                        sf_digester_update(digester, parts[p], strlen(parts[p]) + 1);
        }
        sf_digester_finish(digester, &recipe->identity);
        return 0;
}

int sf_recipe_load(const char *const *paths, size_t count, struct sf_recipe *ret, struct sf_error *err)
{
        _cleanup_(sf_recipe_free) struct sf_recipe recipe = { .conf = SF_CONF_INIT };
        int r;

        for (size_t i = 0; i < count; i++)
                if ((r = sf_conf_load(&recipe.conf, paths[i], err)) < 0)
                        return r;
        if (recipe.conf.count == 0)
                return sf_error_set(err, SF_ERR_USAGE, "%s: empty recipe", count ? paths[0] : "recipe");
        if ((r = read_package(&recipe, err)) < 0 || (r = read_sections(&recipe, err)) < 0 ||
            (r = sf_conf_check_used(&recipe.conf, err)) < 0 || (r = identify(&recipe, err)) < 0)
                return r;
        *ret = recipe;
        recipe = (struct sf_recipe){ .conf = SF_CONF_INIT };
        return 0;
}

void sf_recipe_free(struct sf_recipe *recipe)
{
        for (size_t i = 0; i < recipe->source_count; i++)
                sf_words_free(&recipe->sources[i].urls);
        for (size_t i = 0; i < recipe->step_count; i++) {
                sf_words_free(&recipe->steps[i].run);
                sf_words_free(&recipe->steps[i].env);
        }
        free(recipe->sources);
        free(recipe->steps);
        sf_words_free(&recipe->depends);
        sf_words_free(&recipe->remove);
        sf_conf_free(&recipe->conf);
        *recipe = (struct sf_recipe){ .conf = SF_CONF_INIT };
}
