/* SPDX-License-Identifier: Apache-2.0 */
/* factory/pack/contents.c - why: deltas are made between releases long after their trees are gone; the layers still
 * have everything. */
#include "factory/pack/contents.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/stream.h"
#include "factory/pack/frames.h"
#include "release/layout.h"

#define PIECE (256u << 10)

/* One layer being read. */
struct reader {
        struct sf_stream *stream;
        struct archive *tar;
        char piece[PIECE];
        struct sf_error *err;
};

static void reader_free(struct reader **reader)
{
        if (!*reader)
                return;
        archive_read_free((*reader)->tar);
        sf_stream_close((*reader)->stream);
        free(*reader);
}

static la_ssize_t pull(struct archive *tar, void *ctx, const void **ret)
{
        struct reader *reader = ctx;
        ssize_t n = sf_stream_read(reader->stream, reader->piece, sizeof reader->piece, reader->err);

        *ret = reader->piece;
        if (n < 0)
                archive_set_error(tar, EIO, "%s", reader->err ? reader->err->text : "read error");
        return n < 0 ? -1 : n;
}

static int open_blob(const char *blobs, const struct sf_digest *digest, uint64_t size, struct sf_stream **ret,
                     struct sf_error *err)
{
        char hex[SF_DIGEST_HEX + 1];
        _cleanup_free_ char *path = sf_fs_join(blobs, sf_digest_hex(digest, hex));
        _cleanup_stream_ struct sf_stream *file = NULL, *checked = NULL;
        int r;

        if (!path)
                return sf_error_set(err, SF_ERR_NOMEM, "%s: out of memory", blobs);
        r = sf_stream_from_file(path, &file, err);
        if (r == 0)
                r = sf_stream_exact(file, path, size, digest, &checked, err);
        if (r < 0)
                return r;
        file = NULL;
        r = sf_stream_zstd(checked, SF_FRAME_WINDOW_LOG, ret, err);
        if (r == 0)
                checked = NULL;
        return r;
}

/* The content of the member that was just announced, appended to the nameless file. */
static int copy_file(struct reader *reader, const struct sf_contents *contents, size_t index, uint64_t *position,
                     struct sf_error *err)
{
        const struct sf_entry *entry = &contents->list.entries[index];
        _cleanup_digester_ struct sf_digester *digester = NULL;
        _cleanup_free_ char *piece = malloc(PIECE);
        struct sf_digest digest;
        la_ssize_t n;

        if (!piece)
                return sf_error_set(err, SF_ERR_NOMEM, "%s: out of memory", entry->path);
        int r = sf_digester_new(&digester, err);
        if (r < 0)
                return r;
        contents->positions[index] = *position;
        while ((n = archive_read_data(reader->tar, piece, PIECE)) > 0) {
                sf_digester_update(digester, piece, (size_t)n);
                if ((r = sf_fs_pwrite_all(contents->fd, piece, (size_t)n, *position, entry->path, err)) < 0)
                        return r;
                *position += (uint64_t)n;
        }
        if (n < 0)
                return sf_error_set(err, SF_ERR_CORRUPT, "%s: %s", entry->path, archive_error_string(reader->tar));
        sf_digester_finish(digester, &digest);
        if (!sf_digest_equal(&digest, &entry->digest))
                return sf_error_set(err, SF_ERR_CORRUPT, "%s: the layer holds other content than the list",
                                    entry->path);
        return 0;
}

/* Walks a layer's members in lock-step with the list's entries. */
static int read_layer(const struct sf_contents *contents, const struct sf_layer *layer, struct reader *reader,
                      uint64_t *position, struct sf_error *err)
{
        const struct sf_frame *frames = &contents->list.frames[layer->first_frame];
        size_t next = frames[0].first_entry;
        size_t end = frames[layer->frame_count - 1].first_entry + frames[layer->frame_count - 1].entry_count;
        struct archive_entry *member;
        int r = ARCHIVE_OK;

        while ((r = archive_read_next_header(reader->tar, &member)) == ARCHIVE_OK || r == ARCHIVE_WARN) {
                const char *name = archive_entry_pathname(member);
                size_t root = strlen(SF_LAYOUT_MEMBER_ROOT);

                if (strncmp(name, SF_LAYOUT_MEMBER_ROOT, root) != 0 || !name[root])
                        continue; /* opt/, opt/slurm/, opt/slurm/view/ */
                if (next == end)
                        return sf_error_set(err, SF_ERR_CORRUPT, "%s: not in the file list", name);
                if (contents->list.entries[next].type == SF_ENTRY_FILE) {
                        if (strcmp(name + root, contents->list.entries[next].path) != 0)
                                return sf_error_set(err, SF_ERR_CORRUPT, "%s: not where the file list has it", name);
                        int copied = copy_file(reader, contents, next, position, err);
                        if (copied < 0)
                                return copied;
                }
                next++;
        }
        if (r != ARCHIVE_EOF)
                return sf_error_set(err, SF_ERR_CORRUPT, "%s", archive_error_string(reader->tar));
        return next == end ? 0 : sf_error_set(err, SF_ERR_CORRUPT, "the layer ends early");
}

static int open_layer(const char *blobs, const struct sf_contents *contents, const struct sf_layer *layer,
                      uint64_t *position, struct sf_error *err)
{
        _cleanup_(reader_free) struct reader *reader = calloc(1, sizeof *reader);
        int r;

        if (!reader || !(reader->tar = archive_read_new()))
                return sf_error_set(err, SF_ERR_NOMEM, "layer %s: out of memory", layer->name);
        reader->err = err;
        r = open_blob(blobs, &layer->digest, layer->size, &reader->stream, err);
        if (r < 0)
                return r;
        archive_read_support_format_tar(reader->tar);
        if (archive_read_open(reader->tar, reader, NULL, pull, NULL) != ARCHIVE_OK)
                return sf_error_set(err, SF_ERR_CORRUPT, "%s", archive_error_string(reader->tar));
        return read_layer(contents, layer, reader, position, err);
}

static int open_list(const char *blobs, const struct sf_index_release *release, struct sf_contents *contents,
                     struct sf_error *err)
{
        _cleanup_stream_ struct sf_stream *stream = NULL;
        int r = open_blob(blobs, &release->filelist.digest, release->filelist.size, &stream, err);

        if (r == 0)
                r = sf_stream_read_all(stream, SF_FILELIST_TEXT_MAX, &contents->text, err);
        if (r == 0)
                r = sf_filelist_parse("file list", contents->text.data, contents->text.len, &contents->list, err);
        if (r == 0 && !sf_digest_equal(&contents->list.tree, &release->tree))
                r = sf_error_set(err, SF_ERR_CORRUPT, "the file list is another one than the index names");
        return r;
}

int sf_contents_open(const char *blobs, const struct sf_index_release *release, struct sf_contents *ret,
                     struct sf_error *err)
{
        _cleanup_(sf_contents_close) struct sf_contents contents = SF_CONTENTS_INIT;
        uint64_t position = 0;
        int r = open_list(blobs, release, &contents, err);

        if (r < 0)
                return sf_error_prefix(err, "%s", release->name.text);
        contents.positions = calloc(contents.list.entry_count + 1, sizeof *contents.positions);
        if (!contents.positions)
                return sf_error_set(err, SF_ERR_NOMEM, "%s: out of memory", release->name.text);
        contents.fd = open(blobs, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        if (contents.fd < 0)
                return sf_error_errno(err, "cannot make a nameless file in %s", blobs);
        for (size_t i = 0; i < contents.list.layer_count; i++) {
                r = open_layer(blobs, &contents, &contents.list.layers[i], &position, err);
                if (r < 0)
                        return sf_error_prefix(err, "%s: layer %s", release->name.text, contents.list.layers[i].name);
        }
        *ret = contents;
        contents = (struct sf_contents)SF_CONTENTS_INIT;
        return 0;
}

void sf_contents_close(struct sf_contents *contents)
{
        sf_filelist_free(&contents->list);
        sf_buffer_free(&contents->text);
        free(contents->positions);
        if (contents->fd >= 0)
                close(contents->fd);
        *contents = (struct sf_contents)SF_CONTENTS_INIT;
}

int sf_contents_read(const struct sf_contents *contents, const struct sf_entry *entry, struct sf_buffer *ret,
                     struct sf_error *err)
{
        uint64_t position = contents->positions[entry - contents->list.entries];
        uint64_t left = entry->size;
        int r = sf_buffer_reserve(ret, left, err);

        while (r == 0 && left) {
                ssize_t n = pread(contents->fd, ret->data + ret->len, left, (off_t)position);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return sf_error_errno(err, "cannot read %s back", entry->path);
                if (n == 0)
                        return sf_error_set(err, SF_ERR_CORRUPT, "%s ends early", entry->path);
                ret->len += (size_t)n;
                ret->data[ret->len] = 0;
                left -= (uint64_t)n;
                position += (uint64_t)n;
        }
        return r;
}
