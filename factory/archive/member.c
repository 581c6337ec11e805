/* SPDX-License-Identifier: Apache-2.0 */
/* factory/archive/member.c - see member.h. */
#include "factory/archive/member.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

void sf_archive_close_reader(struct archive **archive)
{
        archive_read_free(*archive);
}

void sf_archive_close_writer(struct archive **archive)
{
        archive_write_free(*archive);
}

static int cannot_write(struct archive *out, struct archive_entry *entry, struct sf_error *err)
{
        int number = archive_errno(out);
        bool full = number == ENOSPC || number == EDQUOT;
        const char *why = archive_error_string(out);

        return sf_error_set(err, full ? SF_ERR_NO_SPACE : SF_ERR_IO, "cannot write %s: %s%s%s",
                            archive_entry_pathname(entry), why ? why : "unknown reason", number > 0 ? ": " : "",
                            number > 0 ? strerror(number) : "");
}

/* A warning of the system's is a failure; one without an errno is about a header that asks for nothing, such as a hard
 * link to itself. */
static bool is_begun(struct archive *out, int r)
{
        return r == ARCHIVE_OK || (r == ARCHIVE_WARN && archive_errno(out) <= 0);
}

/* libarchive's writer to disk answers a failed write(2) with ARCHIVE_WARN: only ARCHIVE_OK means that bytes are
 * there. */
int sf_archive_copy_member(struct archive *in, struct archive *out, struct archive_entry *entry, struct sf_error *err)
{
        const void *block;
        size_t size;
        la_int64_t offset;
        int r;

        if (!is_begun(out, archive_write_header(out, entry)))
                return cannot_write(out, entry, err);
        while ((r = archive_read_data_block(in, &block, &size, &offset)) == ARCHIVE_OK)
                if (archive_write_data_block(out, block, size, offset) < ARCHIVE_OK)
                        return cannot_write(out, entry, err);
        if (r != ARCHIVE_EOF)
                return sf_error_set(err, SF_ERR_CORRUPT, "%s", archive_error_string(in));
        return archive_write_finish_entry(out) == ARCHIVE_OK ? 0 : cannot_write(out, entry, err);
}
