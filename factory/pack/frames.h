/* SPDX-License-Identifier: Apache-2.0 */
/* factory/pack/frames.h - a blob made of independent zstd frames, compressed on all cores, the same bytes on any number
 * of them.
 *
 * Level 19 with long-distance matching; the window is the content's size, at most 2^SF_FRAME_WINDOW_LOG, so that an
 * agent decodes every frame in bounded memory. Each frame carries its content size and zstd's own checksum.
 */
#ifndef SF_FACTORY_PACK_FRAMES_H
#define SF_FACTORY_PACK_FRAMES_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/digest.h"
#include "base/error.h"

#define SF_FRAME_WINDOW_LOG 24

struct sf_frame_info {
        uint64_t size;           /* compressed bytes */
        uint64_t content_size;
        struct sf_digest digest; /* of the compressed bytes */
};

struct sf_frames; /* opaque: the threads and the file */

/* Frames are appended to fd (borrowed; `name` for errors). */
int sf_frames_new(int fd, const char *name, struct sf_frames **ret, struct sf_error *err);
/* Compresses *content as the next frame; takes the bytes and leaves *content empty. Waits when all cores are busy. */
int sf_frames_add(struct sf_frames *frames, struct sf_buffer *content, struct sf_error *err);
/* Waits for the rest. *ret_list is owned by the caller (free()); the blob's own size and digest are the other
 * results. */
int sf_frames_finish(struct sf_frames *frames, struct sf_frame_info **ret_list, size_t *ret_count, uint64_t *ret_size,
                     struct sf_digest *ret_digest, struct sf_error *err);
/* Ends the threads; NULL is fine. */
void sf_frames_free(struct sf_frames *frames);
static inline void sf_cleanup_frames(struct sf_frames **f)
{
        sf_frames_free(*f);
}

/* One frame from memory to memory with the same parameters: file lists. Appends to ret. */
int sf_frame_compress(const void *data, size_t len, struct sf_buffer *ret, struct sf_error *err);

#endif
