/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/quiet.c - see quiet.h. */
#include "agent/node/quiet.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/node/service-scope.h"
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"

/* linux/ioprio.h */
#define IOPRIO_WHO_PROCESS 1
#define IOPRIO_NONE        0
#define IOPRIO_IDLE        (3 << 13)

#define NICE_LEAST 19

static void set_priority(int policy, int io)
{
        struct sched_param none = { 0 };

        if (sched_setscheduler(0, policy, &none) < 0 || syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, io) < 0)
                sf_log_detail("priorities cannot be changed here: %m");
}

/* Outside of control groups the kernel makes a group of each session (sched(7), autogroup), and a policy counts within
 * its group only. A session that others are in, a shell's or a daemon's, is left alone: they would give way as well,
 * and would go on doing so if this process was killed. Returns false where nothing was changed. */
static bool set_autogroup(int nice, int *ret_before)
{
        _cleanup_(sf_buffer_free) struct sf_buffer old = SF_BUFFER_INIT;
        _cleanup_close_ int fd = -1;

        if (getsid(0) != getpid()) {
                sf_log_detail("the session's group keeps its priority: it is not ours");
                return false;
        }
        fd = open("/proc/self/autogroup", O_WRONLY | O_CLOEXEC);
        if (fd < 0 || sf_fs_read("/proc/self/autogroup", 256, &old, NULL) < 0 ||
            sscanf(sf_buffer_text(&old), "%*s nice %d", ret_before) != 1 || dprintf(fd, "%d", nice) < 0) {
                sf_log_detail("the session's group keeps its priority: %m");
                return false;
        }
        return true;
}

/* Does the unified hierarchy divide the processors? With "cpu" in an old hierarchy, or delegated to nobody, it does
 * not. */
static bool has_cpu_weight(void)
{
        _cleanup_(sf_buffer_free) struct sf_buffer groups = SF_BUFFER_INIT;

        if (sf_fs_read("/proc/self/cgroup", 64u << 10, &groups, NULL) < 0)
                return false;
        const char *unified = strstr(sf_buffer_text(&groups), "0::/");
        if (!unified)
                return false;
        _cleanup_free_ char *file = sf_format("/sys/fs/cgroup%.*s/cpu.weight", (int)strcspn(unified + 3, "\n"),
                                              unified + 3);
        return file && sf_fs_exists(file);
}

void sf_quiet_begin(struct sf_quiet *quiet)
{
        struct sf_error err = SF_ERROR_INIT;

        *quiet = (struct sf_quiet){ .scope = sf_service_scope_enter(1, &err) == 0 };
        if (!quiet->scope)
                sf_log_detail("no scope of our own: %s", err.text);
        quiet->idle = !quiet->scope || !has_cpu_weight();
        if (!quiet->idle)
                return;
        set_priority(SCHED_IDLE, IOPRIO_IDLE);
        quiet->grouped = set_autogroup(NICE_LEAST, &quiet->autogroup);
}

void sf_quiet_end(struct sf_quiet *quiet)
{
        struct sf_error err = SF_ERROR_INIT;

        if (quiet->idle)
                set_priority(SCHED_OTHER, IOPRIO_NONE);
        if (quiet->grouped)
                set_autogroup(quiet->autogroup, &quiet->autogroup);
        if (quiet->scope && sf_service_scope_weigh(SF_SERVICE_WEIGHT_NORMAL, &err) < 0)
                sf_log_detail("the scope keeps its weight: %s", err.text);
        *quiet = (struct sf_quiet){ 0 };
}
