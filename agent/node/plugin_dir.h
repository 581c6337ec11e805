/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/plugin_dir.h - where a tree has its plugins: "lib/slurm", or "lib64/slurm" where "make install" was told
 * so.
 */
#ifndef SF_AGENT_NODE_PLUGIN_DIR_H
#define SF_AGENT_NODE_PLUGIN_DIR_H

#include <stdbool.h>
#include <stddef.h>

/* Relative to the tree; "lib/slurm" where it has neither. */
const char *sf_plugin_dir(const char *tree);

/* The length of the directory and its slash where a path relative to a tree is a plugin's, else 0: 10 for
 * "lib/slurm/auth_munge.so". */
size_t sf_plugin_dir_length(const char *path);

#endif
