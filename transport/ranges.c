/* SPDX-License-Identifier: Apache-2.0 */
/* transport/ranges.c - see ranges.h. */
#include "transport/ranges.h"

static int check(const struct sf_byte_range *piece, uint64_t previous_offset, uint64_t size, struct sf_error *err)
{
        if (piece->offset > size || piece->length > size - piece->offset)
                return sf_error_set(err, SF_ERR_CORRUPT, "bytes %llu+%llu are wanted of a file of %llu",
                                    (unsigned long long)piece->offset, (unsigned long long)piece->length,
                                    (unsigned long long)size);
        if (piece->offset < previous_offset)
                return sf_error_set(err, SF_ERR_USAGE, "ranges are not sorted");
        return 0;
}

int sf_ranges_plan(struct sf_byte_range *ranges, size_t *count, uint64_t size, uint64_t *ret_bytes,
                   struct sf_error *err)
{
        size_t used = 0;
        uint64_t bytes = 0, previous_offset = 0;

        for (size_t i = 0; i < *count; i++) {
                struct sf_byte_range piece = ranges[i];
                int r = check(&piece, previous_offset, size, err);
                if (r < 0)
                        return r;
                previous_offset = piece.offset;
                if (piece.length == 0)
                        continue;
                struct sf_byte_range *last = used ? &ranges[used - 1] : NULL;
                uint64_t last_end = last ? last->offset + last->length : 0;
                uint64_t end = piece.offset + piece.length;
                if (last && (piece.offset <= last_end || piece.offset - last_end <= SF_RANGES_GAP)) {
                        if (end > last_end)
                                last->length = end - last->offset;
                } else {
                        ranges[used++] = piece;
                }
        }
        for (size_t i = 0; i < used; i++)
                bytes += ranges[i].length;
        if (bytes > size / 2 && used > SF_RANGES_FEW) {
                ranges[0] = (struct sf_byte_range){ 0, size };
                used = 1;
                bytes = size;
        }
        *count = used;
        *ret_bytes = bytes;
        return 0;
}
