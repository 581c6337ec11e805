/* SPDX-License-Identifier: Apache-2.0 */
/* factory/build/compile.c - see compile.h. */
#include "factory/build/compile.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/proc.h"
#include "base/stop.h"

/* What the progress line of a running step shows. */
struct step_clock {
        const struct sf_recipe *recipe;
        const struct sf_recipe_step *step;
        double start;
        unsigned told; /* seconds after which a line was last printed */
};

static unsigned elapsed(const struct step_clock *clock)
{
        return (unsigned)(sf_clock_seconds() - clock->start);
}

/* A line that replaces itself on a terminal; elsewhere one every half minute, so that a log shows a long step going
 * on. */
static void show(void *ctx)
{
        struct step_clock *clock = ctx;
        unsigned now = elapsed(clock);

        sf_log_status("  %s %s: %s  %u s", clock->recipe->name, clock->recipe->version, clock->step->name, now);
        if (!isatty(STDERR_FILENO) && now - clock->told >= 30) {
                sf_log_info("  %s %s: %s, %u s so far", clock->recipe->name, clock->recipe->version, clock->step->name,
                            now);
                clock->told = now;
        }
}

static int substitute(const struct sf_compile *c, struct sf_words *words, struct sf_error *err)
{
        char jobs[16];
        const struct {
                const char *name, *value;
        } values[] = {
                { "PREFIX", c->prefix },
                { "SOURCE", c->source },
                { "JOBS", jobs },
                { "VERSION", c->recipe->version },
                { "CC", c->toolchain->cc },
                { "CXX", c->toolchain->cxx },
                { "CFLAGS", c->toolchain->cflags },
                { "CXXFLAGS", c->toolchain->cxxflags },
                { "LDFLAGS", c->toolchain->ldflags },
        };
        int r = 0;

        snprintf(jobs, sizeof jobs, "%u", c->jobs);
        for (size_t i = 0; i < sizeof values / sizeof *values && r == 0; i++)
                r = sf_words_substitute(words, values[i].name, values[i].value, err);
        return r;
}

static int make_environment(const struct sf_compile *c, const struct sf_recipe_step *step, struct sf_words *env,
                            struct sf_error *err)
{
        static const char *const fixed[] = {
                "PATH=@PREFIX@/bin:@PREFIX@/sbin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "HOME=@SOURCE@",
                "TMPDIR=/tmp",
                "LC_ALL=C",
                "TZ=UTC",
                "CC=@CC@",
                "CXX=@CXX@",
                /* The map keeps the build directory out of __FILE__, where the path is not the same everywhere. */
                "CFLAGS=@CFLAGS@ -ffile-prefix-map=@SOURCE@=.",
                "CXXFLAGS=@CXXFLAGS@ -ffile-prefix-map=@SOURCE@=.",
                "LDFLAGS=@LDFLAGS@",
                "PKG_CONFIG_PATH=@PREFIX@/lib/pkgconfig",
        };
        int r = 0;

        for (size_t i = 0; i < sizeof fixed / sizeof *fixed && r == 0; i++)
                r = sf_words_append(env, fixed[i], err);
        if (r == 0)
                r = sf_words_printf(env, err, "SOURCE_DATE_EPOCH=%lld", (long long)c->epoch);
        for (size_t i = 0; i < step->env.count && r == 0; i++)
                r = sf_words_append(env, step->env.items[i], err);
        return r < 0 ? r : substitute(c, env, err);
}

static int run_step(const struct sf_compile *c, size_t number, struct sf_error *err)
{
        const struct sf_recipe_step *step = &c->recipe->steps[number];
        _cleanup_(sf_words_free) struct sf_words argv = SF_WORDS_INIT, env = SF_WORDS_INIT, directory = SF_WORDS_INIT;
        _cleanup_free_ char *log = sf_format("%s/%zu-%s.log", c->logs, number + 1, step->name);
        struct step_clock clock = { .recipe = c->recipe, .step = step, .start = sf_clock_seconds() };
        int r;

        if (!log)
                return sf_error_set(err, SF_ERR_NOMEM, "step %s", step->name);
        for (size_t i = 0; i < step->run.count; i++)
                if ((r = sf_words_append(&argv, step->run.items[i], err)) < 0)
                        return r;
        if ((r = sf_words_printf(&directory, err, "%s/%s", c->source, step->directory)) < 0 ||
            (r = substitute(c, &argv, err)) < 0 || (r = substitute(c, &directory, err)) < 0 ||
            (r = make_environment(c, step, &env, err)) < 0)
                return r;
        if (unlink(log) < 0 && sf_fs_exists(log))
                return sf_error_errno(err, "cannot replace log %s", log);
        const struct sf_proc proc = {
                .argv = sf_words_argv(&argv),
                .env = sf_words_argv(&env),
                .directory = directory.items[0],
                .log = log,
                .tick = show,
                .tick_ctx = &clock,
                .stop = &sf_stop_requested,
        };
        if ((r = sf_proc_check(&proc, err)) < 0) {
                sf_log_progress_end();
                return sf_error_prefix(err, "%s %s: step %s", c->recipe->name, c->recipe->version, step->name);
        }
        sf_log_info("  %s %s: %s  %u s", c->recipe->name, c->recipe->version, step->name, elapsed(&clock));
        return 0;
}

int sf_compile_steps(const struct sf_compile *compile, struct sf_error *err)
{
        int r = 0;

        for (size_t i = 0; i < compile->recipe->step_count && r == 0; i++)
                r = run_step(compile, i, err);
        return r;
}
