/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/controller.h - what a switch owes slurmctld: its state is copied before another series gets hold of
 * it, and put back before an older one does.
 *
 * A newer slurmctld converts StateSaveLocation at its first start, and an older one cannot read it any more. Within
 * a series the state is never touched. The copies are in controller_copy.h, the order of the daemons is in
 * daemon_order.h.
 *
 * A run goes through plan, check, begin, restart (stop, copy or restore, start), await, end. Where a step after
 * restart fails, the caller asks sf_controller_may_return() before anything goes back. */
#ifndef SF_AGENT_SWITCH_CONTROLLER_H
#define SF_AGENT_SWITCH_CONTROLLER_H

#include <limits.h>
#include <stdbool.h>

#include "agent/node/config.h"
#include "agent/node/service.h"
#include "agent/node/slurm.h"
#include "agent/switch/controller_copy.h"
#include "base/error.h"
#include "release/version.h"

struct sf_controller {
        /* Set by the caller before sf_controller_plan(). */
        const struct sf_config *config;
        struct sf_slurm slurm;    /* the active release's clients */
        const char *unit;         /* slurmctld's unit, NULL = none runs from PREFIX on this host */
        bool runs;                /* it is up, or is meant to be: it will be restarted */
        const char *from_version; /* "" where it is not known */
        const char *to_version;   /* "" for an adopted tree */
        /* Found by sf_controller_plan(). */
        bool crosses;  /* the state is of another series than the release that comes */
        bool restores; /* ... of a newer one: a copy is to be put back */
        bool follows;  /* another controller is in control and is of the new series already: nothing to copy */
        char location[PATH_MAX]; /* StateSaveLocation, "" where there is none */
        char series[8];          /* of the state, "" = there is none yet */
        char to_series[8];
        struct sf_controller_copy copy; /* what is put back; release "" where nothing is */
        /* During the switch. */
        char leaving[128]; /* release whose state is copied */
        bool copied, restored, started, up;
        time_t heartbeat; /* as it was when slurmctld had stopped, 0 = no such file */
};

/* Looks at configuration and state; acts on nothing. crosses is false where slurmctld is none of this node's
 * business. */
int sf_controller_plan(struct sf_controller *c, struct sf_error *err);

/* The refusals. SF_ERR_INCOMPATIBLE or SF_ERR_BUSY: another controller may take over in the middle; no copy to go
 * back to; a step back without --restore-state, with what would be lost. restart: services will be restarted by this
 * run. Says what --restore-state loses as warnings where it goes on. */
int sf_controller_check(struct sf_controller *c, bool restart, struct sf_error *err);

/* Before anything is stopped: room, and the bulk of the copy. leaving: the active release's directory. */
int sf_controller_begin(struct sf_controller *c, const char *leaving, struct sf_error *err);

/* What lies between the stop and the start: the rest of the copy, then the restored state where a copy is put back.
 * For a slurmctld that does not run this is all there is. */
int sf_controller_exchange(struct sf_controller *c, struct sf_error *err);

/* Stop, exchange, start. On failure slurmctld may be stopped. */
int sf_controller_restart(struct sf_controller *c, struct sf_service_bus *bus, unsigned timeout_ms,
                          struct sf_error *err);

/* Waits until the slurmctld that was started answers as one of the new series, as long as its process lives: from
 * then on its state is not taken back by itself. tree: the release whose clients ask. */
int sf_controller_await(struct sf_controller *c, pid_t pid, const char *tree, struct sf_error *err);

/* May the switch be undone? 1 yes; 0 no, with both choices in words in err (its code stays 0); an error where nobody
 * can tell. */
int sf_controller_may_return(const struct sf_controller *c, const char *to, struct sf_error *err);

/* Puts back the state that the leaving release had, where the new slurmctld was started on it. It is stopped. */
int sf_controller_return(struct sf_controller *c, struct sf_error *err);

/* The end, good or bad: the mark for recovery goes. It comes after the end of the record (transaction.h), without which
 * no mark counts. state: the agent's directory. */
int sf_controller_end(const char *state, struct sf_error *err);

/* What recovery knows after a crash. from, to, home: directories of the record, "" where there is none. */
struct sf_controller_crash {
        const char *state;          /* the agent's directory */
        const char *slurm_conf;     /* for slurmctld's clients */
        struct sf_service_bus *bus; /* NULL: no services here */
        bool boot;                  /* services start when this is done */
        const char *unit;           /* slurmctld's, NULL = none */
        const char *from, *to, *home;
        const char *to_tree; /* path of `to` as /proc shows it */
};

/* Leaves one of two: the old release's state with *ret_home = from, or a state of the new series with *ret_home = to.
 * An exchange that had not begun is undone; a restore is finished where home is where the switch led, else the leaving
 * release's state is put back; where slurmctld of `to` has taken over the state, *ret_home is `to`. NULL: the switch
 * did not touch slurmctld's state, home is as the record says. The mark stays: once *ret_home is on the disk as the
 * record's home, sf_controller_end() follows, before any slurmctld is started. Until then this may be repeated. */
int sf_controller_recover(const struct sf_controller_crash *crash, const char **ret_home, struct sf_error *err);

#endif
