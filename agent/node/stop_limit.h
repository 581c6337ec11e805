/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/stop_limit.h - how long a slurmd may need to stop, and a unit that gives it that time.
 *
 * After SIGTERM slurmd waits for its prologs and epilogs: to 24.11 for PrologEpilogTimeout, from 25.05 on for the
 * longer of PrologTimeout and EpilogTimeout, which default to it; unset is for ever (slurmd.c,
 * _wait_for_all_threads()). systemd's TimeoutStopSec, 90 s where the unit has none, ends that with SIGKILL: the script
 * is orphaned and its job requeued. A slurmd that stops for longer than slurmctld's SlurmdTimeout costs the node's
 * jobs, so that is the other limit. */
#ifndef SF_AGENT_NODE_STOP_LIMIT_H
#define SF_AGENT_NODE_STOP_LIMIT_H

#include <stdint.h>

#include "agent/node/slurm_conf.h"
#include "base/error.h"

/* Seconds that slurmd waits for scripts: 0 where the site has none, UINT64_MAX = for ever. version: of the slurmd that
 * stops, "" where it is not known. */
uint64_t sf_stop_limit_scripts(const struct sf_slurm_conf *conf, const char *version);

/* The TimeoutStopSec that a stop gets, in seconds; 0 = the unit's own will do. unit: the unit's own, UINT64_MAX = none.
 * slurmd_timeout: slurmctld's, 0 = it never gives a node up, UINT64_MAX = not known. */
uint64_t sf_stop_limit_choose(uint64_t scripts, uint64_t unit, uint64_t slurmd_timeout);

/* A drop-in of the running system, UNIT.d/zzzz-sf-node-stop.conf below ROOT/run/systemd/system, which the next reload
 * heeds; seconds 0 removes it. 1 where something changed, so that a reload is due. */
int sf_stop_limit_set(const char *root, const char *unit, uint64_t seconds, struct sf_error *err);

#endif
