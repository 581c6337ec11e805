/* SPDX-License-Identifier: Apache-2.0 */
/* delta/encode/scripts.c - see scripts.h. */
#include "delta/encode/scripts.h"

#include <stdlib.h>
#include <unistd.h>

#include "delta/encode/realign.h"

/* All else waits for who codes: that thread, and the one that tries what it codes, come first. */
#define LOWER_PRIORITY 5

static int make_script(struct sf_scripts *s, size_t index, struct sf_error *err)
{
        int r = sf_references_choose(&s->library, index, &s->scripts[index], err);

        if (r == 0)
                r = sf_realign_file(&s->library, index, &s->scripts[index], err);
        sf_delta_effort_add(s->effort, s->library.new->files[index].size);
        return r;
}

/* With the lock: takes the next file, and makes its script without the lock. */
static void make_next(struct sf_scripts *s)
{
        struct sf_error err = SF_ERROR_INIT;
        size_t index = s->next++;

        pthread_mutex_unlock(&s->lock);
        int r = make_script(s, index, &err);
        pthread_mutex_lock(&s->lock);
        s->made[index] = true;
        if (r < 0 && !s->failed) {
                s->failed = r;
                s->error = err;
        }
        pthread_cond_broadcast(&s->changed);
}

static void *run(void *ctx)
{
        struct sf_scripts *s = ctx;

        (void)!nice(LOWER_PRIORITY); /* on Linux, of this thread only */
        pthread_mutex_lock(&s->lock);
        while (!s->failed && s->next < s->count)
                make_next(s);
        pthread_mutex_unlock(&s->lock);
        return NULL;
}

int sf_scripts_start(struct sf_scripts *s, const struct sf_delta_files *old, const struct sf_delta_files *new_files,
                     bool predict, unsigned at_a_time, struct sf_delta_effort *effort, struct sf_error *err)
{
        size_t threads = at_a_time - 1 < new_files->count ? at_a_time - 1 : new_files->count;

        *s = (struct sf_scripts){ .effort = effort,
                                  .lock = PTHREAD_MUTEX_INITIALIZER,
                                  .changed = PTHREAD_COND_INITIALIZER };
        int r = sf_reference_library_open(&s->library, old, new_files, predict, at_a_time, err);

        if (r < 0)
                return r;
        s->scripts = calloc(new_files->count + 1, sizeof *s->scripts);
        s->made = calloc(new_files->count + 1, sizeof *s->made);
        s->threads = calloc(threads + 1, sizeof *s->threads);
        if (!s->scripts || !s->made || !s->threads)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory to make a delta");
        s->count = new_files->count;
        while (s->running < threads && pthread_create(&s->threads[s->running], NULL, run, s) == 0)
                s->running++;
        return 0;
}

static void count_script(struct sf_scripts *s)
{
        const struct sf_script *script = &s->scripts[s->known];

        for (size_t i = 0; i < script->count; i++)
                s->literals += script->steps[i].literal;
        s->bytes += s->library.new->files[s->known].size;
        s->known++;
}

int sf_scripts_wait(struct sf_scripts *s, struct sf_error *err)
{
        pthread_mutex_lock(&s->lock);
        while (!s->failed && !s->made[s->known])
                if (s->next == s->known)
                        make_next(s);
                else
                        pthread_cond_wait(&s->changed, &s->lock);
        int failed = s->failed;
        pthread_mutex_unlock(&s->lock);
        if (failed)
                return sf_error_set(err, failed, "%s", s->error.text);
        count_script(s);
        return 0;
}

void sf_scripts_close(struct sf_scripts *s)
{
        if (s->running) {
                pthread_mutex_lock(&s->lock);
                s->next = s->count;
                pthread_mutex_unlock(&s->lock);
        }
        for (size_t i = 0; i < s->running; i++)
                pthread_join(s->threads[i], NULL);
        for (size_t i = 0; i < s->count; i++)
                sf_script_free(&s->scripts[i]);
        free(s->scripts);
        free(s->made);
        free(s->threads);
        sf_reference_library_close(&s->library);
        *s = (struct sf_scripts){ 0 };
}
