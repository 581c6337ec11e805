/* SPDX-License-Identifier: Apache-2.0 */
/* release/filelist-write.c - the other direction of filelist.c, used by the factory. */
#include <inttypes.h>
#include <string.h>

#include "base/cleanup.h"
#include "release/filelist.h"

static int write_map(const struct sf_map *map, struct sf_buffer *ret, struct sf_error *err)
{
        static const char letters[] = { [SF_MAP_BINARY] = 'b', [SF_MAP_TEXT] = 't', [SF_MAP_VIEW] = 'v' };
        uint64_t before = 0;

        if (map->kind == SF_MAP_NONE || map->count == 0)
                return sf_buffer_puts(ret, "-", err);
        int r = sf_buffer_printf(ret, err, "%c:", letters[map->kind]);
        for (size_t i = 0; r == 0 && i < map->count; i++) {
                r = sf_buffer_printf(ret, err, "%s%" PRIx64, i ? "," : "", map->offsets[i] - before);
                before = map->offsets[i];
        }
        return r;
}

static int write_entry(const struct sf_entry *entry, struct sf_buffer *ret, struct sf_error *err)
{
        char hex[SF_DIGEST_HEX + 1];

        if (entry->type == SF_ENTRY_DIRECTORY)
                return sf_buffer_printf(ret, err, "d %04o %s\n", (unsigned)entry->mode, entry->path);
        if (entry->type == SF_ENTRY_SYMLINK)
                return sf_buffer_printf(ret, err, "l %zu %s %s\n", strlen(entry->target), entry->target, entry->path);
        int r = sf_buffer_printf(ret, err, "f %04o %" PRIu64 " %s ", (unsigned)entry->mode, entry->size,
                                 sf_digest_hex(&entry->digest, hex));
        if (r == 0)
                r = write_map(&entry->map, ret, err);
        return r < 0 ? r : sf_buffer_printf(ret, err, " %s\n", entry->path);
}

/* One frame line and its entries; *next is the first entry that is not written yet. */
static int write_frame(const struct sf_filelist *list, size_t index, size_t *next, struct sf_buffer *ret,
                       struct sf_error *err)
{
        const struct sf_frame *frame = &list->frames[index];
        char hex[SF_DIGEST_HEX + 1];
        int r = sf_buffer_printf(ret, err, "frame %" PRIu64 " %" PRIu64 " %s\n", frame->size, frame->content_size,
                                 sf_digest_hex(&frame->digest, hex));

        for (; r == 0 && *next < list->entry_count && list->entries[*next].frame == index; (*next)++)
                r = write_entry(&list->entries[*next], ret, err);
        return r;
}

static int write_lines(const struct sf_filelist *list, struct sf_buffer *ret, struct sf_error *err)
{
        char hex[SF_DIGEST_HEX + 1];
        size_t next_frame = 0, next_entry = 0;
        int r = sf_buffer_printf(ret, err, "sf-filelist 1\nrelease %s\nprefix %u\n", list->release,
                                 list->prefix_length);

        for (size_t i = 0; r == 0 && i < list->layer_count; i++) {
                const struct sf_layer *layer = &list->layers[i];
                r = sf_buffer_printf(ret, err, "layer %s %" PRIu64 " %s\n", layer->name, layer->size,
                                     sf_digest_hex(&layer->digest, hex));
                for (; r == 0 && next_frame < list->frame_count && list->frames[next_frame].layer == i; next_frame++)
                        r = write_frame(list, next_frame, &next_entry, ret, err);
        }
        if (r == 0 && (next_frame != list->frame_count || next_entry != list->entry_count))
                r = sf_error_set(err, SF_ERR_CORRUPT, "file list of %s: frames or entries are out of order",
                                 list->release);
        return r;
}

int sf_filelist_write(const struct sf_filelist *list, struct sf_buffer *ret, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        _cleanup_(sf_filelist_free) struct sf_filelist check = { 0 };
        int r = write_lines(list, &text, err);

        if (r == 0)
                r = sf_filelist_parse("file list to be written", text.data, text.len, &check, err);
        return r < 0 ? r : sf_buffer_append(ret, text.data, text.len, err);
}
