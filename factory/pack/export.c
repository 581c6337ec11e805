/* SPDX-License-Identifier: Apache-2.0 */
/* factory/pack/export.c - see export.h. */
#include "factory/pack/export.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/proc.h"
#include "base/stop.h"
#include "factory/pack/export-layers.h"
#include "factory/pack/pack.h"
#include "factory/pack/relocate_script.inc"

#define TOP         "view/"
#define SCRIPT      "relocate.sh"
#define DIRECTORY   ".relocate"
#define DESCRIPTION DIRECTORY "/description"
#define MAP         DIRECTORY "/map"
#define GPG_SECONDS 600 /* an agent may ask somebody for a passphrase */

static const struct {
        const char *name, *filter, *level;
} formats[] = {
        [SF_EXPORT_TAR_GZ] = { "tar.gz", "gzip", "9" },
        [SF_EXPORT_TAR_ZST] = { "tar.zst", "zstd", "19" },
        [SF_EXPORT_OCI] = { "oci", NULL, NULL },
};

int sf_export_format_parse(const char *text, enum sf_export_format *ret, struct sf_error *err)
{
        for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
                if (strcmp(text, formats[i].name) == 0) {
                        *ret = (enum sf_export_format)i;
                        return 0;
                }
        return sf_error_set(err, SF_ERR_USAGE, "--format %s: tar.gz, tar.zst or oci expected", text);
}

char *sf_export_name(const struct sf_release_name *name, enum sf_export_format format)
{
        struct sf_version version;

        if (sf_version_parse(name->version, &version, NULL) < 0)
                return NULL;
        return sf_format("slurm-%u.%02u-%s-%s%s%s-software.%s", version.major, version.minor, name->toolchain,
                         name->arch, *name->build ? "-" : "", name->build, formats[format].name);
}

/* --- writing --------------------------------------------------------------------------------------------------- */

struct writer {
        struct archive *tar;
        struct archive_entry *member; /* reused */
        struct sf_digester *digester; /* of the compressed bytes */
        int fd;
        uint64_t size;
        int64_t epoch;
        const char *path;
        struct sf_error *err; /* where the archive callback leaves its reason */
};

static void writer_free(struct writer *w)
{
        archive_entry_free(w->member);
        archive_write_free(w->tar);
        sf_digester_free(w->digester);
}

static la_ssize_t put_bytes(struct archive *tar, void *ctx, const void *bytes, size_t len)
{
        struct writer *w = ctx;

        if (sf_fs_write_all(w->fd, bytes, len, w->path, w->err) < 0) {
                archive_set_error(tar, EIO, "%s", w->err ? w->err->text : w->path);
                return -1;
        }
        sf_digester_update(w->digester, bytes, len);
        w->size += len;
        return (la_ssize_t)len;
}

static int writer_open(struct writer *w, enum sf_export_format format, struct sf_error *err)
{
        const char *filter = formats[format].filter;

        w->err = err;
        w->epoch = sf_pack_epoch();
        w->tar = archive_write_new();
        w->member = archive_entry_new();
        if (!w->tar || !w->member)
                return sf_error_set(err, SF_ERR_NOMEM, "%s: out of memory", w->path);
        int r = sf_digester_new(&w->digester, err);
        if (r < 0)
                return r;
        if (archive_write_set_format_pax_restricted(w->tar) != ARCHIVE_OK ||
            archive_write_add_filter_by_name(w->tar, filter) != ARCHIVE_OK ||
            archive_write_set_filter_option(w->tar, filter, "compression-level", formats[format].level) != ARCHIVE_OK ||
            /* gzip notes the time of its run unless told not to */
            (format == SF_EXPORT_TAR_GZ &&
             archive_write_set_filter_option(w->tar, filter, "timestamp", NULL) != ARCHIVE_OK) ||
            archive_write_set_bytes_in_last_block(w->tar, 1) != ARCHIVE_OK ||
            archive_write_open(w->tar, w, NULL, put_bytes, NULL) != ARCHIVE_OK)
                return sf_error_set(err, SF_ERR_FAILED, "%s: %s", w->path, archive_error_string(w->tar));
        return 0;
}

/* `path` is relative to the top directory. */
static int put(struct writer *w, const struct sf_entry *entry, const void *content, struct sf_error *err)
{
        static const mode_t types[] = {
                [SF_ENTRY_DIRECTORY] = AE_IFDIR,
                [SF_ENTRY_FILE] = AE_IFREG,
                [SF_ENTRY_SYMLINK] = AE_IFLNK,
        };
        _cleanup_free_ char *name = sf_format(TOP "%s", entry->path);

        if (!name)
                return sf_error_set(err, SF_ERR_NOMEM, "%s: out of memory", entry->path);
        archive_entry_clear(w->member);
        archive_entry_set_pathname(w->member, name);
        archive_entry_set_filetype(w->member, types[entry->type]);
        archive_entry_set_perm(w->member, entry->mode);
        archive_entry_set_size(w->member, entry->type == SF_ENTRY_FILE ? (la_int64_t)entry->size : 0);
        archive_entry_set_uname(w->member, "root");
        archive_entry_set_gname(w->member, "root");
        archive_entry_set_mtime(w->member, (time_t)w->epoch, 0);
        if (entry->type == SF_ENTRY_SYMLINK)
                archive_entry_set_symlink(w->member, entry->target);
        if (archive_write_header(w->tar, w->member) < ARCHIVE_WARN ||
            (entry->type == SF_ENTRY_FILE && entry->size > 0 &&
             archive_write_data(w->tar, content, entry->size) != (la_ssize_t)entry->size))
                return sf_error_set(err, SF_ERR_FAILED, "%s: %s", name, archive_error_string(w->tar));
        return 0;
}

static int put_text(struct writer *w, const char *path, mode_t mode, const char *text, struct sf_error *err)
{
        const struct sf_entry entry = { .type = SF_ENTRY_FILE, .mode = mode, .size = strlen(text), .path = path };

        return put(w, &entry, text, err);
}

/* --- what relocate.sh reads ------------------------------------------------------------------------------------ */

static int describe_map(const struct sf_filelist *list, struct sf_buffer *ret, size_t *ret_relocated,
                        struct sf_error *err)
{
        int r = 0;

        for (size_t i = 0; i < list->entry_count && r == 0; i++) {
                const struct sf_entry *entry = &list->entries[i];
                if (entry->type != SF_ENTRY_FILE || entry->map.kind == SF_MAP_NONE)
                        continue;
                ++*ret_relocated;
                r = sf_buffer_printf(ret, err, "%s %" PRIu64, entry->map.kind == SF_MAP_BINARY ? "b" : "t",
                                     entry->size);
                for (size_t j = 0; j < entry->map.count && r == 0; j++)
                        r = sf_buffer_printf(ret, err, "%c%" PRIu64, j ? ',' : ' ', entry->map.offsets[j]);
                if (r == 0)
                        r = sf_buffer_printf(ret, err, " %s\n", entry->path);
        }
        return r;
}

static int put_relocation(struct writer *w, const struct sf_filelist *list, size_t *ret_relocated, struct sf_error *err)
{
        static const char *const directories[] = { "", DIRECTORY "/" };
        static const char *const ours[] = { SCRIPT, DIRECTORY, DESCRIPTION, MAP };
        _cleanup_(sf_buffer_free) struct sf_buffer map = SF_BUFFER_INIT, description = SF_BUFFER_INIT;
        int r = describe_map(list, &map, ret_relocated, err);

        for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
                if (sf_filelist_find(list, ours[i]))
                        return sf_error_set(err, SF_ERR_EXISTS, "the release has a file %s of its own", ours[i]);
        for (size_t i = 0; i < sizeof directories / sizeof *directories && r == 0; i++)
                r = put(w, &(struct sf_entry){ .type = SF_ENTRY_DIRECTORY, .mode = 0755, .path = directories[i] }, NULL,
                        err);
        if (r == 0)
                r = sf_buffer_printf(&description, err, "release %s\ncanonical " SF_CANONICAL_PREFIX "\nroom %u\n",
                                     list->release, list->prefix_length);
        if (r == 0)
                r = put_text(w, DESCRIPTION, 0644, sf_buffer_text(&description), err);
        if (r == 0)
                r = put_text(w, MAP, 0644, sf_buffer_text(&map), err);
        return r < 0 ? r : put_text(w, SCRIPT, 0755, relocate_script, err);
}

static int put_member(void *ctx, const struct sf_entry *entry, const void *content, struct sf_error *err)
{
        return put(ctx, entry, content, err);
}

static int write_all(const struct sf_build *build, struct writer *w, enum sf_export_format format,
                     struct sf_export_result *result, struct sf_error *err)
{
        _cleanup_(sf_filelist_free) struct sf_filelist list = { 0 };
        int r = sf_build_filelist(build, &list, err);

        if (r == 0)
                r = writer_open(w, format, err);
        if (r == 0)
                r = put_relocation(w, &list, &result->relocated, err);
        if (r == 0)
                r = sf_export_members(build, &list, put_member, w, err);
        if (r == 0 && archive_write_close(w->tar) != ARCHIVE_OK)
                r = sf_error_set(err, SF_ERR_FAILED, "%s: %s", w->path, archive_error_string(w->tar));
        result->file_count = list.file_count;
        return r;
}

int sf_export_tar(const struct sf_build *build, enum sf_export_format format, const char *path,
                  struct sf_export_result *ret, struct sf_error *err)
{
        _cleanup_free_ char *partial = sf_format("%s.partial", path);
        _cleanup_close_ int fd = partial ? open(partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644) : -1;
        _cleanup_(writer_free) struct writer w = { .fd = fd, .path = partial };
        struct sf_export_result result = { 0 };

        if (!partial)
                return sf_error_set(err, SF_ERR_NOMEM, "%s: out of memory", path);
        if (fd < 0)
                return sf_error_errno(err, "cannot make %s", partial);
        int r = write_all(build, &w, format, &result, err);
        if (r == 0 && (fsync(fd) < 0 || rename(partial, path) < 0))
                r = sf_error_errno(err, "cannot finish %s", partial);
        if (r < 0) {
                unlink(partial);
                return r;
        }
        result.size = w.size;
        sf_digester_finish(w.digester, &result.digest);
        *ret = result;
        return 0;
}

int sf_export_sign(const char *path, const char *key, struct sf_error *err)
{
        _cleanup_free_ char *signature = sf_format("%s.asc", path), *partial = sf_format("%s.asc.partial", path);
        const char *const argv[] = { "gpg",      "--batch", "--yes",         "--armor", "--local-user", key,
                                     "--output", partial,   "--detach-sign", "--",      path,           NULL };
        const struct sf_proc gpg = { .argv = argv,
                                     .env = (const char *const *)environ,
                                     .timeout_seconds = GPG_SECONDS,
                                     .stop = &sf_stop_requested };

        if (!signature || !partial)
                return sf_error_set(err, SF_ERR_NOMEM, "%s: out of memory", path);
        if (!key) {
                unlink(signature);
                return 0;
        }
        int r = sf_proc_check(&gpg, err);
        if (r == 0 && rename(partial, signature) < 0)
                r = sf_error_errno(err, "cannot finish %s", partial);
        if (r < 0) {
                unlink(partial);
                unlink(signature);
        }
        return r;
}
