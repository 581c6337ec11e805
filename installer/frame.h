/* SPDX-License-Identifier: Apache-2.0 */
/* installer/frame.h - one compressed frame: received, checked, decoded, in this order.
 *
 * A frame is an independent zstd frame (RFC 8878). Not one byte of it reaches the decoder before its digest is right,
 * so it has to be kept whole: in memory, or where it is too large for that in a file that never had a visible name.
 */
#ifndef SF_INSTALLER_FRAME_H
#define SF_INSTALLER_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/digest.h"
#include "base/error.h"
#include "base/stream.h"
#include "release/filelist.h"

struct sf_frame_bytes {
        const uint8_t *data; /* borrowed; NULL when in the file */
        int fd;              /* borrowed; -1 when in memory */
        uint64_t size;
};

/* Takes the next `size` bytes of the stream into a nameless file of the directory. ret->fd is the caller's to close. */
int sf_frame_spool(struct sf_stream *stream, uint64_t size, int dirfd, struct sf_frame_bytes *ret,
                   struct sf_error *err);

/* Opaque: a zstd decoder that is used for one frame after the other. */
struct sf_frame_decoder;
int sf_frame_decoder_open(struct sf_frame_decoder **ret, struct sf_error *err);
void sf_frame_decoder_close(struct sf_frame_decoder *decoder); /* NULL is fine */

/* Checks the digest (SF_ERR_CORRUPT) and makes ready to decode. Both arguments must outlive the decoding, the bytes
 * themselves until sf_frame_ended. */
int sf_frame_start(struct sf_frame_decoder *decoder, const struct sf_frame *frame, const struct sf_frame_bytes *bytes,
                   struct sf_error *err);
/* The next piece of decoded content, as struct sf_member_source wants it. More or less than frame->content_size bytes,
 * a window larger than that calls for, and anything behind the frame are SF_ERR_CORRUPT. */
ssize_t sf_frame_next(void *decoder, const void **ret, struct sf_error *err);
/* True once the compressed bytes are no longer needed: with the first piece, where it is the whole content. */
bool sf_frame_ended(const struct sf_frame_decoder *decoder);

#endif
