/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/drain.c - see drain.h. */
#include "agent/switch/drain.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent/node/process.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/log.h"
#include "base/stop.h"

#define MARK     "drained.json"
#define MARK_MAX 4096u
/* slurmctld is asked so often: a job's end is noticed soon, and a thousand waiting nodes are no load. */
#define PAUSE_SECONDS 3

static int write_mark(const struct sf_drain *d, struct sf_error *err)
{
        _cleanup_free_ char *path = sf_fs_join(d->state, MARK);
        _cleanup_json_ json_t *object = json_pack("{s:o,s:o}", "node", sf_json_text(d->node), "reason",
                                                  sf_json_text(d->reason));
        _cleanup_free_ char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;

        if (!path || !text)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a file");
        return sf_fs_write(path, text, strlen(text), 0644, err);
}

static int remove_mark(const char *state, struct sf_error *err)
{
        _cleanup_free_ char *path = sf_fs_join(state, MARK);

        if (!path)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        return unlink(path) < 0 && errno != ENOENT ? sf_error_errno(err, "%s", path) : sf_fs_sync_dir(state, err);
}

/* SF_ERR_NOT_FOUND: nothing is drained by us. */
static int read_mark(const char *state, json_t **ret, const char **node, const char **reason, struct sf_error *err)
{
        _cleanup_free_ char *path = sf_fs_join(state, MARK);
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        int r = path ? sf_fs_read(path, MARK_MAX, &text, err) : sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");

        if (r == 0)
                r = sf_json_parse(path, text.data, text.len, ret, err);
        if (r == 0)
                r = sf_json_string(*ret, MARK, "node", node, err);
        return r < 0 ? r : sf_json_string(*ret, MARK, "reason", reason, err);
}

/* scontrol puts " [who@when]" behind a reason. */
static bool is_reason(const char *record, const char *ours)
{
        size_t len = strlen(ours);

        return strncmp(record, ours, len) == 0 && (record[len] == '\0' || strncmp(record + len, " [", 2) == 0);
}

int sf_drain_end(const char *state, const struct sf_slurm *slurm, struct sf_error *err)
{
        _cleanup_json_ json_t *mark = NULL;
        struct sf_slurm_record now;
        const char *node, *reason;
        int r = read_mark(state, &mark, &node, &reason, err);

        if (r == SF_ERR_NOT_FOUND) {
                sf_error_clear(err);
                return 0;
        }
        /* A file that is damaged names nobody. */
        if (r == SF_ERR_CORRUPT) {
                if (err)
                        sf_log_warning("%s: if a node was drained by sf-node, resume it with scontrol", err->text);
                sf_error_clear(err);
                return remove_mark(state, err);
        }
        if (r == 0)
                r = sf_slurm_record(slurm, node, &now, err);
        if (r < 0)
                return r;
        bool ours = (now.trouble & SF_SLURM_DRAIN) && is_reason(now.reason, reason);
        if (ours && (r = sf_slurm_resume(slurm, node, err)) < 0)
                return r;
        if (ours)
                sf_log_info("node %s is resumed", node);
        else if (now.trouble & SF_SLURM_DRAIN)
                sf_log_warning("node %s is left drained: its reason is no longer ours: %s", node, now.reason);
        r = remove_mark(state, err);
        return r < 0 ? r : ours;
}

/* Drains, unless it is drained already: by somebody else, or by a run of ours that was interrupted. */
static int drain_node(const struct sf_drain *d, const struct sf_slurm_record *now, struct sf_error *err)
{
        _cleanup_json_ json_t *mark = NULL;
        const char *node, *reason;

        if (now->trouble & SF_SLURM_DRAIN) {
                if (read_mark(d->state, &mark, &node, &reason, NULL) < 0)
                        sf_log_info("node %s is drained already (%s) and will be left so", d->node, now->reason);
                return 0;
        }
        int r = write_mark(d, err);
        if (r == 0)
                r = sf_slurm_drain(&d->slurm, d->node, d->reason, err);
        if (r == 0)
                sf_log_info("node %s is set to drain; waiting for its jobs to end", d->node);
        return r;
}

static int wait_for_jobs(const struct sf_drain *d, struct sf_slurm_record *now, struct sf_error *err)
{
        double began = sf_clock_seconds();
        int r = 0;

        while (r == 0 && now->busy) {
                if (sf_stop_requested)
                        return sf_error_set(err, SF_ERR_INTERRUPTED,
                                            "interrupted while waiting for the jobs of node %s", d->node);
                if (d->timeout && sf_clock_seconds() - began > (double)d->timeout)
                        return sf_error_set(err, SF_ERR_TIMEOUT, "node %s is still %s after %llu s", d->node,
                                            now->state, (unsigned long long)d->timeout);
                sf_log_detail("node %s is %s", d->node, now->state);
                nanosleep(&(struct timespec){ .tv_sec = PAUSE_SECONDS }, NULL);
                r = sf_slurm_record(&d->slurm, d->node, now, err);
                /* A slurmctld that is restarted meanwhile is waited for like a job. */
                if (r < 0 && !(d->timeout && sf_clock_seconds() - began > (double)d->timeout)) {
                        now->busy = true;
                        r = 0;
                }
        }
        return r;
}

int sf_drain_begin(const struct sf_drain *d, struct sf_slurm_record *ret, struct sf_error *err)
{
        struct sf_slurm_record now;
        struct sf_error why = SF_ERROR_INIT;
        int r = sf_slurm_record(&d->slurm, d->node, &now, err);

        if (r < 0)
                return r;
        sf_stop_catch();
        if (d->drain)
                r = drain_node(d, &now, err);
        else if (now.busy)
                sf_log_info("waiting for the jobs of node %s to end", d->node);
        if (r == 0)
                r = wait_for_jobs(d, &now, err);
        /* What was read before the drain took effect says nothing about jobs that started in between. */
        if (r == 0 && d->drain)
                r = sf_slurm_record(&d->slurm, d->node, &now, err);
        if (r == 0 && now.busy)
                r = wait_for_jobs(d, &now, err);
        if (r < 0) {
                if (sf_drain_end(d->state, &d->slurm, &why) < 0)
                        sf_log_warning("node %s may still be drained: %s", d->node, why.text);
                return r;
        }
        *ret = now;
        return 0;
}

static pid_t parent_of(pid_t pid)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        char path[64];
        int parent = 0;

        snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
        if (sf_fs_read(path, 64u << 10, &text, NULL) < 0)
                return 0;
        const char *line = strstr(sf_buffer_text(&text), "\nPPid:");
        return line && sscanf(line + 6, "%d", &parent) == 1 ? parent : 0;
}

bool sf_drain_waits_for_itself(void)
{
        for (pid_t pid = parent_of(getpid()); pid > 1; pid = parent_of(pid)) {
                char program[PATH_MAX];
                const char *leaf = sf_process_program(pid, program, sizeof program) ? strrchr(program, '/') : NULL;
                if (leaf && strcmp(leaf, "/slurmstepd") == 0)
                        return true;
        }
        return false;
}
