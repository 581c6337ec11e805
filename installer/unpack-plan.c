/* SPDX-License-Identifier: Apache-2.0 */
/* installer/unpack-plan.c - what an unpack needs, room on the disk and bytes of the layers: the part of unpack.h that
 * fetches nothing. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "rpath/relocate.h"
#include "transport/ranges.h"
#include "installer/unpack.h"

#define BLOCK       4096u       /* what a small file or a directory takes on common file systems */
#define RECORD_ROOM (16u << 20) /* for the release's own record and the file system's */

int sf_unpack_check_space(const struct sf_filelist *list, const uint8_t *wanted, int dirfd, struct sf_error *err)
{
        uint64_t need = RECORD_ROOM, names = 16, bytes, inodes;

        /* A link to a file of the lower layer copies it to the upper one. */
        if (sf_fs_storage_at(dirfd) == SF_FS_OVERLAY)
                wanted = NULL;
        for (size_t i = 0; i < list->entry_count; i++) {
                if (wanted && !wanted[i])
                        continue;
                need += (list->entries[i].size + 2 * BLOCK - 1) / BLOCK * BLOCK;
                names++;
        }
        int r = sf_fs_free_space_at(dirfd, &bytes, &inodes, err);
        if (r < 0)
                return r;
        if (bytes < need)
                return sf_error_set(err, SF_ERR_NO_SPACE, "%" PRIu64 " bytes are needed, %" PRIu64 " are free", need,
                                    bytes);
        if (inodes < names)
                return sf_error_set(err, SF_ERR_NO_SPACE, "%" PRIu64 " inodes are needed, %" PRIu64 " are free", names,
                                    inodes);
        return 0;
}

int sf_unpack_check_prefix(const struct sf_filelist *list, const char *installed_prefix, struct sf_error *err)
{
        _cleanup_free_ char *room = malloc((size_t)list->prefix_length + 1);

        if (!room)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a prefix");
        return sf_relocate_pad(installed_prefix, list->prefix_length, room, err);
}

bool sf_unpack_frame_wanted(const struct sf_filelist *list, size_t frame, const uint8_t *wanted)
{
        const struct sf_frame *f = &list->frames[frame];

        for (size_t i = f->first_entry; wanted && i < f->first_entry + f->entry_count; i++)
                if (wanted[i] && list->entries[i].type == SF_ENTRY_FILE)
                        return true;
        return !wanted;
}

/* One layer's ranges, appended to out; room for one per frame. Returns their number. */
static int plan_layer(const struct sf_filelist *list, uint32_t index, const uint8_t *wanted, struct sf_byte_range *room,
                      struct sf_unpack_range *out, uint64_t *bytes, struct sf_error *err)
{
        const struct sf_layer *layer = &list->layers[index];
        size_t count = 0, frame = layer->first_frame;
        uint64_t layer_bytes = 0;

        for (size_t i = frame; i < frame + layer->frame_count; i++)
                if (sf_unpack_frame_wanted(list, i, wanted))
                        room[count++] = (struct sf_byte_range){ list->frames[i].offset, list->frames[i].size };
        int r = sf_ranges_plan(room, &count, layer->size, &layer_bytes, err);
        if (r < 0)
                return sf_error_prefix(err, "layer %s", layer->name);
        for (size_t i = 0; i < count; i++) {
                uint64_t end = room[i].offset + room[i].length;

                while (list->frames[frame].offset < room[i].offset)
                        frame++;
                out[i] = (struct sf_unpack_range){ index, frame, 0, room[i].offset, room[i].length };
                for (; frame < layer->first_frame + layer->frame_count && list->frames[frame].offset < end; frame++)
                        out[i].frame_count++;
        }
        *bytes += layer_bytes;
        return (int)count;
}

int sf_unpack_plan(const struct sf_filelist *list, const uint8_t *wanted, struct sf_unpack_range **ret,
                   size_t *ret_count, uint64_t *ret_bytes, struct sf_error *err)
{
        _cleanup_free_ struct sf_unpack_range *ranges = calloc(list->frame_count + 1, sizeof *ranges);
        _cleanup_free_ struct sf_byte_range *room = calloc(list->frame_count + 1, sizeof *room);
        size_t count = 0;
        uint64_t bytes = 0;

        if (!ranges || !room)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for %zu ranges", list->frame_count);
        for (uint32_t i = 0; i < list->layer_count; i++) {
                int r = plan_layer(list, i, wanted, room, ranges + count, &bytes, err);
                if (r < 0)
                        return r;
                count += (size_t)r;
        }
        *ret = sf_steal_pointer(ranges);
        *ret_count = count;
        *ret_bytes = bytes;
        return 0;
}
