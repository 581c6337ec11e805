/* installer/reuse.c - see reuse.h. */
#include "installer/reuse.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/parallel.h"
#include "installer/place.h"
#include "release/layout.h"

/* One installed release. */
struct source {
        struct sf_filelist list;
        struct sf_tree tree;
        char *prefix;
};

/* Where a content lies. */
struct holding {
        const struct sf_entry *entry;
        const struct source *source;
};

struct installed {
        struct source *sources;
        size_t source_count;
        char *view;
        struct holding *holdings; /* sorted by digest */
        size_t holding_count;
};

static void close_installed(struct installed *in)
{
        for (size_t i = 0; i < in->source_count; i++) {
                sf_filelist_free(&in->sources[i].list);
                free(in->sources[i].prefix);
                close(in->sources[i].tree.dirfd);
        }
        free(in->sources);
        free(in->holdings);
        free(in->view);
}

/* A release whose record is damaged is no source, and no reason to fail: its content can be fetched. */
static void open_source(const struct sf_store *store, const struct sf_store_release *release, struct installed *in)
{
        struct source *s = &in->sources[in->source_count];
        int fd = -1;

        if (release->foreign || sf_store_filelist(store, release, &s->list, NULL) < 0)
                return;
        s->prefix = sf_store_installed_prefix(store, release->directory);
        if (!s->prefix || sf_store_open_release(store, release->directory, &fd, NULL) < 0) {
                sf_filelist_free(&s->list);
                free(s->prefix);
                return;
        }
        s->tree = (struct sf_tree){ &s->list, fd, s->prefix, in->view };
        in->holding_count += s->list.file_count;
        in->source_count++;
}

static int by_digest(const void *a, const void *b)
{
        const struct holding *x = a, *y = b;

        return sf_digest_compare(&x->entry->digest, &y->entry->digest);
}

static int open_installed(const struct sf_store *store, struct installed *ret, struct sf_error *err)
{
        _cleanup_free_ struct sf_store_release *releases = NULL;
        _cleanup_(close_installed) struct installed in = { .view = sf_fs_join(store->prefix, SF_NODE_VIEW) };
        size_t count, used = 0;
        int r = sf_store_list(store, &releases, &count, err);

        if (r < 0)
                return r;
        in.sources = calloc(count + 1, sizeof *in.sources);
        if (!in.sources || !in.view)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory to look at installed releases");
        for (size_t i = 0; i < count; i++)
                open_source(store, &releases[i], &in);
        in.holdings = calloc(in.holding_count + 1, sizeof *in.holdings);
        if (!in.holdings)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory to look at installed releases");
        for (size_t i = 0; i < in.source_count; i++) {
                const struct sf_filelist *list = &in.sources[i].list;
                for (size_t j = 0; j < list->entry_count; j++)
                        if (list->entries[j].type == SF_ENTRY_FILE)
                                in.holdings[used++] = (struct holding){ &list->entries[j], &in.sources[i] };
        }
        qsort(in.holdings, used, sizeof *in.holdings, by_digest);
        *ret = in;
        in = (struct installed){ 0 };
        return 0;
}

/* The first holding of the entry's content; *ret_count of them follow each other. */
static const struct holding *find(const struct installed *in, const struct sf_entry *entry, size_t *ret_count)
{
        const struct holding key = { entry, NULL };
        const struct holding *hit = bsearch(&key, in->holdings, in->holding_count, sizeof key, by_digest);
        const struct holding *end = in->holdings + in->holding_count, *last = hit;

        *ret_count = 0;
        if (!hit)
                return NULL;
        while (hit > in->holdings && by_digest(hit - 1, &key) == 0)
                hit--;
        while (last < end && by_digest(last, &key) == 0)
                last++;
        *ret_count = (size_t)(last - hit);
        return hit;
}

int sf_reuse_plan(const struct sf_store *store, const struct sf_filelist *list, uint8_t **ret_wanted,
                  struct sf_error *err)
{
        _cleanup_(close_installed) struct installed in = { 0 };
        _cleanup_free_ uint8_t *wanted = calloc(list->entry_count + 1, 1);
        size_t count;

        if (!wanted)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory to plan %zu entries", list->entry_count);
        int r = open_installed(store, &in, err);
        if (r < 0)
                return r;
        for (size_t i = 0; i < list->entry_count; i++)
                wanted[i] = list->entries[i].type == SF_ENTRY_FILE && !find(&in, &list->entries[i], &count);
        *ret_wanted = sf_steal_pointer(wanted);
        return 0;
}

struct run {
        struct installed in;
        const struct sf_tree *tree;
        bool replace;
        uint8_t *missing;
};

/* 1 when the file is in place, 0 when this holding is no good, or an error of the target. */
static int take(const struct run *run, const struct sf_entry *entry, const struct holding *from, struct sf_error *err)
{
        _cleanup_placer_ struct sf_placer *placer = NULL;
        _cleanup_(sf_buffer_free) struct sf_buffer content = SF_BUFFER_INIT;
        const struct sf_tree *source = &from->source->tree;
        bool plain = !entry->map.count && !from->entry->map.count;

        if ((plain ? sf_tree_check(source, from->entry, NULL) : sf_tree_read(source, from->entry, &content, NULL)) < 0)
                return 0;
        int r = sf_placer_open(run->tree, run->replace, &placer, err);
        if (r == 0 && plain) {
                r = sf_placer_share(placer, entry, source->dirfd, from->entry->path, err);
                if (r != 0)
                        return r;
                if (sf_tree_read(source, from->entry, &content, NULL) < 0)
                        return 0;
        }
        if (r == 0)
                r = sf_placer_begin(placer, entry, err);
        if (r == 0)
                r = sf_placer_feed(placer, content.data, content.len, err);
        if (r == 0)
                r = sf_placer_finish(placer, err);
        return r < 0 ? r : 1;
}

static int reuse_one(void *ctx, size_t i, struct sf_error *err)
{
        const struct run *run = ctx;
        const struct sf_entry *entry = &run->tree->list->entries[i];
        size_t count;

        if (!run->missing[i])
                return 0;
        const struct holding *holding = find(&run->in, entry, &count);
        for (size_t j = 0; j < count; j++) {
                int r = take(run, entry, &holding[j], err);
                if (r < 0)
                        return r;
                if (r > 0) {
                        run->missing[i] = 0;
                        break;
                }
        }
        return 0;
}

static int reuse(const struct sf_store *store, const struct sf_tree *tree, const uint8_t *among, uint8_t **ret_missing,
                 struct sf_error *err)
{
        const struct sf_filelist *list = tree->list;
        _cleanup_free_ uint8_t *missing = calloc(list->entry_count + 1, 1);
        struct run run = { .tree = tree, .replace = among != NULL, .missing = missing };

        if (!missing)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for %zu entries", list->entry_count);
        for (size_t i = 0; i < list->entry_count; i++)
                missing[i] = list->entries[i].type == SF_ENTRY_FILE && (!among || among[i]);
        int r = open_installed(store, &run.in, err);
        if (r < 0)
                return r;
        r = sf_parallel_each(list->entry_count, 0, reuse_one, &run, err);
        close_installed(&run.in);
        if (r < 0)
                return r;
        *ret_missing = sf_steal_pointer(missing);
        return 0;
}

int sf_reuse_run(const struct sf_store *store, const struct sf_tree *tree, uint8_t **ret_missing, struct sf_error *err)
{
        return reuse(store, tree, NULL, ret_missing, err);
}

int sf_reuse_repair(const struct sf_store *store, const struct sf_tree *tree, const uint8_t *among,
                    uint8_t **ret_missing, struct sf_error *err)
{
        return reuse(store, tree, among, ret_missing, err);
}
