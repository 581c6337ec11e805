/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/health.c - see health.h. */
#include "agent/switch/health.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/proc.h"

#define FIRST_PAUSE_MS 50
#define LAST_PAUSE_MS  2000

/* Returns 0 when all is well, 1 where it may become so (err says what is missing), an error where it will not. */
static int look(const struct sf_health *h, struct sf_error *err)
{
        struct sf_slurm_daemon daemon;
        time_t started;

        if (kill(h->pid, 0) < 0)
                return sf_error_set(err, SF_ERR_FAILED, "slurmd (pid %d) has ended", (int)h->pid);
        if (sf_slurm_daemon(&h->slurm, &daemon, err) < 0)
                return 1;
        if (daemon.pid != h->pid) {
                sf_error_set(err, SF_ERR_FAILED, "process %d answers as slurmd, not %d", (int)daemon.pid, (int)h->pid);
                return 1;
        }
        if (*h->version && strcmp(daemon.version, h->version) != 0)
                return sf_error_set(err, SF_ERR_FAILED, "slurmd says version %s, not %s", daemon.version, h->version);
        if (sf_slurm_node_started(&h->slurm, h->node ? h->node : daemon.host, &started, err) < 0)
                return 1;
        if (started < h->since) {
                sf_error_set(err, SF_ERR_FAILED, "slurmctld has not heard of the new slurmd: it did not register");
                return 1;
        }
        if (daemon.last_message < h->since) {
                sf_error_set(err, SF_ERR_FAILED, "slurmd has not heard from slurmctld since the restart");
                return 1;
        }
        return 0;
}

static int run_hook(const struct sf_health *h, const char *name, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer output = SF_BUFFER_INIT;
        _cleanup_free_ char *path = sf_format("%s/%s", h->hooks, name);
        const char *argv[] = { path, NULL };
        struct sf_proc proc = { .argv = argv, .output = &output, .timeout_seconds = h->hook_timeout };

        if (!path)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        return access(path, X_OK) < 0 ? 0 : sf_proc_check(&proc, err);
}

static int not_hidden(const struct dirent *e)
{
        return e->d_name[0] != '.';
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
        return strcmp((*a)->d_name, (*b)->d_name);
}

static int run_hooks(const struct sf_health *h, struct sf_error *err)
{
        struct dirent **names;
        int count = h->hooks ? scandir(h->hooks, &names, not_hidden, by_bytes) : -1, r = 0;

        for (int i = 0; i < count; i++) {
                if (r == 0)
                        r = run_hook(h, names[i]->d_name, err);
                free(names[i]);
        }
        if (count >= 0)
                free(names);
        return r < 0 ? sf_error_prefix(err, "site check") : 0;
}

int sf_health_wait(const struct sf_health *h, struct sf_error *err)
{
        double end = sf_clock_seconds() + h->timeout;
        long pause_ms = FIRST_PAUSE_MS;
        int r;

        while ((r = look(h, err)) > 0) {
                if (sf_clock_seconds() + (double)pause_ms / 1000 > end) {
                        if (err)
                                err->code = SF_ERR_TIMEOUT;
                        return err ? sf_error_prefix(err, "not healthy within %u s", h->timeout) : SF_ERR_TIMEOUT;
                }
                if (h->waiting)
                        h->waiting(h->ctx, err ? err->text : "");
                struct timespec pause = { pause_ms / 1000, pause_ms % 1000 * 1000000L };
                nanosleep(&pause, NULL);
                pause_ms = pause_ms * 2 > LAST_PAUSE_MS ? LAST_PAUSE_MS : pause_ms * 2;
        }
        return r < 0 ? r : run_hooks(h, err);
}
