/* SPDX-License-Identifier: Apache-2.0 */
/* factory/pack/layer.c - why: a layer must be plain tar+zstd for every tool, the same bytes on every machine, and
 * still let a node fetch or decode a part of it. */
#include "factory/pack/layer.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "release/layout.h"

struct writer {
        struct archive *tar;
        struct archive_entry *member; /* reused */
        struct sf_buffer pending;     /* tar bytes of the frame being filled: whole members */
        ZSTD_CCtx *gauge;             /* a quick compression of the same bytes, to foresee the frame's size, and ... */
        size_t gauged;                /* ... what it came to so far */
        struct sf_digester *diff_id;
        struct sf_frames *frames; /* NULL: only the digest of the tar file is wanted */
        uint32_t frame;           /* index of the frame being filled, in this layer */
        int64_t epoch;
        struct sf_error *err; /* where the archive callback leaves its reason */
};

static void writer_free(struct writer *w)
{
        archive_entry_free(w->member);
        archive_write_free(w->tar);
        ZSTD_freeCCtx(w->gauge);
        sf_frames_free(w->frames);
        sf_digester_free(w->diff_id);
        sf_buffer_free(&w->pending);
}

/* Long-distance matching is what makes near copies cheap, so the gauge has it too. */
static int open_gauge(struct writer *w)
{
        w->gauge = ZSTD_createCCtx();
        if (!w->gauge)
                return -1;
        ZSTD_CCtx_setParameter(w->gauge, ZSTD_c_compressionLevel, 1);
        ZSTD_CCtx_setParameter(w->gauge, ZSTD_c_enableLongDistanceMatching, 1);
        ZSTD_CCtx_setParameter(w->gauge, ZSTD_c_windowLog, SF_FRAME_WINDOW_LOG);
        return 0;
}

static void gauge(struct writer *w, const void *bytes, size_t len)
{
        uint8_t nowhere[16384];
        ZSTD_inBuffer in = { bytes, len, 0 };

        do {
                ZSTD_outBuffer out = { nowhere, sizeof nowhere, 0 };
                if (ZSTD_isError(ZSTD_compressStream2(w->gauge, &out, &in, ZSTD_e_continue)))
                        return;
                w->gauged += out.pos;
        } while (in.pos < in.size);
}

static void restart_gauge(struct writer *w)
{
        ZSTD_CCtx_reset(w->gauge, ZSTD_reset_session_only);
        w->gauged = 0;
}

static la_ssize_t collect_tar(struct archive *tar, void *ctx, const void *bytes, size_t len)
{
        struct writer *w = ctx;

        sf_digester_update(w->diff_id, bytes, len);
        if (!w->frames)
                return (la_ssize_t)len;
        gauge(w, bytes, len);
        if (sf_buffer_append(&w->pending, bytes, len, w->err) < 0) {
                archive_set_error(tar, ENOMEM, "out of memory");
                return -1;
        }
        return (la_ssize_t)len;
}

/* Without a file (-1): for the digest only. */
static int writer_open(struct writer *w, int fd, const char *name, struct sf_error *err)
{
        int r = fd >= 0 ? sf_frames_new(fd, name, &w->frames, err) : 0;

        if (r < 0)
                return r;
        w->err = err;
        w->tar = archive_write_new();
        w->member = archive_entry_new();
        if (!w->tar || !w->member || open_gauge(w) < 0)
                return sf_error_set(err, SF_ERR_NOMEM, "%s: out of memory", name);
        if ((r = sf_digester_new(&w->diff_id, err)) < 0)
                return r;
        /* Blocking would hold bytes back across members. */
        if (archive_write_set_format_pax_restricted(w->tar) != ARCHIVE_OK ||
            archive_write_set_bytes_per_block(w->tar, 0) != ARCHIVE_OK ||
            archive_write_open(w->tar, w, NULL, collect_tar, NULL) != ARCHIVE_OK)
                return sf_error_set(err, SF_ERR_FAILED, "%s: %s", name, archive_error_string(w->tar));
        return 0;
}

/* `name` is the whole member name; data follows for files. */
static int put_header(struct writer *w, const char *name, const struct sf_entry *entry, struct sf_error *err)
{
        static const mode_t types[] = {
                [SF_ENTRY_DIRECTORY] = AE_IFDIR,
                [SF_ENTRY_FILE] = AE_IFREG,
                [SF_ENTRY_SYMLINK] = AE_IFLNK,
        };

        archive_entry_clear(w->member);
        archive_entry_set_pathname(w->member, name);
        archive_entry_set_filetype(w->member, types[entry->type]);
        archive_entry_set_perm(w->member, entry->mode);
        archive_entry_set_size(w->member, (la_int64_t)entry->size);
        archive_entry_set_uname(w->member, "root");
        archive_entry_set_gname(w->member, "root");
        archive_entry_set_mtime(w->member, (time_t)w->epoch, 0);
        if (entry->type == SF_ENTRY_SYMLINK)
                archive_entry_set_symlink(w->member, entry->target);
        if (archive_write_header(w->tar, w->member) < ARCHIVE_WARN)
                return sf_error_set(err, SF_ERR_FAILED, "%s: %s", name, archive_error_string(w->tar));
        return 0;
}

/* The staged content is checked against what the list will say: nobody may have touched it in between. */
static int put_content(struct writer *w, const char *stage, const struct sf_entry *entry, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer content = SF_BUFFER_INIT;
        _cleanup_free_ char *staged = sf_fs_join(stage, entry->path);
        struct sf_digest digest;
        int r;

        if (!staged)
                return sf_error_set(err, SF_ERR_NOMEM, "%s: out of memory", entry->path);
        r = sf_fs_read(staged, entry->size, &content, err);
        if (r < 0)
                return r;
        sf_digest_of(content.data, content.len, &digest);
        if (content.len != entry->size || !sf_digest_equal(&digest, &entry->digest))
                return sf_error_set(err, SF_ERR_CORRUPT, "%s changed while it was packed", staged);
        if (content.len && archive_write_data(w->tar, content.data, content.len) != (la_ssize_t)content.len)
                return sf_error_set(err, SF_ERR_FAILED, "%s: %s", entry->path, archive_error_string(w->tar));
        return 0;
}

static int put_node(struct writer *w, const char *stage, struct sf_node *node, struct sf_error *err)
{
        _cleanup_free_ char *name = sf_format("%s%s", SF_LAYOUT_MEMBER_ROOT, node->entry.path);
        int r;

        if (!name)
                return sf_error_set(err, SF_ERR_NOMEM, "%s: out of memory", node->entry.path);
        node->entry.frame = w->frame;
        r = put_header(w, name, &node->entry, err);
        if (r == 0 && node->entry.type == SF_ENTRY_FILE)
                r = put_content(w, stage, &node->entry, err);
        if (r == 0 && archive_write_finish_entry(w->tar) < ARCHIVE_WARN)
                r = sf_error_set(err, SF_ERR_FAILED, "%s: %s", name, archive_error_string(w->tar));
        return r;
}

static bool cut_before(const struct writer *w, const struct sf_node *before, const struct sf_node *node)
{
        if (w->gauged >= SF_FRAME_GAUGE_MAX)
                return true;
        if (w->pending.len < SF_FRAME_CONTENT_MIN)
                return false;
        return before->entry.type != node->entry.type || before->kind != node->kind ||
               w->pending.len + node->entry.size > SF_FRAME_CONTENT_MAX;
}

static int put_nodes(struct writer *w, const struct sf_compose *tree, size_t first, size_t count, struct sf_error *err)
{
        static const char *const preamble[] = { "opt/", "opt/slurm/", SF_LAYOUT_MEMBER_ROOT };
        const struct sf_entry directory = { .type = SF_ENTRY_DIRECTORY, .mode = 0755 };
        int r = 0;

        for (size_t i = 0; i < sizeof preamble / sizeof preamble[0] && r == 0; i++)
                r = put_header(w, preamble[i], &directory, err);
        for (size_t i = first; i < first + count && r == 0; i++) {
                if (w->frames && i > first && cut_before(w, tree->nodes[i - 1], tree->nodes[i])) {
                        r = sf_frames_add(w->frames, &w->pending, err);
                        restart_gauge(w);
                        w->frame++;
                }
                if (r == 0)
                        r = put_node(w, tree->stage, tree->nodes[i], err);
        }
        if (r == 0 && archive_write_close(w->tar) != ARCHIVE_OK)
                r = sf_error_set(err, SF_ERR_FAILED, "end of tar: %s", archive_error_string(w->tar));
        return r < 0 || !w->frames ? r : sf_frames_add(w->frames, &w->pending, err);
}

int sf_layer_digest(const struct sf_layer_part *part, struct sf_digest *ret, struct sf_error *err)
{
        _cleanup_(writer_free) struct writer w = { .epoch = part->epoch };
        int r = writer_open(&w, -1, part->name, err);

        if (r == 0)
                r = put_nodes(&w, part->tree, part->first, part->count, err);
        if (r == 0)
                sf_digester_finish(w.diff_id, ret);
        return r;
}

int sf_layer_write(const struct sf_layer_part *part, const char *blobs, struct sf_layer_blob *ret, struct sf_error *err)
{
        _cleanup_(writer_free) struct writer w = { .epoch = part->epoch };
        _cleanup_free_ char *partial = sf_format("%s/.%s.partial", blobs, part->name), *path = NULL;
        _cleanup_close_ int fd = partial ? open(partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644) : -1;
        struct sf_layer_blob blob = { 0 };
        char hex[SF_DIGEST_HEX + 1];
        int r;

        if (!partial)
                return sf_error_set(err, SF_ERR_NOMEM, "%s: out of memory", blobs);
        if (fd < 0)
                return sf_error_errno(err, "cannot make %s", partial);
        r = writer_open(&w, fd, partial, err);
        if (r == 0)
                r = put_nodes(&w, part->tree, part->first, part->count, err);
        if (r == 0)
                r = sf_frames_finish(w.frames, &blob.frames, &blob.frame_count, &blob.size, &blob.digest, err);
        if (r < 0)
                return r;
        sf_digester_finish(w.diff_id, &blob.diff_id);
        path = sf_fs_join(blobs, sf_digest_hex(&blob.digest, hex));
        /* On the disk before anything says that this release is packed. */
        if (!path || fsync(fd) < 0 || rename(partial, path) < 0) {
                free(blob.frames);
                return path ? sf_error_errno(err, "cannot finish %s", partial)
                            : sf_error_set(err, SF_ERR_NOMEM, "%s: out of memory", blobs);
        }
        *ret = blob;
        return 0;
}
