/* SPDX-License-Identifier: Apache-2.0 */
/* installer/member.c - see member.h. The gate between what a layer claims and what the list allows.
 *
 * libarchive is asked to parse, never to extract: its own checks let device nodes, set-id files, foreign owners,
 * escaping links and duplicates pass.
 */
#include "installer/member.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "base/cleanup.h"
#include "release/layout.h"

#define END_MARKER 1024 /* two blocks of zeros end a tar file (POSIX.1-2017, pax, ustar Interchange Format) */

/* Passes pieces to libarchive and remembers the latest, whose tail may be the end marker. */
struct feed {
        const struct sf_member_source *source;
        struct sf_error *err;
        int failed; /* what the source answered, libarchive only knows that something did */
        const uint8_t *piece;
        size_t len;
        uint64_t passed; /* bytes before and including the piece */
};

static la_ssize_t feed_read(struct archive *a, void *ctx, const void **ret)
{
        struct feed *f = ctx;
        const void *piece = NULL;

        if (f->failed < 0)
                return ARCHIVE_FATAL;
        ssize_t n = f->source->next(f->source->ctx, &piece, f->err);
        if (n < 0) {
                f->failed = (int)n;
                archive_set_error(a, EIO, "the source failed");
                return ARCHIVE_FATAL;
        }
        f->piece = piece;
        f->len = (size_t)n;
        f->passed += (size_t)n;
        *ret = piece;
        return n;
}

static const char *name_of(struct archive_entry *e)
{
        const char *name = archive_entry_pathname(e);
        return name ? name : archive_entry_pathname_utf8(e);
}

static int refuse(struct sf_error *err, const char *member, const char *reason)
{
        return sf_error_set(err, SF_ERR_CORRUPT, "%s: %s", member, reason);
}

/* Anything a tar member can carry beyond type, path, mode, size and target. */
static const char *surplus(struct archive_entry *e)
{
        const char *user = archive_entry_uname(e), *group = archive_entry_gname(e);

        if (archive_entry_hardlink(e))
                return "is a hard link";
        if (archive_entry_uid(e) != 0 || archive_entry_gid(e) != 0)
                return "has a foreign owner";
        if ((user && *user && strcmp(user, "root") != 0) || (group && *group && strcmp(group, "root") != 0))
                return "has a foreign owner by name";
        if (archive_entry_sparse_count(e) > 0)
                return "is sparse";
        if (archive_entry_xattr_count(e) > 0)
                return "has extended attributes";
        if (archive_entry_acl_types(e) != 0)
                return "has an access control list";
        if (archive_entry_fflags_text(e))
                return "has file flags";
        return NULL;
}

static mode_t tar_type(enum sf_entry_type type)
{
        static const mode_t types[] = {
                [SF_ENTRY_DIRECTORY] = AE_IFDIR, [SF_ENTRY_FILE] = AE_IFREG, [SF_ENTRY_SYMLINK] = AE_IFLNK
        };
        return types[type];
}

static const char *type_name(mode_t type)
{
        switch (type) {
        case AE_IFREG:
                return "a file";
        case AE_IFDIR:
                return "a directory";
        case AE_IFLNK:
                return "a symbolic link";
        case AE_IFCHR:
        case AE_IFBLK:
                return "a device";
        case AE_IFIFO:
                return "a fifo";
        default:
                return "of an odd type";
        }
}

/* True where name is SF_LAYOUT_MEMBER_ROOT followed by path; a directory may end in a slash. */
static bool path_is(const char *name, const char *path, bool directory)
{
        size_t root = strlen(SF_LAYOUT_MEMBER_ROOT), len = strlen(path);

        if (strncmp(name, SF_LAYOUT_MEMBER_ROOT, root) != 0 || strncmp(name + root, path, len) != 0)
                return false;
        const char *rest = name + root + len;
        return *rest == '\0' || (directory && strcmp(rest, "/") == 0);
}

/* Links carry no mode of their own: every tar writer records another one. */
static int check_member(const struct sf_entry *entry, struct archive_entry *e, struct sf_error *err)
{
        const char *name = name_of(e), *target = archive_entry_symlink(e);
        mode_t type = archive_entry_filetype(e);
        int64_t size = archive_entry_size_is_set(e) ? archive_entry_size(e) : 0;

        if (!name)
                return refuse(err, "a member", "has an unreadable name");
        if (!path_is(name, entry->path, entry->type == SF_ENTRY_DIRECTORY))
                return sf_error_set(err, SF_ERR_CORRUPT, "%s: not listed here, %s is next", name, entry->path);
        const char *reason = surplus(e);
        if (reason)
                return refuse(err, name, reason);
        if (type != tar_type(entry->type))
                return sf_error_set(err, SF_ERR_CORRUPT, "%s: is %s, listed as %s", name, type_name(type),
                                    type_name(tar_type(entry->type)));
        if (entry->type != SF_ENTRY_SYMLINK && archive_entry_perm(e) != entry->mode)
                return sf_error_set(err, SF_ERR_CORRUPT, "%s: mode %04o, listed as %04o", name,
                                    (unsigned)archive_entry_perm(e), (unsigned)entry->mode);
        if (size < 0 || (uint64_t)size != entry->size)
                return sf_error_set(err, SF_ERR_CORRUPT, "%s: %" PRId64 " bytes, listed as %" PRIu64, name, size,
                                    entry->size);
        if (entry->type == SF_ENTRY_SYMLINK && (!target || strcmp(target, entry->target) != 0))
                return sf_error_set(err, SF_ERR_CORRUPT, "%s: points to %s, listed as %s", name,
                                    target ? target : "nothing", entry->target);
        return 0;
}

/* The next header; 1 where there is one, 0 at the end. */
static int next_member(struct archive *a, struct feed *f, struct archive_entry **ret, struct sf_error *err)
{
        int r = archive_read_next_header(a, ret);

        /* A warning is about what this locale cannot say or libarchive ignores; what counts is compared with the
         * list. */
        if (r == ARCHIVE_OK || r == ARCHIVE_WARN)
                return 1;
        if (f->failed < 0)
                return f->failed;
        if (r == ARCHIVE_EOF)
                return 0;
        return sf_error_set(err, SF_ERR_CORRUPT, "not a readable tar member: %s", archive_error_string(a));
}

/* After the last block that was read; got is what libarchive answered then. */
static int check_file_end(struct archive *a, const struct feed *f, const struct sf_entry *entry, int got,
                          struct sf_error *err)
{
        if (f->failed < 0)
                return f->failed;
        if (got == ARCHIVE_OK)
                return refuse(err, entry->path, "is longer than listed");
        if (got != ARCHIVE_EOF)
                return sf_error_set(err, SF_ERR_CORRUPT, "%s: %s", entry->path, archive_error_string(a));
        return 0;
}

static int copy_file(struct archive *a, struct feed *f, const struct sf_entry *entry, struct sf_file_writer *writer,
                     struct sf_error *err)
{
        const void *bytes;
        size_t len;
        int64_t offset;
        uint64_t seen = 0;
        int r, got = archive_read_data_block(a, &bytes, &len, &offset);

        if (got == ARCHIVE_OK && offset == 0 && len == entry->size) {
                r = sf_file_writer_put(writer, entry, bytes, err);
                if (r < 0)
                        return r;
                return check_file_end(a, f, entry, archive_read_data_block(a, &bytes, &len, &offset), err);
        }
        r = sf_file_writer_begin(writer, entry, err);
        if (r < 0)
                return r;
        for (; got == ARCHIVE_OK; got = archive_read_data_block(a, &bytes, &len, &offset)) {
                if (offset < 0 || (uint64_t)offset != seen)
                        return refuse(err, entry->path, "has a hole");
                seen += len;
                r = sf_file_writer_feed(writer, bytes, len, err);
                if (r < 0)
                        return r;
        }
        r = check_file_end(a, f, entry, got, err);
        return r < 0 ? r : sf_file_writer_finish(writer, err);
}

/* opt/, opt/slurm/ and opt/slurm/view/: what lets a layer unpack by hand. */
static int skip_preamble(struct archive *a, struct feed *f, struct sf_error *err)
{
        for (const char *end = SF_LAYOUT_MEMBER_ROOT; (end = strchr(end, '/')) != NULL; end++) {
                size_t len = (size_t)(end - SF_LAYOUT_MEMBER_ROOT);
                struct archive_entry *e = NULL;
                int r = next_member(a, f, &e, err);
                if (r < 0)
                        return r;
                const char *name = r ? name_of(e) : NULL;
                if (!name || strncmp(name, SF_LAYOUT_MEMBER_ROOT, len) != 0 ||
                    (name[len] && strcmp(name + len, "/") != 0))
                        return sf_error_set(err, SF_ERR_CORRUPT, "%s: not listed here, %.*s is next",
                                            name ? name : "the end", (int)len, SF_LAYOUT_MEMBER_ROOT);
                if (archive_entry_filetype(e) != AE_IFDIR || archive_entry_perm(e) != 0755 || surplus(e))
                        return refuse(err, name, "is not a plain directory of root's with mode 0755");
        }
        return 0;
}

/* What follows the last member: nothing, or in a layer's last frame zeros, at least the end marker. */
static int check_end(struct archive *a, struct feed *f, bool last_frame, struct sf_error *err)
{
        struct archive_entry *e = NULL;
        int r = next_member(a, f, &e, err);

        if (r < 0)
                return r;
        if (r > 0)
                return refuse(err, name_of(e) ? name_of(e) : "a member", "is not listed");
        uint64_t start = (uint64_t)archive_read_header_position(a), piece_start = f->passed - f->len;
        size_t skip = start > piece_start ? (size_t)(start - piece_start) : 0;
        for (;;) {
                for (size_t i = skip; i < f->len; i++)
                        if (f->piece[i])
                                return refuse(err, "behind the last member", "bytes that are not zero");
                skip = 0;
                const void *piece;
                ssize_t n = f->source->next(f->source->ctx, &piece, err);
                if (n < 0)
                        return (int)n;
                if (n == 0)
                        break;
                f->piece = piece;
                f->len = (size_t)n;
                f->passed += (size_t)n;
        }
        uint64_t tail = f->passed - start;
        if (last_frame ? tail < END_MARKER : tail != 0)
                return sf_error_set(err, SF_ERR_CORRUPT, "%" PRIu64 " bytes behind the last member", tail);
        return 0;
}

static int walk(struct archive *a, struct feed *f, const struct sf_filelist *list, size_t frame, const uint8_t *wanted,
                struct sf_file_writer *writer, struct sf_error *err)
{
        const struct sf_frame *this = &list->frames[frame];
        const struct sf_layer *layer = &list->layers[this->layer];
        int r = 0;

        if (frame == layer->first_frame && (r = skip_preamble(a, f, err)) < 0)
                return r;
        for (size_t i = this->first_entry; i < this->first_entry + this->entry_count; i++) {
                const struct sf_entry *entry = &list->entries[i];
                struct archive_entry *e = NULL;

                r = next_member(a, f, &e, err);
                if (r < 0)
                        return r;
                if (r == 0)
                        return refuse(err, entry->path, "listed, but missing");
                r = check_member(entry, e, err);
                if (r == 0 && entry->type == SF_ENTRY_FILE && (!wanted || wanted[i]))
                        r = copy_file(a, f, entry, writer, err);
                if (r < 0)
                        return r;
        }
        return check_end(a, f, frame == layer->first_frame + layer->frame_count - 1, err);
}

int sf_member_walk(const struct sf_filelist *list, size_t frame, const uint8_t *wanted,
                   const struct sf_member_source *source, struct sf_file_writer *writer, struct sf_error *err)
{
        struct feed f = { .source = source, .err = err };
        struct archive *a = archive_read_new();
        int r;

        if (!a)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for libarchive");
        if (archive_read_support_format_tar(a) != ARCHIVE_OK ||
            archive_read_open(a, &f, NULL, feed_read, NULL) != ARCHIVE_OK)
                r = f.failed < 0 ? f.failed
                                 : sf_error_set(err, SF_ERR_CORRUPT, "not a tar file: %s", archive_error_string(a));
        else
                r = walk(a, &f, list, frame, wanted, writer, err);
        archive_read_free(a);
        return r;
}
