/* SPDX-License-Identifier: Apache-2.0 */
/* factory/commands/command-layers.c - publish --layers without a release: what the local cache has of built layers. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"
#include "factory/build/cache.h"
#include "factory/commands/command.h"
#include "factory/publish/layers.h"

#define KEY_MAX (1u << 20)

/* One layer of the cache. */
struct cached {
        char *directory;
        char toolchain[64], arch[32];
};

struct all_cached {
        struct cached *items;
        size_t count;
};

static void all_free(struct all_cached *all)
{
        for (size_t i = 0; i < all->count; i++)
                free(all->items[i].directory);
        free(all->items);
}

/* Takes the directory. A layer's key has the line "toolchain NAME ARCH" (factory/build/cache.c). */
static int note(struct all_cached *all, char *directory, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer key = SF_BUFFER_INIT;
        _cleanup_free_ char *path = sf_fs_join(directory, "key");
        struct cached *items = realloc(all->items, (all->count + 1) * sizeof *items);
        struct cached *item = items ? &items[all->count] : NULL;
        const char *line;
        int r;

        if (items)
                all->items = items;
        if (!path || !item) {
                free(directory);
                return sf_error_set(err, SF_ERR_NOMEM, "out of memory");
        }
        *item = (struct cached){ .directory = directory };
        all->count++;
        if ((r = sf_fs_read(path, KEY_MAX, &key, err)) < 0)
                return r;
        line = strstr(sf_buffer_text(&key), "\ntoolchain ");
        if (!line || sscanf(line, "\ntoolchain %63s %31s\n", item->toolchain, item->arch) != 2)
                return sf_error_set(err, SF_ERR_CORRUPT, "%s: does not say a toolchain", path);
        return 0;
}

static int compare(const void *a, const void *b)
{
        const struct cached *x = a, *y = b;
        int order = strcmp(x->toolchain, y->toolchain);

        if (order == 0)
                order = strcmp(x->arch, y->arch);
        return order ? order : strcmp(x->directory, y->directory);
}

/* In the order of toolchain, architecture and name. */
static int list(const struct sf_cache *cache, struct all_cached *all, struct sf_error *err)
{
        _cleanup_free_ char *parent = sf_cache_path(cache, "buildcache", NULL);
        DIR *dir = parent ? opendir(parent) : NULL;
        struct dirent *entry;
        int r = 0;

        if (!parent)
                return sf_error_set(err, SF_ERR_NOMEM, "out of memory");
        if (!dir)
                return sf_error_errno(err, "cannot read %s", parent);
        while (r == 0 && (entry = readdir(dir))) {
                char *directory = entry->d_name[0] != '.' ? sf_fs_join(parent, entry->d_name) : NULL;
                if (directory)
                        r = note(all, directory, err);
                else if (entry->d_name[0] != '.')
                        r = sf_error_set(err, SF_ERR_NOMEM, "out of memory");
        }
        closedir(dir);
        if (r == 0 && all->count == 0)
                return sf_error_set(err, SF_ERR_NOT_FOUND, "%s: no layers", parent);
        if (r == 0)
                qsort(all->items, all->count, sizeof *all->items, compare);
        return r;
}

/* `items` are all of one toolchain and architecture. */
static int publish(const struct sf_metadata_options *options, const struct cached *items, size_t count, bool dry_run,
                   struct sf_error *err)
{
        _cleanup_(sf_words_free) struct sf_words layers = SF_WORDS_INIT;
        const struct sf_publish_layers what = { items->toolchain, items->arch, &layers, NULL, NULL };
        size_t added = 0;
        int r = 0;

        for (size_t i = 0; i < count && r == 0; i++)
                r = sf_words_append(&layers, items[i].directory, err);
        if (r == 0 && dry_run)
                sf_log_info("%s-%s: %zu layers in the local cache", items->toolchain, items->arch, count);
        if (r < 0 || dry_run)
                return r;
        if ((r = sf_publish_layers(options, &what, &added, err)) < 0)
                return r;
        sf_log_info("%s-%s: %zu of %zu layers new in the build cache", items->toolchain, items->arch, added, count);
        return 0;
}

int sf_command_publish_layers(const struct sf_factory *factory, const struct sf_command_line *line,
                              struct sf_error *err)
{
        static const char *const of_releases[] = { "delta-from", "tarball", "registry" };
        _cleanup_repository_ struct sf_command_repository repository = { 0 };
        _cleanup_(sf_cache_close) struct sf_cache cache = { NULL };
        _cleanup_(all_free) struct all_cached all = { 0 };
        bool dry_run = sf_option_given(line, "dry-run");
        int r;

        if (!sf_option_given(line, "layers"))
                return sf_error_set(err, SF_ERR_USAGE,
                                    "'publish' needs RELEASE..., or --layers for built layers alone");
        for (size_t i = 0; i < sizeof of_releases / sizeof *of_releases; i++)
                if (sf_option_given(line, of_releases[i]))
                        return sf_error_set(err, SF_ERR_USAGE, "--%s: 'publish' needs RELEASE... for it",
                                            of_releases[i]);
        if ((r = sf_cache_open(factory->cache, &cache, err)) < 0 ||
            (r = sf_command_repository_open(factory, dry_run, &repository, err)) < 0)
                return r;
        if (repository.bucket)
                return sf_error_set(err, SF_ERR_UNSUPPORTED, "--layers: only a directory can hold a build cache");
        if ((r = list(&cache, &all, err)) < 0)
                return r;
        for (size_t first = 0, next; first < all.count && r == 0; first = next) {
                const struct cached *items = all.items;
                for (next = first + 1; next < all.count && strcmp(items[next].toolchain, items[first].toolchain) == 0 &&
                                       strcmp(items[next].arch, items[first].arch) == 0;)
                        next++;
                r = publish(&repository.options, items + first, next - first, dry_run, err);
        }
        return r < 0 ? r : sf_command_repository_finish(&repository, err);
}
