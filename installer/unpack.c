/* installer/unpack.c - see unpack.h. The pipeline: the calling thread fetches frames, decoders turn them into files. */
#include "installer/unpack.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/parallel.h"
#include "installer/frame.h"
#include "installer/member.h"
#include "installer/place.h"
#include "rpath/relocate.h"

#define THREADS_MAX 8u
#define SPOOL_ABOVE (SF_UNPACK_QUEUE / 2) /* larger frames do not wait in memory */
#define BLOCK       4096u                 /* what a small file or a directory takes on common file systems */
#define RECORD_ROOM (16u << 20)           /* for the release's own record and the file system's */

int sf_unpack_check_space(const struct sf_filelist *list, const uint8_t *wanted, int dirfd, struct sf_error *err)
{
        uint64_t need = RECORD_ROOM, names = 16, bytes, inodes;

        for (size_t i = 0; i < list->entry_count; i++) {
                if (wanted && !wanted[i])
                        continue;
                need += (list->entries[i].size + 2 * BLOCK - 1) / BLOCK * BLOCK;
                names++;
        }
        int r = sf_fs_free_space_at(dirfd, &bytes, &inodes, err);
        if (r < 0)
                return r;
        if (bytes < need)
                return sf_error_set(err, SF_ERR_NO_SPACE, "%" PRIu64 " bytes are needed, %" PRIu64 " are free", need,
                                    bytes);
        if (inodes < names)
                return sf_error_set(err, SF_ERR_NO_SPACE, "%" PRIu64 " inodes are needed, %" PRIu64 " are free", names,
                                    inodes);
        return 0;
}

int sf_unpack_check_prefix(const struct sf_filelist *list, const char *installed_prefix, struct sf_error *err)
{
        _cleanup_free_ char *room = malloc((size_t)list->prefix_length + 1);

        if (!room)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a prefix");
        return sf_relocate_pad(installed_prefix, list->prefix_length, room, err);
}

int sf_unpack_skeleton(const struct sf_tree *tree, struct sf_error *err)
{
        return sf_place_skeleton(tree, NULL, false, err);
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
        struct job *head, **tail; /* received frames, oldest first */
        size_t jobs;              /* received and not yet decoded */
        uint64_t held;            /* their bytes in memory; a spooled frame counts as SPOOL_ABOVE */
        bool complete;            /* nothing more will be queued */
        size_t next_frame;        /* frames below it are queued or not wanted; the fetching thread's own */
        int failed;               /* the first error's code, where several: the one of the earliest frame */
        size_t failed_frame;
        struct sf_error error;
        struct sf_error layer_error; /* a whole layer's digest: told only where no frame was found wrong */
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

static uint64_t cost(const struct job *job)
{
        return job->bytes.size < SPOOL_ABOVE ? job->bytes.size : SPOOL_ABOVE;
}

static void free_job(struct job *job)
{
        if (job)
                sf_frame_free(&job->bytes);
        free(job);
}

static int decode_job(struct pipeline *p, const struct job *job, struct sf_frame_decoder *decoder,
                      struct sf_placer *placer, struct sf_error *err)
{
        const struct sf_filelist *list = p->unpack->tree.list;
        const struct sf_frame *frame = &list->frames[job->frame];
        const struct sf_layer *layer = &list->layers[frame->layer];
        struct sf_member_source source = { sf_frame_next, decoder };

        int r = sf_frame_start(decoder, frame, &job->bytes, err);
        if (r == 0)
                r = sf_member_walk(list, job->frame, p->unpack->wanted, &source, placer, err);
        return r < 0 ? sf_error_prefix(err, "layer %s: frame %zu", layer->name, job->frame - layer->first_frame) : 0;
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

static void finish_job(struct pipeline *p, struct job *job, const struct sf_error *error, int code)
{
        pthread_mutex_lock(&p->lock);
        p->jobs--;
        p->held -= cost(job);
        if (code < 0)
                record_failure(p, job->frame, error, code);
        pthread_cond_broadcast(&p->changed);
        pthread_mutex_unlock(&p->lock);
        free_job(job);
}

static void *decode_frames(void *ctx)
{
        struct pipeline *p = ctx;
        struct sf_error err = SF_ERROR_INIT;
        struct sf_frame_decoder *decoder = NULL;
        _cleanup_placer_ struct sf_placer *placer = NULL;
        struct job *job;

        int r = sf_frame_decoder_open(&decoder, &err);
        if (r == 0)
                r = sf_placer_open(&p->unpack->tree, p->unpack->replace, &placer, &err);
        if (r < 0) {
                pthread_mutex_lock(&p->lock);
                record_failure(p, 0, &err, r);
                pthread_mutex_unlock(&p->lock);
        }
        while ((job = take_job(p)))
                finish_job(p, job, &err, decode_job(p, job, decoder, placer, &err));
        sf_frame_decoder_close(decoder);
        return NULL;
}

/* Waits until the job may be held too; 0, or the failure of a decoder. */
static int wait_for_room(struct pipeline *p, const struct job *job)
{
        pthread_mutex_lock(&p->lock);
        while (!p->failed && p->jobs && p->held + cost(job) > SF_UNPACK_QUEUE)
                pthread_cond_wait(&p->changed, &p->lock);
        int failed = p->failed;
        pthread_mutex_unlock(&p->lock);
        return failed;
}

static void queue_job(struct pipeline *p, struct job *job)
{
        pthread_mutex_lock(&p->lock);
        *p->tail = job;
        p->tail = &job->next;
        p->jobs++;
        p->held += cost(job);
        pthread_cond_broadcast(&p->changed);
        pthread_mutex_unlock(&p->lock);
}

/* One frame from the stream into the queue; one that only bridges a gap between wanted ones, or was queued before, is
 * dropped. */
static int fetch_frame(struct pipeline *p, struct sf_stream *stream, size_t frame, struct sf_digester *layer,
                       struct sf_error *err)
{
        const struct sf_unpack *u = p->unpack;
        uint64_t size = u->tree.list->frames[frame].size;
        bool spool = size > SPOOL_ABOVE;
        struct job *job = calloc(1, sizeof *job);

        if (!job)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a frame");
        job->frame = frame;
        job->bytes = (struct sf_frame_bytes){ NULL, -1, size };
        int r = wait_for_room(p, job);
        if (r == 0)
                r = sf_frame_receive(stream, size, spool ? u->tree.dirfd : -1, layer, &job->bytes, err);
        if (r < 0 || frame < p->next_frame || !sf_unpack_frame_wanted(u->tree.list, frame, u->wanted))
                free_job(job);
        else
                queue_job(p, job);
        if (r == 0 && frame >= p->next_frame)
                p->next_frame = frame + 1;
        return r;
}

static int fetch_range(struct pipeline *p, const struct sf_unpack_range *range, uint64_t *done, struct sf_error *err)
{
        const struct sf_unpack *u = p->unpack;
        const struct sf_layer *layer = &u->tree.list->layers[range->layer];
        _cleanup_digester_ struct sf_digester *digester = sf_digester_new();
        _cleanup_stream_ struct sf_stream *stream = NULL;
        struct sf_digest digest;

        if (!digester)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a digest");
        int r = u->open_range(u->ctx, range->layer, range->offset, range->length, &stream, err);
        for (size_t i = range->first_frame; r == 0 && i < range->first_frame + range->frame_count; i++) {
                r = fetch_frame(p, stream, i, digester, err);
                *done += u->tree.list->frames[i].size;
                if (r == 0 && u->progress)
                        u->progress(u->ctx, *done);
        }
        if (r < 0)
                return err->code == r ? sf_error_prefix(err, "layer %s", layer->name) : r;
        sf_digester_finish(digester, &digest);
        if (range->length == layer->size && !sf_digest_equal(&digest, &layer->digest))
                sf_error_set(&p->layer_error, SF_ERR_CORRUPT, "layer %s: sha256 mismatch", layer->name);
        return 0;
}

/* Everything in order. A server without ranges is asked for the whole layer where skipping would cost more than that. */
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

static int run_pipeline(struct pipeline *p, const struct sf_unpack_range *ranges, size_t count, unsigned threads,
                        struct sf_error *err)
{
        pthread_t thread[THREADS_MAX];
        unsigned started = 0;

        while (started < threads && pthread_create(&thread[started], NULL, decode_frames, p) == 0)
                started++;
        if (started == 0 && threads)
                return sf_error_set(err, SF_ERR_NOMEM, "cannot start a thread");
        fetch_everything(p, ranges, count);
        for (unsigned i = 0; i < started; i++)
                pthread_join(thread[i], NULL);
        for (struct job *job = p->head, *next; job; job = next) {
                next = job->next;
                free_job(job);
        }
        if (p->failed)
                return sf_error_set(err, p->failed, "%s", p->error.text);
        return p->layer_error.code ? sf_error_set(err, p->layer_error.code, "%s", p->layer_error.text) : 0;
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
        if (r == 0)
                r = sf_place_skeleton(&unpack->tree, unpack->wanted, unpack->replace, err);
        if (r < 0)
                return r;
        for (size_t i = 0; i < count; i++)
                frames += ranges[i].frame_count;
        return run_pipeline(&p, ranges, count, thread_count(unpack, frames), err);
}
