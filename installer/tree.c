/* SPDX-License-Identifier: Apache-2.0 */
/* installer/tree.c - see tree.h. The inverse relocation map is what makes a relocated tree as good as the original. */
#include "installer/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/fs.h"
#include "release/layout.h"

#define CHUNK (256u << 10) /* bytes read at once */

int sf_tree_relocation(const struct sf_tree *tree, const struct sf_entry *entry, char *room_from, char *room_to,
                       struct sf_relocation *ret, struct sf_error *err)
{
        struct sf_relocation relocation = { .offsets = entry->map.offsets, .count = entry->map.count };
        size_t padded = tree->list->prefix_length;
        int r;

        switch (entry->map.kind) {
        case SF_MAP_NONE:
                break;
        case SF_MAP_BINARY:
                if ((r = sf_relocate_pad(SF_CANONICAL_PREFIX, padded, room_from, err)) < 0 ||
                    (r = sf_relocate_pad(tree->installed_prefix, padded, room_to, err)) < 0)
                        return sf_error_prefix(err, "%s", entry->path);
                relocation.from = room_from;
                relocation.to = room_to;
                relocation.from_len = relocation.to_len = padded;
                break;
        case SF_MAP_TEXT:
        case SF_MAP_VIEW:
                relocation.from = SF_CANONICAL_PREFIX;
                relocation.to = entry->map.kind == SF_MAP_TEXT ? tree->installed_prefix : tree->view_prefix;
                relocation.from_len = strlen(relocation.from);
                relocation.to_len = strlen(relocation.to);
                break;
        }
        *ret = relocation;
        return 0;
}

/* What reading one file needs. */
struct reading {
        const struct sf_entry *entry;
        int fd;
        struct sf_relocation relocation;
        struct sf_buffer *keep; /* receives the canonical bytes; NULL = only the digest is wanted */
};

/* Feeds the file through the inverse map into the digester; the size was checked before. */
static int read_through(const struct reading *reading, struct sf_digester *digester, uint8_t *chunk,
                        struct sf_buffer *canonical, struct sf_error *err)
{
        const char *path = reading->entry->path;
        struct sf_relocator relocator;
        ssize_t n;
        int r = 0;

        sf_relocator_start(&relocator, &reading->relocation, true);
        while ((n = read(reading->fd, chunk, CHUNK)) > 0 && r == 0) {
                const uint8_t *bytes = chunk;
                size_t len = (size_t)n;

                if (reading->relocation.count) {
                        canonical->len = 0;
                        r = sf_relocator_feed(&relocator, path, chunk, len, canonical, err);
                        bytes = canonical->data;
                        len = canonical->len;
                }
                if (r == 0 && len)
                        sf_digester_update(digester, bytes, len);
                if (r == 0 && len && reading->keep)
                        r = sf_buffer_append(reading->keep, bytes, len, err);
        }
        if (n < 0)
                return sf_error_errno(err, "%s: cannot read it", path);
        if (r == 0 && reading->relocation.count)
                r = sf_relocator_finish(&relocator, path, err);
        return r;
}

static int read_checked(const struct reading *reading, struct sf_error *err)
{
        const struct sf_entry *entry = reading->entry;
        _cleanup_digester_ struct sf_digester *digester = NULL;
        _cleanup_free_ uint8_t *chunk = malloc(CHUNK);
        _cleanup_(sf_buffer_free) struct sf_buffer canonical = SF_BUFFER_INIT;
        struct sf_digest digest;
        struct stat st;

        if (!chunk)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory to read %s", entry->path);
        int r = sf_digester_new(&digester, err);
        if (r < 0)
                return r;
        if (fstat(reading->fd, &st) < 0)
                return sf_error_errno(err, "%s", entry->path);
        uint64_t size = sf_relocated_size(&reading->relocation, entry->size);
        if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != size)
                return sf_error_set(err, SF_ERR_CORRUPT, "%s: not a file of %" PRIu64 " bytes", entry->path, size);
        if ((r = read_through(reading, digester, chunk, &canonical, err)) < 0)
                return r;
        sf_digester_finish(digester, &digest);
        if (!sf_digest_equal(&digest, &entry->digest))
                return sf_error_set(err, SF_ERR_CORRUPT, "%s: sha256 mismatch", entry->path);
        return 0;
}

/* Opens, reads and checks; keep as in struct reading. */
static int read_file(const struct sf_tree *tree, const struct sf_entry *entry, struct sf_buffer *keep,
                     struct sf_error *err)
{
        size_t room = (size_t)tree->list->prefix_length + 1, start = keep ? keep->len : 0;
        _cleanup_free_ char *from = malloc(room), *to = malloc(room);
        struct reading reading = { .entry = entry, .keep = keep };

        if (!from || !to)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory to read %s", entry->path);
        int r = sf_tree_relocation(tree, entry, from, to, &reading.relocation, err);
        if (r < 0)
                return r;
        /* O_NONBLOCK: a fifo in the place of a file must not hold us. */
        _cleanup_close_ int fd = sf_fs_open_beneath(tree->dirfd, entry->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0,
                                                    err);
        if (fd < 0)
                return fd;
        reading.fd = fd;
        r = read_checked(&reading, err);
        if (r < 0 && keep)
                keep->len = start;
        return r;
}

int sf_tree_read(const struct sf_tree *tree, const struct sf_entry *entry, struct sf_buffer *ret, struct sf_error *err)
{
        int r = sf_buffer_reserve(ret, (size_t)entry->size, err);
        return r < 0 ? r : read_file(tree, entry, ret, err);
}

int sf_tree_check(const struct sf_tree *tree, const struct sf_entry *entry, struct sf_error *err)
{
        return read_file(tree, entry, NULL, err);
}

static mode_t stat_type(enum sf_entry_type type)
{
        return type == SF_ENTRY_FILE ? S_IFREG : type == SF_ENTRY_DIRECTORY ? S_IFDIR : S_IFLNK;
}

/* What is wrong with one listed entry, given lstat's answer and its directory. */
static int examine(const struct sf_tree *tree, const struct sf_entry *entry, int dirfd, const char *name,
                   const struct stat *st, enum sf_damage *ret, struct sf_error *err)
{
        struct sf_error unused = SF_ERROR_INIT;

        *ret = SF_DAMAGE_NONE;
        if ((st->st_mode & S_IFMT) != stat_type(entry->type)) {
                *ret = SF_DAMAGE_TYPE;
        } else if (entry->type == SF_ENTRY_SYMLINK) {
                char target[4096];
                ssize_t n = readlinkat(dirfd, name, target, sizeof target);
                if (n < 0)
                        return sf_error_errno(err, "%s: cannot read the link", entry->path);
                if ((size_t)n != strlen(entry->target) || memcmp(target, entry->target, (size_t)n) != 0)
                        *ret = SF_DAMAGE_TARGET;
        } else if (entry->type == SF_ENTRY_FILE) {
                int r = read_file(tree, entry, NULL, &unused);
                if (r == SF_ERR_CORRUPT)
                        *ret = SF_DAMAGE_CONTENT;
                else if (r < 0)
                        return sf_error_set(err, r, "%s", unused.text);
        }
        if (*ret == SF_DAMAGE_NONE && entry->type != SF_ENTRY_SYMLINK && (st->st_mode & 07777) != entry->mode)
                *ret = SF_DAMAGE_MODE;
        return 0;
}

struct verification {
        const struct sf_tree *tree;
        sf_tree_damage_fn *report;
        void *ctx;
        uint8_t *seen; /* one byte per entry */
        int differences;
};

static int report(struct verification *v, enum sf_damage damage, const char *path, const struct sf_entry *entry,
                  struct sf_error *err)
{
        v->differences++;
        return v->report ? v->report(v->ctx, damage, path, entry, err) : 0;
}

static int visit(void *ctx, int dirfd, const char *name, const char *path, const struct stat *st, struct sf_error *err)
{
        struct verification *v = ctx;
        const struct sf_entry *entry = sf_filelist_find(v->tree->list, path);
        enum sf_damage damage;
        size_t record = strlen(SF_NODE_RECORD);

        if (strncmp(path, SF_NODE_RECORD, record) == 0 && (path[record] == '\0' || path[record] == '/'))
                return 0;
        if (!entry)
                return report(v, SF_DAMAGE_EXTRA, path, NULL, err);
        v->seen[entry - v->tree->list->entries] = 1;
        int r = examine(v->tree, entry, dirfd, name, st, &damage, err);
        if (r < 0)
                return r;
        return damage == SF_DAMAGE_NONE ? 0 : report(v, damage, path, entry, err);
}

int sf_tree_verify(const struct sf_tree *tree, sf_tree_damage_fn *report_damage, void *ctx, struct sf_error *err)
{
        const struct sf_filelist *list = tree->list;
        _cleanup_free_ uint8_t *seen = calloc(list->entry_count + 1, 1);
        struct verification v = { .tree = tree, .report = report_damage, .ctx = ctx, .seen = seen };

        if (!seen)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory to verify %zu entries", list->entry_count);
        int r = sf_fs_walk_at(tree->dirfd, visit, &v, err);
        for (size_t i = 0; r == 0 && i < list->entry_count; i++) {
                const struct sf_entry *entry = &list->entries[i];
                /* A directory may be listed once per layer; the first of them stands for all. */
                if (!seen[i] && sf_filelist_find(list, entry->path) == entry)
                        r = report(&v, SF_DAMAGE_MISSING, entry->path, entry, err);
        }
        return r != 0 ? r : v.differences;
}

const char *sf_damage_name(enum sf_damage damage)
{
        static const char *const names[] = {
                [SF_DAMAGE_NONE] = "intact",           [SF_DAMAGE_MISSING] = "missing",
                [SF_DAMAGE_CONTENT] = "wrong content", [SF_DAMAGE_MODE] = "wrong mode",
                [SF_DAMAGE_TYPE] = "wrong type",       [SF_DAMAGE_TARGET] = "wrong target",
                [SF_DAMAGE_EXTRA] = "not listed",
        };
        return names[damage];
}
