/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/units.h - the units of this node that run from the prefix: one set, for guarding, restarting, watching and
 * reporting alike.
 *
 * A service belongs to it where its program, an argument of a wrapper, or its main process lies in the prefix, or where
 * [service] unit names it. So template instances (slurmd@n1), several slurmd on one host, slurmctld, slurmdbd,
 * slurmrestd and sackd are found without being named.
 */
#ifndef SF_AGENT_NODE_UNITS_H
#define SF_AGENT_NODE_UNITS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "agent/node/daemon.h"
#include "agent/node/service.h"
#include "base/buffer.h"
#include "base/error.h"

struct sf_unit_of_node {
        char name[256];           /* "slurmd@n1.service" */
        enum sf_daemon daemon;    /* by its program, else its process, else its name */
        bool configured;          /* [service] unit names it */
        bool in_prefix;           /* program or process lies in the prefix */
        bool running;             /* active, activating or reloading when it was looked at */
        struct sf_service service; /* as loaded; load_state "not-found" for a configured one that is not there */
        pid_t pid;                /* the daemon's own process: the main one, or its child behind a wrapper; 0 = none */
        struct sf_daemon_words words; /* what its files say of its configuration and name, else its process */
        char conf[1024];          /* its slurm.conf, "" where nothing is known */
        char exe[512];            /* what that process runs, "" where it is not known */
};

/* In SchedMD's order: munge, sackd, slurmdbd, slurmctld, slurmd, slurmrestd, others as the site names them. */
struct sf_units {
        struct sf_unit_of_node *items;
        size_t count;
        /* Running slurmd of this host outside of every prefix that nobody named: not in the set. */
        struct sf_unit_of_node *strangers;
        size_t stranger_count;
};

#define SF_UNITS_INIT { NULL, 0, NULL, 0 }

/* configured: names, NULL-terminated. slurmd.service is always in the set, for it is the one that sf-node writes: with
 * load_state "not-found" where the node has none, or where it is another prefix's and nobody named it. */
int sf_units_find(struct sf_service_bus *bus, const char *prefix, const char *const *configured, struct sf_units *ret,
                  struct sf_error *err);
void sf_units_free(struct sf_units *units);

/* The next unit of a daemon: start with after = NULL; NULL at the end. */
const struct sf_unit_of_node *sf_units_next(const struct sf_units *units, enum sf_daemon daemon,
                                            const struct sf_unit_of_node *after);
/* The slurmd that stands for this node where one answer is wanted: one that runs, else slurmd.service. NULL in an
 * empty set. */
const struct sf_unit_of_node *sf_units_slurmd(const struct sf_units *units);
/* Further slurmd of this host that run, each a node of its own: start with after = NULL; NULL at the end. */
const struct sf_unit_of_node *sf_units_next_other(const struct sf_units *units, const struct sf_unit_of_node *after);
/* Those of them whose slurm.conf is known and another than this one: they may be of another cluster. */
const struct sf_unit_of_node *sf_units_next_cluster(const struct sf_units *units, const char *conf,
                                                    const struct sf_unit_of_node *after);

/* Appends a line per reason why a restart of this unit would end badly, with what to do about it; nothing where all
 * is well. Judged are both what is loaded and what the files say (agent/node/unit_text.h). type is the new release's
 * slurmd Type ("notify", "simple"; "" = not known). `root` as elsewhere. */
int sf_units_judge(const struct sf_unit_of_node *unit, const char *root, const char *prefix, const char *type,
                   struct sf_buffer *ret, struct sf_error *err);

/* A daemon's unit that starts its program from outside the prefix would not notice a switch: SF_ERR_USAGE, with the
 * drop-in that would do appended to drop_in. Success for units that have no file, and for those that are not
 * Slurm's. */
int sf_units_check_command(const struct sf_unit_of_node *unit, const char *prefix, const char *type,
                           struct sf_buffer *drop_in, struct sf_error *err);

/* Does its process run a program of another tree than this one? False where it does not run. */
bool sf_units_runs_elsewhere(const struct sf_unit_of_node *unit, const char *tree);

#endif
