/* SPDX-License-Identifier: Apache-2.0 */
/* factory/pack/hidden.c - why: a compressed man page that names the build prefix passes every search of the file's
 * own bytes. */
#include "factory/pack/hidden.h"

#include <archive.h>
#include <archive_entry.h>
#include <stdint.h>
#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"

#define PIECE    (64u << 10)
#define LOOK_MAX (1ull << 30) /* decoded bytes of one file; who hides a prefix behind more does it on purpose */

static bool looks_compressed(const uint8_t *data, size_t len)
{
        static const struct {
                const char *bytes;
                size_t len;
        } magics[] = {
                { "\x1f\x8b", 2 }, { "BZh", 3 }, { "\xfd\x37zXZ", 6 }, { "\x28\xb5\x2f\xfd", 4 }, { "PK\3\4", 4 }
        };

        for (size_t i = 0; i < sizeof magics / sizeof magics[0]; i++)
                if (len >= magics[i].len && memcmp(data, magics[i].bytes, magics[i].len) == 0)
                        return true;
        return false;
}

/* Searches one member; a match may span two pieces, so the end of each is kept in front of the next. */
static int search_member(struct archive *archive, const char *placeholder, uint64_t *decoded, bool *ret,
                         struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer window = SF_BUFFER_INIT;
        size_t needle = strlen(placeholder);
        uint8_t piece[PIECE];
        la_ssize_t n;

        while (!*ret && *decoded < LOOK_MAX && (n = archive_read_data(archive, piece, sizeof piece)) > 0) {
                int r = sf_buffer_append(&window, piece, (size_t)n, err);
                if (r < 0)
                        return r;
                *decoded += (uint64_t)n;
                *ret = memmem(window.data, window.len, placeholder, needle) != NULL;
                if (window.len >= needle) {
                        memmove(window.data, window.data + window.len - (needle - 1), needle - 1);
                        window.len = needle - 1;
                }
        }
        return 0;
}

static bool next_member(struct archive *archive)
{
        struct archive_entry *entry;
        int r = archive_read_next_header(archive, &entry);

        return r == ARCHIVE_OK || r == ARCHIVE_WARN;
}

int sf_hidden_find(const void *data, size_t len, const char *placeholder, bool *ret, struct sf_error *err)
{
        struct archive *archive;
        uint64_t decoded = 0;
        int r = 0;

        *ret = false;
        if (!looks_compressed(data, len))
                return 0;
        archive = archive_read_new();
        if (!archive)
                return sf_error_set(err, SF_ERR_NOMEM, "out of memory");
        archive_read_support_filter_all(archive);
        archive_read_support_format_tar(archive);
        archive_read_support_format_zip(archive);
        archive_read_support_format_raw(archive);
        if (archive_read_open_memory(archive, data, len) == ARCHIVE_OK)
                while (r == 0 && !*ret && next_member(archive))
                        r = search_member(archive, placeholder, &decoded, ret, err);
        archive_read_free(archive);
        return r;
}
