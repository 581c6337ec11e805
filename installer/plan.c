/* installer/plan.c - which bytes of the layers an unpack needs: the part of unpack.h that fetches nothing. */
#include <stdlib.h>

#include "base/cleanup.h"
#include "installer/unpack.h"

/* A request costs about as much as this many bytes: smaller gaps between wanted frames are fetched along. */
#define GAP_MAX (32u << 10)

bool sf_unpack_frame_wanted(const struct sf_filelist *list, size_t frame, const uint8_t *wanted)
{
        const struct sf_frame *f = &list->frames[frame];

        for (size_t i = f->first_entry; wanted && i < f->first_entry + f->entry_count; i++)
                if (wanted[i] && list->entries[i].type == SF_ENTRY_FILE)
                        return true;
        return !wanted;
}

int sf_unpack_plan(const struct sf_filelist *list, const uint8_t *wanted, struct sf_unpack_range **ret,
                   size_t *ret_count, uint64_t *ret_bytes, struct sf_error *err)
{
        _cleanup_free_ struct sf_unpack_range *ranges = calloc(list->frame_count + 1, sizeof *ranges);
        size_t count = 0;
        uint64_t bytes = 0;

        if (!ranges)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for %zu ranges", list->frame_count);
        for (size_t i = 0; i < list->frame_count; i++) {
                const struct sf_frame *frame = &list->frames[i];
                struct sf_unpack_range *last = count ? &ranges[count - 1] : NULL;

                if (!sf_unpack_frame_wanted(list, i, wanted))
                        continue;
                if (!last || last->layer != frame->layer || frame->offset - (last->offset + last->length) > GAP_MAX) {
                        last = &ranges[count++];
                        *last = (struct sf_unpack_range){ .layer = frame->layer,
                                                          .first_frame = i,
                                                          .offset = frame->offset };
                }
                last->frame_count = i + 1 - last->first_frame;
                bytes -= last->length;
                last->length = frame->offset + frame->size - last->offset;
                bytes += last->length;
        }
        *ret = sf_steal_pointer(ranges);
        *ret_count = count;
        *ret_bytes = bytes;
        return 0;
}
