/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/own_step.c - see own_step.h. */
#include "agent/node/own_step.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/fs.h"

#define DEPTH_MAX 256 /* processes; a chain that is longer has a circle, for parents change while it is walked */

static pid_t parent_of(pid_t pid)
{
        struct sf_buffer text = SF_BUFFER_INIT;
        char path[64];
        int parent = 0;

        snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
        const char *close = sf_fs_read(path, 4096, &text, NULL) < 0 ? NULL : strrchr(sf_buffer_text(&text), ')');
        if (close && sscanf(close + 1, " %*c %d", &parent) != 1)
                parent = 0;
        sf_buffer_free(&text);
        return (pid_t)parent;
}

bool sf_own_step_is(pid_t pid)
{
        pid_t at = getpid();

        for (int depth = 0; at > 1 && depth < DEPTH_MAX; depth++) {
                if (at == pid)
                        return true;
                at = parent_of(at);
        }
        return false;
}
