/* SPDX-License-Identifier: Apache-2.0 */
/* installer/reuse.c - see reuse.h. */
#include "installer/reuse.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/parallel.h"
#include "installer/file_writer.h"
#include "release/layout.h"

/* One installed release. */
struct source {
        struct sf_filelist list;
        struct sf_tree tree;
        char *prefix;
        char directory[128];
        struct sf_stat_record *seen; /* per entry of the list */
};

/* Where a content lies. */
struct holding {
        const struct sf_entry *entry;
        const struct source *source;
};

struct sf_reuse {
        struct source *sources;
        size_t source_count;
        char *view;
        struct holding *holdings; /* sorted by digest */
        size_t holding_count;
};

static void close_source(struct source *s)
{
        sf_filelist_free(&s->list);
        free(s->prefix);
        free(s->seen);
}

void sf_reuse_close(struct sf_reuse *reuse)
{
        if (!reuse)
                return;
        for (size_t i = 0; i < reuse->source_count; i++) {
                close(reuse->sources[i].tree.dirfd);
                close_source(&reuse->sources[i]);
        }
        free(reuse->sources);
        free(reuse->holdings);
        free(reuse->view);
        free(reuse);
}

/* A release whose record is damaged is no source, and no reason to fail: its content can be fetched. */
static void open_source(const struct sf_store *store, const struct sf_store_release *release, struct sf_reuse *reuse)
{
        struct source *s = &reuse->sources[reuse->source_count];
        int fd = -1;

        if (release->foreign || sf_store_filelist(store, release, &s->list, NULL) < 0)
                return;
        s->prefix = sf_store_installed_prefix(store, release->directory);
        s->seen = calloc(s->list.entry_count + 1, sizeof *s->seen);
        if (!s->prefix || !s->seen || sf_store_open_release(store, release->directory, &fd, NULL) < 0) {
                close_source(s);
                *s = (struct source){ 0 };
                return;
        }
        strcpy(s->directory, release->directory);
        sf_stat_record_read(fd, &s->list, s->seen);
        s->tree = (struct sf_tree){ &s->list, fd, s->prefix, reuse->view };
        reuse->holding_count += s->list.file_count;
        reuse->source_count++;
}

static int by_digest(const void *a, const void *b)
{
        const struct holding *x = a, *y = b;

        return sf_digest_compare(&x->entry->digest, &y->entry->digest);
}

int sf_reuse_open(const struct sf_store *store, struct sf_reuse **ret, struct sf_error *err)
{
        _cleanup_free_ struct sf_store_release *releases = NULL;
        _cleanup_reuse_ struct sf_reuse *reuse = calloc(1, sizeof *reuse);
        size_t count, used = 0;
        int r = sf_store_list(store, &releases, &count, err);

        if (r < 0)
                return r;
        if (!reuse || !(reuse->view = sf_fs_join(store->prefix, SF_NODE_VIEW)) ||
            !(reuse->sources = calloc(count + 1, sizeof *reuse->sources)))
                return sf_error_set(err, SF_ERR_NOMEM, "no memory to look at installed releases");
        for (size_t i = 0; i < count; i++)
                open_source(store, &releases[i], reuse);
        reuse->holdings = calloc(reuse->holding_count + 1, sizeof *reuse->holdings);
        if (!reuse->holdings)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory to look at installed releases");
        for (size_t i = 0; i < reuse->source_count; i++) {
                const struct sf_filelist *list = &reuse->sources[i].list;
                for (size_t j = 0; j < list->entry_count; j++)
                        if (list->entries[j].type == SF_ENTRY_FILE)
                                reuse->holdings[used++] = (struct holding){ &list->entries[j], &reuse->sources[i] };
        }
        qsort(reuse->holdings, used, sizeof *reuse->holdings, by_digest);
        *ret = sf_steal_pointer(reuse);
        return 0;
}

const struct sf_tree *sf_reuse_tree(const struct sf_reuse *reuse, const char *directory)
{
        for (size_t i = 0; i < reuse->source_count; i++)
                if (strcmp(reuse->sources[i].directory, directory) == 0)
                        return &reuse->sources[i].tree;
        return NULL;
}

/* The first holding of the entry's content; *ret_count of them follow each other. */
static const struct holding *find(const struct sf_reuse *reuse, const struct sf_entry *entry, size_t *ret_count)
{
        const struct holding key = { entry, NULL };
        const struct holding *hit = bsearch(&key, reuse->holdings, reuse->holding_count, sizeof key, by_digest);
        const struct holding *end = reuse->holdings + reuse->holding_count, *last = hit;

        *ret_count = 0;
        if (!hit)
                return NULL;
        while (hit > reuse->holdings && by_digest(hit - 1, &key) == 0)
                hit--;
        while (last < end && by_digest(last, &key) == 0)
                last++;
        *ret_count = (size_t)(last - hit);
        return hit;
}

bool sf_reuse_listed(const struct sf_reuse *reuse, const struct sf_tree *in, const struct sf_entry *entry)
{
        size_t count;
        const struct holding *holding = find(reuse, entry, &count);

        for (size_t i = 0; i < count; i++)
                if (&holding[i].source->tree == in)
                        return true;
        return false;
}

int sf_reuse_plan(const struct sf_reuse *reuse, const struct sf_filelist *list, uint8_t **ret_wanted,
                  struct sf_error *err)
{
        _cleanup_free_ uint8_t *wanted = calloc(list->entry_count + 1, 1);
        size_t count;

        if (!wanted)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory to plan %zu entries", list->entry_count);
        for (size_t i = 0; i < list->entry_count; i++)
                wanted[i] = list->entries[i].type == SF_ENTRY_FILE && !find(reuse, &list->entries[i], &count);
        *ret_wanted = sf_steal_pointer(wanted);
        return 0;
}

int sf_reuse_read(const struct sf_reuse *reuse, const struct sf_entry *entry, struct sf_buffer *ret,
                  struct sf_error *err)
{
        size_t count;
        const struct holding *holding = find(reuse, entry, &count);

        for (size_t i = 0; i < count; i++)
                if (sf_tree_read(&holding[i].source->tree, holding[i].entry, ret, NULL) == 0)
                        return 0;
        return sf_error_set(err, SF_ERR_CORRUPT, "%s: damaged or missing in every release installed here", entry->path);
}

struct run {
        const struct sf_reuse *reuse;
        const struct sf_tree *tree;
        bool replace;
        uint8_t *missing;
        struct sf_stat_record *seen;
        atomic_bool no_clones; /* the file system has none: learnt from the first file */
};

/* How the file looks now; and is that how it was left, so that it need not be read? */
static bool is_untouched(const struct holding *from, struct sf_stat_record *ret)
{
        const struct sf_stat_record *kept = &from->source->seen[from->entry - from->source->list.entries];

        if (!sf_stat_record_look(from->source->tree.dirfd, from->entry->path, from->entry->size, ret))
                return false;
        ret->durable = kept->durable;
        return sf_stat_record_same(kept, ret);
}

/* Makes the entry out of an unmapped file without copying: 1 when done, 0 where that cannot be had. */
static int share(struct run *run, const struct sf_entry *entry, const struct holding *from,
                 const struct sf_stat_record *looks, struct sf_error *err)
{
        _cleanup_file_writer_ struct sf_file_writer *writer = NULL;
        bool linked = false;
        int r = sf_file_writer_open(run->tree, run->replace, &writer, err);

        if (r == 0)
                r = sf_file_writer_share(writer, entry, from->source->tree.dirfd, from->entry->path, &run->no_clones,
                                         &linked, err);
        if (r > 0 && linked && run->seen)
                run->seen[entry - run->tree->list->entries] = *looks;
        return r;
}

/* 1 when the file is in place, 0 when this holding is no good, or an error of the target. */
static int take(struct run *run, const struct sf_entry *entry, const struct holding *from, bool unread,
                struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer content = SF_BUFFER_INIT;
        const struct sf_tree *source = &from->source->tree;
        bool plain = !entry->map.count && !from->entry->map.count;
        struct sf_stat_record looks = { 0 };
        int r;

        if (plain) {
                /* It looked like this before it was read. */
                bool untouched = is_untouched(from, &looks);
                if (unread ? !untouched : sf_tree_check(source, from->entry, NULL) < 0)
                        return 0;
                looks.durable = looks.durable && untouched;
                r = share(run, entry, from, &looks, err);
                if (r != 0)
                        return r;
        } else if (unread) {
                return 0;
        }
        if (sf_tree_read(source, from->entry, &content, NULL) < 0)
                return 0;
        r = sf_file_writer_write(run->tree, run->replace, entry, content.data, content.len, err);
        return r < 0 ? r : 1;
}

static int reuse_one(void *ctx, size_t i, struct sf_error *err)
{
        struct run *run = ctx;
        const struct sf_entry *entry = &run->tree->list->entries[i];
        size_t count;

        if (!run->missing[i] || entry->type != SF_ENTRY_FILE)
                return 0;
        const struct holding *holding = find(run->reuse, entry, &count);
        /* First what need not be read, in any of the releases; repair reads all. */
        for (size_t j = run->replace ? count : 0; j < 2 * count; j++) {
                int r = take(run, entry, &holding[j % count], j < count, err);
                if (r < 0)
                        return r;
                if (r > 0) {
                        run->missing[i] = 0;
                        break;
                }
        }
        return 0;
}

int sf_reuse_run(const struct sf_reuse *reuse, const struct sf_tree *tree, uint8_t *missing,
                 struct sf_stat_record *seen, struct sf_error *err)
{
        struct run run = { .reuse = reuse, .tree = tree, .missing = missing, .seen = seen };

        return sf_parallel_each(tree->list->entry_count, 0, reuse_one, &run, err);
}

int sf_reuse_repair(const struct sf_reuse *reuse, const struct sf_tree *tree, uint8_t *missing, struct sf_error *err)
{
        struct run run = { .reuse = reuse, .tree = tree, .missing = missing, .replace = true };

        return sf_parallel_each(tree->list->entry_count, 0, reuse_one, &run, err);
}
