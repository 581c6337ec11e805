/* SPDX-License-Identifier: Apache-2.0 */
/* factory/rebuild/rebuild.c - see rebuild.h. */
#include "factory/rebuild/rebuild.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/log.h"
#include "base/proc.h"
#include "base/stop.h"
#include "factory/build/root.h"
#include "factory/rebuild/conditions.h"
#include "factory/rebuild/tree_diff.h"

/* Of at most so many files diffoscope makes a report. */
#define DIFFOSCOPE_MAX 20

struct check {
        const struct sf_rebuild *rebuild;
        char *directory, *cache; /* CACHE/work/check, and the second cache in it */
        char *config, *report;   /* an empty configuration, diffoscope's report */
        struct sf_conditions conditions;
        json_t *first, *second; /* what the builds printed; owned */
        json_t *differences;    /* borrowed from the result */
        size_t compared, again;
        bool no_diffoscope; /* it is not there, or does not come to an end */
};

static void check_free(struct check *c)
{
        free(c->directory);
        free(c->cache);
        free(c->config);
        free(c->report);
        json_decref(c->first);
        json_decref(c->second);
}

static int no_memory(struct sf_error *err)
{
        return sf_error_set(err, SF_ERR_NOMEM, "check");
}

/* --- the second cache ------------------------------------------------------------------------------------------- */

/* Sources are not downloaded again; their digests are the recipes'. */
static int lend_sources(const struct check *c, struct sf_error *err)
{
        _cleanup_free_ char *from = sf_cache_path(c->rebuild->cache, "sources", NULL);
        _cleanup_free_ char *to = sf_fs_join(c->cache, "sources");
        DIR *dir = from ? opendir(from) : NULL;
        const struct dirent *entry;
        int r = to ? sf_fs_mkdirs(to, 0755, err) : no_memory(err);

        while (dir && r == 0 && (entry = readdir(dir))) {
                _cleanup_free_ char *source = sf_fs_join(from, entry->d_name), *name = sf_fs_join(to, entry->d_name);

                if (!source || !name)
                        r = no_memory(err);
                else if (entry->d_name[0] != '.' && link(source, name) < 0)
                        r = sf_error_errno(err, "cannot link %s to %s", source, name);
        }
        if (dir)
                closedir(dir);
        return r;
}

static int lend_link(const struct check *c, const char *kind, const char *name, struct sf_error *err)
{
        _cleanup_free_ char *from = sf_cache_path(c->rebuild->cache, kind, name);
        _cleanup_free_ char *to = sf_format("%s/%s%s%s", c->cache, kind, name ? "/" : "", name ? name : "");

        if (!from || !to)
                return no_memory(err);
        return symlink(from, to) < 0 ? sf_error_errno(err, "cannot make link %s", to) : 0;
}

static bool is_wanted(const struct check *c, const char *package)
{
        const struct sf_words *packages = c->rebuild->packages;

        for (size_t i = 0; i < packages->count; i++)
                if (strcmp(packages->items[i], package) == 0)
                        return true;
        return packages->count == 0;
}

/* The package of a layer, by its key: "package NAME VERSION". Owned by the caller. */
static int package_of(const struct check *c, const char *layer, char **ret, struct sf_error *err)
{
        static const char word[] = "\npackage ";
        _cleanup_free_ char *path = sf_format("%s/buildcache/%s/key", c->rebuild->cache->root, layer);
        _cleanup_(sf_buffer_free) struct sf_buffer key = SF_BUFFER_INIT;
        int r = path ? sf_fs_read(path, 1u << 20, &key, err) : no_memory(err);
        const char *at;

        if (r < 0)
                return r;
        if (!(at = strstr(sf_buffer_text(&key), word)))
                return sf_error_set(err, SF_ERR_CORRUPT, "%s names no package", path);
        at += strlen(word);
        return (*ret = strndup(at, strcspn(at, " \n"))) ? 0 : no_memory(err);
}

/* Layers that are not to be built again are used as they are. */
static int lend_layers(struct check *c, struct sf_error *err)
{
        const json_t *layers = json_object_get(c->first, "layers"), *layer;
        _cleanup_free_ char *directory = sf_fs_join(c->cache, "buildcache");
        size_t i;
        int r = directory ? sf_fs_mkdirs(directory, 0755, err) : no_memory(err);

        json_array_foreach ((json_t *)layers, i, layer) {
                _cleanup_free_ char *package = NULL;

                if (r < 0 || (r = package_of(c, json_string_value(layer), &package, err)) < 0)
                        return r;
                if (is_wanted(c, package))
                        c->again++;
                else if ((r = lend_link(c, "buildcache", json_string_value(layer), err)) < 0)
                        return r;
        }
        if (r == 0 && c->again == 0)
                return sf_error_set(err, SF_ERR_USAGE, "no package of this release is to be built again");
        return r;
}

static int give_away(void *ctx, int dirfd, const char *name, const char *path, const struct stat *st,
                     struct sf_error *err)
{
        const struct sf_conditions *conditions = ctx;

        if (S_ISDIR(st->st_mode) && fchownat(dirfd, name, conditions->uid, conditions->gid, AT_SYMLINK_NOFOLLOW) < 0)
                return sf_error_errno(err, "cannot give %s away", path);
        return 0;
}

static int hand_over(struct check *c, struct sf_error *err)
{
        if (!c->conditions.other_user)
                return 0;
        if (chown(c->directory, c->conditions.uid, c->conditions.gid) < 0)
                return sf_error_errno(err, "cannot give %s away", c->directory);
        return sf_fs_walk(c->directory, give_away, &c->conditions, err);
}

static int prepare(struct check *c, struct sf_error *err)
{
        int r;

        c->directory = sf_cache_path(c->rebuild->cache, "work", "check");
        c->cache = c->directory ? sf_fs_join(c->directory, "cache") : NULL;
        c->report = c->directory ? sf_fs_join(c->directory, "diffoscope.txt") : NULL;
        c->config = c->directory ? sf_fs_join(c->directory, "empty.conf") : NULL;
        if (!c->report || !c->config)
                return no_memory(err);
        if ((r = sf_fs_remove_tree(c->directory, err)) < 0 || (r = sf_fs_mkdirs(c->cache, 0755, err)) < 0 ||
            (r = sf_fs_write(c->config, "", 0, 0644, err)) < 0 || (r = lend_sources(c, err)) < 0 ||
            (r = lend_link(c, "roots", NULL, err)) < 0)
                return r;
        return lend_layers(c, err);
}

/* --- the two builds --------------------------------------------------------------------------------------------- */

/* slurm-factory --json --cache CACHE --data DATA ARGUMENTS... */
static int make_argv(const struct sf_words *arguments, const char *cache, const char *data, const char *config,
                     struct sf_words *ret, struct sf_error *err)
{
        const char *const head[] = { "slurm-factory", "--json", "--cache", cache, "--data", data };
        int r = 0;

        for (size_t i = 0; i < sizeof head / sizeof *head && r == 0; i++)
                r = sf_words_append(ret, head[i], err);
        if (r == 0 && config)
                r = sf_words_append(ret, "--config", err);
        if (r == 0 && config)
                r = sf_words_append(ret, config, err);
        for (size_t i = 0; i < arguments->count && r == 0; i++)
                r = sf_words_append(ret, arguments->items[i], err);
        return r;
}

static int build_first(struct check *c, const char *data, struct sf_error *err)
{
        _cleanup_(sf_words_free) struct sf_words argv = SF_WORDS_INIT;
        int r = make_argv(c->rebuild->first, c->rebuild->cache->root, data, NULL, &argv, err);

        return r < 0 ? r : sf_conditions_run(NULL, &argv, &c->first, err);
}

static json_t *to_array(const struct sf_words *words)
{
        json_t *array = json_array();

        for (size_t i = 0; i < words->count; i++)
                json_array_append_new(array, sf_json_text(words->items[i]));
        return array;
}

/* Says what is different this time, and what could not be made so. */
static int tell_conditions(struct check *c, const struct sf_words *kept, json_t *said, struct sf_error *err)
{
        _cleanup_(sf_words_free) struct sf_words varied = SF_WORDS_INIT;
        int r = sf_conditions_describe(&c->conditions, &varied, err);

        if (r < 0)
                return r;
        sf_log_info("second build, of %zu package%s, under other conditions:", c->again, c->again == 1 ? "" : "s");
        for (size_t i = 0; i < varied.count; i++)
                sf_log_info("  %s", varied.items[i]);
        for (size_t i = 0; i < kept->count; i++)
                sf_log_info("  not varied: %s", kept->items[i]);
        json_object_set_new(said, "again", json_integer((json_int_t)c->again));
        json_object_set_new(said, "varied", to_array(&varied));
        json_object_set_new(said, "kept", to_array(kept));
        return 0;
}

static int build_second(struct check *c, const char *data, json_t *said, struct sf_error *err)
{
        _cleanup_(sf_words_free) struct sf_words argv = SF_WORDS_INIT, kept = SF_WORDS_INIT;
        _cleanup_free_ char *root = NULL, *recipes = sf_fs_join(data, "recipes");
        const char *const paths[] = { c->cache, data, recipes, NULL };
        int r;

        if (!recipes)
                return no_memory(err);
        /* Whether another user can come to the cache is asked where that user may write. */
        c->conditions = (struct sf_conditions){ .other_user = geteuid() == 0, .uid = 65534, .gid = 65534 };
        if ((r = hand_over(c, err)) < 0 ||
            (r = sf_root_find(c->rebuild->cache, c->rebuild->toolchain, c->rebuild->arch, &root, err)) < 0 ||
            (r = sf_conditions_choose(paths, root, c->rebuild->jobs, &c->conditions, &kept, err)) < 0)
                return r;
        c->conditions.directory = c->directory;
        if ((r = tell_conditions(c, &kept, said, err)) < 0 ||
            (r = make_argv(c->rebuild->second, c->cache, data, c->config, &argv, err)) < 0 ||
            (r = sf_words_append(&argv, "--jobs", err)) < 0 ||
            (r = sf_words_printf(&argv, err, "%u", c->conditions.jobs)) < 0)
                return r;
        /* One moment later, whatever else is the same: what tells seconds differs. */
        for (double start = sf_clock_seconds(); sf_clock_seconds() - start < 1.1 && !sf_stop_requested;)
                usleep(100000);
        r = sf_conditions_run(&c->conditions, &argv, &c->second, err);
        return r < 0 ? sf_error_prefix(err, "second build") : 0;
}

/* --- comparing -------------------------------------------------------------------------------------------------- */

/* A report of what differs by diffoscope(1), beside ours. */
static void run_diffoscope(struct check *c, const char *first, const char *second, const char *path)
{
        _cleanup_free_ char *a = sf_fs_join(first, path), *b = sf_fs_join(second, path);
        const char *const argv[] = { "diffoscope", "--text", "-", a, b, NULL };
        const struct sf_proc proc = {
                .argv = argv, .log = c->report, .timeout_seconds = 120, .stop = &sf_stop_requested
        };
        struct stat st;

        if (a && b && json_array_size(c->differences) < DIFFOSCOPE_MAX && lstat(a, &st) == 0 && S_ISREG(st.st_mode) &&
            sf_fs_exists(b) && !c->no_diffoscope && sf_proc_run(&proc, NULL) < 0) {
                c->no_diffoscope = true;
                (void)unlink(c->report);
        }
}

static int report(struct check *c, const char *package, const char *first, const char *second,
                  const struct sf_tree_diff *diff, struct sf_error *err)
{
        c->compared += diff->compared;
        for (size_t i = 0; i < diff->count; i++) {
                const struct sf_tree_difference *d = &diff->list[i];

                sf_log_error("%s: %s: %s", package, d->path, d->where);
                run_diffoscope(c, first, second, d->path);
                if (json_array_append_new(c->differences,
                                          json_pack("{s:o,s:o,s:o}", "package", sf_json_text(package), "path",
                                                    sf_json_text(d->path), "where", sf_json_text(d->where))) < 0)
                        return no_memory(err);
        }
        return 0;
}

static int compare_trees(struct check *c, const char *what, const char *first, const char *second, struct sf_error *err)
{
        _cleanup_(sf_tree_diff_free) struct sf_tree_diff diff = { NULL, 0, 0 };
        int r = sf_tree_diff(first, second, &diff, err);

        return r < 0 ? sf_error_prefix(err, "%s", what) : report(c, what, first, second, &diff, err);
}

static int compare_layers(struct check *c, struct sf_error *err)
{
        const json_t *layers = json_object_get(c->first, "layers"), *layer;
        size_t i;
        int r = 0;

        if (!json_equal((json_t *)layers, json_object_get(c->second, "layers")))
                return sf_error_set(err, SF_ERR_CORRUPT,
                                    "the two builds have different keys: without a private mount namespace the prefix "
                                    "depends on the cache's place, and nothing can be compared");
        json_array_foreach ((json_t *)layers, i, layer) {
                const char *name = json_string_value(layer);
                _cleanup_free_ char *first = sf_format("%s/buildcache/%s/tree", c->rebuild->cache->root, name);
                _cleanup_free_ char *second = sf_format("%s/buildcache/%s/tree", c->cache, name);
                _cleanup_free_ char *package = NULL;

                if (!first || !second)
                        return no_memory(err);
                if ((r = package_of(c, name, &package, err)) < 0)
                        return r;
                if (is_wanted(c, package) && (r = compare_trees(c, package, first, second, err)) < 0)
                        return r;
        }
        return 0;
}

/* What is published follows from the trees: it is only looked at where they are the same. */
static int compare_releases(struct check *c, struct sf_error *err)
{
        const char *first = json_string_value(json_object_get(c->first, "directory"));
        const char *second = json_string_value(json_object_get(c->second, "directory"));

        return json_array_size(c->differences) ? 0 : compare_trees(c, "packed release", first, second, err);
}

static int conclude(struct check *c, json_t *said, struct sf_error *err)
{
        size_t count = json_array_size(c->differences);
        const char *release = json_string_value(json_object_get(c->first, "release"));

        json_object_set_new(said, "compared", json_integer((json_int_t)c->compared));
        if (count)
                return sf_error_set(err, SF_ERR_CORRUPT,
                                    "%s is not reproducible: %zu difference%s in %zu files; the second build is kept "
                                    "in %s%s%s",
                                    release, count, count == 1 ? "" : "s", c->compared, c->directory,
                                    sf_fs_exists(c->report) ? ", diffoscope's report is " : "",
                                    sf_fs_exists(c->report) ? c->report : "");
        sf_log_info("%s: built twice, %zu files compared, every bit the same", release, c->compared);
        return sf_fs_remove_tree(c->directory, err);
}

int sf_rebuild_check(const struct sf_rebuild *rebuild, json_t *result, struct sf_error *err)
{
        _cleanup_(check_free) struct check c = { .rebuild = rebuild };
        _cleanup_free_ char *data = realpath(rebuild->data, NULL);
        _cleanup_close_ int lock = -1;
        json_t *said = json_object();
        int r;

        json_object_set_new(result, "check", said);
        if (!data)
                return sf_error_errno(err, "%s", rebuild->data);
        sf_stop_catch();
        umask(022);
        if ((r = sf_cache_lock(rebuild->cache, "check", true, &lock, err)) < 0 || (r = build_first(&c, data, err)) < 0)
                return r;
        json_object_update_missing(result, c.first);
        c.differences = json_array();
        json_object_set_new(said, "differences", c.differences);
        if ((r = prepare(&c, err)) < 0 || (r = build_second(&c, data, said, err)) < 0 ||
            (r = compare_layers(&c, err)) < 0 || (r = compare_releases(&c, err)) < 0)
                return r;
        return conclude(&c, said, err);
}
