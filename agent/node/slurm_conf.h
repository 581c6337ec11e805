/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/slurm_conf.h - slurm.conf as Slurm reads it: its lines with those of every included file, in order.
 *
 * Source of the format: slurm.conf(5) and src/common/parse_config.c. A line holds "Key=value" pairs; keys know no case;
 * "#" begins a comment unless a backslash stands before it; a backslash at the end goes on with the next line. "Include
 * FILE" is read in place, relative to the directory of slurm.conf itself however deep it is nested, with %c for the
 * ClusterName in small letters. slurmdbd.conf, cgroup.conf and gres.conf have the same syntax.
 *
 * Reads files only; never asks Slurm or the network. `root` ("" on a live node) stands before every path, and paths
 * that this module returns are without it.
 */
#ifndef SF_AGENT_NODE_SLURM_CONF_H
#define SF_AGENT_NODE_SLURM_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct sf_slurm_conf_pair {
        const char *key, *value; /* the value without its quotes */
};

/* One line: the first pair says what it is about ("NodeName", "n[1-4]"), the others belong to it. */
struct sf_slurm_conf_line {
        struct sf_slurm_conf_pair *pairs;
        size_t count; /* at least 1 */
        const char *file;
        unsigned number;
};

/* Everything in it is owned by it. */
struct sf_slurm_conf {
        const char *path;       /* the file that was asked for */
        const char **files;     /* it and all that it includes, in the order of reading, NULL-terminated */
        size_t file_count;
        struct sf_slurm_conf_line *lines;
        size_t count;
        struct sf_pool *pool;   /* private */
};

#define SF_SLURM_CONF_INIT { 0 }

/* SF_ERR_NOT_FOUND: the file itself is missing. Everything that Slurm would stumble over (a missing or circular
 * include, a line that is no pair) is SF_ERR_USAGE naming file and line. */
int sf_slurm_conf_load(const char *root, const char *path, struct sf_slurm_conf *ret, struct sf_error *err);
void sf_slurm_conf_free(struct sf_slurm_conf *conf);

/* The value of a key that begins its line: the last one counts, as for Slurm. NULL where there is none. */
const char *sf_slurm_conf_get(const struct sf_slurm_conf *conf, const char *key);
/* The number of such a value: "INFINITE" and "UNLIMITED" are UINT64_MAX; `otherwise` where there is none, or no
 * number. */
uint64_t sf_slurm_conf_number(const struct sf_slurm_conf *conf, const char *key, uint64_t otherwise);
/* Every line that begins with a key, in order: start with after = NULL; NULL at the end. */
const struct sf_slurm_conf_line *sf_slurm_conf_next(const struct sf_slurm_conf *conf, const char *key,
                                                    const struct sf_slurm_conf_line *after);
/* A further pair of a line, NULL where it has none: sf_slurm_conf_pair(line, "Port"). */
const char *sf_slurm_conf_pair(const struct sf_slurm_conf_line *line, const char *key);

/* A file beside slurm.conf, or where an absolute name says: "plugstack.conf", what PlugStackConfig holds. Owned by the
 * caller; NULL without memory. */
char *sf_slurm_conf_beside(const struct sf_slurm_conf *conf, const char *name);

/* The word in "AuthInfo=socket=/run/x,ttl=10" behind "socket="; false where there is none. */
bool sf_slurm_conf_option(const char *value, const char *word, char *ret, size_t room);

#endif
