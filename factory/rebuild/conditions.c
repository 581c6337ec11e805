/* SPDX-License-Identifier: Apache-2.0 */
/* factory/rebuild/conditions.c - see conditions.h. */
#include "factory/rebuild/conditions.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/stop.h"

#define NOBODY      65534
#define OTHER_HOST  "rebuild-check.invalid"
#define OUTPUT_MAX  ((size_t)16 << 20)
#define CANNOT_EXEC 127

/* --- what can be varied ----------------------------------------------------------------------------------------- */

static int become(uid_t uid, gid_t gid)
{
        return setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0 ? -1 : 0;
}

/* Tried in a child: may that user use the paths, and build in a user namespace? */
static bool can_be(uid_t uid, gid_t gid, const char *const *paths)
{
        int status;
        pid_t pid = geteuid() == 0 ? fork() : -1;

        if (pid == 0) {
                bool can = become(uid, gid) == 0;

                for (size_t i = 0; can && paths[i]; i++)
                        can = access(paths[i], i == 0 ? R_OK | W_OK | X_OK : R_OK) == 0;
                _exit(!can || unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET) < 0);
        }
        return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

static bool can_rename_host(void)
{
        int status;
        pid_t pid = geteuid() == 0 ? fork() : -1;

        if (pid == 0)
                _exit(unshare(CLONE_NEWUTS) < 0 || sethostname(OTHER_HOST, strlen(OTHER_HOST)) < 0);
        return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

static int processors(void)
{
        cpu_set_t set;

        return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

static bool has_faketime(const char *root)
{
        _cleanup_free_ char *pattern = sf_format("%s/usr/lib*/*/faketime/libfaketimeMT.so.1", root);
        glob_t found;
        bool has = pattern && glob(pattern, 0, NULL, &found) == 0;

        if (has)
                globfree(&found);
        return has;
}

int sf_conditions_choose(const char *const *paths, const char *root, unsigned jobs, struct sf_conditions *ret,
                         struct sf_words *ret_kept, struct sf_error *err)
{
        *ret = (struct sf_conditions){
                .uid = NOBODY,
                .gid = NOBODY,
                .other_user = can_be(NOBODY, NOBODY, paths),
                .other_host = can_rename_host(),
                .fewer_processors = processors() > 1,
                .other_clock = has_faketime(root),
                .jobs = jobs + 1,
        };
        const struct {
                bool varied;
                const char *kept;
        } facts[] = {
                { ret->other_user, "user (root, and a cache and recipes that others may read, are needed)" },
                { ret->other_host, "host name (root is needed)" },
                { ret->fewer_processors, "processors (there is one)" },
                { ret->other_clock, "date (libfaketime is not there): only as much later as the first build took" },
        };
        int r = 0;

        for (size_t i = 0; i < sizeof facts / sizeof *facts && r == 0; i++)
                if (!facts[i].varied)
                        r = sf_words_append(ret_kept, facts[i].kept, err);
        return r;
}

int sf_conditions_describe(const struct sf_conditions *c, struct sf_words *ret, struct sf_error *err)
{
        int r;

        if ((r = sf_words_printf(ret, err, "directory %s", c->directory)) < 0 ||
            (c->other_user && (r = sf_words_printf(ret, err, "user %ld", (long)c->uid)) < 0) ||
            (c->other_host && (r = sf_words_append(ret, "host name " OTHER_HOST, err)) < 0) ||
            (c->fewer_processors && (r = sf_words_printf(ret, err, "%d processors", processors() - 1)) < 0) ||
            (c->other_clock && (r = sf_words_append(ret, "400 days later", err)) < 0))
                return r;
        return sf_words_printf(ret, err, "umask 077, TZ, LC_ALL, CFLAGS and other variables, --jobs %u", c->jobs);
}

/* --- the child -------------------------------------------------------------------------------------------------- */

/* Variables that a build must not see. */
static void confuse_environment(const struct sf_conditions *c)
{
        static const char *const variables[][2] = {
                { "TZ", "Pacific/Kiritimati" },
                { "LC_ALL", "C.UTF-8" },
                { "LANG", "tr_TR.UTF-8" },
                { "LANGUAGE", "tr" },
                { "USER", "nobody" },
                { "LOGNAME", "nobody" },
                { "CFLAGS", "-O0 -ggdb" },
                { "CXXFLAGS", "-O0 -ggdb" },
                { "LDFLAGS", "-Wl,--build-id" },
                { "CPPFLAGS", "-DREBUILD=1" },
                { "CPATH", "/nonexistent" },
                { "MAKEFLAGS", "--warn-undefined-variables" },
        };

        for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
                setenv(variables[i][0], variables[i][1], 1);
        setenv("HOME", c->directory, 1);
        if (c->other_clock)
                setenv(SF_CONDITIONS_CLOCK, SF_CONDITIONS_CLOCK_AHEAD, 1);
}

static int drop_processor(void)
{
        cpu_set_t set;

        if (sched_getaffinity(0, sizeof set, &set) < 0)
                return -1;
        for (size_t i = 0; i < CPU_SETSIZE; i++)
                if (CPU_ISSET(i, &set)) {
                        CPU_CLR(i, &set);
                        break;
                }
        return sched_setaffinity(0, sizeof set, &set);
}

static int apply(const struct sf_conditions *c)
{
        if ((c->fewer_processors && drop_processor() < 0) ||
            (c->other_host && (unshare(CLONE_NEWUTS) < 0 || sethostname(OTHER_HOST, strlen(OTHER_HOST)) < 0)) ||
            (c->other_user && become(c->uid, c->gid) < 0) || chdir(c->directory) < 0)
                return -1;
        umask(077);
        confuse_environment(c);
        return 0;
}

static void run_child(const struct sf_conditions *conditions, const struct sf_words *argv, int output)
{
        if (dup2(output, STDOUT_FILENO) < 0 || (conditions && apply(conditions) < 0))
                _exit(CANNOT_EXEC);
        execv("/proc/self/exe", argv->items);
        _exit(CANNOT_EXEC);
}

/* All that the child writes; a signal to this process is passed on. */
static int read_output(int fd, pid_t pid, struct sf_buffer *ret, struct sf_error *err)
{
        bool told = false;

        for (;;) {
                int r = sf_buffer_reserve(ret, 4096, err);
                ssize_t n;

                if (sf_stop_requested && !told) {
                        kill(pid, SIGTERM);
                        told = true;
                }
                if (r < 0)
                        return r;
                n = read(fd, ret->data + ret->len, 4095);
                if (n == 0)
                        return 0;
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return sf_error_errno(err, "slurm-factory");
                ret->len += (size_t)n;
                ret->data[ret->len] = '\0';
                if (ret->len > OUTPUT_MAX)
                        return sf_error_set(err, SF_ERR_LIMIT, "slurm-factory prints too much");
        }
}

/* The object, and whether it tells of success. */
static int take_result(const struct sf_buffer *output, int status, json_t **ret, struct sf_error *err)
{
        _cleanup_json_ json_t *result = NULL;
        const char *text;
        int r;

        if (sf_stop_requested)
                return sf_error_set(err, SF_ERR_INTERRUPTED, "the build was interrupted");
        if (!output->len)
                return sf_error_set(err, SF_ERR_FAILED, "slurm-factory ended without a word (status %d)", status);
        if ((r = sf_json_parse("slurm-factory", output->data, output->len, &result, err)) < 0)
                return r;
        text = json_string_value(json_object_get(result, "error"));
        if (status != 0)
                return sf_error_set(err, SF_ERR_FAILED, "%s", text ? text : "slurm-factory failed");
        *ret = sf_steal_pointer(result);
        return 0;
}

int sf_conditions_run(const struct sf_conditions *conditions, const struct sf_words *argv, json_t **ret,
                      struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer output = SF_BUFFER_INIT;
        int ends[2], status = 0;

        if (pipe2(ends, O_CLOEXEC) < 0)
                return sf_error_errno(err, "slurm-factory");
        pid_t pid = fork();
        if (pid == 0)
                run_child(conditions, argv, ends[1]);
        close(ends[1]);
        _cleanup_close_ int fd = ends[0];
        if (pid < 0)
                return sf_error_errno(err, "slurm-factory");
        int r = read_output(fd, pid, &output, err);
        if (r < 0)
                kill(pid, SIGTERM);
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
                continue;
        return r < 0 ? r : take_result(&output, status, ret, err);
}
