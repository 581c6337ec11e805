/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/preflight.h - everything that can be known before a node is touched is asked before it is touched.
 */
#ifndef SF_AGENT_SWITCH_PREFLIGHT_H
#define SF_AGENT_SWITCH_PREFLIGHT_H

#include <stdbool.h>

#include "agent/switch/node_switch.h"
#include "base/error.h"
#include "installer/store.h"
#include "release/version.h"

/* Seconds that slurmd may be away, there and back: several times what was ever measured. */
#define SF_PREFLIGHT_DOWNTIME 2

struct sf_preflight {
        const struct sf_node_switch *live;
        const struct sf_window_row *rows; /* the compatibility table */
        const char *from;                 /* active release's directory, "" where none (or a hand-made view) */
        const char *from_version;         /* "" where it is not known */
        const char *to_version;
        bool back;                          /* a rollback: the step itself is not questioned, and nobody need answer */
        const struct sf_adoption *adoption; /* what is taken over; NULL = nothing */
};

/* The compatibility gate alone, before a byte is fetched. SF_ERR_INCOMPATIBLE. An adoption may be too wide a step for
 * steps that run, which are named then, but not for a node without any (or that is drained first, or with --force). */
int sf_preflight_gate(const struct sf_preflight *preflight, struct sf_error *err);

/* Parts of the gate for hosts with several slurmd (preflight-clusters.c). That --drain and --when-idle, which know one
 * node, are not asked for: SF_ERR_USAGE. And the gate for each that has another slurm.conf, with its own slurmctld. */
struct sf_version_window;
int sf_preflight_one_node(const struct sf_node_switch *live, struct sf_error *err);
int sf_preflight_clusters(const struct sf_preflight *preflight, const struct sf_version_window *gate,
                          struct sf_error *err);

/* A daemon that runs, or that a file of the site names, from outside of the prefix would not notice a switch:
 * SF_ERR_USAGE, and the drop-in that would do is printed. type: of the release's slurmd, "" = not known. */
int sf_preflight_commands(const struct sf_preflight *preflight, const char *type, struct sf_error *err);

/* Steps of releases before the active one: refuse (SF_ERR_BUSY, naming them), wait for their end, or allow, as
 * configured. Expected downtime against SlurmdTimeout. Then every check of checks.h on the new release's tree. The
 * first finding is the error; further ones are warnings. --force lets findings pass as warnings, but not the gate's
 * and not a unit that would kill jobs. With --dry-run nothing is labelled or waited for, and a release that is not here
 * yet (directory "") is asked nothing. */
int sf_preflight_run(const struct sf_preflight *preflight, const struct sf_store_release *to, struct sf_error *err);

#endif
