/* SPDX-License-Identifier: Apache-2.0 */
/* installer/direct_writer.h - whole files from memory straight to the disk, while their decoder goes on.
 *
 * Writing past the page cache (O_DIRECT) spares a copy and the page cache of a node whose jobs need it, and leaves
 * nothing for the final sync to wait for. But it waits for the disk, so a few threads wait instead of the decoders.
 */
#ifndef SF_INSTALLER_DIRECT_WRITER_H
#define SF_INSTALLER_DIRECT_WRITER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* True where the file system of the directory takes direct writes from unregistered memory and gains by them. */
bool sf_direct_writer_suits(int dirfd);

struct sf_direct_writer; /* opaque: the threads and what waits for them */
int sf_direct_writer_open(struct sf_direct_writer **ret, struct sf_error *err);
/* Everything must have been waited for. NULL is fine. */
void sf_direct_writer_close(struct sf_direct_writer *writer);
static inline void sf_cleanup_direct_writer(struct sf_direct_writer **w) { sf_direct_writer_close(*w); }
#define _cleanup_direct_writer_ __attribute__((cleanup(sf_cleanup_direct_writer)))

/* What one thread has under way; all zeros at the start. */
struct sf_direct_writer_batch {
        size_t pending;
        struct sf_error error; /* the first failure */
};

/* Writes data to the empty file fd and closes it, at some later time. data and path (for errors) stay as they are until
 * the batch has been waited for. Waits itself while much is under way. */
int sf_direct_writer_put(struct sf_direct_writer *writer, struct sf_direct_writer_batch *batch, int fd,
                         const void *data, size_t len, const char *path, struct sf_error *err);
/* Until everything of the batch is written; its first failure. */
int sf_direct_writer_wait(struct sf_direct_writer *writer, struct sf_direct_writer_batch *batch, struct sf_error *err);

#endif
