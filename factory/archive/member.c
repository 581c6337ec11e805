/* SPDX-License-Identifier: Apache-2.0 */
/* factory/archive/member.c - see member.h. */
#include "factory/archive/member.h"

void sf_archive_close_reader(struct archive **archive)
{
        archive_read_free(*archive);
}

void sf_archive_close_writer(struct archive **archive)
{
        archive_write_free(*archive);
}

int sf_archive_copy_member(struct archive *in, struct archive *out, struct archive_entry *entry, struct sf_error *err)
{
        const void *block;
        size_t size;
        la_int64_t offset;
        int r;

        if (archive_write_header(out, entry) < ARCHIVE_WARN)
                return sf_error_set(err, SF_ERR_IO, "%s", archive_error_string(out));
        while ((r = archive_read_data_block(in, &block, &size, &offset)) == ARCHIVE_OK)
                if (archive_write_data_block(out, block, size, offset) < ARCHIVE_WARN)
                        return sf_error_set(err, SF_ERR_IO, "%s", archive_error_string(out));
        if (r != ARCHIVE_EOF)
                return sf_error_set(err, SF_ERR_CORRUPT, "%s", archive_error_string(in));
        return archive_write_finish_entry(out) < ARCHIVE_WARN
                       ? sf_error_set(err, SF_ERR_IO, "%s", archive_error_string(out))
                       : 0;
}
