/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/health.c - see health.h. */
#include "agent/switch/health.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/node/listener.h"
#include "agent/node/process.h"
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/proc.h"
#include "release/version.h"

#define FIRST_PAUSE_MS 50
#define LAST_PAUSE_MS  2000
/* How long a registered slurmd may be silent before a weaker proof is looked for. */
#define PATIENCE_SECONDS 3

/* What is known so far. */
struct look {
        const struct sf_health *health;
        struct sf_health_proof proof;
        double began, registered; /* clock; registered 0 = not yet */
        bool answered;
        struct sf_slurm_record refused;
};

int sf_health_judge(const struct sf_health *h, const char *node, const struct sf_slurm_record *now,
                    struct sf_error *err)
{
        const unsigned out = SF_SLURM_DOWN | SF_SLURM_DRAIN | SF_SLURM_FAIL | SF_SLURM_INVALID;
        unsigned trouble = now->trouble & (h->before ? out : SF_SLURM_INVALID);
        bool other_reason = h->before && *now->reason && strcmp(now->reason, h->before->reason) != 0;

        if (now->started < h->since) {
                sf_error_set(err, SF_ERR_FAILED, "slurmctld has not heard of the new slurmd: it did not register");
                return 1;
        }
        if (*h->version && *now->version && !sf_version_is_same(now->version, h->version))
                return sf_error_set(err, SF_ERR_FAILED, "node %s registered with version %s, not %s", node,
                                    now->version, h->version);
        if ((trouble & ~(h->before ? h->before->trouble : 0)) || (trouble && other_reason))
                return sf_error_set(err, SF_ERR_FAILED, "node %s came back %s: %s", node, now->state,
                                    *now->reason ? now->reason : "slurmctld gives no reason");
        if (now->trouble & SF_SLURM_UNCERTAIN) {
                sf_error_set(err, SF_ERR_FAILED, "slurmctld says %s of node %s", now->state, node);
                return 1;
        }
        return 0;
}

/* A unit may start slurmd by way of a wrapper, whose process is the main one. */
static bool is_of_unit(const struct sf_health *h, pid_t pid)
{
        return pid == h->pid || sf_process_same_group(pid, h->pid);
}

/* The node's own port, where slurm.conf gives it one: scontrol would look at SlurmdPort. */
static unsigned odd_port(const struct sf_health *h)
{
        unsigned port = h->slurmd_port ? sf_listener_port(h->pid) : 0;

        return port == h->slurmd_port ? 0 : port;
}

/* slurmd's own answer. 0, 1 where it may still come, or an error. */
static int ask_slurmd(struct look *look, struct sf_error *err)
{
        const struct sf_health *h = look->health;
        struct sf_slurm_daemon daemon;

        if (sf_slurm_daemon(&h->slurm, odd_port(h), &daemon, err) < 0)
                return 1;
        if (!is_of_unit(h, daemon.pid)) {
                sf_error_set(err, SF_ERR_FAILED, "process %d answers as slurmd, not %d", (int)daemon.pid, (int)h->pid);
                return 1;
        }
        if (*h->version && !sf_version_is_same(daemon.version, h->version))
                return sf_error_set(err, SF_ERR_FAILED, "slurmd says version %s, not %s", daemon.version, h->version);
        look->answered = true;
        look->proof.witness = SF_HEALTH_ANSWER;
        look->proof.contact = daemon.last_message >= h->since;
        snprintf(look->proof.node, sizeof look->proof.node, "%s", h->node ? h->node : daemon.node);
        return 0;
}

/* The name that slurmctld knows this node by, as long as slurmd does not say it. */
static void guess_node(struct look *look)
{
        char host[sizeof look->proof.node] = "";

        if (*look->proof.node)
                return;
        gethostname(host, sizeof host - 1);
        snprintf(look->proof.node, sizeof look->proof.node, "%s", look->health->node ? look->health->node : host);
        if (!look->health->node)
                look->proof.node[strcspn(look->proof.node, ".")] = '\0';
}

/* slurmctld believes in this slurmd, which does not answer here: less has to do after a while, and is named. */
static bool has_weaker_proof(struct look *look)
{
        unsigned port = sf_listener_port(look->health->pid);

        if (!port || sf_clock_seconds() - look->registered < PATIENCE_SECONDS)
                return false;
        look->proof.witness = sf_listener_ready(port) ? SF_HEALTH_READYZ : SF_HEALTH_PROCESS;
        return true;
}

static size_t reason_length(const char *reason)
{
        const char *who = strstr(reason, " [");

        return who ? (size_t)(who - reason) : strlen(reason);
}

/* Drained by slurmctld for a registration that is a thing of the past, and nothing else is wrong. */
static bool is_drain_of_refused(const struct sf_health *h, const struct sf_slurm_record *now)
{
        const struct sf_slurm_record *refused = h->refused;
        unsigned old = h->before ? h->before->trouble : 0;

        return refused && (refused->trouble & SF_SLURM_INVALID) && !(old & SF_SLURM_DRAIN) &&
               (now->trouble & ~old) == SF_SLURM_DRAIN && *now->reason &&
               reason_length(now->reason) == reason_length(refused->reason) &&
               strncmp(now->reason, refused->reason, reason_length(now->reason)) == 0;
}

static int resume(struct look *look, struct sf_error *err)
{
        int r = sf_slurm_resume(&look->health->slurm, look->proof.node, err);

        if (r == 0)
                sf_error_set(err, SF_ERR_FAILED, "node %s was resumed", look->proof.node);
        return r < 0 ? r : 1;
}

/* Returns 0 when all is well, 1 where it may become so (err says what is missing), an error where it will not. */
static int look_once(struct look *look, struct sf_error *err)
{
        const struct sf_health *h = look->health;
        struct sf_error silence = SF_ERROR_INIT;
        struct sf_slurm_record now;
        int r;

        if (kill(h->pid, 0) < 0)
                return sf_error_set(err, SF_ERR_FAILED, "slurmd (pid %d) has ended", (int)h->pid);
        if (!look->answered && (r = ask_slurmd(look, &silence)) < 0)
                return sf_error_set(err, r, "%s", silence.text);
        guess_node(look);
        if (sf_slurm_record(&h->slurm, look->proof.node, &now, err) < 0)
                return 1;
        r = sf_health_judge(h, look->proof.node, &now, err);
        if (r == SF_ERR_FAILED && now.started >= h->since && is_drain_of_refused(h, &now))
                return resume(look, err);
        if (r < 0)
                look->refused = now;
        if (r != 0)
                return r;
        if (look->registered <= 0)
                look->registered = sf_clock_seconds();
        if (look->answered || has_weaker_proof(look))
                return 0;
        sf_error_set(err, SF_ERR_FAILED, "%s", silence.text);
        return 1;
}

void sf_health_describe(const struct sf_health_proof *proof, char *out, size_t room)
{
        static const char *const words[] = {
                [SF_HEALTH_ANSWER] = "slurmd answers",
                [SF_HEALTH_READYZ] = "slurmd's /readyz says yes",
                [SF_HEALTH_PROCESS] = "slurmd runs and listens, but an answer was not to be had",
        };

        snprintf(out, room, "slurmctld has the new registration of %s, %s %.1f s after its start; %s", proof->node,
                 words[proof->witness], proof->seconds,
                 proof->contact ? "slurmctld has contacted it" : "slurmctld's next ping is not waited for");
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

int sf_health_wait(const struct sf_health *h, struct sf_health_proof *ret, struct sf_slurm_record *refused,
                   struct sf_error *err)
{
        struct look look = { .health = h, .began = sf_clock_seconds() };
        struct sf_error missing = SF_ERROR_INIT;
        long pause_ms = FIRST_PAUSE_MS;
        int r;

        while ((r = look_once(&look, &missing)) > 0) {
                if (sf_clock_seconds() + (double)pause_ms / 1000 > look.began + h->timeout)
                        return sf_error_set(err, SF_ERR_TIMEOUT, "not healthy within %u s: %s", h->timeout,
                                            missing.text);
                if (h->waiting)
                        h->waiting(h->ctx, missing.text);
                struct timespec pause = { pause_ms / 1000, pause_ms % 1000 * 1000000L };
                nanosleep(&pause, NULL);
                pause_ms = pause_ms * 2 > LAST_PAUSE_MS ? LAST_PAUSE_MS : pause_ms * 2;
        }
        if (r < 0) {
                if (refused)
                        *refused = look.refused;
                return sf_error_set(err, r, "%s", missing.text);
        }
        look.proof.seconds = sf_clock_seconds() - h->started;
        *ret = look.proof;
        return run_hooks(h, err);
}
