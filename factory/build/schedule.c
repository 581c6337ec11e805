/* SPDX-License-Identifier: Apache-2.0 */
/* factory/build/schedule.c - which package is built when, and by which process. See builder.h. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/stop.h"
#include "factory/build/builder.h"

/* Seconds between two lines about long steps where the output is no terminal. */
#define TELL_EVERY 30

enum job_state { JOB_WAITING, JOB_RUNNING, JOB_DONE, JOB_FAILED };

struct job {
        enum job_state state;
        pid_t pid;
        int report; /* the read end of the pipe through which the process says why it failed */
        struct sf_builder_progress *progress;
};

struct schedule {
        struct sf_builder *builder;
        struct job *jobs; /* one per layer of the plan */
        struct sf_builder_progress *progress;
        unsigned running, failed;
        int tokens[2]; /* GNU make's job server: one byte per command that may still be started */
        int look;      /* the read end once more, which does not block: the steps' own must */
        char *makeflags;
        double told;
};

/* What the process of a failed package leaves. */
struct report {
        int code;
        char text[sizeof((struct sf_error *)NULL)->text];
};

static void schedule_free(struct schedule *s)
{
        if (s->progress)
                munmap(s->progress, s->builder->plan->count * sizeof *s->progress);
        for (int i = 0; i < 2; i++)
                if (s->tokens[i] >= 0)
                        close(s->tokens[i]);
        if (s->look >= 0)
                close(s->look);
        free(s->jobs);
        free(s->makeflags);
}

/* The pipe's ends are inherited by every step: make finds their numbers in MAKEFLAGS. One token is not in the pipe:
 * it is the one that every package's process has for itself.
 *
 * SHELL: configure looks for bash and writes it into makefiles, where libtool, called for each file, takes a third of
 * the processor time of a build with ccache; Debian's /bin/sh needs half of that. Where a package's makefiles do need
 * bash, its recipe says "make SHELL=/bin/bash". */
static int open_job_server(struct schedule *s, struct sf_error *err)
{
        _cleanup_free_ char *again = NULL;

        if (pipe(s->tokens) < 0)
                return sf_error_errno(err, "job server");
        if (!(again = sf_format("/proc/self/fd/%d", s->tokens[0])))
                return sf_error_set(err, SF_ERR_NOMEM, "job server");
        s->look = open(again, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        if (s->look < 0)
                return sf_error_errno(err, "job server");
        for (unsigned i = 1; i < s->builder->jobs; i++)
                if (write(s->tokens[1], "+", 1) != 1)
                        return sf_error_errno(err, "job server");
        s->makeflags = sf_format(" -j%u --jobserver-auth=%d,%d -- SHELL=/bin/sh", s->builder->jobs, s->tokens[0],
                                 s->tokens[1]);
        return s->makeflags ? 0 : sf_error_set(err, SF_ERR_NOMEM, "job server");
}

/* A step that misses a program only says so when its turn comes. */
static void warn_of_missing_packages(const struct sf_plan *plan)
{
        _cleanup_(sf_buffer_free) struct sf_buffer advice = SF_BUFFER_INIT;

        for (size_t i = 0; i < plan->count; i++)
                if (plan->layers[i].state == SF_PLAN_BUILD) {
                        sf_toolchain_advise(plan->toolchain, NULL, &advice, NULL);
                        if (advice.len > 0)
                                sf_log_warning("toolchain %s%s", plan->toolchain->name, sf_buffer_text(&advice));
                        return;
                }
}

static int schedule_open(struct schedule *s, struct sf_error *err)
{
        const struct sf_plan *plan = s->builder->plan;
        size_t count = plan->count ? plan->count : 1;
        void *shared = mmap(NULL, count * sizeof *s->progress, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
                            0);

        if (shared == MAP_FAILED)
                return sf_error_errno(err, "build");
        s->progress = shared;
        if (!(s->jobs = calloc(count, sizeof *s->jobs)))
                return sf_error_set(err, SF_ERR_NOMEM, "build");
        for (size_t i = 0; i < plan->count; i++) {
                s->jobs[i].progress = &s->progress[i];
                if (plan->layers[i].state != SF_PLAN_CACHED)
                        continue;
                s->jobs[i].state = JOB_DONE;
                sf_log_info("%s %s: cached", plan->layers[i].recipe.name, plan->layers[i].recipe.version);
        }
        warn_of_missing_packages(plan);
        return open_job_server(s, err);
}

/* The first package takes the token that is not in the pipe. */
static bool take_token(const struct schedule *s)
{
        char token;

        return s->running == 0 || read(s->look, &token, 1) == 1;
}

static void give_token(const struct schedule *s)
{
        if (s->running > 0 && write(s->tokens[1], "+", 1) != 1)
                sf_log_detail("job server: a token is lost");
}

/* --- one package's process ------------------------------------------------------------------------------------- */

static void run_in_child(const struct schedule *s, size_t index, int report)
{
        const struct sf_plan_layer *layer = &s->builder->plan->layers[index];
        struct sf_error err = SF_ERROR_INIT;
        struct report said = { .code = sf_builder_provide(s->builder, layer, s->makeflags, &s->progress[index], &err) };

        if (said.code < 0) {
                memcpy(said.text, err.text, sizeof said.text);
                if (write(report, &said, sizeof said) != sizeof said)
                        _exit(2);
        }
        _exit(said.code < 0);
}

static int start(struct schedule *s, size_t index, struct sf_error *err)
{
        struct job *job = &s->jobs[index];
        int ends[2];

        if (pipe2(ends, O_CLOEXEC) < 0)
                return sf_error_errno(err, "build");
        job->progress->start = sf_clock_seconds();
        job->pid = fork();
        if (job->pid == 0)
                run_in_child(s, index, ends[1]);
        close(ends[1]);
        if (job->pid < 0) {
                close(ends[0]);
                return sf_error_errno(err, "build");
        }
        job->report = ends[0];
        job->state = JOB_RUNNING;
        s->running++;
        return 0;
}

/* Takes in how the package's process ended. */
static int finish(struct schedule *s, size_t index, int status, struct sf_error *err)
{
        struct sf_plan_layer *layer = &s->builder->plan->layers[index];
        struct job *job = &s->jobs[index];
        struct report said = { .code = SF_ERR_FAILED };
        ssize_t n = read(job->report, &said, sizeof said);

        close(job->report);
        s->running--;
        give_token(s);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
                job->state = JOB_DONE;
                return sf_cache_find(s->builder->plan->cache, &layer->key, &layer->tree, err);
        }
        job->state = JOB_FAILED;
        s->failed++;
        if (n != sizeof said)
                return sf_error_set(err, SF_ERR_FAILED, "%s %s: its process ended without a word (status %d)",
                                    layer->recipe.name, layer->recipe.version, status);
        return sf_error_set(err, said.code, "%s", said.text);
}

/* --- all of them ----------------------------------------------------------------------------------------------- */

static bool is_ready(const struct schedule *s, size_t index)
{
        const struct sf_plan *plan = s->builder->plan;
        const struct sf_words *depends = &plan->layers[index].recipe.depends;

        for (size_t i = 0; i < depends->count; i++)
                if (s->jobs[sf_plan_find(plan, depends->items[i]) - plan->layers].state != JOB_DONE)
                        return false;
        return true;
}

static int start_ready(struct schedule *s, struct sf_error *err)
{
        /* Without mounts of their own all would build at the same path. */
        unsigned most = s->builder->plan->sandbox->is_private ? s->builder->jobs : 1;
        int r = 0;

        for (size_t i = 0; i < s->builder->plan->count && r == 0 && s->running < most; i++) {
                if (s->jobs[i].state != JOB_WAITING || !is_ready(s, i))
                        continue;
                if (!take_token(s))
                        break;
                r = start(s, i, err);
        }
        return r;
}

static void show(struct schedule *s)
{
        const struct sf_plan *plan = s->builder->plan;
        _cleanup_(sf_buffer_free) struct sf_buffer line = SF_BUFFER_INIT;
        double now = sf_clock_seconds();
        bool tell = !isatty(STDERR_FILENO) && now - s->told >= TELL_EVERY;
        size_t done = 0;

        for (size_t i = 0; i < plan->count; i++) {
                const struct sf_builder_progress *progress = s->jobs[i].progress;

                done += s->jobs[i].state == JOB_DONE;
                if (s->jobs[i].state == JOB_RUNNING)
                        sf_buffer_printf(&line, NULL, "; %s: %s (%u of %u), %.0f s so far", plan->layers[i].recipe.name,
                                         progress->step, progress->number, progress->count, now - progress->start);
        }
        sf_log_status("%zu of %zu packages%s", done, plan->count, sf_buffer_text(&line));
        if (tell) {
                sf_log_info("  %zu of %zu packages%s", done, plan->count, sf_buffer_text(&line));
                s->told = now;
        }
}

/* Waits until at least one process ended. *err becomes the first failure. */
static int wait_for_one(struct schedule *s, struct sf_error *err)
{
        const struct timespec moment = { 0, 50000000 };
        bool told_to_stop = false, ended = false;

        while (!ended) {
                for (size_t i = 0; i < s->builder->plan->count; i++) {
                        struct sf_error why = SF_ERROR_INIT;
                        int status;

                        if (s->jobs[i].state != JOB_RUNNING)
                                continue;
                        if (sf_stop_requested && !told_to_stop)
                                kill(s->jobs[i].pid, SIGTERM);
                        if (waitpid(s->jobs[i].pid, &status, WNOHANG) != s->jobs[i].pid)
                                continue;
                        ended = true;
                        if (finish(s, i, status, &why) == 0)
                                continue;
                        sf_log_progress_end();
                        if (s->failed > 1 || s->builder->keep_going)
                                sf_log_error("%s", why.text);
                        if (s->failed == 1)
                                *err = why;
                }
                told_to_stop = sf_stop_requested;
                if (!ended) {
                        nanosleep(&moment, NULL);
                        show(s);
                }
        }
        return s->failed ? err->code : 0;
}

int sf_builder_run(struct sf_builder *builder, struct sf_error *err)
{
        _cleanup_(schedule_free) struct schedule s = {
                .builder = builder, .tokens = { -1, -1 }, .look = -1, .told = sf_clock_seconds()
        };
        struct sf_error first = SF_ERROR_INIT;
        int r = schedule_open(&s, err), failure = 0;

        while (r == 0) {
                bool may_start = !sf_stop_requested && (failure == 0 || builder->keep_going);

                if (may_start && (r = start_ready(&s, err)) < 0)
                        break;
                if (s.running == 0)
                        break;
                failure = wait_for_one(&s, &first);
        }
        while (s.running)
                wait_for_one(&s, &first);
        sf_log_progress_end();
        if (r < 0)
                return r;
        if (failure < 0) {
                if (err)
                        *err = first;
                return failure;
        }
        return sf_stop_requested ? sf_error_set(err, SF_ERR_INTERRUPTED, "the build was interrupted") : 0;
}
