/* SPDX-License-Identifier: Apache-2.0 */
/* factory/pack/compose-links.c - why: a link says a path of the machine it was made on; in a release it must say the
 * same thing by a path inside the release, or become what it leads to. */
#include "factory/pack/compose-state.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "factory/pack/link.h"
#include "factory/pack/prefixes.h"

#define FOLLOW_DEPTH_MAX 8 /* directories reached through links inside directories reached through links */

static const char *base_name(const char *path)
{
        const char *slash = strrchr(path, '/');

        return slash ? slash + 1 : path;
}

/* Whether `rest` is in the release what the link leads to on this machine. In a view of links it may be the very
 * link, or one to something else. Where the prefix is not on this machine nobody can tell otherwise. */
static bool is_what_it_leads_to(const struct sf_compose_walk *walk, const char *link, const char *rest)
{
        _cleanup_free_ char *there = realpath(link, NULL), *own = sf_format("%s/%s", walk->root, rest);
        _cleanup_free_ char *here = own ? realpath(own, NULL) : NULL, *staged = sf_fs_join(walk->tree->stage, rest);

        if (!there)
                return true;
        if (here)
                return sf_link_below(here, walk->root) || strcmp(here, there) == 0;
        return staged && sf_fs_exists(staged);
}

/* The link's target relative to its own directory, NULL where it leaves the prefix. An absolute target lies in the
 * prefix under a name it was built for, or under the one where the tree is. */
static int localize_target(const struct sf_compose_walk *walk, const char *link, const char *path, const char *target,
                           char **ret, struct sf_error *err)
{
        const struct sf_compose *tree = walk->tree;
        const char *rest = NULL;
        int r;

        *ret = NULL;
        if (target[0] != '/')
                return sf_link_tidy(path, target, ret, err);
        rest = sf_link_below(target, tree->placeholder);
        if (!rest && tree->prefixes)
                rest = sf_prefixes_below(tree->prefixes, target);
        if (!rest)
                rest = sf_link_below(target, walk->root);
        if (!rest || !is_what_it_leads_to(walk, link, rest))
                return 0;
        r = sf_link_between(path, rest, ret, err);
        if (r == 0 && *ret && strcmp(*ret, base_name(path)) == 0) {
                /* Itself. What it leads to on this machine has to be taken instead. */
                free(*ret);
                *ret = NULL;
        }
        return r;
}

/* A Spack view links each file into another prefix, aliases included: libx.so -> /elsewhere/libx.so -> libx.so.1. Where
 * the view has that last name too, and it is the same file, the alias stays an alias. NULL where it is none. */
static char *alias_beside(const char *link, const char *target, const char *real)
{
        char name[NAME_MAX + 1];
        ssize_t len = readlink(target, name, sizeof name - 1);
        const char *slash = strrchr(link, '/');

        if (len <= 0 || !slash || !real)
                return NULL;
        name[len] = 0;
        if (strchr(name, '/') || strcmp(name, slash + 1) == 0)
                return NULL;
        _cleanup_free_ char *beside = sf_format("%.*s/%s", (int)(slash - link), link, name);
        _cleanup_free_ char *same = beside ? realpath(beside, NULL) : NULL;
        return same && strcmp(same, real) == 0 ? strdup(name) : NULL;
}

/* A link that leaves the tree: an alias, a way out and back in, or what it leads to. `link` is the link's own path on
 * this machine. */
static int resolve_outside(const struct sf_compose_walk *walk, const char *link, const char *path, const char *target,
                           enum sf_compose_link *ret, char **ret_text, struct sf_error *err)
{
        _cleanup_free_ char *real = realpath(link, NULL);
        char *alias = target[0] == '/' ? alias_beside(link, target, real) : NULL;
        struct stat st;

        *ret = SF_COMPOSE_LINK_KEPT;
        if (alias) {
                *ret_text = alias;
                return 0;
        }
        if (real && sf_link_below(real, walk->root))
                return sf_link_between(path, sf_link_below(real, walk->root), ret_text, err);
        if (!real || stat(real, &st) < 0 || walk->depth == FOLLOW_DEPTH_MAX) {
                *ret = SF_COMPOSE_LINK_REFUSED;
                sf_compose_finding(walk->tree, "%s: symbolic link to %s, which cannot be followed", path, target);
                return 0;
        }
        *ret = SF_COMPOSE_LINK_FOLLOWED;
        *ret_text = sf_steal_pointer(real);
        return 0;
}

/* Inside a directory that was itself reached through a link, only what it holds came along. */
static bool came_along(const struct sf_compose_walk *walk, const char *link)
{
        _cleanup_free_ char *real = walk->depth ? realpath(link, NULL) : NULL;

        return walk->depth == 0 || (real && sf_link_below(real, walk->source));
}

int sf_compose_resolve_link(const struct sf_compose_walk *walk, const char *relative, const char *path,
                            enum sf_compose_link *ret, char **ret_text, struct sf_error *err)
{
        _cleanup_free_ char *link = sf_fs_join(walk->source, relative);
        _cleanup_free_ char *target = NULL, *local = NULL;
        int r;

        if (!link)
                return sf_error_set(err, SF_ERR_NOMEM, "%s: out of memory", path);
        r = sf_fs_readlink(link, &target, err);
        if (r == 0)
                r = localize_target(walk, link, path, target, &local, err);
        if (r < 0)
                return r;
        if (local && came_along(walk, link)) {
                *ret = SF_COMPOSE_LINK_KEPT;
                *ret_text = sf_steal_pointer(local);
                return 0;
        }
        if (walk->tree->follow_links)
                return resolve_outside(walk, link, path, target, ret, ret_text, err);
        *ret = SF_COMPOSE_LINK_REFUSED;
        sf_compose_finding(walk->tree, "%s: symbolic link to %s leaves the prefix", path, target);
        return 0;
}

/* A program that cannot be started is lost; anything else without a target was so before, as a rule. */
static bool is_program(const char *path)
{
        return strncmp(path, "bin/", 4) == 0 || strncmp(path, "sbin/", 5) == 0;
}

int sf_compose_check_links(struct sf_compose *tree, struct sf_error *err)
{
        for (size_t i = 0; i < tree->count; i++) {
                const struct sf_entry *entry = &tree->nodes[i]->entry;
                _cleanup_free_ char *staged = NULL;
                struct stat st;

                if (entry->type != SF_ENTRY_SYMLINK)
                        continue;
                staged = sf_fs_join(tree->stage, entry->path);
                if (!staged)
                        return sf_error_set(err, SF_ERR_NOMEM, "%s: out of memory", entry->path);
                if (stat(staged, &st) == 0)
                        continue;
                if (errno == ELOOP)
                        sf_compose_finding(tree, "%s: symbolic link to %s, which leads back to it", entry->path,
                                           entry->target);
                else if (is_program(entry->path))
                        sf_compose_finding(tree, "%s: symbolic link to %s, where the release has nothing", entry->path,
                                           entry->target);
                else
                        sf_compose_note(tree, "%s: symbolic link to %s, where the release has nothing", entry->path,
                                        entry->target);
        }
        return 0;
}
