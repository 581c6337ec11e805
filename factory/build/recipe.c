/* SPDX-License-Identifier: Apache-2.0 */
/* factory/build/recipe.c - see recipe.h. Recipes are data on purpose: what a build does can be read, diffed and
 * hashed. */
#include "factory/build/recipe.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fs.h"

const char *const sf_recipe_layers[] = { "deps", "mpi", "slurm", NULL };

static int need(struct sf_recipe *recipe, const char *section, const char *key, const char **ret, struct sf_error *err)
{
        const char *value = sf_conf_get(&recipe->conf, section, key);

        if (!value || !*value)
                return sf_error_set(err, SF_ERR_USAGE, "%s: [%s] has no %s", recipe->conf.entries[0].file, section,
                                    key);
        *ret = value;
        return 0;
}

static bool is_pattern(const char *word)
{
        return strpbrk(word, "*?[") != NULL;
}

/* Takes the words away that match; a plain word must be there, else a misspelt one would be without effect. */
static int drop_words(struct sf_words *words, const struct sf_conf_entry *entry, struct sf_error *err)
{
        _cleanup_(sf_words_free) struct sf_words patterns = SF_WORDS_INIT;
        int r = sf_words_split(&patterns, entry->value, err);

        if (r < 0)
                return sf_error_prefix(err, "%s:%d", entry->file, entry->line);
        for (size_t i = 0; i < patterns.count; i++) {
                size_t dropped = sf_words_drop(words, patterns.items[i]);

                if (dropped == 0 && !is_pattern(patterns.items[i]))
                        return sf_error_set(err, SF_ERR_USAGE, "%s:%d: there is no \"%s\" to drop", entry->file,
                                            entry->line, patterns.items[i]);
        }
        return 0;
}

/* The words of every `key` and without those of every `drop`, in the order the lines stand. */
static int edit_words(struct sf_recipe *recipe, const char *section, const char *key, const char *drop,
                      struct sf_words *words, struct sf_error *err)
{
        int r = 0;

        for (size_t i = 0; i < recipe->conf.count && r == 0; i++) {
                struct sf_conf_entry *entry = &recipe->conf.entries[i];
                bool adds = strcmp(entry->key, key) == 0, drops = drop && strcmp(entry->key, drop) == 0;

                if (strcmp(entry->section, section) != 0 || (!adds && !drops))
                        continue;
                entry->used = true;
                if (drops)
                        r = drop_words(words, entry, err);
                else if ((r = sf_words_split(words, entry->value, err)) < 0)
                        sf_error_prefix(err, "%s:%d", entry->file, entry->line);
        }
        return r;
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

static int read_layer(struct sf_recipe *recipe, struct sf_error *err)
{
        const char *layer = sf_conf_get(&recipe->conf, "package", "layer");

        recipe->layer = sf_recipe_layers[0];
        if (!layer)
                return 0;
        for (const char *const *known = sf_recipe_layers; *known; known++)
                if (strcmp(*known, layer) == 0) {
                        recipe->layer = *known;
                        return 0;
                }
        return sf_error_set(err, SF_ERR_USAGE, "%s: there is no layer \"%s\": deps, mpi and slurm are known",
                            recipe->conf.entries[0].file, layer);
}

/* SPDX 2.3, annex D, as far as it can be told without the list of licenses: words, AND, OR, WITH and parentheses. */
static int read_license(struct sf_recipe *recipe, struct sf_error *err)
{
        static const char words[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-+: ()";
        const char *license = sf_conf_get(&recipe->conf, "package", "license");
        int depth = 0;

        recipe->license = license ? license : "";
        for (const char *c = recipe->license; *c && depth >= 0; c++)
                depth += *c == '(' ? 1 : *c == ')' ? -1 : 0;
        if (depth != 0 || recipe->license[strspn(recipe->license, words)])
                return sf_error_set(err, SF_ERR_USAGE, "%s: license \"%s\" is no SPDX expression",
                                    recipe->conf.entries[0].file, recipe->license);
        return 0;
}

static int read_package(struct sf_recipe *recipe, struct sf_error *err)
{
        const struct {
                const char *key, *drop;
                struct sf_words *words;
        } lists[] = {
                { "depends", "drop-depends", &recipe->depends },
                { "also", "drop-also", &recipe->also },
                { "os", "drop-os", &recipe->os },
                { "remove", "drop-remove", &recipe->remove },
        };
        int r;

        /* Whoever chose the files has read it. */
        for (const struct sf_conf_entry *e = NULL; (e = sf_conf_next(&recipe->conf, "package", "options", e));)
                continue;
        recipe->strip = true;
        recipe->build = sf_conf_get(&recipe->conf, "package", "build");
        if (!recipe->build)
                recipe->build = "";
        if ((r = need(recipe, "package", "name", &recipe->name, err)) < 0 ||
            (r = need(recipe, "package", "version", &recipe->version, err)) < 0 || (r = read_layer(recipe, err)) < 0 ||
            (r = read_license(recipe, err)) < 0 ||
            (r = sf_conf_get_bool(&recipe->conf, "package", "strip", &recipe->strip, err)) < 0)
                return r;
        for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
                if ((r = edit_words(recipe, "package", lists[i].key, lists[i].drop, lists[i].words, err)) < 0)
                        return r;
        if (!sf_fs_path_is_plain(recipe->name) || strchr(recipe->name, '/') || !sf_fs_path_is_plain(recipe->version) ||
            strchr(recipe->version, '/'))
                return sf_error_set(err, SF_ERR_USAGE, "%s: name and version must be plain words",
                                    recipe->conf.entries[0].file);
        return 0;
}

/* The file and its digest that sources and patches both have. */
static int read_file(struct sf_recipe *recipe, const char *section, const char **ret_file, struct sf_digest *ret,
                     struct sf_error *err)
{
        const char *hex = NULL;
        int r;

        if ((r = need(recipe, section, "file", ret_file, err)) < 0 ||
            (r = need(recipe, section, "sha256", &hex, err)) < 0)
                return r;
        if (!sf_fs_path_is_plain(*ret_file) || strchr(*ret_file, '/'))
                return sf_error_set(err, SF_ERR_USAGE, "[%s]: \"%s\" is not a plain file name", section, *ret_file);
        if (sf_digest_parse(hex, ret, NULL) < 0)
                return sf_error_set(err, SF_ERR_USAGE, "[%s]: sha256 is not 64 lower-case hexadecimal digits", section);
        return 0;
}

/* A relative path, or "" where the key is not given. */
static int read_path(struct sf_recipe *recipe, const char *section, const char *key, const char **ret,
                     struct sf_error *err)
{
        const char *value = sf_conf_get(&recipe->conf, section, key);

        *ret = value ? value : "";
        if (**ret && !sf_fs_path_is_plain(*ret))
                return sf_error_set(err, SF_ERR_USAGE, "[%s]: \"%s\" is not a relative path", section, *ret);
        return 0;
}

static int read_source(struct sf_recipe *recipe, const char *section, struct sf_error *err)
{
        struct sf_recipe_source *grown = realloc(recipe->sources, (recipe->source_count + 1) * sizeof *grown), *source;
        int r;

        if (!grown)
                return sf_error_set(err, SF_ERR_NOMEM, "recipe");
        recipe->sources = grown;
        source = &grown[recipe->source_count++];
        *source = (struct sf_recipe_source){ .pool = "" };
        if ((r = read_file(recipe, section, &source->file, &source->digest, err)) < 0 ||
            (r = read_path(recipe, section, "pool", &source->pool, err)) < 0 ||
            (r = read_path(recipe, section, "directory", &source->directory, err)) < 0)
                return r;
        return edit_words(recipe, section, "url", NULL, &source->urls, err);
}

static int read_patch(struct sf_recipe *recipe, const char *section, struct sf_error *err)
{
        struct sf_recipe_patch *grown = realloc(recipe->patches, (recipe->patch_count + 1) * sizeof *grown), *patch;
        int r;

        if (!grown)
                return sf_error_set(err, SF_ERR_NOMEM, "recipe");
        recipe->patches = grown;
        patch = &grown[recipe->patch_count++];
        *patch = (struct sf_recipe_patch){ .name = section + strlen("patch "), .strip = 1 };
        if ((r = read_file(recipe, section, &patch->file, &patch->digest, err)) < 0)
                return r;
        return sf_conf_get_u64(&recipe->conf, section, "strip", 16, &patch->strip, err);
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
        if ((r = edit_words(recipe, section, "run", "drop", &step->run, err)) < 0 ||
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

static bool begins(const char *section, const char *kind)
{
        return strncmp(section, kind, strlen(kind)) == 0;
}

static int read_sections(struct sf_recipe *recipe, struct sf_error *err)
{
        for (size_t i = 0; i < recipe->conf.count; i++) {
                const char *section = recipe->conf.entries[i].section;
                int r = 0;

                if (appeared_before(&recipe->conf, i))
                        continue;
                if (strcmp(section, "source") == 0 || begins(section, "source "))
                        r = read_source(recipe, section, err);
                else if (begins(section, "patch "))
                        r = read_patch(recipe, section, err);
                else if (begins(section, "step "))
                        r = read_step(recipe, section, err);
                if (r < 0)
                        return sf_error_prefix(err, "%s", recipe->conf.entries[i].file);
        }
        return 0;
}

static int drop_steps(struct sf_recipe *recipe, struct sf_error *err)
{
        _cleanup_(sf_words_free) struct sf_words names = SF_WORDS_INIT;
        int r = edit_words(recipe, "package", "drop-steps", NULL, &names, err);

        for (size_t i = 0; i < names.count && r == 0; i++) {
                size_t kept = 0;

                for (size_t s = 0; s < recipe->step_count; s++) {
                        if (strcmp(recipe->steps[s].name, names.items[i]) != 0) {
                                recipe->steps[kept++] = recipe->steps[s];
                                continue;
                        }
                        sf_words_free(&recipe->steps[s].run);
                        sf_words_free(&recipe->steps[s].env);
                }
                if (kept == recipe->step_count)
                        r = sf_error_set(err, SF_ERR_USAGE, "%s: there is no step \"%s\" to drop",
                                         recipe->conf.entries[0].file, names.items[i]);
                recipe->step_count = kept;
        }
        return r;
}

static int describe_list(const char *name, const struct sf_words *words, struct sf_buffer *ret, struct sf_error *err)
{
        int r = words->count ? sf_buffer_puts(ret, name, err) : 0;

        for (size_t i = 0; i < words->count && r == 0; i++)
                r = sf_buffer_printf(ret, err, " %s", words->items[i]);
        return r == 0 && words->count ? sf_buffer_puts(ret, "\n", err) : r;
}

static int describe_step(const struct sf_recipe_step *step, struct sf_buffer *ret, struct sf_error *err)
{
        int r = sf_buffer_printf(ret, err, "step %s in %s:", step->name, step->directory);

        /* Quotes keep "a b" apart from "a" "b". */
        for (size_t i = 0; i < step->run.count && r == 0; i++)
                r = strpbrk(step->run.items[i], " \t") || !*step->run.items[i]
                            ? sf_buffer_printf(ret, err, " \"%s\"", step->run.items[i])
                            : sf_buffer_printf(ret, err, " %s", step->run.items[i]);
        if (r == 0)
                r = sf_buffer_puts(ret, "\n", err);
        for (size_t i = 0; i < step->env.count && r == 0; i++)
                r = sf_buffer_printf(ret, err, "env %s\n", step->env.items[i]);
        return r;
}

int sf_recipe_describe(const struct sf_recipe *recipe, struct sf_buffer *ret, struct sf_error *err)
{
        char hex[SF_DIGEST_HEX + 1];
        int r = sf_buffer_printf(ret, err, "package %s %s\nlayer %s\n", recipe->name, recipe->version, recipe->layer);

        for (size_t i = 0; i < recipe->source_count && r == 0; i++)
                r = sf_buffer_printf(ret, err, "source %s %s\n", sf_digest_hex(&recipe->sources[i].digest, hex),
                                     recipe->sources[i].directory);
        for (size_t i = 0; i < recipe->patch_count && r == 0; i++)
                r = sf_buffer_printf(ret, err, "patch -p%u %s\n", (unsigned)recipe->patches[i].strip,
                                     sf_digest_hex(&recipe->patches[i].digest, hex));
        for (size_t i = 0; i < recipe->step_count && r == 0; i++)
                r = describe_step(&recipe->steps[i], ret, err);
        if (r == 0 && (r = describe_list("remove", &recipe->remove, ret, err)) == 0 && !recipe->strip)
                r = sf_buffer_puts(ret, "unstripped\n", err);
        return r;
}

static int identify(struct sf_recipe *recipe, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        int r = sf_recipe_describe(recipe, &text, err);

        if (r == 0)
                sf_digest_of(text.data, text.len, &recipe->identity);
        return r;
}

static int check_whole(const struct sf_recipe *recipe, struct sf_error *err)
{
        if (recipe->source_count == 0 || recipe->step_count == 0)
                return sf_error_set(err, SF_ERR_USAGE, "%s: a recipe needs a [source] and a [step ...]",
                                    recipe->conf.entries[0].file);
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
            (r = drop_steps(&recipe, err)) < 0 || (r = check_whole(&recipe, err)) < 0 ||
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
        free(recipe->patches);
        sf_words_free(&recipe->depends);
        sf_words_free(&recipe->also);
        sf_words_free(&recipe->os);
        sf_words_free(&recipe->remove);
        sf_conf_free(&recipe->conf);
        *recipe = (struct sf_recipe){ .conf = SF_CONF_INIT };
}
