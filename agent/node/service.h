/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/service.h - systemd's view of a unit, and jobs on it: the only file that knows sd-bus.
 *
 * org.freedesktop.systemd1(5). A job's result is not believed: for Type=simple systemd says "done" as soon as it has
 * forked, so every start is followed by sf_service_settle().
 */
#ifndef SF_AGENT_NODE_SERVICE_H
#define SF_AGENT_NODE_SERVICE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/words.h"

struct sf_service_bus; /* opaque: hides sd-bus */

/* The system bus (or what DBUS_SYSTEM_BUS_ADDRESS names). SF_ERR_UNSUPPORTED: not booted with systemd. */
int sf_service_open(struct sf_service_bus **ret, struct sf_error *err);
void sf_service_close(struct sf_service_bus *bus); /* NULL is fine */
static inline void sf_cleanup_service(struct sf_service_bus **bus)
{
        sf_service_close(*bus);
}
#define _cleanup_service_ __attribute__((cleanup(sf_cleanup_service)))

/* What systemd has loaded, which is not always what the files say. */
struct sf_service {
        char load_state[24];   /* "loaded", "not-found", "masked", ... */
        char active_state[24]; /* "active", "inactive", "failed", "activating", ... */
        char sub_state[24];    /* "running", "dead", ... */
        char type[16];         /* "notify", "simple", ... */
        char kill_mode[24];    /* "process" is what keeps slurmstepds alive */
        char file_state[24];   /* "enabled", "disabled", "static", ... */
        char id[256];          /* its name, where it was asked for by an alias */
        char fragment[256];    /* the unit file, "" where there is none */
        char command[256];     /* first ExecStart: the program */
        char argv0[256];       /* and the name it is started under */
        char arguments[1024];  /* and what follows, with blanks between; cut to the room there is */
        bool delegate;
        bool stale;            /* files changed since systemd read them */
        pid_t main_pid;        /* 0 = none */
        uint64_t stop_seconds; /* TimeoutStopSec: after that systemd kills; UINT64_MAX = never */
};

/* The names of all services that systemd has loaded, running or not: "slurmd@n1.service". Owned by the caller. */
int sf_service_list(struct sf_service_bus *bus, struct sf_words *ret, struct sf_error *err);

int sf_service_read(struct sf_service_bus *bus, const char *unit, struct sf_service *ret, struct sf_error *err);

/* Makes systemd read unit files again. */
int sf_service_reload(struct sf_service_bus *bus, struct sf_error *err);

/* Forgets that the unit failed, so that earlier attempts do not count against the next one (StartLimitBurst=). A
 * unit that is not there is the next call's matter. */
void sf_service_forgive(struct sf_service_bus *bus, const char *unit);

enum sf_service_job { SF_SERVICE_START, SF_SERVICE_STOP, SF_SERVICE_RESTART };

/* Queues the job and waits until exactly this job is removed, at most timeout_ms: SF_ERR_TIMEOUT. A result other than
 * "done" is SF_ERR_FAILED with the result in the text. */
int sf_service_run(struct sf_service_bus *bus, enum sf_service_job job, const char *unit, unsigned timeout_ms,
                   struct sf_error *err);

/* A restart in its two halves, for each of which there is a limit: the old main process may be waiting for a prolog
 * or epilog and is not to blame for it. SF_ERR_BUSY: it did not end within stop_ms (systemd goes on trying);
 * SF_ERR_TIMEOUT: the new one did not become ready within start_ms; SF_ERR_FAILED: the result that the job had. */
int sf_service_restart(struct sf_service_bus *bus, const char *unit, unsigned stop_ms, unsigned start_ms,
                       struct sf_error *err);
/* The same, not waited for: at boot, where the unit is started after this program has ended. */
int sf_service_restart_later(struct sf_service_bus *bus, const char *unit, struct sf_error *err);

/* A service that lives as long as its program, made and started without a unit file. Strings are borrowed. */
struct sf_service_transient {
        const char *unit, *description, *directory;
        const char *const *argv;   /* argv[0] is the absolute path of the program */
        const char *const *post;   /* run when the program has ended in whatever way (ExecStopPost=); NULL = nothing */
        const char *const *env;    /* "NAME=value" */
        int input, output, errors; /* become its standard descriptors */
        unsigned stop_seconds;     /* for what is left when the program ended, and for post, each; 0 = no limit */
};
/* Waits until systemd has forked it. */
int sf_service_run_transient(struct sf_service_bus *bus, const struct sf_service_transient *service,
                             struct sf_error *err);

/* SIGKILL for the main process alone: for one that neither becomes ready nor ends. Its children are left alone. */
int sf_service_kill_main(struct sf_service_bus *bus, const char *unit, struct sf_error *err);

/* Success when the unit is active and running, its main process runs a program inside `tree` (NULL = anywhere) and
 * all of that holds, with one and the same pid, for settle_ms. SF_ERR_FAILED says which of it did not. */
int sf_service_settle(struct sf_service_bus *bus, const char *unit, const char *tree, unsigned settle_ms,
                      pid_t *ret_pid, struct sf_error *err);

#endif
