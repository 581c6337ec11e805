/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz/fuzz-filelist.c - file lists as strangers may write them. A list has one spelling only: what is accepted must be
 * written again byte for byte. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "release/filelist.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool truth)
{
        if (!truth)
                abort();
}

static void check_map(const struct sf_filelist *list, const struct sf_entry *entry)
{
        uint64_t length = entry->map.kind == SF_MAP_BINARY ? list->prefix_length : strlen(SF_CANONICAL_PREFIX), end = 0;

        for (size_t i = 0; i < entry->map.count; i++) {
                require(entry->map.offsets[i] >= end);
                end = entry->map.offsets[i] + length;
                require(end <= entry->size);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        _cleanup_(sf_filelist_free) struct sf_filelist list = { 0 };
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        struct sf_error err = SF_ERROR_INIT;
        uint64_t content = 0;
        int r = sf_filelist_parse("list", data, size, &list, &err);

        require(r == err.code);
        if (r < 0)
                return 0;
        for (size_t i = 0; i < list.entry_count; i++) {
                const struct sf_entry *entry = &list.entries[i], *found = sf_filelist_find(&list, entry->path);
                require(sf_fs_path_is_plain(entry->path) && found && strcmp(found->path, entry->path) == 0);
                require(entry->mode == (entry->type == SF_ENTRY_SYMLINK ? 0777 : entry->mode & 0775u));
                require((entry->target != NULL) == (entry->type == SF_ENTRY_SYMLINK));
                require(entry->frame < list.frame_count);
                check_map(&list, entry);
                content += entry->size;
        }
        require(content == list.content_size);
        require(sf_filelist_write(&list, &text, &err) == 0);
        require(text.len == size && memcmp(text.data, data, size) == 0);
        return 0;
}
