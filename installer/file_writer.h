/* SPDX-License-Identifier: Apache-2.0 */
/* installer/file_writer.h - one listed file to its place on disk.
 *
 * Canonical bytes go in piece by piece; they are hashed, relocated and written as they pass. The file is made with
 * O_EXCL beneath the tree, following no link, and is gone again unless everything matched the list.
 */
#ifndef SF_INSTALLER_FILE_WRITER_H
#define SF_INSTALLER_FILE_WRITER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "installer/tree.h"
#include "installer/direct_writer.h"
#include "release/filelist.h"

/* Opaque: writes one file after the other. Each thread has its own. */
struct sf_file_writer;

/* tree must outlive it. With `replace`, files are written beside their name, synced and renamed over it. */
int sf_file_writer_open(const struct sf_tree *tree, bool replace, struct sf_file_writer **ret, struct sf_error *err);
/* Removes a file that was begun and not finished. NULL is fine. */
void sf_file_writer_close(struct sf_file_writer *files);
static inline void sf_cleanup_file_writer(struct sf_file_writer **p)
{
        sf_file_writer_close(*p);
}
#define _cleanup_file_writer_ __attribute__((cleanup(sf_cleanup_file_writer)))

int sf_file_writer_begin(struct sf_file_writer *files, const struct sf_entry *entry, struct sf_error *err);
/* More bytes than the entry lists: SF_ERR_CORRUPT. */
int sf_file_writer_feed(struct sf_file_writer *files, const void *canonical, size_t len, struct sf_error *err);
/* Checks size and digest (SF_ERR_CORRUPT), then sets owner and mode. */
int sf_file_writer_finish(struct sf_file_writer *files, struct sf_error *err);

/* Instead of begin, feed and finish, where the whole content (entry->size bytes) is there at once: not one byte of
 * it is written before its digest is right. */
int sf_file_writer_put(struct sf_file_writer *files, const struct sf_entry *entry, const void *canonical,
                       struct sf_error *err);
/* Until sf_file_writer_settle, `put` may leave large files that lie in this memory to the writer. */
void sf_file_writer_lend(struct sf_file_writer *files, struct sf_direct_writer *writer, const void *memory, size_t len);
/* Waits until everything that was put is written; the memory is the caller's again, whatever is returned. */
int sf_file_writer_settle(struct sf_file_writer *files, struct sf_error *err);
/* From now on the bytes of each file are added to *written once it has them. */
void sf_file_writer_count(struct sf_file_writer *files, atomic_ullong *written);

/* Instead of begin, feed and finish: makes the entry from an intact, unmapped file of the same file system without
 * copying, as a clone, or unless replacing as a hard link (*ret_linked tells). Returns 1 when done, 0 where neither
 * can be had. *no_clones, shared by all who share between the same trees, is set once a clone failed and none is
 * tried again. */
int sf_file_writer_share(struct sf_file_writer *files, const struct sf_entry *entry, int source_dirfd,
                         const char *source_path, atomic_bool *no_clones, bool *ret_linked, struct sf_error *err);

/* Makes every wanted directory (as in struct sf_unpack; NULL = all) with its listed mode, then every wanted link.
 * What lies in the way of a directory is SF_ERR_EXISTS, with `replace` it is removed; so is what lies in the way of
 * a link. */
int sf_file_writer_skeleton(const struct sf_tree *tree, const uint8_t *wanted, bool replace, struct sf_error *err);

/* Writes canonical content as an installed file (relocated, mode set), below dirfd. Fails if the name exists, unless
 * it is to be replaced. */
int sf_file_writer_write(const struct sf_tree *tree, bool replace, const struct sf_entry *entry, const void *canonical,
                         size_t len, struct sf_error *err);

#endif
