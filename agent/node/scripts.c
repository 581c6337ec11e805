/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/scripts.c - see scripts.h. proc(5), /proc/PID/stat: "pid (comm) state ppid ...", where comm may hold
 * anything. */
#include "agent/node/scripts.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fs.h"

#define STAT_MAX  4096
#define WORDS_MAX (4u << 20) /* of a command line or an environment */
#define STEPD     "slurmstepd"

/* Parent, state and name of a process; false where it has ended. */
static bool look(pid_t pid, pid_t *parent, char *state, char name[32])
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        char path[64];
        int number;

        snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
        if (sf_fs_read(path, STAT_MAX, &text, NULL) < 0)
                return false;
        const char *open = strchr(sf_buffer_text(&text), '('), *close = strrchr(sf_buffer_text(&text), ')');
        if (!open || !close || close < open || sscanf(close + 1, " %c %d", state, &number) != 2)
                return false;
        snprintf(name, 32, "%.*s", (int)(close - open - 1), open + 1);
        for (char *c = name; *c; c++)
                if ((unsigned char)*c < 0x20 || (unsigned char)*c >= 0x7f)
                        *c = '?';
        *parent = (pid_t)number;
        return true;
}

/* Is this among the NUL-terminated words of /proc/PID/cmdline or environ? */
static bool has_word(pid_t pid, const char *file, const char *word)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        char path[64];

        snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
        if (sf_fs_read(path, WORDS_MAX, &text, NULL) < 0 || !text.len)
                return false;
        const char *at = sf_buffer_text(&text), *end = at + text.len;
        for (; at < end; at += strlen(at) + 1)
                if (strcmp(at, word) == 0)
                        return true;
        return false;
}

/* "slurmstepd spank prolog|epilog" is a script's like; any other child of that name has only just been started, and is
 * about to be handed to init. */
static bool is_spank(pid_t pid)
{
        return has_word(pid, "cmdline", "spank") &&
               (has_word(pid, "cmdline", "prolog") || has_word(pid, "cmdline", "epilog"));
}

static bool has_owner_of(pid_t pid, pid_t other)
{
        char a[64], b[64];
        struct stat x, y;

        snprintf(a, sizeof a, "/proc/%d", (int)pid);
        snprintf(b, sizeof b, "/proc/%d", (int)other);
        return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_uid == y.st_uid;
}

/* With PrologFlags=RunInJob (24.11) the step runs the prolog, and slurmd waits for the step's word. Users' processes
 * may have any environment, but not that owner. */
static bool is_prolog_in_job(pid_t pid, pid_t parent, pid_t slurmd)
{
        char state, name[32];
        pid_t above;

        return has_owner_of(pid, slurmd) && look(parent, &above, &state, name) && strcmp(name, STEPD) == 0 &&
               has_word(pid, "environ", "SLURM_SCRIPT_CONTEXT=prolog_slurmd");
}

int sf_scripts_find(pid_t slurmd, char who[128])
{
        DIR *proc = opendir("/proc");
        int found = 0;

        for (struct dirent *e; proc && !found && (e = readdir(proc));) {
                pid_t pid = (pid_t)strtol(e->d_name, NULL, 10), parent;
                char state, name[32];
                if (pid <= 0 || !look(pid, &parent, &state, name) || state == 'Z')
                        continue;
                bool stepd = strcmp(name, STEPD) == 0;
                if (parent == slurmd ? stepd && !is_spank(pid) : stepd || !is_prolog_in_job(pid, parent, slurmd))
                        continue;
                snprintf(who, 128, "pid %d (%s)", (int)pid, name);
                found = 1;
        }
        if (proc)
                closedir(proc);
        return found;
}
