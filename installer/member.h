/* SPDX-License-Identifier: Apache-2.0 */
/* installer/member.h - the tar members of one frame, in lock-step with the signed list.
 *
 * The format is POSIX pax/ustar and GNU tar as libarchive reads it; what counts is what a member says after all
 * extension headers are applied, and that it says nothing beyond what the list says.
 */
#ifndef SF_INSTALLER_MEMBER_H
#define SF_INSTALLER_MEMBER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "installer/file_writer.h"
#include "release/filelist.h"

/* Where a frame's tar bytes come from: points *ret at the next piece, valid until the next call. Returns its length, 0
 * at the end, or an error. Pieces are whole tar blocks (512 bytes), the last one too. */
struct sf_member_source {
        ssize_t (*next)(void *ctx, const void **ret, struct sf_error *err);
        void *ctx;
};

/* Walks one frame and hands every wanted file to the writer. SF_ERR_CORRUPT names the member and what is wrong with it;
 * nothing of that member has touched the disk then. */
int sf_member_walk(const struct sf_filelist *list, size_t frame, const uint8_t *wanted,
                   const struct sf_member_source *source, struct sf_file_writer *writer, struct sf_error *err);

#endif
