/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/node_switch.h - the part of a switch that touches a running node: unit file, view, services, and the way
 * back.
 *
 * Where there is no systemd to talk to (--root, an image being built) services are left alone and everything else is
 * the same.
 */
#ifndef SF_AGENT_SWITCH_NODE_SWITCH_H
#define SF_AGENT_SWITCH_NODE_SWITCH_H

#include <stdbool.h>
#include <time.h>

#include "agent/node/config.h"
#include "agent/node/service.h"
#include "agent/node/slurm.h"
#include "agent/node/units.h"
#include "agent/switch/adoption.h"
#include "agent/switch/controller.h"
#include "agent/switch/database.h"
#include "agent/switch/health.h"
#include "base/error.h"
#include "installer/store.h"

#define SF_NODE_SWITCH_UNITS_MAX 128

struct sf_node_switch {
        const struct sf_config *config; /* its units are those of the set below, where there is a bus */
        struct sf_config *own_config;   /* the copy that `config` points to then */
        struct sf_units units;          /* every unit that runs from the prefix; items[i] is config->units[i] */
        const struct sf_store *store;
        struct sf_service_bus *bus; /* NULL: no services here */
        struct sf_service slurmd;   /* as found; zero where there is no bus */
        bool running
                [SF_NODE_SWITCH_UNITS_MAX];   /* which of config->units were active at the start, or are meant to be */
        pid_t pids[SF_NODE_SWITCH_UNITS_MAX]; /* their main processes then, 0 = none */
        uint64_t stop_seconds
                [SF_NODE_SWITCH_UNITS_MAX];    /* how long systemd lets each of them stop; UINT64_MAX = for ever */
        struct sf_slurm_controller controller; /* slurmctld's answer; version "" where it gave none */
        struct sf_error controller_error;      /* why not */
        struct sf_error silence;        /* one that left a question of this run without an answer: no more are asked */
        struct sf_database dbd;         /* slurmdbd on this node; unit NULL where there is none */
        struct sf_controller ctld;      /* slurmctld on this node and its state; unit NULL where there is none */
        char node[128];                 /* NodeName of its slurmd; "" where nobody says */
        struct sf_slurm_record before;  /* slurmctld's record of this node; started 0 where it gave none */
        struct sf_slurm_record refused; /* the record that a release was refused for, in this run; started 0 = none */
        double up;                      /* CLOCK_MONOTONIC seconds when slurmd was last up again */
        struct sf_health_proof proof;   /* why the restarted slurmd is believed; node "" before that */
        char other_proofs[1024];        /* why further slurmd of this host are, a sentence each; "" = none */
        time_t restarted;               /* when slurmd was last restarted, 0 = not yet */
        double downtime;                /* seconds it was away, summed over restarts; negative = it was not */
        bool changed;                   /* unit file or view are not as they were found */
        const struct sf_adoption *adoption; /* what this switch takes over; NULL = nothing. Set by the caller */
};

/* A move from one release to another. */
struct sf_node_move {
        const struct sf_store_release *from; /* directory "" where nothing was active */
        const struct sf_store_release *to;
        bool back; /* a rollback, or the way back of a switch that failed */
};

/* Looks at services. Nobody is asked anything over the network. */
int sf_node_switch_open(const struct sf_config *config, const struct sf_store *store, struct sf_node_switch *ret,
                        struct sf_error *err);
/* Asks slurmctld, with the active release's client, where slurmd runs. What it said, or why it did not, is in *live.
 * patient: waits for one that is just being restarted, as long as the client does. */
void sf_node_switch_ask(struct sf_node_switch *live, bool patient);
void sf_node_switch_close(struct sf_node_switch *live);

/* What the release that comes means for slurmctld and slurmdbd here, and whether their order allows it; from_version
 * "" where it is not known. restart: services will be restarted. Fills live->ctld. Each half of a switch asks anew.
 * SF_ERR_INCOMPATIBLE, SF_ERR_BUSY. */
struct sf_window_row;
struct sf_node_plan {
        const struct sf_window_row *rows;
        const char *from_version, *to_version;
        bool restart;
};
int sf_node_switch_plan(struct sf_node_switch *live, const struct sf_node_plan *plan, struct sf_error *err);

/* The last thing before a record is written: the bulk of the copy of slurmctld's state. leaving: the active release's
 * directory. */
int sf_node_switch_begin(struct sf_node_switch *live, const char *leaving, struct sf_error *err);
/* The first thing after it: which services are meant to run. */
int sf_node_switch_expect(const struct sf_node_switch *live, struct sf_error *err);

/* Who asks slurmctld: the client that belongs to what runs here. *ret_tree is its tree, owned by the caller; NULL
 * without memory. */
struct sf_slurm sf_node_switch_client(const struct sf_node_switch *live, char **ret_tree);

/* The path its processes run from, as /proc shows it. Owned by the caller. */
char *sf_node_switch_tree(const struct sf_node_switch *live, const char *directory);

/* Is any of the services that are meant to run a process of another tree than this release's, or none at all? */
bool sf_node_switch_runs_elsewhere(const struct sf_node_switch *live, const char *directory);
/* The directory below releases/ that slurmd runs from, or the first unit that runs from one; "" where none does. */
void sf_node_switch_running(const struct sf_node_switch *live, char out[128]);

/* Writes the unit file of move->to (the kept text where it goes back, else from the template; the one of move->from
 * is kept), points view at it and makes systemd read the unit. On the way back, what goes wrong with anything but
 * view is a warning. */
int sf_node_switch_place(struct sf_node_switch *live, const struct sf_node_move *move, struct sf_error *err);

/* The Lmod modules: for shells that come, so nothing that is wrong with them stops a switch. Warns. */
void sf_node_switch_modules(const struct sf_node_switch *live, const char *directory);

/* Scripts that slurmd waits for before it ends (prologs, epilogs): 0 = none runs, 1 = one does, named in `who`. */
int sf_node_switch_busy(const struct sf_node_switch *live, char who[128]);

/* Would the drain wait for the job that this runs in, for ever? SF_ERR_BUSY. */
int sf_node_switch_may_drain(const struct sf_node_switch *live, struct sf_error *err);

/* --drain and --when-idle: returns when the node has no jobs (drain.h). Nothing asked for, or no slurmd: 0. */
int sf_node_switch_drain(struct sf_node_switch *live, const char *reason, struct sf_error *err);
/* Takes a drain of ours back, an earlier run's as well. A node that cannot be resumed is said. */
void sf_node_switch_resume(const struct sf_node_switch *live);

/* Restarts what was running, in order, and believes it only when its processes stay up inside the tree. SF_ERR_BUSY:
 * what was to stop did not; the new release was not tried. */
int sf_node_switch_restart(struct sf_node_switch *live, const struct sf_node_move *move, struct sf_error *err);

/* Stops what sf_node_switch_restart started; a slurmd that neither starts nor ends is killed, its steps are left
 * alone. */
int sf_node_switch_stop(struct sf_node_switch *live, struct sf_error *err);

/* Waits until slurmd of this release is back in slurmctld's books. Nothing to wait for: 0. site_checks: the site's
 * own are asked as well; not on the way back, where there is nowhere else to go. */
int sf_node_switch_health(struct sf_node_switch *live, const struct sf_store_release *release, bool site_checks,
                          struct sf_error *err);

#endif
