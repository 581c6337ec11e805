/* SPDX-License-Identifier: Apache-2.0 */
/* tests/kit/layer-maker.c - see layer.h. Tar headers are written by hand (POSIX.1-2017, ustar Interchange Format):
 * no library would write the members that these tests need.
 */
#include "tests/kit/layer-maker.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "release/layout.h"

#define BLOCK 512

static void *keep(struct maker *m, void *memory)
{
        assert(memory);
        m->pool = realloc(m->pool, (m->pool_count + 1) * sizeof *m->pool);
        assert(m->pool);
        m->pool[m->pool_count++] = memory;
        return memory;
}

static char *keep_text(struct maker *m, const char *text)
{
        return text ? keep(m, strdup(text)) : NULL;
}

void maker_free(struct maker *m)
{
        for (size_t i = 0; i < m->pool_count; i++)
                free(m->pool[i]);
        for (size_t i = 0; i < MAKER_LAYERS; i++)
                sf_buffer_free(&m->blobs[i]);
        free(m->pool);
        free(m->list.layers);
        free(m->list.frames);
        free(m->list.entries);
        sf_buffer_free(&m->tar);
        memset(m, 0, sizeof *m);
}

static void append(struct sf_buffer *b, const void *bytes, size_t len)
{
        int r = sf_buffer_append(b, bytes, len, NULL);
        assert(r == 0);
        (void)r;
}

static void pad(struct sf_buffer *b)
{
        static const uint8_t zeros[BLOCK];

        append(b, zeros, (BLOCK - b->len % BLOCK) % BLOCK);
}

void maker_tar(struct maker *m, const struct maker_member *member)
{
        char header[BLOCK + 1] = "";
        unsigned sum = 0;
        size_t size = member->stated_size ? member->stated_size : member->size;

        snprintf(header, 101, "%s", member->name);
        snprintf(header + 100, 8, "%07o", member->mode & 07777777);
        snprintf(header + 108, 8, "%07o", member->uid & 07777777);
        snprintf(header + 116, 8, "%07o", member->gid & 07777777);
        snprintf(header + 124, 12, "%011zo", size);
        snprintf(header + 136, 12, "%011o", 0);
        memset(header + 148, ' ', 8);
        header[156] = member->type;
        snprintf(header + 157, 101, "%s", member->target ? member->target : "");
        memcpy(header + 257, "ustar\00000", 8);
        for (size_t i = 0; i < BLOCK; i++)
                sum += (unsigned char)header[i];
        snprintf(header + 148, 8, "%06o", sum & 0777777);
        append(&m->tar, header, BLOCK);
        if (member->size)
                append(&m->tar, member->data, member->size);
        pad(&m->tar);
}

struct sf_entry *maker_list(struct maker *m, enum sf_entry_type type, const char *path, unsigned mode,
                            const char *target, const void *content, size_t size)
{
        struct sf_filelist *list = &m->list;

        list->entries = realloc(list->entries, (list->entry_count + 1) * sizeof *list->entries);
        assert(list->entries);
        struct sf_entry *entry = &list->entries[list->entry_count++];
        *entry = (struct sf_entry){ .type = type,
                                    .mode = mode,
                                    .frame = (uint32_t)list->frame_count,
                                    .size = size,
                                    .path = keep_text(m, path),
                                    .target = keep_text(m, target) };
        if (type == SF_ENTRY_FILE)
                sf_digest_of(content, size, &entry->digest);
        return entry;
}

static char *member_name(struct maker *m, const char *path)
{
        return keep(m, sf_format(SF_LAYOUT_MEMBER_ROOT "%s", path));
}

void maker_directory(struct maker *m, const char *path)
{
        maker_tar(m, &(struct maker_member){ .name = member_name(m, path), .type = '5', .mode = 0755 });
        maker_list(m, SF_ENTRY_DIRECTORY, path, 0755, NULL, NULL, 0);
}

struct sf_entry *maker_file(struct maker *m, const char *path, unsigned mode, const void *content, size_t size)
{
        maker_tar(m, &(struct maker_member){
                             .name = member_name(m, path), .type = '0', .mode = mode, .data = content, .size = size });
        return maker_list(m, SF_ENTRY_FILE, path, mode, NULL, content, size);
}

void maker_link(struct maker *m, const char *path, const char *target)
{
        maker_tar(m,
                  &(struct maker_member){ .name = member_name(m, path), .type = '2', .mode = 0777, .target = target });
        maker_list(m, SF_ENTRY_SYMLINK, path, 0777, target, NULL, 0);
}

void maker_map(struct maker *m, struct sf_entry *entry, enum sf_map_kind kind, const uint64_t *offsets, size_t count)
{
        uint64_t *copy = keep(m, malloc(count * sizeof *copy));

        memcpy(copy, offsets, count * sizeof *copy);
        entry->map = (struct sf_map){ kind, copy, count };
}

void maker_layer(struct maker *m, const char *name)
{
        struct sf_filelist *list = &m->list;

        assert(list->layer_count < MAKER_LAYERS);
        list->layers = realloc(list->layers, (list->layer_count + 1) * sizeof *list->layers);
        assert(list->layers);
        list->layers[list->layer_count++] = (struct sf_layer){ .name = keep_text(m, name),
                                                               .first_frame = list->frame_count };
        maker_tar(m, &(struct maker_member){ .name = "opt/", .type = '5', .mode = 0755 });
        maker_tar(m, &(struct maker_member){ .name = "opt/slurm/", .type = '5', .mode = 0755 });
        maker_tar(m, &(struct maker_member){ .name = "opt/slurm/view/", .type = '5', .mode = 0755 });
}

struct sf_frame *maker_cut(struct maker *m)
{
        struct sf_filelist *list = &m->list;
        struct sf_layer *layer = &list->layers[list->layer_count - 1];
        struct sf_buffer *blob = &m->blobs[list->layer_count - 1];
        size_t room = ZSTD_compressBound(m->tar.len), offset = blob->len;

        int r = sf_buffer_reserve(blob, room, NULL);
        assert(r == 0);
        (void)r;
        size_t size = ZSTD_compress(blob->data + offset, room, m->tar.data, m->tar.len, m->level);
        assert(!ZSTD_isError(size));
        blob->len += size;
        list->frames = realloc(list->frames, (list->frame_count + 1) * sizeof *list->frames);
        assert(list->frames);
        struct sf_frame *frame = &list->frames[list->frame_count++];
        *frame = (struct sf_frame){
                .layer = (uint32_t)(list->layer_count - 1), .offset = offset, .size = size, .content_size = m->tar.len
        };
        layer->frame_count++;
        m->tar.len = 0;
        return frame;
}

struct sf_frame *maker_end_layer(struct maker *m)
{
        static const uint8_t zeros[2 * BLOCK];

        append(&m->tar, zeros, sizeof zeros);
        return maker_cut(m);
}

void maker_seal(struct maker *m)
{
        struct sf_filelist *list = &m->list;

        for (size_t i = 0; i < list->frame_count; i++) {
                struct sf_frame *f = &list->frames[i];
                sf_digest_of(m->blobs[f->layer].data + f->offset, f->size, &f->digest);
        }
        for (size_t i = 0; i < list->layer_count; i++) {
                list->layers[i].size = m->blobs[i].len;
                sf_digest_of(m->blobs[i].data, m->blobs[i].len, &list->layers[i].digest);
        }
}

static void honest_deps(struct maker *m)
{
        static const char text[] = "prefix=/opt/slurm/view\nlibdir=/opt/slurm/view/lib\n";
        static const uint64_t offsets[] = { 7, 30 };
        static uint8_t noise[700000];

        for (size_t i = 0; i < sizeof noise; i++)
                noise[i] = (uint8_t)((i * 2654435761u) >> 13);
        maker_layer(m, "deps");
        maker_directory(m, "lib");
        maker_directory(m, "lib/pkgconfig");
        maker_map(m, maker_file(m, "lib/pkgconfig/hwloc.pc", 0644, text, sizeof text - 1), SF_MAP_TEXT, offsets, 2);
        maker_file(m, "lib/empty", 0644, "", 0);
        maker_cut(m);
        maker_file(m, "lib/libhwloc.so.15", 0755, noise, sizeof noise);
        maker_link(m, "lib/libhwloc.so", "libhwloc.so.15");
        maker_end_layer(m);
}

void maker_honest(struct maker *m, const char *release)
{
        static const uint64_t offsets[] = { 5 };
        uint8_t binary[5 + MAKER_PREFIX + 6] = "\177ELF";
        int used = snprintf((char *)binary + 5, MAKER_PREFIX + 1, "/opt/slurm/view");

        m->list.release = keep_text(m, release);
        m->list.prefix_length = MAKER_PREFIX;
        memset(binary + 5 + used, '/', (size_t)(MAKER_PREFIX - used));
        memcpy(binary + 5 + MAKER_PREFIX, "/bin\0z", 6);
        honest_deps(m);
        maker_layer(m, "slurm");
        maker_directory(m, "bin");
        maker_map(m, maker_file(m, "bin/srun", 0755, binary, sizeof binary), SF_MAP_BINARY, offsets, 1);
        maker_cut(m);
        maker_directory(m, "lib");
        maker_directory(m, "lib/slurm");
        maker_file(m, "lib/slurm/auth_munge.so", 0755, release, strlen(release));
        maker_cut(m);
        maker_link(m, "bin/sbatch", "srun");
        maker_file(m, "lib/slurm/cred_munge.so", 0555, "cred", 4);
        maker_file(m, "lib/na\303\257ve", 0644, "UTF-8", 5);
        maker_end_layer(m);
        maker_seal(m);
}

int maker_open_range(void *ctx, size_t layer, uint64_t offset, uint64_t length, struct sf_stream **ret,
                     struct sf_error *err)
{
        struct maker *m = ctx;
        uint64_t have = m->blobs[layer].len - offset;

        return sf_stream_from_memory(m->blobs[layer].data + offset, have < length ? have : length, ret, err);
}
