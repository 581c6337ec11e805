/* SPDX-License-Identifier: Apache-2.0 */
/* release/filelist-paths.c - see filelist.h. Sorting instead of hashing: nobody can choose paths that make it slow. */
#include "release/filelist-paths.h"

#include <stdlib.h>
#include <string.h>

#include "base/path.h"
#include "base/pool.h"

/* Order by path, then by place in the list. */
static int compare_paths(const void *a, const void *b, void *ctx)
{
        const struct sf_filelist *list = ctx;
        size_t i = *(const size_t *)a, j = *(const size_t *)b;
        int order = strcmp(list->entries[i].path, list->entries[j].path);

        return order ? order : (i > j) - (i < j);
}

/* The entry whose path is the path's first len bytes, among entries sorted by path; NULL where there is none. */
static const struct sf_entry *locate(const struct sf_filelist *list, const size_t *sorted, size_t count,
                                     const char *path, size_t len)
{
        size_t low = 0, high = count;

        while (low < high) {
                size_t middle = low + (high - low) / 2;
                const struct sf_entry *entry = &list->entries[sorted[middle]];
                int order = strncmp(entry->path, path, len);
                if (order == 0 && entry->path[len] == '\0')
                        return entry;
                if (order >= 0)
                        high = middle;
                else
                        low = middle + 1;
        }
        return NULL;
}

/* Equal paths may only be one directory in several layers. Keeps the first of each in by_path. */
static int drop_repeated(struct sf_filelist *list, const char *name, struct sf_error *err)
{
        size_t kept = 0;

        for (size_t i = 0; i < list->entry_count; i++) {
                const struct sf_entry *entry = &list->entries[list->by_path[i]];
                const struct sf_entry *before = i ? &list->entries[list->by_path[i - 1]] : NULL;
                if (!before || strcmp(before->path, entry->path) != 0) {
                        list->by_path[kept++] = list->by_path[i];
                        continue;
                }
                if (before->type != SF_ENTRY_DIRECTORY || entry->type != SF_ENTRY_DIRECTORY ||
                    before->mode != entry->mode ||
                    list->frames[before->frame].layer == list->frames[entry->frame].layer)
                        return sf_error_set(err, SF_ERR_CORRUPT, "%s: %s is listed twice", name, entry->path);
        }
        list->by_path_count = kept;
        return 0;
}

/* Every entry lies in a directory that is listed before it. */
static int check_parents(const struct sf_filelist *list, const char *name, struct sf_error *err)
{
        size_t *directories = sf_pool_alloc(list->pool, list->by_path_count + 1, sizeof *directories), count = 0;
        const char *known = "";
        size_t known_len = 0;

        if (!directories)
                return sf_error_set(err, SF_ERR_NOMEM, "%s: no memory", name);
        for (size_t i = 0; i < list->by_path_count; i++)
                if (list->entries[list->by_path[i]].type == SF_ENTRY_DIRECTORY)
                        directories[count++] = list->by_path[i];
        for (const struct sf_entry *entry = list->entries; entry < list->entries + list->entry_count; entry++) {
                size_t len = sf_path_parent_length(entry->path);
                if (len == 0 || (len == known_len && memcmp(entry->path, known, len) == 0))
                        continue;
                const struct sf_entry *parent = locate(list, directories, count, entry->path, len);
                if (!parent || parent > entry)
                        return sf_error_set(err, SF_ERR_CORRUPT, "%s: %s does not lie in a directory listed before it",
                                            name, entry->path);
                known = entry->path;
                known_len = len;
        }
        return 0;
}

int sf_filelist_index_paths(struct sf_filelist *list, const char *name, struct sf_error *err)
{
        list->by_path = sf_pool_alloc(list->pool, list->entry_count + 1, sizeof *list->by_path);
        if (!list->by_path)
                return sf_error_set(err, SF_ERR_NOMEM, "%s: no memory", name);
        for (size_t i = 0; i < list->entry_count; i++)
                list->by_path[i] = i;
        qsort_r(list->by_path, list->entry_count, sizeof *list->by_path, compare_paths, list);
        int r = drop_repeated(list, name, err);
        return r < 0 ? r : check_parents(list, name, err);
}

const struct sf_entry *sf_filelist_find(const struct sf_filelist *list, const char *path)
{
        return locate(list, list->by_path, list->by_path_count, path, strlen(path));
}
