/* SPDX-License-Identifier: Apache-2.0 */
/* factory/build/compile.c - see compile.h. */
#include "factory/build/compile.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/proc.h"
#include "base/stop.h"

static int substitute(const struct sf_compile *c, struct sf_words *words, struct sf_error *err)
{
        char jobs[16];
        const struct {
                const char *name, *value;
        } values[] = {
                { "PREFIX", c->sandbox->prefix },
                { "SOURCE", c->sandbox->build },
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

/* ccache stands before the compilers. Its own directory and the build's are always at the same paths, so that what
 * another version of a package compiled is found again. */
static int add_ccache(const struct sf_build_sandbox *sandbox, struct sf_words *env, struct sf_error *err)
{
        static const char *const settings[] = { "CCACHE_COMPILERCHECK=content", "CCACHE_MAXSIZE=8G" };
        int r = 0;

        if (!sandbox->ccache)
                return 0;
        for (size_t i = 0; i < sizeof settings / sizeof *settings && r == 0; i++)
                r = sf_words_append(env, settings[i], err);
        return r == 0 ? sf_words_printf(env, err, "CCACHE_DIR=%s", sandbox->ccache) : r;
}

/* --check lets the second build's steps live on another day, where the root has libfaketime: see
 * factory/rebuild/conditions.h. Times of files are moved along, both when they are asked for and when they are set:
 * otherwise what touch(1) makes would be newer than all that is written after it, and be made again by make(1). */
static int add_clock(const struct sf_build_sandbox *sandbox, struct sf_words *env, struct sf_error *err)
{
        static const char *const settings[] = { "FAKE_UTIME=1", "FAKETIME_DONT_FAKE_MONOTONIC=1" };
        const char *ahead = getenv("SF_REBUILD_CLOCK");
        _cleanup_free_ char *pattern = sf_format("%s/usr/lib*/*/faketime/libfaketimeMT.so.1", sandbox->root);
        glob_t found;
        int r = 0;

        if (!ahead || strspn(ahead, "0123456789") != strlen(ahead) || !pattern || glob(pattern, 0, NULL, &found) != 0)
                return 0;
        for (size_t i = 0; i < sizeof settings / sizeof *settings && r == 0; i++)
                r = sf_words_append(env, settings[i], err);
        if (r == 0)
                r = sf_words_printf(env, err, "LD_PRELOAD=%s", found.gl_pathv[0] + strlen(sandbox->root));
        if (r == 0)
                r = sf_words_printf(env, err, "FAKETIME=+%s", ahead);
        globfree(&found);
        return r;
}

static int make_environment(const struct sf_compile *c, const struct sf_recipe_step *step, struct sf_words *env,
                            struct sf_error *err)
{
        static const char *const fixed[] = {
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
        const char *compilers = c->sandbox->compilers;
        int r = sf_words_printf(env, err,
                                "PATH=@PREFIX@/bin:@PREFIX@/sbin:%s%s/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:"
                                "/sbin:/bin",
                                compilers ? compilers : "", compilers ? ":" : "");

        for (size_t i = 0; i < sizeof fixed / sizeof *fixed && r == 0; i++)
                r = sf_words_append(env, fixed[i], err);
        if (r == 0)
                r = sf_words_printf(env, err, "SOURCE_DATE_EPOCH=%lld", (long long)c->epoch);
        if (r == 0)
                r = add_ccache(c->sandbox, env, err);
        if (r == 0)
                r = add_clock(c->sandbox, env, err);
        if (r == 0 && c->makeflags)
                r = sf_words_printf(env, err, "MAKEFLAGS=%s", c->makeflags);
        for (size_t i = 0; i < step->env.count && r == 0; i++)
                r = sf_words_append(env, step->env.items[i], err);
        return r < 0 ? r : substitute(c, env, err);
}

/* Less than this much left after a failed step: it failed for want of space, or soon will. */
#define FULL_BELOW ((uint64_t)4 << 20)

/* Says so where the cache's file system is full: a log that lies on it ends before the reason. */
static int judge_failure(const struct sf_compile *c, int code, struct sf_error *err)
{
        struct statvfs fs;

        if (code != SF_ERR_FAILED || !err || statvfs(c->logs, &fs) < 0)
                return code;
        uint64_t left = (uint64_t)fs.f_frsize * (geteuid() == 0 ? fs.f_bfree : fs.f_bavail);
        bool no_inodes = fs.f_files > 0 && fs.f_ffree == 0;
        if (left >= FULL_BELOW && !no_inodes)
                return code;
        struct sf_error was = *err;
        return sf_error_set(err, SF_ERR_NO_SPACE, "%.1500s; the file system of the cache is full: %llu KiB%s left",
                            was.text, (unsigned long long)left / 1024, no_inodes ? ", no inode" : "");
}

/* Runs one command inside, with its output in `log`. */
static int run_inside(const struct sf_compile *c, const struct sf_recipe_step *step, const char *log,
                      struct sf_error *err)
{
        _cleanup_(sf_words_free) struct sf_words argv = SF_WORDS_INIT, env = SF_WORDS_INIT, directory = SF_WORDS_INIT;
        int r;

        for (size_t i = 0; i < step->run.count; i++)
                if ((r = sf_words_append(&argv, step->run.items[i], err)) < 0)
                        return r;
        if ((r = sf_words_printf(&directory, err, "%s/%s", c->sandbox->build, step->directory)) < 0 ||
            (r = substitute(c, &argv, err)) < 0 || (r = substitute(c, &directory, err)) < 0 ||
            (r = make_environment(c, step, &env, err)) < 0)
                return r;
        if (unlink(log) < 0 && sf_fs_exists(log))
                return sf_error_errno(err, "cannot replace log %s", log);
        const struct sf_proc proc = {
                .argv = sf_words_argv(&argv),
                .env = sf_words_argv(&env),
                .root = c->sandbox->root,
                .directory = directory.items[0],
                .no_network = c->sandbox->is_private,
                .log = log,
                .stop = &sf_stop_requested,
        };
        r = sf_proc_check(&proc, err);
        return r < 0 ? judge_failure(c, r, err) : r;
}

static int run_step(const struct sf_compile *c, size_t number, struct sf_error *err)
{
        const struct sf_recipe_step *step = &c->recipe->steps[number];
        _cleanup_free_ char *log = sf_format("%s/%zu-%s.log", c->logs, number + 1, step->name);
        double start = sf_clock_seconds();
        int r;

        if (!log)
                return sf_error_set(err, SF_ERR_NOMEM, "step %s", step->name);
        if (c->begin)
                c->begin(c->begin_ctx, step->name, number + 1, c->recipe->step_count);
        if ((r = run_inside(c, step, log, err)) < 0)
                return sf_error_prefix(err, "%s %s: step %s", c->recipe->name, c->recipe->version, step->name);
        sf_log_info("  %s %s: %s  %.0f s", c->recipe->name, c->recipe->version, step->name, sf_clock_seconds() - start);
        return 0;
}

/* --- patches --------------------------------------------------------------------------------------------------- */

/* The patch is copied into the build, where the root's patch(1) can read it. Fuzz is refused: what does not fit
 * exactly was made for another source. */
static int apply_patch(const struct sf_compile *c, size_t number, struct sf_error *err)
{
        const struct sf_recipe_patch *patch = &c->recipe->patches[number];
        _cleanup_(sf_buffer_free) struct sf_buffer content = SF_BUFFER_INIT;
        _cleanup_free_ char *path = sf_fs_join(c->patches, patch->file), *strip = NULL;
        _cleanup_free_ char *copy = sf_format("%s%s/.sf-patch", c->sandbox->root, c->sandbox->build);
        _cleanup_free_ char *log = sf_format("%s/0-patch-%s.log", c->logs, patch->name);
        struct sf_digest digest;
        int r;

        strip = sf_format("-p%u", (unsigned)patch->strip);
        if (!path || !copy || !log || !strip)
                return sf_error_set(err, SF_ERR_NOMEM, "patch %s", patch->name);
        if ((r = sf_fs_read(path, 64u << 20, &content, err)) < 0)
                return r;
        sf_digest_of(content.data, content.len, &digest);
        if (!sf_digest_equal(&digest, &patch->digest))
                return sf_error_set(err, SF_ERR_CORRUPT, "%s: sha256 is not the recipe's", path);
        if ((r = sf_fs_write(copy, content.data, content.len, 0644, err)) < 0)
                return r;
        char *argv[] = { (char[]){ "patch" },     strip, (char[]){ "-F0" }, (char[]){ "--batch" }, (char[]){ "-i" },
                         (char[]){ ".sf-patch" }, NULL };
        const struct sf_recipe_step step = { .name = patch->name,
                                             .directory = ".",
                                             .run = { argv, sizeof argv / sizeof *argv - 1 } };
        if ((r = run_inside(c, &step, log, err)) < 0)
                return r;
        return unlink(copy) < 0 ? sf_error_errno(err, "%s", copy) : 0;
}

int sf_compile_run(const struct sf_compile *compile, struct sf_error *err)
{
        const struct sf_recipe *recipe = compile->recipe;
        int r = 0;

        for (size_t i = 0; i < recipe->patch_count && r == 0; i++)
                if ((r = apply_patch(compile, i, err)) < 0)
                        sf_error_prefix(err, "%s %s: patch %s", recipe->name, recipe->version, recipe->patches[i].name);
        for (size_t i = 0; i < recipe->step_count && r == 0; i++)
                r = run_step(compile, i, err);
        return r;
}
