/* SPDX-License-Identifier: Apache-2.0 */
/* base/parallel.c - see parallel.h. */
#include "base/parallel.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#define THREADS_MAX 16u

struct work {
        size_t count;
        int (*one)(void *ctx, size_t i, struct sf_error *err);
        void *ctx;
        atomic_size_t next;
        atomic_int failed;
        pthread_mutex_t lock; /* of error */
        struct sf_error error;
};

unsigned sf_parallel_processors(void)
{
        cpu_set_t set;

        return sched_getaffinity(0, sizeof set, &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;
}

static void *run(void *ctx)
{
        struct work *work = ctx;
        size_t i;

        while (!work->failed && (i = work->next++) < work->count) {
                struct sf_error err = SF_ERROR_INIT;
                int r = work->one(work->ctx, i, &err);

                if (r >= 0)
                        continue;
                pthread_mutex_lock(&work->lock);
                if (!work->failed) {
                        work->error = err;
                        work->failed = r;
                }
                pthread_mutex_unlock(&work->lock);
        }
        return NULL;
}

int sf_parallel_each(size_t count, unsigned threads, int (*one)(void *ctx, size_t i, struct sf_error *err), void *ctx,
                     struct sf_error *err)
{
        struct work work = { .count = count, .one = one, .ctx = ctx, .lock = PTHREAD_MUTEX_INITIALIZER };
        pthread_t thread[THREADS_MAX];
        unsigned started = 0;

        if (threads == 0)
                threads = sf_parallel_processors();
        if (threads > THREADS_MAX)
                threads = THREADS_MAX;
        while (started + 1 < threads && started + 1 < count && pthread_create(&thread[started], NULL, run, &work) == 0)
                started++;
        run(&work);
        for (unsigned i = 0; i < started; i++)
                pthread_join(thread[i], NULL);
        return work.failed ? sf_error_set(err, work.failed, "%s", work.error.text) : 0;
}
