/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/conf_source.h - where this node's slurm.conf is, by the words of the daemons that use it.
 *
 * A unit's command line and environment say it (-f, SLURM_CONF, --conf-server), for a wrapper the process that came of
 * it; nothing said means the place that the release itself looks at, which may be inside the release. Needs no bus.
 */
#ifndef SF_AGENT_NODE_CONF_SOURCE_H
#define SF_AGENT_NODE_CONF_SOURCE_H

#include <stddef.h>

#include "agent/node/daemon.h"

#define SF_CONF_SOURCE_USUAL "/etc/slurm/slurm.conf"

/* Where the active release looks by itself; the usual place where it does not say. Without root. */
void sf_conf_source_default(const char *root, const char *prefix, char *ret, size_t room);

/* What a unit's files say, "" where there are none, or where a wrapper hides it: then the words of process pid (0 =
 * none). False where nothing could be learnt. */
bool sf_conf_source_words(const char *root, const char *unit, enum sf_daemon daemon, int pid,
                          struct sf_daemon_words *ret);

/* The node's slurm.conf, without root: of the first of the configured units (NULL-terminated), slurmd, its instances,
 * slurmctld, sackd, slurmrestd that says anything. The file need not exist. */
void sf_conf_source_find(const char *root, const char *prefix, const char *const *units, char *ret, size_t room);

#endif
