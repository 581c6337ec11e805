/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/plugins.h - would a release lack a plugin that this node needs?
 *
 * Slurm's plugins are PREFIX/lib/slurm/<type>_<name>.so and call themselves "<type>/<name>" (their symbol
 * plugin_type). From release to release they come, go and are renamed: topology_default became topology_flat,
 * job_container_tmpfs became namespace_tmpfs, url_parser_internal moved into libslurm. So a missing file alone says
 * nothing. Judged is
 *
 * - what the configuration names: the release must have that plugin, or know the old name itself (the name, or its
 *   type, is among the texts of its libslurmfull.so) and have a plugin for it that the old release did not have;
 * - what a daemon has loaded without being told to, the old release's own default or something internal: the release
 *   must have it, or have a plugin of that type which the old one did not have (its default was renamed), or none of
 *   that type at all (it is gone, or built in). Of a type that is loaded as a whole any other plugin will do.
 *
 * Running steps load what they need from their own tree, which stays until they end. */
#ifndef SF_AGENT_NODE_PLUGINS_H
#define SF_AGENT_NODE_PLUGINS_H

#include <stddef.h>
#include <sys/types.h>

#include "agent/node/slurm_conf.h"
#include "base/buffer.h"
#include "base/error.h"

struct sf_plugins {
        const char *old_tree, *new_tree;  /* absolute paths of the releases */
        const struct sf_slurm_conf *conf; /* NULL = there is none */
        const pid_t *pids;                /* daemons that run from old_tree, and what they are called */
        const char *const *daemons;
        size_t count;
};

/* Appends a line for each plugin that would be missed: "the running slurmd uses lib/slurm/auth_munge.so, which the
 * release lacks", and who named it. */
int sf_plugins_check(const struct sf_plugins *plugins, struct sf_buffer *ret, struct sf_error *err);

#endif
