/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/scripts.c - see scripts.h. proc(5), /proc/PID/stat: "pid (comm) state ppid ...", where comm may hold
 * anything. */
#include "agent/node/scripts.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fs.h"

#define STAT_MAX 4096

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

int sf_scripts_find(pid_t slurmd, char who[128])
{
        DIR *proc = opendir("/proc");
        int found = 0;

        for (struct dirent *e; proc && !found && (e = readdir(proc));) {
                pid_t pid = (pid_t)strtol(e->d_name, NULL, 10), parent;
                char state, name[32];
                if (pid <= 0 || !look(pid, &parent, &state, name) || parent != slurmd || state == 'Z' ||
                    strcmp(name, "slurmstepd") == 0)
                        continue;
                snprintf(who, 128, "pid %d (%s)", (int)pid, name);
                found = 1;
        }
        if (proc)
                closedir(proc);
        return found;
}
