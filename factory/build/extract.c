/* SPDX-License-Identifier: Apache-2.0 */
/* factory/build/extract.c - see extract.h. */
#include "factory/build/extract.h"

#include <stdbool.h>
#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "factory/archive/member.h"

#define EXTRACT_FLAGS (ARCHIVE_EXTRACT_TIME | ARCHIVE_EXTRACT_PERM | ARCHIVE_EXTRACT_SECURE_SYMLINKS)

/* The path below the top directory, NULL for the top directory itself and for global headers. */
static const char *below_top(const char *path)
{
        const char *slash;

        while (strncmp(path, "./", 2) == 0)
                path += 2;
        slash = strchr(path, '/');
        if (*path == '/' || !slash || !slash[1])
                return NULL;
        return slash + 1;
}

/* What follows `only` and its slash in a path below the top directory, NULL for anything else. */
static const char *below(const char *path, const char *only)
{
        const char *rest = path ? below_top(path) : NULL;
        size_t length = strlen(only);

        if (!rest || length == 0)
                return rest;
        return strncmp(rest, only, length) == 0 && rest[length] == '/' && rest[length + 1] ? rest + length + 1 : NULL;
}

static bool has_dotdot(const char *path)
{
        for (const char *part = path; part; part = strchr(part, '/') ? strchr(part, '/') + 1 : NULL)
                if (strncmp(part, "..", 2) == 0 && (part[2] == '/' || !part[2]))
                        return true;
        return false;
}

static int move_entry(struct archive_entry *entry, const char *directory, const char *only, struct sf_error *err)
{
        const char *path = below(archive_entry_pathname(entry), only), *link = archive_entry_hardlink(entry);
        _cleanup_free_ char *target = sf_format("%s/%s", directory, path);
        _cleanup_free_ char *other = below(link, only) ? sf_format("%s/%s", directory, below(link, only)) : NULL;

        if (!target || (link && !other))
                return sf_error_set(err, SF_ERR_CORRUPT, "cannot place %s", path);
        if (has_dotdot(path) || (link && has_dotdot(link)))
                return sf_error_set(err, SF_ERR_CORRUPT, "%s leads out of the archive", path);
        archive_entry_set_pathname(entry, target);
        if (link)
                archive_entry_set_hardlink(entry, other);
        return 0;
}

static int copy_all(struct archive *in, struct archive *out, const char *directory, const char *only, int64_t *epoch,
                    struct sf_error *err)
{
        struct archive_entry *entry;
        int r, count = 0;

        while ((r = archive_read_next_header(in, &entry)) == ARCHIVE_OK || r == ARCHIVE_WARN) {
                if (!below(archive_entry_pathname(entry), only))
                        continue;
                if (archive_entry_mtime(entry) > *epoch)
                        *epoch = archive_entry_mtime(entry);
                if ((r = move_entry(entry, directory, only, err)) < 0 ||
                    (r = sf_archive_copy_member(in, out, entry, err)) < 0)
                        return r;
                count++;
        }
        if (r != ARCHIVE_EOF)
                return sf_error_set(err, SF_ERR_CORRUPT, "%s", archive_error_string(in));
        if (count == 0)
                return sf_error_set(err, SF_ERR_CORRUPT, "nothing below a top directory%s%s in it",
                                    *only ? " and " : "", only);
        return 0;
}

int sf_extract(const char *archive, const char *directory, const char *only, int64_t *ret_epoch, struct sf_error *err)
{
        _cleanup_(sf_archive_close_reader) struct archive *in = archive_read_new();
        _cleanup_(sf_archive_close_writer) struct archive *out = archive_write_disk_new();
        int64_t epoch = 0;
        int r;

        if (!in || !out)
                return sf_error_set(err, SF_ERR_NOMEM, "%s", archive);
        archive_read_support_format_tar(in);
        archive_read_support_filter_all(in);
        archive_write_disk_set_options(out, EXTRACT_FLAGS);
        if (archive_read_open_filename(in, archive, 1 << 16) != ARCHIVE_OK)
                return sf_error_set(err, SF_ERR_CORRUPT, "%s: %s", archive, archive_error_string(in));
        if ((r = copy_all(in, out, directory, only, &epoch, err)) < 0)
                return sf_error_prefix(err, "%s", archive);
        *ret_epoch = epoch;
        return 0;
}
