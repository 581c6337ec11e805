/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/process-step.c - what a process is: its program, its owner, its control group, and whether it is a
 * slurmstepd. See process.h. */
#include "agent/node/process.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fs.h"

#define FILE_MAX (64u << 10)

static bool read_file(pid_t pid, const char *name, struct sf_buffer *ret)
{
        char path[64];

        snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
        return sf_fs_read(path, FILE_MAX, ret, NULL) == 0;
}

/* Real user id: a slurmstepd takes on its user's effective one for a while. */
static bool read_owner(pid_t pid, uid_t *ret)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        const char *line = read_file(pid, "status", &text) ? strstr(sf_buffer_text(&text), "\nUid:") : NULL;
        unsigned uid;

        if (!line || sscanf(line + 5, "%u", &uid) != 1)
                return false;
        *ret = uid;
        return true;
}

bool sf_process_program(pid_t pid, char *out, size_t room)
{
        static const char deleted[] = " (deleted)";
        char link[64];

        snprintf(link, sizeof link, "/proc/%d/exe", (int)pid);
        ssize_t len = readlink(link, out, room - 1);
        out[len < 0 ? 0 : len] = '\0';
        if (len < 0)
                return false;
        size_t tail = sizeof deleted - 1;
        if ((size_t)len > tail && strcmp(out + len - tail, deleted) == 0)
                out[(size_t)len - tail] = '\0';
        return true;
}

bool sf_process_runs_from(pid_t pid, const char *tree, char program[PATH_MAX])
{
        char resolved[PATH_MAX];

        if (!sf_process_program(pid, program, PATH_MAX))
                return false;
        for (const char *path = tree; path; path = path == tree ? realpath(tree, resolved) : NULL) {
                size_t len = strlen(path);
                if (strncmp(program, path, len) == 0 && program[len] == '/')
                        return true;
        }
        return false;
}

bool sf_process_same_group(pid_t a, pid_t b)
{
        _cleanup_(sf_buffer_free) struct sf_buffer one = SF_BUFFER_INIT, other = SF_BUFFER_INIT;

        return read_file(a, "cgroup", &one) && one.len && read_file(b, "cgroup", &other) && one.len == other.len &&
               memcmp(one.data, other.data, one.len) == 0;
}

/* Debian's packages have it as slurmstepd-wlm, behind an alternative. */
static bool is_stepd(const char *program)
{
        const char *leaf = strrchr(program, '/');

        return leaf && (strcmp(leaf, "/slurmstepd") == 0 || strcmp(leaf, "/slurmstepd-wlm") == 0);
}

/* Whoever runs steps: root, or the user of this agent. A job's user may start slurmstepd too, or call anything by its
 * name, in a control group of Slurm's even, but not as somebody else. */
static bool is_owner(pid_t pid)
{
        uid_t owner;

        return read_owner(pid, &owner) && (owner == 0 || owner == geteuid());
}

/* The second word of a command line whose words end with NUL. */
static const char *second_word(const struct sf_buffer *cmdline)
{
        size_t first = strlen(sf_buffer_text(cmdline));

        return first + 1 < cmdline->len ? sf_buffer_text(cmdline) + first + 1 : "";
}

void sf_process_describe(struct sf_process_user *user)
{
        _cleanup_(sf_buffer_free) struct sf_buffer name = SF_BUFFER_INIT, cmdline = SF_BUFFER_INIT;
        char program[PATH_MAX];

        if (read_file(user->pid, "comm", &name) && name.len)
                snprintf(user->command, sizeof user->command, "%.*s", (int)name.len - 1, sf_buffer_text(&name));
        if (strcmp(user->how, "exe") != 0 || !sf_process_program(user->pid, program, sizeof program))
                return;
        if (!is_stepd(program) || !is_owner(user->pid) || !read_file(user->pid, "cmdline", &cmdline))
                return;
        /* With cgroup/v2 slurmd leaves "slurmstepd infinity" behind to hold the scope of its steps: it serves no
         * job. */
        if (strcmp(second_word(&cmdline), "infinity") == 0)
                return;
        user->stepd = true;
        /* It calls itself "slurmstepd: [123.batch]" as soon as it knows. */
        const char *open = strchr(sf_buffer_text(&cmdline), '[');
        if (open)
                snprintf(user->step, sizeof user->step, "%.*s", (int)strcspn(open + 1, "]"), open + 1);
}

/* Calls `found` for each step of the node until it says no. */
static void walk_steps(bool (*found)(void *ctx, const struct sf_process_user *step), void *ctx)
{
        DIR *proc = opendir("/proc");
        bool more = true;

        for (struct dirent *e; proc && more && (e = readdir(proc));) {
                struct sf_process_user user = { .pid = (pid_t)strtol(e->d_name, NULL, 10), .how = "exe" };
                if (user.pid > 0)
                        sf_process_describe(&user);
                more = !user.stepd || found(ctx, &user);
        }
        if (proc)
                closedir(proc);
}

static bool note_any(void *ctx, const struct sf_process_user *step)
{
        (void)step;
        *(bool *)ctx = true;
        return false;
}

bool sf_process_has_steps(void)
{
        bool any = false;

        walk_steps(note_any, &any);
        return any;
}

/* Steps that run from one origin, added to a list. */
struct gathering {
        const char *origin;
        size_t tree;
        struct sf_process_user **users;
        size_t *count;
        bool failed;
};

static bool gather(void *ctx, const struct sf_process_user *step)
{
        struct gathering *g = ctx;
        char program[PATH_MAX];
        size_t len = strlen(g->origin);

        if (!sf_process_program(step->pid, program, sizeof program) || strncmp(program, g->origin, len) != 0 ||
            program[len] != '/')
                return true;
        struct sf_process_user *grown = reallocarray(*g->users, *g->count + 1, sizeof *grown);
        g->failed = !grown;
        if (!grown)
                return false;
        *g->users = grown;
        grown[*g->count] = *step;
        grown[(*g->count)++].tree = g->tree;
        return true;
}

int sf_process_add_steps(const char *origin, size_t tree, struct sf_process_user **users, size_t *count,
                         struct sf_error *err)
{
        struct gathering g = { .origin = origin, .tree = tree, .users = users, .count = count };

        walk_steps(gather, &g);
        return g.failed ? sf_error_set(err, SF_ERR_NOMEM, "no memory for steps") : 0;
}
