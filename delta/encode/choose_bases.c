/* SPDX-License-Identifier: Apache-2.0 */
/* delta/encode/choose_bases.c - see choose_bases.h. */
#include "delta/encode/choose_bases.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

/* A file under its name without digits. */
struct stem {
        char *text; /* owned */
        size_t entry;
};

static const char *base_name(const char *path)
{
        const char *slash = strrchr(path, '/');

        return slash ? slash + 1 : path;
}

/* The last component without its digits: what survives a new version. */
static char *make_stem(const char *path)
{
        char *stem = strdup(base_name(path)), *to = stem;

        if (!stem)
                return NULL;
        for (const char *from = stem; *from; from++)
                if (!isdigit((unsigned char)*from))
                        *to++ = *from;
        *to = 0;
        return stem;
}

static int compare_stems(const void *a, const void *b)
{
        const struct stem *x = a, *y = b;
        int order = strcmp(x->text, y->text);

        return order ? order : (x->entry > y->entry) - (x->entry < y->entry);
}

struct stems {
        struct stem *stems;
        size_t count;
};

static void cleanup_stems(struct stems *s)
{
        for (size_t i = 0; i < s->count; i++)
                free(s->stems[i].text);
        free(s->stems);
}

static int collect_stems(const struct sf_filelist *list, struct stems *ret, struct sf_error *err)
{
        ret->stems = calloc(list->entry_count + 1, sizeof *ret->stems);
        if (!ret->stems)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory to pair files");
        for (size_t i = 0; i < list->entry_count; i++) {
                if (list->entries[i].type != SF_ENTRY_FILE)
                        continue;
                char *text = make_stem(list->entries[i].path);
                if (!text)
                        return sf_error_set(err, SF_ERR_NOMEM, "no memory to pair files");
                ret->stems[ret->count++] = (struct stem){ text, i };
        }
        qsort(ret->stems, ret->count, sizeof *ret->stems, compare_stems);
        return 0;
}

/* How alike two paths of the same stem are: equal bytes at the front, the directory weighing most. */
static size_t likeness(const char *a, const char *b)
{
        size_t same = 0;

        while (a[same] && a[same] == b[same])
                same++;
        bool directory = (size_t)(base_name(a) - a) <= same && (size_t)(base_name(b) - b) <= same;
        return same + (directory ? 4096 : 0);
}

/* Of the old files with this stem the one most alike; the later one of equals, it has the higher version. */
static size_t find_relative(const struct stems *stems, const struct sf_filelist *old, const char *path,
                            const char *stem)
{
        size_t low = 0, high = stems->count, best = SF_DELTA_NO_ANCESTOR, best_likeness = 0;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (strcmp(stems->stems[middle].text, stem) < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        for (; low < stems->count && !strcmp(stems->stems[low].text, stem); low++) {
                const struct sf_entry *entry = &old->entries[stems->stems[low].entry];
                size_t alike = likeness(path, entry->path) + 1;

                if (entry->size && alike >= best_likeness) {
                        best_likeness = alike;
                        best = stems->stems[low].entry;
                }
        }
        return best;
}

int sf_choose_bases(const struct sf_filelist *old, const struct sf_filelist *new, struct sf_change_set *plan,
                    struct sf_error *err)
{
        _cleanup_(cleanup_stems) struct stems stems = { 0 };
        int r = collect_stems(old, &stems, err);

        if (r < 0)
                return r;
        for (size_t i = 0; i < plan->target_count; i++) {
                const char *path = new->entries[plan->targets[i].entry].path;
                const struct sf_entry *same = sf_filelist_find(old, path);

                if (same && same->type == SF_ENTRY_FILE) {
                        plan->targets[i].ancestor = (size_t)(same - old->entries);
                        continue;
                }
                _cleanup_free_ char *stem = make_stem(path);
                if (!stem)
                        return sf_error_set(err, SF_ERR_NOMEM, "no memory to pair files");
                plan->targets[i].ancestor = find_relative(&stems, old, path, stem);
        }
        return sf_change_set_complete(plan, old, new, err);
}
