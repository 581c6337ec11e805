/* SPDX-License-Identifier: Apache-2.0 */
/* installer/stat_record.h - how a release's files looked on the disk when their content was last known to be right.
 *
 * Reading a file to learn that nothing happened to it costs as much as installing it; an upgrade that reads every
 * unchanged file costs by the size of the tree. So each release keeps, in .sf-release/seen, what stat said of the files
 * that it wrote and hashed: inode number and birth, time of the last modification, mode and owner. A file that still
 * looks like that was not written to since, nor replaced: neither by accident nor by a tool that does not set times
 * back (a birth cannot be set). A link more or less changes none of it. A tree that was copied has other inodes and is
 * read.
 *
 * This is no protection against decaying disks or against root: `verify` always reads everything. docs/SECURITY.md says
 * more.
 *
 *     sf-seen 1 <tree digest>
 *     <inode> <birth> <modification> <mode> <uid> <gid>   times in ns, 0 = the file system keeps no birth; mode octal
 *     -                                                  not known, or relocated (and so read in any case)
 *
 * One line per file of the file list, in its order.
 */
#ifndef SF_INSTALLER_STAT_RECORD_H
#define SF_INSTALLER_STAT_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "release/filelist.h"

#define SF_STAT_RECORD_FILE "seen" /* inside .sf-release/ */

struct sf_stat_record {
        uint64_t inode; /* 0 = nothing is known of the file */
        int64_t birth, modification;
        uint32_t mode, uid, gid;
        bool durable;   /* on the disk already: a release was committed with it. Not in the text. */
};

/* What stat says of a file below dirfd. False where it says nothing, or the file is no regular one of `size` bytes. */
bool sf_stat_record_look(int dirfd, const char *path, uint64_t size, struct sf_stat_record *ret);
/* True where both are known and say the same. */
bool sf_stat_record_same(const struct sf_stat_record *a, const struct sf_stat_record *b);

/* `seen` has one element per entry of the list. Reading: what cannot be read or does not belong to the list leaves
 * everything unknown. Writing looks at each file below dirfd of which nothing is known yet. */
void sf_stat_record_read(int dirfd, const struct sf_filelist *list, struct sf_stat_record *seen);
int sf_stat_record_write(int dirfd, const struct sf_filelist *list, const struct sf_stat_record *seen,
                         struct sf_buffer *ret, struct sf_error *err);

#endif
