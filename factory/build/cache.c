/* SPDX-License-Identifier: Apache-2.0 */
/* factory/build/cache.c - see cache.h. Keys are digests over readable text, so that "why was this built again?" is a
 * diff. */
#include "factory/build/cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"

/* Layers made by an older program are not trusted to be what this one would build: raise it with each such change. */
#define KEY_FORMAT "slurm-factory layer 2"

static const char *const kinds[] = { "sources", "buildcache", "builds", "logs", "work", "locks", "roots", "ccache" };

static char *default_root(void)
{
        const char *set = getenv("SLURM_FACTORY_CACHE_DIR"), *home = getenv("HOME");

        return set && *set ? strdup(set) : sf_fs_join(home && *home ? home : "/root", ".slurm-factory");
}

int sf_cache_open(const char *root, struct sf_cache *ret, struct sf_error *err)
{
        _cleanup_free_ char *wanted = root ? strdup(root) : default_root();
        int r;

        if (!wanted)
                return sf_error_set(err, SF_ERR_NOMEM, "cache");
        for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
                _cleanup_free_ char *directory = sf_fs_join(wanted, kinds[i]);

                if (!directory)
                        return sf_error_set(err, SF_ERR_NOMEM, "cache");
                if ((r = sf_fs_mkdirs(directory, 0755, err)) < 0)
                        return sf_error_prefix(err, "cache");
        }
        char *real = realpath(wanted, NULL);
        if (!real)
                return sf_error_errno(err, "cache %s", wanted);
        ret->root = real;
        return 0;
}

void sf_cache_close(struct sf_cache *cache)
{
        free(cache->root);
        cache->root = NULL;
}

char *sf_cache_path(const struct sf_cache *cache, const char *kind, const char *name)
{
        return name ? sf_format("%s/%s/%s", cache->root, kind, name) : sf_format("%s/%s", cache->root, kind);
}

static int describe_os(const struct sf_recipe *recipe, const struct sf_toolchain *toolchain, struct sf_buffer *text,
                       struct sf_error *err)
{
        const struct sf_toolchain_os *os;
        int r = 0;

        for (size_t i = 0; i < recipe->os.count && r == 0; i++) {
                r = sf_toolchain_os(toolchain, recipe->os.items[i], &os, err);
                if (r < 0)
                        return sf_error_prefix(err, "%s", recipe->name);
                r = sf_buffer_printf(text, err, "os %s %s %s\n", os->name, os->package, os->version);
        }
        return r;
}

int sf_cache_key_make(const struct sf_recipe *recipe, const struct sf_toolchain *toolchain, const char *prefix,
                      const struct sf_cache_key *const *depends, size_t depend_count, struct sf_cache_key *ret,
                      struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        char hex[SF_DIGEST_HEX + 1];
        struct sf_digest digest;
        int r;

        if ((r = sf_buffer_puts(&text, KEY_FORMAT "\n", err)) < 0 || (r = sf_recipe_describe(recipe, &text, err)) < 0 ||
            (r = describe_os(recipe, toolchain, &text, err)) < 0)
                return r;
        r = sf_buffer_printf(&text, err, "toolchain %s %s\ncompiler %s\nlibc %s\n", toolchain->name, toolchain->arch,
                             toolchain->compiler, toolchain->libc);
        if (r == 0)
                r = sf_buffer_printf(&text, err, "cxx %s\ncflags %s\ncxxflags %s\nldflags %s\nprefix %s\n",
                                     toolchain->cxx, toolchain->cflags, toolchain->cxxflags, toolchain->ldflags,
                                     prefix);
        for (size_t i = 0; i < depend_count && r == 0; i++)
                r = sf_buffer_printf(&text, err, "depends %s\n", depends[i]->name);
        if (r < 0)
                return r;
        sf_digest_of(text.data, text.len, &digest);
        struct sf_cache_key key = {
                .text = strdup(sf_buffer_text(&text)),
                .name = sf_format("%s-%s-%s", recipe->name, recipe->version, sf_digest_hex(&digest, hex)),
        };
        if (!key.text || !key.name) {
                sf_cache_key_free(&key);
                return sf_error_set(err, SF_ERR_NOMEM, "cache key");
        }
        *ret = key;
        return 0;
}

void sf_cache_key_free(struct sf_cache_key *key)
{
        free(key->text);
        free(key->name);
        *key = (struct sf_cache_key){ NULL, NULL };
}

int sf_cache_find(const struct sf_cache *cache, const struct sf_cache_key *key, char **ret_tree, struct sf_error *err)
{
        char *tree = sf_format("%s/buildcache/%s/tree", cache->root, key->name);

        if (!tree)
                return sf_error_set(err, SF_ERR_NOMEM, "cache");
        if (access(tree, F_OK) < 0) {
                int r = sf_error_errno(err, "layer %s", key->name);
                free(tree);
                return r;
        }
        *ret_tree = tree;
        return 0;
}

/* Everything below a directory's file system reaches the disk: one call instead of one fsync per file. */
static int sync_file_system(const char *path, struct sf_error *err)
{
        _cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (fd < 0 || syncfs(fd) < 0)
                return sf_error_errno(err, "cannot sync %s", path);
        return 0;
}

/* Removes a directory by way of `work`: what is half removed after a kill is no layer and no source any more. */
static int remove_whole(const struct sf_cache *cache, const char *directory, const char *name, struct sf_error *err)
{
        _cleanup_free_ char *aside = sf_format("%s/work/%s.removed", cache->root, name);
        int r;

        if (!aside)
                return sf_error_set(err, SF_ERR_NOMEM, "cache");
        if ((r = sf_fs_remove_tree(aside, err)) < 0)
                return r;
        /* One that is mounted here, or the directory `work` itself, is emptied in its place. */
        if (rename(directory, aside) < 0 && errno != EBUSY && errno != EXDEV && errno != EINVAL)
                return sf_error_errno(err, "cannot move %s to %s", directory, aside);
        if ((r = sf_fs_remove_tree(directory, err)) < 0)
                return r;
        return sf_fs_remove_tree(aside, err);
}

/* What has the layer's name and is no layer, for it has no tree: a kill in the middle of a removal, or a damaged
 * disk. */
static int make_room(const struct sf_cache *cache, const struct sf_cache_key *key, const char *final,
                     struct sf_error *err)
{
        _cleanup_free_ char *tree = sf_fs_join(final, "tree");

        if (!tree)
                return sf_error_set(err, SF_ERR_NOMEM, "cache");
        return !sf_fs_exists(final) || sf_fs_exists(tree) ? 0 : remove_whole(cache, final, key->name, err);
}

int sf_cache_store(const struct sf_cache *cache, const struct sf_cache_key *key, const char *tree, struct sf_error *err)
{
        _cleanup_free_ char *final = sf_cache_path(cache, "buildcache", key->name);
        _cleanup_free_ char *parent = sf_cache_path(cache, "buildcache", NULL);
        _cleanup_free_ char *staging = sf_format("%s/work/%s.layer", cache->root, key->name);
        _cleanup_free_ char *staged_tree = staging ? sf_fs_join(staging, "tree") : NULL;
        _cleanup_free_ char *staged_key = staging ? sf_fs_join(staging, "key") : NULL;
        int r;

        if (!final || !parent || !staged_tree || !staged_key)
                return sf_error_set(err, SF_ERR_NOMEM, "cache");
        if ((r = sf_fs_remove_tree(staging, err)) < 0 || (r = sf_fs_mkdirs(staging, 0755, err)) < 0 ||
            (r = sf_fs_write(staged_key, key->text, strlen(key->text), 0644, err)) < 0)
                return r;
        if (rename(tree, staged_tree) < 0)
                return sf_error_errno(err, "cannot move %s to %s", tree, staged_tree);
        if ((r = sync_file_system(staging, err)) < 0 || (r = make_room(cache, key, final, err)) < 0)
                return r;
        if (rename(staging, final) < 0)
                return sf_error_errno(err, "cannot move %s to %s", staging, final);
        return sf_fs_sync_dir(parent, err);
}

int sf_cache_lock(const struct sf_cache *cache, const char *name, bool wait, int *ret_fd, struct sf_error *err)
{
        _cleanup_free_ char *path = sf_cache_path(cache, "locks", name);
        _cleanup_close_ int fd = -1;

        if (!path)
                return sf_error_set(err, SF_ERR_NOMEM, "cache");
        /* Whoever may open a file may lock it; an older version of this program let everybody. */
        fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0)
                return sf_error_errno(err, "cannot open lock %s", path);
        if (fchmod(fd, 0600) < 0 && errno != EPERM)
                return sf_error_errno(err, "cannot protect lock %s", path);
        if (flock(fd, LOCK_EX | (wait ? 0 : LOCK_NB)) < 0) {
                if (errno == EWOULDBLOCK)
                        return sf_error_set(err, SF_ERR_BUSY, "%s is locked by another process", path);
                if (errno == EINTR)
                        return sf_error_set(err, SF_ERR_INTERRUPTED, "interrupted while waiting for %s", path);
                return sf_error_errno(err, "cannot lock %s", path);
        }
        *ret_fd = sf_steal_fd(&fd);
        return 0;
}

static int add_size(void *ctx, int dirfd, const char *name, const char *path, const struct stat *st,
                    struct sf_error *err)
{
        uint64_t *sum = ctx;

        (void)dirfd, (void)name, (void)path, (void)err;
        *sum += (uint64_t)st->st_blocks * 512;
        return 0;
}

/* SF_ERR_BUSY while anybody builds. */
static int check_idle(const struct sf_cache *cache, struct sf_error *err)
{
        _cleanup_free_ char *directory = sf_cache_path(cache, "locks", NULL);
        DIR *dir = directory ? opendir(directory) : NULL;
        const struct dirent *entry;
        int r = 0;

        if (!dir)
                return sf_error_errno(err, "cannot read %s/locks", cache->root);
        while (r == 0 && (entry = readdir(dir))) {
                _cleanup_close_ int fd = -1;

                if (entry->d_name[0] != '.')
                        r = sf_cache_lock(cache, entry->d_name, false, &fd, err);
        }
        closedir(dir);
        return r < 0 ? sf_error_prefix(err, "a build is running") : 0;
}

int sf_cache_clean(const struct sf_cache *cache, bool full, uint64_t *ret_bytes, struct sf_error *err)
{
        static const char *const always[] = { "buildcache", "work", NULL };
        static const char *const everything[] = { "buildcache", "work", "sources", "builds", "logs", NULL };
        uint64_t sum = 0;
        int r = check_idle(cache, err);

        if (r < 0)
                return r;
        for (const char *const *kind = full ? everything : always; *kind; kind++) {
                _cleanup_free_ char *directory = sf_cache_path(cache, *kind, NULL);

                if (!directory)
                        return sf_error_set(err, SF_ERR_NOMEM, "cache");
                if ((r = sf_fs_walk(directory, add_size, &sum, err)) < 0 ||
                    (r = remove_whole(cache, directory, *kind, err)) < 0 ||
                    (r = sf_fs_mkdirs(directory, 0755, err)) < 0)
                        return r;
        }
        *ret_bytes = sum;
        return 0;
}
