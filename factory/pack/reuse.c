/* SPDX-License-Identifier: Apache-2.0 */
/* factory/pack/reuse.c - why: a micro release of Slurm would compress the dependencies of its predecessor once more. */
#include "factory/pack/reuse.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "factory/pack/builds.h"

#define PACKED_MAX (64u << 10) /* bytes of a file `packed` */

/* Counts the ways in which a tree was cut into frames and compressed (layer.h, frames.h). */
#define WAY 1

int sf_reuse_describe(struct sf_buffer *ret, struct sf_error *err)
{
        return sf_buffer_printf(ret, err, "sf-packed %d zstd %s\n", WAY, ZSTD_versionString());
}

int sf_reuse_note(struct sf_buffer *ret, const char *layer, const struct sf_layer_blob *blob, struct sf_error *err)
{
        char diff_id[SF_DIGEST_HEX + 1], digest[SF_DIGEST_HEX + 1];

        return sf_buffer_printf(ret, err, "layer %s %s %s\n", layer, sf_digest_hex(&blob->diff_id, diff_id),
                                sf_digest_hex(&blob->digest, digest));
}

/* Whether a build's `packed` names the layer: the blob's digest then. */
static bool is_noted(const char *directory, const char *layer, const struct sf_digest *diff_id, struct sf_digest *ret)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT, wanted = SF_BUFFER_INIT;
        _cleanup_free_ char *path = sf_fs_join(directory, SF_REUSE_FILE);
        char hex[SF_DIGEST_HEX + 1];
        const char *line;

        if (!path || sf_fs_read(path, PACKED_MAX, &text, NULL) < 0 || sf_reuse_describe(&wanted, NULL) < 0 ||
            text.len < wanted.len || memcmp(text.data, wanted.data, wanted.len) != 0)
                return false;
        sf_buffer_free(&wanted);
        if (sf_buffer_printf(&wanted, NULL, "\nlayer %s %s ", layer, sf_digest_hex(diff_id, hex)) < 0)
                return false;
        line = strstr((const char *)text.data, (const char *)wanted.data);
        if (!line || strlen(line) < wanted.len + SF_DIGEST_HEX)
                return false;
        memcpy(hex, line + wanted.len, SF_DIGEST_HEX);
        hex[SF_DIGEST_HEX] = 0;
        return sf_digest_parse(hex, ret, NULL) == 0;
}

static const struct sf_layer *find_layer(const struct sf_filelist *list, const char *name,
                                         const struct sf_digest *digest)
{
        for (size_t i = 0; i < list->layer_count; i++)
                if (strcmp(list->layers[i].name, name) == 0 && sf_digest_equal(&list->layers[i].digest, digest))
                        return &list->layers[i];
        return NULL;
}

/* Whether the frames decompress to the tar file. */
static bool is_proved(const struct sf_filelist *list, const struct sf_layer *layer, const struct sf_buffer *blob,
                      const struct sf_digest *diff_id)
{
        _cleanup_(sf_cleanup_digester) struct sf_digester *digester = NULL;
        struct sf_digest is;

        if (blob->len != layer->size || sf_digester_new(&digester, NULL) < 0)
                return false;
        for (size_t i = layer->first_frame; i < layer->first_frame + layer->frame_count; i++) {
                const struct sf_frame *frame = &list->frames[i];
                _cleanup_free_ void *content = malloc(frame->content_size ? frame->content_size : 1);

                if (!content || frame->offset > blob->len || frame->size > blob->len - frame->offset ||
                    ZSTD_decompress(content, frame->content_size, blob->data + frame->offset, frame->size) !=
                            frame->content_size)
                        return false;
                sf_digester_update(digester, content, frame->content_size);
        }
        sf_digester_finish(digester, &is);
        return sf_digest_equal(&is, diff_id);
}

/* The same tar file has the same members in the same order; in which frame they lie is in the other list. */
static bool take_frames(const struct sf_filelist *list, const struct sf_layer *layer, const struct sf_layer_part *part,
                        struct sf_layer_blob *blob)
{
        const struct sf_frame *frames = &list->frames[layer->first_frame];
        const struct sf_frame *last = &frames[layer->frame_count - 1];
        size_t first = frames[0].first_entry, count = last->first_entry + last->entry_count - first;

        if (count != part->count || !(blob->frames = calloc(layer->frame_count, sizeof *blob->frames)))
                return false;
        blob->frame_count = layer->frame_count;
        for (size_t i = 0; i < layer->frame_count; i++)
                blob->frames[i] = (struct sf_frame_info){ frames[i].size, frames[i].content_size, frames[i].digest };
        for (size_t i = 0; i < count; i++) {
                struct sf_entry *entry = &part->tree->nodes[part->first + i]->entry;

                if (strcmp(entry->path, list->entries[first + i].path) != 0)
                        return false;
                entry->frame = list->entries[first + i].frame - (uint32_t)layer->first_frame;
        }
        return true;
}

/* One build that notes the layer. */
static bool take(const char *directory, const struct sf_layer_part *part, const struct sf_digest *digest,
                 const struct sf_digest *diff_id, const char *blobs, struct sf_layer_blob *ret)
{
        _cleanup_(sf_build_close) struct sf_build build = { 0 };
        _cleanup_(sf_filelist_free) struct sf_filelist list = { 0 };
        _cleanup_(sf_buffer_free) struct sf_buffer bytes = SF_BUFFER_INIT;
        _cleanup_free_ char *from = NULL, *to = NULL;
        struct sf_layer_blob blob = { .digest = *digest, .diff_id = *diff_id };
        char hex[SF_DIGEST_HEX + 1];
        const struct sf_layer *layer;
        struct sf_digest is;

        if (sf_build_open(directory, directory, &build, NULL) < 0 || sf_build_filelist(&build, &list, NULL) < 0 ||
            !(layer = find_layer(&list, part->name, digest)) || layer->frame_count == 0 ||
            !(from = sf_fs_join(build.blobs, sf_digest_hex(digest, hex))) || !(to = sf_fs_join(blobs, hex)) ||
            sf_fs_read(from, layer->size, &bytes, NULL) < 0)
                return false;
        sf_digest_of(bytes.data, bytes.len, &is);
        if (!sf_digest_equal(&is, digest) || !is_proved(&list, layer, &bytes, diff_id) ||
            !take_frames(&list, layer, part, &blob) || sf_fs_write(to, bytes.data, bytes.len, 0644, NULL) < 0) {
                free(blob.frames);
                return false;
        }
        blob.size = bytes.len;
        *ret = blob;
        return true;
}

int sf_reuse_layer(const char *builds, const struct sf_layer_part *part, const struct sf_digest *diff_id,
                   const char *blobs, struct sf_layer_blob *ret)
{
        _cleanup_free_ struct sf_release_name *names = NULL;
        size_t count = 0;
        int found = 0;

        if (sf_build_names(builds, &names, &count, NULL) < 0)
                return 0;
        for (size_t i = 0; i < count && !found; i++) {
                _cleanup_free_ char *directory = sf_fs_join(builds, names[i].text);
                struct sf_digest digest;

                found = directory && is_noted(directory, part->name, diff_id, &digest) &&
                        take(directory, part, &digest, diff_id, blobs, ret);
        }
        return found;
}
