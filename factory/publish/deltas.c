/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/deltas.c - why: what joins the published bytes of two releases to the codecs, which know neither. */
#include "factory/publish/deltas.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/parallel.h"
#include "base/progress.h"
#include "delta/encode/memory.h"
#include "delta/listpatch.h"
#include "factory/pack/contents.h"
#include "factory/publish/repo.h"
#include "release/layout.h"

struct pair {
        struct sf_contents old, new;
};

static void pair_close(struct pair *pair)
{
        sf_contents_close(&pair->old);
        sf_contents_close(&pair->new);
}

static int read_old(void *ctx, const struct sf_entry *entry, struct sf_buffer *ret, struct sf_error *err)
{
        return sf_contents_read(&((struct pair *)ctx)->old, entry, ret, err);
}

static int read_new(void *ctx, const struct sf_entry *entry, struct sf_buffer *ret, struct sf_error *err)
{
        return sf_contents_read(&((struct pair *)ctx)->new, entry, ret, err);
}

/* How far several deltas are that are made at a time; the sum is shown. */
struct line {
        struct board *board;
        uint64_t done, total;
};
struct board {
        pthread_mutex_t lock;
        struct line *lines; /* one for each */
        size_t count;
};

static void show_progress(void *ctx, uint64_t done, uint64_t total)
{
        struct line *line = ctx;
        struct board *board = line->board;
        uint64_t all_done = 0, all = 0;

        pthread_mutex_lock(&board->lock);
        line->done = done;
        line->total = total;
        for (size_t i = 0; i < board->count; i++) {
                all_done += board->lines[i].done;
                all += board->lines[i].total;
        }
        sf_progress_show("delta", all_done, all);
        pthread_mutex_unlock(&board->lock);
}

static int try_codecs(const struct sf_delta_end *old, const struct sf_delta_end *new, uint64_t memory_budget,
                      uint64_t work_memory, struct line *line, struct sf_delta_result *ret, struct sf_buffer *ret_list,
                      struct sf_error *err)
{
        _cleanup_(pair_close) struct pair pair = { SF_CONTENTS_INIT, SF_CONTENTS_INIT };
        struct sf_delta_make job = { .old = &pair.old.list,
                                     .new = &pair.new.list,
                                     .read_old = read_old,
                                     .read_new = read_new,
                                     .ctx = &pair,
                                     .memory_budget = memory_budget,
                                     .work_memory = work_memory,
                                     .progress = show_progress,
                                     .progress_ctx = line };
        int r = sf_contents_open(old->blobs, old->release, &pair.old, err);

        if (r == 0)
                r = sf_contents_open(new->blobs, new->release, &pair.new, err);
        if (r == 0)
                r = sf_listpatch_make(pair.old.text.data, pair.old.text.len, pair.new.text.data, pair.new.text.len,
                                      ret_list, err);
        if (r == 0)
                r = sf_delta_make(&job, ret, err);
        return r < 0 ? sf_error_prefix(err, "delta %s -> %s", old->release->name.text, new->release->name.text) : 0;
}

int sf_deltas_try(const struct sf_delta_end *old, const struct sf_delta_end *new, uint64_t memory_budget,
                  struct sf_delta_result *ret, struct sf_buffer *ret_list, struct sf_error *err)
{
        struct line line = { 0 };
        struct board board = { .lock = PTHREAD_MUTEX_INITIALIZER, .lines = &line, .count = 1 };

        line.board = &board;
        return try_codecs(old, new, memory_budget, 0, &line, ret, ret_list, err);
}

/* What the threads share that make deltas. */
struct deltas_work {
        const char *repository, *blobs;
        struct sf_delta_order *orders;
        struct board board;
        uint64_t memory_budget, work_memory; /* of one of them */
        bool shared;                         /* several are at work: what has no room may have more later */
};

static int store(const struct deltas_work *w, struct sf_delta_order *order, const struct sf_delta_result *result,
                 const struct sf_buffer *list, struct sf_error *err)
{
        struct sf_index_delta delta = { .from = order->old->tree, .memory = result->memory };
        int r = sf_repo_put(w->repository, list->data, list->len, &delta.filelist, err);

        if (r == 0)
                r = sf_repo_put(w->repository, result->blob.data, result->blob.len, &delta.content, err);
        if (r < 0)
                return r;
        memcpy(delta.codec, result->codec, sizeof delta.codec);
        order->made = delta;
        return 0;
}

static int make_one(void *ctx, size_t index, struct sf_error *err)
{
        struct deltas_work *w = ctx;
        struct sf_delta_order *order = &w->orders[index];
        _cleanup_(sf_delta_result_free) struct sf_delta_result result = { 0 };
        _cleanup_(sf_buffer_free) struct sf_buffer list = SF_BUFFER_INIT;
        const struct sf_delta_end from = { w->blobs, order->old }, to = { w->blobs, order->new };

        order->failure = (struct sf_error)SF_ERROR_INIT;
        order->result = try_codecs(&from, &to, w->memory_budget, w->work_memory, &w->board.lines[index], &result, &list,
                                   &order->failure);
        if (order->result == SF_ERR_NOMEM || order->result == SF_ERR_LIMIT)
                return 0;
        if (order->result < 0)
                return sf_error_set(err, order->result, "%s", order->failure.text);
        if (result.cheaper && w->shared) {
                order->result = SF_ERR_LIMIT;
                return 0;
        }
        if (result.cheaper)
                sf_log_warning("delta %s -> %s: %llu parts take a codec that needs less memory to make them",
                               order->old->name.text, order->new->name.text, (unsigned long long)result.cheaper);
        if (result.bounded)
                sf_log_info(
                        "delta %s -> %s: %llu parts take zstd, since a better codec would cost a node too much time or "
                        "memory",
                        order->old->name.text, order->new->name.text, (unsigned long long)result.bounded);
        return store(w, order, &result, &list, err);
}

/* As many as there are processors, so that they are busy while one delta is read or written, too. Each has a thread per
 * processor that aligns files, of lower priority, and two that code and try: the last one made has all of them. */
static unsigned count_at_a_time(size_t count)
{
        unsigned most = sf_parallel_processors();

        return count < most ? (unsigned)count : most;
}

int sf_deltas_make(const char *repository, struct sf_delta_order *orders, size_t count, uint64_t memory_budget,
                   struct sf_error *err)
{
        _cleanup_free_ char *blobs = sf_fs_join(repository, SF_LAYOUT_BLOBS);
        _cleanup_free_ struct line *lines = calloc(count + 1, sizeof *lines);
        unsigned threads = count_at_a_time(count);
        struct deltas_work work = { .repository = repository,
                                    .blobs = blobs,
                                    .orders = orders,
                                    .board = { .lock = PTHREAD_MUTEX_INITIALIZER, .lines = lines, .count = count },
                                    .memory_budget = memory_budget,
                                    .shared = threads > 1 };

        if (!blobs || !lines)
                return sf_error_set(err, SF_ERR_NOMEM, "out of memory");
        if (!count)
                return 0;
        for (size_t i = 0; i < count; i++)
                lines[i].board = &work.board;
        work.work_memory = sf_encode_memory_default() / threads;
        int r = sf_parallel_each(count, threads, make_one, &work, err);
        work.work_memory = 0;
        for (size_t i = 0; i < count && r == 0 && work.shared; i++)
                if (orders[i].result < 0) {
                        struct deltas_work alone = work;
                        alone.shared = false;
                        r = make_one(&alone, i, err);
                }
        return r;
}
