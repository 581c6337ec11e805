/* SPDX-License-Identifier: Apache-2.0 */
/* factory/pack/frames.c - why: zstd -19 takes seconds per frame, and frames do not depend on each other. A ring of
 * slots, one thread per frame in flight; frames are written in the order they came, so the number of cores cannot
 * change the blob. */
#include "factory/pack/frames.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/parallel.h"

#define SLOTS_MAX 8 /* level 19 takes about 150 MB per frame in flight */

struct slot {
        pthread_t thread;
        int busy;
        struct sf_buffer content;
        struct sf_buffer frame;
        int result;
        struct sf_error err;
};

struct sf_frames {
        int fd;
        char *name;
        struct slot slots[SLOTS_MAX];
        size_t slot_count, next; /* slots[next] is used next, and is the oldest when all are busy */
        struct sf_frame_info *list;
        size_t count;
        uint64_t size;
        struct sf_digester *digester;
};

int sf_frame_compress(const void *data, size_t len, struct sf_buffer *ret, struct sf_error *err)
{
        ZSTD_CCtx *zstd = ZSTD_createCCtx();
        size_t bound = ZSTD_compressBound(len), n;
        int r = sf_buffer_reserve(ret, bound, err);

        if (r < 0 || !zstd) {
                ZSTD_freeCCtx(zstd);
                return r < 0 ? r : sf_error_set(err, SF_ERR_NOMEM, "out of memory for zstd");
        }
        ZSTD_CCtx_setParameter(zstd, ZSTD_c_compressionLevel, 19);
        ZSTD_CCtx_setParameter(zstd, ZSTD_c_enableLongDistanceMatching, 1);
        ZSTD_CCtx_setParameter(zstd, ZSTD_c_windowLog, SF_FRAME_WINDOW_LOG);
        ZSTD_CCtx_setParameter(zstd, ZSTD_c_checksumFlag, 1);
        n = ZSTD_compress2(zstd, ret->data + ret->len, bound, data, len);
        ZSTD_freeCCtx(zstd);
        if (ZSTD_isError(n))
                return sf_error_set(err, SF_ERR_NOMEM, "cannot compress %zu bytes: %s", len, ZSTD_getErrorName(n));
        ret->len += n;
        ret->data[ret->len] = 0;
        return 0;
}

static void *compress_slot(void *argument)
{
        struct slot *slot = argument;

        slot->result = sf_frame_compress(slot->content.data, slot->content.len, &slot->frame, &slot->err);
        return NULL;
}

int sf_frames_new(int fd, const char *name, struct sf_frames **ret, struct sf_error *err)
{
        struct sf_frames *frames = calloc(1, sizeof *frames);
        unsigned cores = sf_parallel_processors();

        if (frames) {
                frames->fd = fd;
                frames->slot_count = cores < SLOTS_MAX ? cores : SLOTS_MAX;
                frames->name = strdup(name);
        }
        int r = frames && frames->name ? sf_digester_new(&frames->digester, err)
                                       : sf_error_set(err, SF_ERR_NOMEM, "%s: out of memory", name);
        if (r < 0) {
                sf_frames_free(frames);
                return r;
        }
        *ret = frames;
        return 0;
}

/* Waits for a slot's frame and writes it. */
static int collect(struct sf_frames *frames, struct slot *slot, struct sf_error *err)
{
        struct sf_frame_info *list, *info;

        pthread_join(slot->thread, NULL);
        slot->busy = 0;
        if (slot->result < 0) {
                *err = slot->err;
                return sf_error_prefix(err, "%s", frames->name);
        }
        list = realloc(frames->list, (frames->count + 1) * sizeof *list);
        if (!list)
                return sf_error_set(err, SF_ERR_NOMEM, "%s: out of memory", frames->name);
        frames->list = list;
        info = &list[frames->count++];
        info->size = slot->frame.len;
        info->content_size = slot->content.len;
        sf_digest_of(slot->frame.data, slot->frame.len, &info->digest);
        sf_digester_update(frames->digester, slot->frame.data, slot->frame.len);
        frames->size += slot->frame.len;
        int r = sf_fs_write_all(frames->fd, slot->frame.data, slot->frame.len, frames->name, err);
        sf_buffer_free(&slot->frame);
        sf_buffer_free(&slot->content);
        return r;
}

int sf_frames_add(struct sf_frames *frames, struct sf_buffer *content, struct sf_error *err)
{
        struct slot *slot = &frames->slots[frames->next];

        if (slot->busy) {
                int r = collect(frames, slot, err);
                if (r < 0)
                        return r;
        }
        slot->content = *content;
        *content = (struct sf_buffer)SF_BUFFER_INIT;
        if (pthread_create(&slot->thread, NULL, compress_slot, slot) != 0)
                return sf_error_set(err, SF_ERR_NOMEM, "%s: cannot start a thread", frames->name);
        slot->busy = 1;
        frames->next = (frames->next + 1) % frames->slot_count;
        return 0;
}

int sf_frames_finish(struct sf_frames *frames, struct sf_frame_info **ret_list, size_t *ret_count, uint64_t *ret_size,
                     struct sf_digest *ret_digest, struct sf_error *err)
{
        for (size_t i = 0; i < frames->slot_count; i++) {
                struct slot *slot = &frames->slots[(frames->next + i) % frames->slot_count];
                int r = slot->busy ? collect(frames, slot, err) : 0;
                if (r < 0)
                        return r;
        }
        sf_digester_finish(frames->digester, ret_digest);
        *ret_size = frames->size;
        *ret_count = frames->count;
        *ret_list = sf_steal_pointer(frames->list);
        return 0;
}

void sf_frames_free(struct sf_frames *frames)
{
        if (!frames)
                return;
        for (size_t i = 0; i < SLOTS_MAX; i++) {
                if (frames->slots[i].busy)
                        pthread_join(frames->slots[i].thread, NULL);
                sf_buffer_free(&frames->slots[i].content);
                sf_buffer_free(&frames->slots[i].frame);
        }
        sf_digester_free(frames->digester);
        free(frames->list);
        free(frames->name);
        free(frames);
}
