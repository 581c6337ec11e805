/* SPDX-License-Identifier: Apache-2.0 */
/* factory/pack/compose.c - why: trees come from builds, imports and Spack views with links, modes and times of their
 * own; a release must hold only what the file list can say. */
#include "factory/pack/compose.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "factory/pack/canonical.h"
#include "factory/pack/hidden.h"
#include "factory/pack/link.h"
#include "release/layout.h"

#define FILE_SIZE_MAX    (4ull << 30)
#define FOLLOW_DEPTH_MAX 8 /* directories reached through links inside directories reached through links */

/* One walk: the layer's own tree, or a directory outside it that a link led to. */
struct walk {
        struct sf_compose *tree;
        unsigned layer;
        const char *root;   /* real path of the layer's directory */
        const char *source; /* what this walk walks */
        const char *prefix; /* where it appears in the release, "" for the root */
        unsigned depth;
};

void sf_compose_finding(struct sf_compose *tree, const char *format, ...)
{
        char text[SF_ERROR_TEXT_MAX];
        va_list args;

        va_start(args, format);
        vsnprintf(text, sizeof text, format, args);
        va_end(args);
        tree->findings++;
        if (tree->finding)
                tree->finding(tree->finding_ctx, text);
}

static void node_free(struct sf_node *node)
{
        free((char *)node->entry.path);
        free((char *)node->entry.target);
        free(node->entry.map.offsets);
        free(node);
}

static int compare_paths(const void *a, const void *b)
{
        const struct sf_node *const *x = a, *const *y = b;

        return strcmp((*x)->entry.path, (*y)->entry.path);
}

static struct sf_node *find(struct sf_node **nodes, size_t count, const char *path)
{
        struct sf_node key = { .entry.path = path }, *wanted = &key;
        struct sf_node **found = count ? bsearch(&wanted, nodes, count, sizeof(struct sf_node *), compare_paths) : NULL;

        return found ? *found : NULL;
}

static bool same_map(const struct sf_map *a, const struct sf_map *b)
{
        return a->kind == b->kind && a->count == b->count &&
               (a->count == 0 || memcmp(a->offsets, b->offsets, a->count * sizeof *a->offsets) == 0);
}

static bool same_entry(const struct sf_entry *a, const struct sf_entry *b)
{
        if (a->type != b->type || a->mode != b->mode)
                return false;
        if (a->type == SF_ENTRY_FILE)
                return sf_digest_equal(&a->digest, &b->digest) && same_map(&a->map, &b->map);
        return a->type == SF_ENTRY_DIRECTORY || strcmp(a->target, b->target) == 0;
}

/* Adds an entry unless an earlier layer has the same (directories are dropped later, where they are not needed). Takes
 * target and map offsets in any case. *ret_new: whether it is part of this layer. */
static int add(const struct walk *walk, const char *path, struct sf_entry *entry, bool *ret_new, struct sf_error *err)
{
        struct sf_compose *tree = walk->tree;
        const struct sf_node *earlier = find(tree->nodes, tree->earlier, path);
        struct sf_node *node = calloc(1, sizeof *node);

        *ret_new = false;
        if (node) {
                node->layer = walk->layer;
                node->entry = *entry;
                node->entry.path = strdup(path);
        }
        if (!node || !node->entry.path) {
                free((char *)entry->target);
                free(entry->map.offsets);
                free(node);
                return sf_error_set(err, SF_ERR_NOMEM, "%s: out of memory", path);
        }
        if (earlier && (entry->type != SF_ENTRY_DIRECTORY || earlier->entry.type != SF_ENTRY_DIRECTORY)) {
                if (!same_entry(&earlier->entry, entry))
                        sf_compose_finding(tree, "%s: two layers hold it, with different content", path);
                node_free(node);
                return 0;
        }
        if (tree->count == tree->room) {
                size_t room = tree->room ? 2 * tree->room : 256;
                struct sf_node **nodes = realloc(tree->nodes, room * sizeof(struct sf_node *));
                if (!nodes) {
                        node_free(node);
                        return sf_error_set(err, SF_ERR_NOMEM, "%s: out of memory", path);
                }
                tree->nodes = nodes;
                tree->room = room;
        }
        tree->nodes[tree->count++] = node;
        *ret_new = true;
        return 0;
}

static int add_directory(const struct walk *walk, const char *path, struct sf_error *err)
{
        struct sf_entry entry = { .type = SF_ENTRY_DIRECTORY, .mode = 0755 };
        _cleanup_free_ char *staged = sf_fs_join(walk->tree->stage, path);
        bool new;

        if (!staged)
                return sf_error_set(err, SF_ERR_NOMEM, "%s: out of memory", path);
        if (mkdir(staged, 0755) < 0 && errno != EEXIST)
                return sf_error_errno(err, "cannot make %s", staged);
        return add(walk, path, &entry, &new, err);
}

static int stage_file(const struct sf_compose *tree, const char *path, const struct sf_buffer *content,
                      struct sf_error *err)
{
        _cleanup_free_ char *staged = sf_fs_join(tree->stage, path);
        _cleanup_close_ int fd = staged ? open(staged, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644) : -1;

        if (!staged)
                return sf_error_set(err, SF_ERR_NOMEM, "%s: out of memory", path);
        if (fd < 0)
                return sf_error_errno(err, "cannot make %s", staged);
        return sf_fs_write_all(fd, content->data, content->len, staged, err);
}

/* Whether a directory of the release has a library: in this layer's own tree, or staged from an earlier one. */
static bool holds(void *ctx, const char *directory, const char *library)
{
        const struct walk *walk = ctx;
        const char *const trees[] = { walk->root, walk->tree->stage };

        for (size_t i = 0; i < sizeof trees / sizeof *trees; i++) {
                _cleanup_free_ char *path = sf_format("%s/%s/%s", trees[i], directory, library);
                if (path && access(path, F_OK) == 0)
                        return true;
        }
        return false;
}

/* `name` as seen from dirfd; its mode decides about 0755. */
static int add_file(const struct walk *walk, int dirfd, const char *name, const char *path, mode_t mode,
                    struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer content = SF_BUFFER_INIT;
        struct sf_entry entry = { .type = SF_ENTRY_FILE, .mode = mode & 0111 ? 0755 : 0644 };
        enum sf_file_order_kind kind;
        bool new, hidden;
        int r;

        r = sf_fs_read_at(dirfd, name, FILE_SIZE_MAX, &content, err);
        if (r < 0)
                return sf_error_prefix(err, "%s", path);
        r = sf_hidden_find(content.data, content.len, walk->tree->placeholder, &hidden, err);
        if (r == 0 && hidden)
                sf_compose_finding(walk->tree, "%s: names the build prefix inside compressed content", path);
        if (r == 0)
                r = sf_canonical_make(path, walk->tree->placeholder, &content, holds, (void *)(uintptr_t)walk,
                                      &entry.map, err);
        if (r < 0)
                return r;
        entry.size = content.len;
        sf_digest_of(content.data, content.len, &entry.digest);
        kind = sf_file_order_kind(path, content.data, content.len);
        r = add(walk, path, &entry, &new, err);
        if (r < 0 || !new)
                return r;
        walk->tree->nodes[walk->tree->count - 1]->kind = kind;
        return stage_file(walk->tree, path, &content, err);
}

static int add_link(const struct walk *walk, const char *path, const char *target, struct sf_error *err)
{
        struct sf_entry entry = { .type = SF_ENTRY_SYMLINK, .mode = 0777, .target = strdup(target) };
        _cleanup_free_ char *staged = sf_fs_join(walk->tree->stage, path);
        bool new;
        int r;

        if (!staged || !entry.target) {
                free((char *)entry.target);
                return sf_error_set(err, SF_ERR_NOMEM, "%s: out of memory", path);
        }
        r = add(walk, path, &entry, &new, err);
        if (r < 0 || !new)
                return r;
        if (symlink(target, staged) < 0)
                return sf_error_errno(err, "cannot make %s", staged);
        return 0;
}

/* The link's target relative to its own directory, NULL where it leaves the prefix. An absolute target lies in the
 * prefix under the name it was built for, or under the one where the tree is. */
static int localize_target(const struct walk *walk, const char *path, const char *target, char **ret,
                           struct sf_error *err)
{
        const char *rest = NULL;

        if (target[0] != '/')
                return sf_link_tidy(path, target, ret, err);
        rest = sf_link_below(target, walk->tree->placeholder);
        if (!rest)
                rest = sf_link_below(target, walk->root);
        if (rest)
                return sf_link_between(path, rest, ret, err);
        *ret = NULL;
        return 0;
}

static int walk_directory(const struct walk *walk, struct sf_error *err);

/* A Spack view links each file into another prefix, aliases included: libx.so -> /elsewhere/libx.so -> libx.so.1. Where
 * the view has that last name too, the alias stays an alias. NULL in *ret where it is none. */
static char *alias_beside(const char *link, const char *target)
{
        char name[NAME_MAX + 1];
        ssize_t len = readlink(target, name, sizeof name - 1);
        const char *slash = strrchr(link, '/');
        struct stat st;

        if (len <= 0 || !slash)
                return NULL;
        name[len] = 0;
        _cleanup_free_ char *beside = sf_format("%.*s/%s", (int)(slash - link), link, name);
        if (!beside || strchr(name, '/') || lstat(beside, &st) < 0)
                return NULL;
        return strdup(name);
}

/* Takes in what a link outside the tree points to; a way out and back in becomes a link again. `link` is the link's
 * own path on this machine. */
static int follow(const struct walk *walk, const char *link, const char *path, const char *target, struct sf_error *err)
{
        _cleanup_free_ char *real = realpath(link, NULL), *back = NULL;
        _cleanup_free_ char *alias = target[0] == '/' ? alias_beside(link, target) : NULL;
        struct walk inner = *walk;
        struct stat st;
        int r;

        if (alias)
                return add_link(walk, path, alias, err);
        if (real && sf_link_below(real, walk->root)) {
                r = sf_link_between(path, sf_link_below(real, walk->root), &back, err);
                return r < 0 ? r : add_link(walk, path, back, err);
        }
        if (!real || stat(real, &st) < 0 || walk->depth == FOLLOW_DEPTH_MAX) {
                sf_compose_finding(walk->tree, "%s: symbolic link to %s, which cannot be followed", path, target);
                return 0;
        }
        if (!S_ISDIR(st.st_mode))
                return add_file(walk, AT_FDCWD, real, path, st.st_mode, err);
        r = add_directory(walk, path, err);
        if (r < 0)
                return r;
        inner.source = real;
        inner.prefix = path;
        inner.depth++;
        return walk_directory(&inner, err);
}

/* Inside a directory that was itself reached through a link, only what it holds came along. */
static bool came_along(const struct walk *walk, const char *link)
{
        _cleanup_free_ char *real = walk->depth ? realpath(link, NULL) : NULL;

        return walk->depth == 0 || (real && sf_link_below(real, walk->source));
}

static int visit_link(const struct walk *walk, const char *relative, const char *path, struct sf_error *err)
{
        _cleanup_free_ char *link = sf_fs_join(walk->source, relative);
        _cleanup_free_ char *target = NULL, *local = NULL;
        int r;

        if (!link)
                return sf_error_set(err, SF_ERR_NOMEM, "%s: out of memory", path);
        r = sf_fs_readlink(link, &target, err);
        if (r == 0)
                r = localize_target(walk, path, target, &local, err);
        if (r < 0)
                return r;
        if (local && came_along(walk, link))
                return add_link(walk, path, local, err);
        if (walk->tree->follow_links)
                return follow(walk, link, path, target, err);
        sf_compose_finding(walk->tree, "%s: symbolic link to %s leaves the prefix", path, target);
        return 0;
}

static int visit(void *ctx, int dirfd, const char *name, const char *relative, const struct stat *st,
                 struct sf_error *err)
{
        const struct walk *walk = ctx;
        _cleanup_free_ char *path = sf_fs_join(walk->prefix, relative);

        if (!path)
                return sf_error_set(err, SF_ERR_NOMEM, "%s: out of memory", relative);
        if (!sf_fs_path_is_plain(path) || sf_link_below(path, SF_NODE_RECORD)) {
                sf_compose_finding(walk->tree, "%s: a name that no release may hold", path);
                return 0;
        }
        if (S_ISDIR(st->st_mode))
                return add_directory(walk, path, err);
        if (S_ISREG(st->st_mode))
                return add_file(walk, dirfd, name, path, st->st_mode, err);
        if (S_ISLNK(st->st_mode))
                return visit_link(walk, relative, path, err);
        sf_compose_finding(walk->tree, "%s: neither a file, a directory nor a symbolic link", path);
        return 0;
}

static int walk_directory(const struct walk *walk, struct sf_error *err)
{
        struct walk copy = *walk;

        return sf_fs_walk(walk->source, visit, &copy, err);
}

/* Directories of this layer that an earlier one has and under which this one adds nothing are not part of it.
 * `nodes` are this layer's, sorted by path. Returns how many stay. */
static size_t drop_shared_directories(const struct sf_compose *tree, struct sf_node **nodes, size_t count)
{
        size_t kept = 0;

        for (size_t i = 0; i < count; i++) {
                struct sf_node *node = nodes[i];
                size_t len = strlen(node->entry.path);
                bool needed = node->entry.type != SF_ENTRY_DIRECTORY ||
                              !find(tree->nodes, tree->earlier, node->entry.path);

                /* What lies below follows somewhere behind: "a", "a-b", "a/c". */
                for (size_t j = i + 1; !needed && j < count; j++) {
                        const char *path = nodes[j]->entry.path;
                        if (strncmp(path, node->entry.path, len) != 0)
                                break;
                        needed = path[len] == '/' && (nodes[j]->entry.type != SF_ENTRY_DIRECTORY ||
                                                      !find(tree->nodes, tree->earlier, path));
                }
                if (needed)
                        nodes[kept++] = node;
                else
                        node_free(node);
        }
        return kept;
}

int sf_compose_add(struct sf_compose *tree, unsigned layer, const char *directory, struct sf_error *err)
{
        _cleanup_free_ char *root = realpath(directory, NULL);
        struct walk walk = { .tree = tree, .layer = layer, .root = root, .source = root, .prefix = "" };
        size_t first = tree->count;
        int r;

        if (!root)
                return sf_error_errno(err, "cannot open %s", directory);
        r = walk_directory(&walk, err);
        if (r < 0)
                return r;
        if (tree->count == first)
                return 0;
        qsort(tree->nodes + first, tree->count - first, sizeof(struct sf_node *), compare_paths);
        tree->count = first + drop_shared_directories(tree, tree->nodes + first, tree->count - first);
        qsort(tree->nodes, tree->count, sizeof(struct sf_node *), compare_paths);
        tree->earlier = tree->count;
        return 0;
}

static int compare_packing(const void *a, const void *b)
{
        static const int rank[] = { [SF_ENTRY_DIRECTORY] = 0, [SF_ENTRY_FILE] = 1, [SF_ENTRY_SYMLINK] = 2 };
        const struct sf_node *x = *(struct sf_node *const *)a, *y = *(struct sf_node *const *)b;

        if (x->layer != y->layer)
                return x->layer < y->layer ? -1 : 1;
        if (x->entry.type != y->entry.type)
                return rank[x->entry.type] - rank[y->entry.type];
        if (x->kind != y->kind)
                return x->kind < y->kind ? -1 : 1;
        if (x->entry.size != y->entry.size)
                return x->entry.size > y->entry.size ? -1 : 1;
        return strcmp(x->entry.path, y->entry.path);
}

void sf_compose_order(struct sf_compose *tree)
{
        if (tree->count)
                qsort(tree->nodes, tree->count, sizeof(struct sf_node *), compare_packing);
}

void sf_compose_free(struct sf_compose *tree)
{
        for (size_t i = 0; i < tree->count; i++)
                node_free(tree->nodes[i]);
        free(tree->nodes);
        tree->nodes = NULL;
        tree->count = tree->room = tree->earlier = 0;
}
