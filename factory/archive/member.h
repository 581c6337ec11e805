/* SPDX-License-Identifier: Apache-2.0 */
/* factory/archive/member.h - what every reader of an archive needs of libarchive(3). */
#ifndef SF_FACTORY_ARCHIVE_MEMBER_H
#define SF_FACTORY_ARCHIVE_MEMBER_H

#include <archive.h>
#include <archive_entry.h>

#include "base/error.h"

/* For _cleanup_(): free what archive_read_new() and archive_write_*_new() gave; NULL is nothing. */
void sf_archive_close_reader(struct archive **archive);
void sf_archive_close_writer(struct archive **archive);

/* Writes one member, whose header was read from `in`, to `out`. SF_ERR_CORRUPT where it cannot be read; what cannot
 * be written whole is SF_ERR_NO_SPACE or SF_ERR_IO, with the entry's path. */
int sf_archive_copy_member(struct archive *in, struct archive *out, struct archive_entry *entry, struct sf_error *err);

#endif
