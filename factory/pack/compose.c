/* SPDX-License-Identifier: Apache-2.0 */
/* factory/pack/compose.c - why: trees come from builds, imports and Spack views with links, modes and times of their
 * own; a release must hold only what the file list can say. */
#include "factory/pack/compose.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "factory/pack/compose-state.h"
#include "factory/pack/link.h"
#include "factory/pack/survey.h"
#include "release/layout.h"

#define FILE_SIZE_MAX (4ull << 30)

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
static int add(const struct sf_compose_walk *walk, const char *path, struct sf_entry *entry, bool *ret_new,
               struct sf_error *err)
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

static int put_directory(const struct sf_compose_walk *walk, const char *path, struct sf_error *err)
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

static int put_file(const struct sf_compose_walk *walk, int dirfd, const char *name, const char *path, mode_t mode,
                    struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer content = SF_BUFFER_INIT;
        struct sf_entry entry = { .type = SF_ENTRY_FILE, .mode = mode & 0111 ? 0755 : 0644 };
        enum sf_file_order_kind kind;
        bool new, skip = false;
        int r;

        r = sf_fs_read_at(dirfd, name, FILE_SIZE_MAX, &content, err);
        if (r < 0)
                return sf_error_prefix(err, "%s", path);
        if (walk->tree->note)
                sf_survey_file(walk->tree, dirfd, name, path, mode);
        r = sf_compose_take_in(walk, path, &content, &entry.map, &skip, err);
        if (r < 0 || skip)
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

static int put_link(const struct sf_compose_walk *walk, const char *path, const char *target, struct sf_error *err)
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

static int walk_directory(const struct sf_compose_walk *walk, struct sf_error *err);

/* Takes in what a link outside the tree leads to, as if it lay at `path`. */
static int follow(const struct sf_compose_walk *walk, const char *path, const char *real, struct sf_error *err)
{
        struct sf_compose_walk inner = *walk;
        struct stat st;
        int r;

        if (stat(real, &st) < 0)
                return sf_error_errno(err, "cannot look at %s", real);
        if (!S_ISDIR(st.st_mode))
                return put_file(walk, AT_FDCWD, real, path, st.st_mode, err);
        r = put_directory(walk, path, err);
        if (r < 0)
                return r;
        inner.source = real;
        inner.prefix = path;
        inner.depth++;
        return walk_directory(&inner, err);
}

static int visit_link(const struct sf_compose_walk *walk, const char *relative, const char *path, struct sf_error *err)
{
        _cleanup_free_ char *text = NULL;
        enum sf_compose_link link;
        int r = sf_compose_resolve_link(walk, relative, path, &link, &text, err);

        if (r < 0 || link == SF_COMPOSE_LINK_REFUSED)
                return r;
        return link == SF_COMPOSE_LINK_KEPT ? put_link(walk, path, text, err) : follow(walk, path, text, err);
}

static int visit(void *ctx, int dirfd, const char *name, const char *relative, const struct stat *st,
                 struct sf_error *err)
{
        const struct sf_compose_walk *walk = ctx;
        _cleanup_free_ char *path = sf_fs_join(walk->prefix, relative);

        if (!path)
                return sf_error_set(err, SF_ERR_NOMEM, "%s: out of memory", relative);
        if (walk->tree->leave_out) {
                const char *why;
                enum sf_leave_out_verdict verdict = sf_leave_out_ask(walk->tree->leave_out, path, &why);

                if (verdict == SF_LEAVE_OUT_THIS)
                        sf_compose_note(walk->tree, "%s: left out (%s)", path, why);
                if (verdict != SF_LEAVE_OUT_NOT)
                        return 0;
        }
        if (!sf_fs_path_is_plain(path) || sf_link_below(path, SF_NODE_RECORD)) {
                sf_compose_finding(walk->tree, "%s: a name that no release may hold", path);
                return 0;
        }
        if (S_ISDIR(st->st_mode))
                return put_directory(walk, path, err);
        if (S_ISREG(st->st_mode))
                return put_file(walk, dirfd, name, path, st->st_mode, err);
        if (S_ISLNK(st->st_mode))
                return visit_link(walk, relative, path, err);
        sf_compose_finding(walk->tree, "%s: neither a file, a directory nor a symbolic link", path);
        return 0;
}

static int walk_directory(const struct sf_compose_walk *walk, struct sf_error *err)
{
        struct sf_compose_walk copy = *walk;

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

/* The path of a twin of this layer's node i that is its name and a version more ("libx.so", "libx.so.1"), with the same
 * content; NULL where there is none. The longest: it is the one that a link would lead to. */
static const char *versioned_twin(struct sf_node *const *nodes, size_t count, size_t i)
{
        const struct sf_entry *entry = &nodes[i]->entry;
        size_t len = strlen(entry->path);
        const char *twin = NULL;

        if (entry->type != SF_ENTRY_FILE || !strstr(entry->path, ".so"))
                return NULL;
        for (size_t j = i + 1; j < count && strncmp(nodes[j]->entry.path, entry->path, len) == 0; j++) {
                const char *more = nodes[j]->entry.path + len;
                if (more[0] == '.' && !strchr(more, '/') && same_entry(entry, &nodes[j]->entry))
                        twin = nodes[j]->entry.path;
        }
        return twin;
}

/* A library with several names may come as hard links or copies, where a view or an archive could not hold links.
 * Loaded under two names, copies would be two libraries. `nodes` are this layer's, sorted by path. */
static int link_twins(const struct sf_compose *tree, struct sf_node **nodes, size_t count, struct sf_error *err)
{
        for (size_t i = 0; i < count; i++) {
                struct sf_entry *entry = &nodes[i]->entry;
                const char *twin = versioned_twin(nodes, count, i);
                _cleanup_free_ char *staged = twin ? sf_fs_join(tree->stage, entry->path) : NULL;
                char *target = twin ? strdup(strrchr(twin, '/') ? strrchr(twin, '/') + 1 : twin) : NULL;

                if (!twin)
                        continue;
                if (!staged || !target) {
                        free(target);
                        return sf_error_set(err, SF_ERR_NOMEM, "%s: out of memory", entry->path);
                }
                free(entry->map.offsets);
                *entry = (struct sf_entry){
                        .type = SF_ENTRY_SYMLINK, .mode = 0777, .path = entry->path, .target = target
                };
                nodes[i]->kind = 0;
                if (unlink(staged) < 0 || symlink(target, staged) < 0)
                        return sf_error_errno(err, "cannot make %s", staged);
        }
        return 0;
}

/* Directories that the layer has from an earlier call. All nodes are sorted by path. */
static void drop_repeated_directories(struct sf_compose *tree)
{
        size_t kept = 0;

        for (size_t i = 0; i < tree->count; i++) {
                struct sf_node *node = tree->nodes[i];
                bool repeated = false;

                for (size_t j = kept; j > 0 && strcmp(tree->nodes[j - 1]->entry.path, node->entry.path) == 0; j--)
                        repeated = repeated || tree->nodes[j - 1]->layer == node->layer;
                if (repeated)
                        node_free(node);
                else
                        tree->nodes[kept++] = node;
        }
        tree->count = kept;
}

int sf_compose_add(struct sf_compose *tree, unsigned layer, const char *directory, struct sf_error *err)
{
        _cleanup_free_ char *root = realpath(directory, NULL);
        struct sf_compose_walk walk = { .tree = tree, .layer = layer, .root = root, .source = root, .prefix = "" };
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
        if (tree->follow_links && (r = link_twins(tree, tree->nodes + first, tree->count - first, err)) < 0)
                return r;
        tree->count = first + drop_shared_directories(tree, tree->nodes + first, tree->count - first);
        qsort(tree->nodes, tree->count, sizeof(struct sf_node *), compare_paths);
        drop_repeated_directories(tree);
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
