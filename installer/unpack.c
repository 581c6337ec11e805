/* SPDX-License-Identifier: Apache-2.0 */
/* installer/unpack.c - see unpack.h. The pipeline: the calling thread fetches frames, decoders turn them into files. */
#include "installer/unpack.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/parallel.h"
#include "installer/frame.h"
#include "installer/member.h"
#include "installer/file_writer.h"
#include "installer/ring.h"

#define THREADS_MAX 8u
#define WATCH_NS    100000000 /* between two looks at how far the decoders are */

int sf_unpack_skeleton(const struct sf_tree *tree, struct sf_error *err)
{
        return sf_file_writer_skeleton(tree, NULL, false, err);
}

/* A frame on its way from the network to the disk. */
struct job {
        size_t frame;
        struct sf_frame_bytes bytes;
        struct job *next;
};

struct pipeline {
        const struct sf_unpack *unpack;
        pthread_mutex_t lock;
        pthread_cond_t changed;
        struct job *head, **tail;        /* received frames, oldest first */
        struct sf_ring ring;             /* where they lie; those beyond SF_UNPACK_QUEUE lie in a file, one at a time */
        bool spooled;                    /* there is such a one */
        bool skeleton;                   /* directories and links are there */
        struct sf_direct_writer *writer; /* NULL where the file system does not suit it */
        bool complete;                   /* nothing more will be queued */
        size_t next_frame;               /* frames below it are queued or not wanted; the fetching thread's own */
        unsigned working;                /* decoders that have not ended */
        atomic_ullong written;           /* bytes of files */
        int failed;                      /* the first error's code, where several: the one of the earliest frame */
        size_t failed_frame;
        struct sf_error error;
};

/* Called with the lock. */
static void record_failure(struct pipeline *p, size_t frame, const struct sf_error *error, int code)
{
        if (!p->failed || frame < p->failed_frame) {
                p->failed = code;
                p->failed_frame = frame;
                p->error = *error;
        }
        pthread_cond_broadcast(&p->changed);
}

/* Gives the compressed bytes back: to the fetching thread, which waits for room. */
static void release_bytes(struct pipeline *p, struct job *job)
{
        pthread_mutex_lock(&p->lock);
        if (job->bytes.data)
                sf_ring_give(&p->ring, job->bytes.data);
        if (job->bytes.fd >= 0) {
                close(job->bytes.fd);
                p->spooled = false;
        }
        job->bytes.data = NULL;
        job->bytes.fd = -1;
        pthread_cond_broadcast(&p->changed);
        pthread_mutex_unlock(&p->lock);
}

static void free_job(struct pipeline *p, struct job *job)
{
        release_bytes(p, job);
        free(job);
}

/* A frame on its way through a decoder. */
struct decoding {
        struct pipeline *pipeline;
        struct job *job;
        struct sf_frame_decoder *decoder;
        struct sf_file_writer *files;
};

/* What was decoded in one go is hashed and written while its compressed bytes already make room for the next. */
static ssize_t next_piece(void *ctx, const void **ret, struct sf_error *err)
{
        struct decoding *d = ctx;
        ssize_t n = sf_frame_next(d->decoder, ret, err);

        if (n <= 0 || !sf_frame_ended(d->decoder))
                return n;
        release_bytes(d->pipeline, d->job);
        if (d->pipeline->writer)
                sf_file_writer_lend(d->files, d->pipeline->writer, *ret, (size_t)n);
        return n;
}

static int name_frame(const struct sf_filelist *list, size_t frame, struct sf_error *err)
{
        const struct sf_layer *layer = &list->layers[list->frames[frame].layer];

        return sf_error_prefix(err, "layer %s: frame %zu", layer->name, frame - layer->first_frame);
}

/* The next job; NULL when there will be no more or somebody failed. */
static struct job *take_job(struct pipeline *p)
{
        struct job *job = NULL;

        pthread_mutex_lock(&p->lock);
        while (!p->failed && !p->head && !p->complete)
                pthread_cond_wait(&p->changed, &p->lock);
        if (!p->failed && p->head) {
                job = p->head;
                p->head = job->next;
                if (!p->head)
                        p->tail = &p->head;
        }
        pthread_mutex_unlock(&p->lock);
        return job;
}

/* A decoding thread. */
struct worker {
        struct pipeline *pipeline;
        struct sf_frame_decoder *decoder;
        struct sf_file_writer *files;
        size_t settling; /* the frame whose files may still be on their way to the disk */
};

static void report(const struct worker *w, size_t frame, struct sf_error *err)
{
        struct pipeline *p = w->pipeline;

        name_frame(p->unpack->tree.list, frame, err);
        pthread_mutex_lock(&p->lock);
        record_failure(p, frame, err, err->code);
        pthread_mutex_unlock(&p->lock);
}

/* The decoder's memory is free again. */
static int settle(const struct worker *w)
{
        struct sf_error err = SF_ERROR_INIT;
        int r = sf_file_writer_settle(w->files, &err);

        if (r < 0)
                report(w, w->settling, &err);
        return r;
}

/* The digest is computed while the files of the frame before are still being written. */
static void decode_job(struct worker *w, struct job *job)
{
        const struct sf_unpack *u = w->pipeline->unpack;
        const struct sf_filelist *list = u->tree.list;
        struct decoding decoding = { w->pipeline, job, w->decoder, w->files };
        struct sf_member_source source = { next_piece, &decoding };
        struct sf_error err = SF_ERROR_INIT;

        int r = sf_frame_start(w->decoder, &list->frames[job->frame], &job->bytes, &err);
        if (r == 0 && settle(w) == 0) {
                w->settling = job->frame;
                r = sf_member_walk(list, job->frame, u->wanted, &source, w->files, &err);
        }
        if (r < 0)
                report(w, job->frame, &err);
        free_job(w->pipeline, job);
}

static void *decode_frames(void *ctx)
{
        struct worker w = { .pipeline = ctx };
        struct sf_error err = SF_ERROR_INIT;
        struct job *job;

        int r = sf_frame_decoder_open(&w.decoder, &err);
        if (r == 0)
                r = sf_file_writer_open(&w.pipeline->unpack->tree, w.pipeline->unpack->replace, &w.files, &err);
        if (r < 0) {
                pthread_mutex_lock(&w.pipeline->lock);
                record_failure(w.pipeline, 0, &err, r);
                pthread_mutex_unlock(&w.pipeline->lock);
        } else {
                sf_file_writer_count(w.files, &w.pipeline->written);
        }
        while ((job = take_job(w.pipeline)))
                decode_job(&w, job);
        if (r == 0)
                settle(&w);
        sf_file_writer_close(w.files);
        sf_frame_decoder_close(w.decoder);
        pthread_mutex_lock(&w.pipeline->lock);
        w.pipeline->working--;
        pthread_cond_broadcast(&w.pipeline->changed);
        pthread_mutex_unlock(&w.pipeline->lock);
        return NULL;
}

/* Waits until the frame may be held too: *ret is its place in memory, NULL for one that goes into a file. 0, or the
 * failure of a decoder. */
static int wait_for_room(struct pipeline *p, uint64_t size, uint8_t **ret)
{
        uint8_t *room = NULL;

        pthread_mutex_lock(&p->lock);
        while (!p->failed && (size > SF_UNPACK_QUEUE ? p->spooled : !(room = sf_ring_take(&p->ring, (size_t)size))))
                pthread_cond_wait(&p->changed, &p->lock);
        int failed = p->failed;
        if (failed && room)
                sf_ring_give(&p->ring, room);
        p->spooled |= !failed && !room;
        pthread_mutex_unlock(&p->lock);
        *ret = room;
        return failed;
}

static void queue_job(struct pipeline *p, struct job *job)
{
        pthread_mutex_lock(&p->lock);
        *p->tail = job;
        p->tail = &job->next;
        pthread_cond_broadcast(&p->changed);
        pthread_mutex_unlock(&p->lock);
}

static int receive(struct pipeline *p, struct sf_stream *stream, struct sf_frame_bytes *bytes, struct sf_error *err)
{
        uint8_t *room;
        int r = wait_for_room(p, bytes->size, &room);

        if (r < 0)
                return r;
        if (!room)
                return sf_frame_spool(stream, bytes->size, p->unpack->tree.dirfd, bytes, err);
        bytes->data = room;
        return sf_stream_read_full(stream, room, (size_t)bytes->size, err);
}

/* One frame from the stream into the queue; one that only bridges a gap between wanted ones, or was queued before, is
 * dropped. */
static int fetch_frame(struct pipeline *p, struct sf_stream *stream, size_t frame, struct sf_error *err)
{
        const struct sf_unpack *u = p->unpack;
        struct job *job = calloc(1, sizeof *job);

        if (!job)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a frame");
        job->frame = frame;
        job->bytes = (struct sf_frame_bytes){ NULL, -1, u->tree.list->frames[frame].size };
        int r = receive(p, stream, &job->bytes, err);
        if (r < 0 || frame < p->next_frame || !sf_unpack_frame_wanted(u->tree.list, frame, u->wanted))
                free_job(p, job);
        else
                queue_job(p, job);
        if (r == 0 && frame >= p->next_frame)
                p->next_frame = frame + 1;
        return r;
}

static int make_skeleton(struct pipeline *p, struct sf_error *err)
{
        const struct sf_unpack *u = p->unpack;

        if (p->skeleton)
                return 0;
        p->skeleton = true;
        return sf_file_writer_skeleton(&u->tree, u->wanted, u->replace, err);
}

/* A layer has no digest of its own here: its frames cover it, and the list that names them is signed. */
static int fetch_range(struct pipeline *p, const struct sf_unpack_range *range, uint64_t *done, struct sf_error *err)
{
        const struct sf_unpack *u = p->unpack;
        const struct sf_layer *layer = &u->tree.list->layers[range->layer];
        _cleanup_stream_ struct sf_stream *stream = NULL;

        int r = u->open_range(u->ctx, range->layer, range->offset, range->length, &stream, err);
        /* The first bytes are on their way meanwhile. */
        if (r == 0 && make_skeleton(p, err) < 0)
                return err->code;
        for (size_t i = range->first_frame; r == 0 && i < range->first_frame + range->frame_count; i++) {
                r = fetch_frame(p, stream, i, err);
                *done += u->tree.list->frames[i].size;
                if (r == 0 && u->progress)
                        u->progress(u->ctx, *done);
        }
        return r < 0 && err->code == r ? sf_error_prefix(err, "layer %s", layer->name) : r;
}

/* Everything in order. A server without ranges is asked for the whole layer where skipping would cost more than
 * that. */
static int fetch_in_order(struct pipeline *p, const struct sf_unpack_range *ranges, size_t count, struct sf_error *err)
{
        const struct sf_filelist *list = p->unpack->tree.list;
        uint64_t done = 0;

        for (size_t i = 0; i < count; i++) {
                uint32_t index = ranges[i].layer;
                const struct sf_layer *layer = &list->layers[index];
                int r = fetch_range(p, &ranges[i], &done, err);

                if (r == SF_ERR_UNSUPPORTED && ranges[i].length < layer->size) {
                        const struct sf_unpack_range whole = { index, layer->first_frame, layer->frame_count, 0,
                                                               layer->size };
                        r = fetch_range(p, &whole, &done, err);
                        while (i + 1 < count && ranges[i + 1].layer == index)
                                i++;
                }
                if (r < 0)
                        return r;
        }
        return 0;
}

static void fetch_everything(struct pipeline *p, const struct sf_unpack_range *ranges, size_t count)
{
        struct sf_error err = SF_ERROR_INIT;
        int r = fetch_in_order(p, ranges, count, &err);

        pthread_mutex_lock(&p->lock);
        /* Without a text it was a decoder that failed, and has said so. */
        if (r < 0 && err.code)
                record_failure(p, p->next_frame, &err, r);
        p->complete = true;
        pthread_cond_broadcast(&p->changed);
        pthread_mutex_unlock(&p->lock);
}

static unsigned thread_count(const struct sf_unpack *u, size_t frames)
{
        unsigned threads = u->threads ? u->threads : sf_parallel_processors();

        if (threads > THREADS_MAX)
                threads = THREADS_MAX;
        return threads > frames ? (unsigned)frames : threads;
}

/* What all decoders together write. */
static uint64_t content_bytes(const struct sf_unpack *u)
{
        const struct sf_filelist *list = u->tree.list;
        uint64_t bytes = 0;

        for (size_t i = 0; i < list->entry_count; i++)
                if (list->entries[i].type == SF_ENTRY_FILE && (!u->wanted || u->wanted[i]))
                        bytes += list->entries[i].size;
        return bytes;
}

/* Everything is received: tells how far the decoders are until the last one has ended, whose word comes even where the
 * clock is set meanwhile. */
static void watch_decoders(struct pipeline *p)
{
        const struct sf_unpack *u = p->unpack;
        uint64_t total = content_bytes(u);
        bool working = true;

        u->unpacked(u->ctx, p->written, total);
        while (working) {
                struct timespec until;
                clock_gettime(CLOCK_REALTIME, &until);
                until.tv_sec += (until.tv_nsec + WATCH_NS) / 1000000000;
                until.tv_nsec = (until.tv_nsec + WATCH_NS) % 1000000000;
                pthread_mutex_lock(&p->lock);
                if (p->working)
                        pthread_cond_timedwait(&p->changed, &p->lock, &until);
                working = p->working > 0;
                pthread_mutex_unlock(&p->lock);
                u->unpacked(u->ctx, p->written, total);
        }
}

static int run_pipeline(struct pipeline *p, const struct sf_unpack_range *ranges, size_t count, unsigned threads,
                        struct sf_error *err)
{
        pthread_t thread[THREADS_MAX];
        unsigned started = 0;

        p->working = threads;
        while (started < threads && pthread_create(&thread[started], NULL, decode_frames, p) == 0)
                started++;
        if (started == 0 && threads)
                return sf_error_set(err, SF_ERR_NOMEM, "cannot start a thread");
        pthread_mutex_lock(&p->lock);
        p->working -= threads - started;
        pthread_mutex_unlock(&p->lock);
        fetch_everything(p, ranges, count);
        if (p->unpack->unpacked)
                watch_decoders(p);
        for (unsigned i = 0; i < started; i++)
                pthread_join(thread[i], NULL);
        for (struct job *job = p->head, *next; job; job = next) {
                next = job->next;
                free_job(p, job);
        }
        return p->failed ? sf_error_set(err, p->failed, "%s", p->error.text) : 0;
}

int sf_unpack_run(const struct sf_unpack *unpack, struct sf_error *err)
{
        const struct sf_filelist *list = unpack->tree.list;
        struct pipeline p = { .unpack = unpack,
                              .lock = PTHREAD_MUTEX_INITIALIZER,
                              .changed = PTHREAD_COND_INITIALIZER };
        _cleanup_free_ struct sf_unpack_range *ranges = NULL;
        size_t count, frames = 0;
        uint64_t bytes;

        p.tail = &p.head;
        int r = sf_unpack_plan(list, unpack->wanted, &ranges, &count, &bytes, err);
        if (r == 0 && count == 0)
                r = make_skeleton(&p, err);
        if (r < 0 || count == 0)
                return r;
        for (size_t i = 0; i < count; i++)
                frames += ranges[i].frame_count;
        _cleanup_direct_writer_ struct sf_direct_writer *writer = NULL;
        r = sf_ring_open(&p.ring, SF_UNPACK_QUEUE, err);
        if (r == 0 && !unpack->replace && sf_direct_writer_suits(unpack->tree.dirfd))
                r = sf_direct_writer_open(&writer, err);
        p.writer = writer;
        if (r == 0)
                r = run_pipeline(&p, ranges, count, thread_count(unpack, frames), err);
        sf_ring_close(&p.ring);
        return r;
}
