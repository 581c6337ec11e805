/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/slurm_node.h - which node of slurm.conf this host is, as slurmd finds it out.
 *
 * slurm.conf(5) and slurmd.c: the name behind -N, else the first NodeName whose NodeHostname is the short host name,
 * the full one, a canonical name of one of its addresses, or "localhost".
 */
#ifndef SF_AGENT_NODE_SLURM_NODE_H
#define SF_AGENT_NODE_SLURM_NODE_H

#include "agent/node/slurm_conf.h"
#include "base/error.h"

#define SF_SLURM_PORT_SLURMD 6818 /* SlurmdPort where slurm.conf names none */

struct sf_slurm_node {
        char name[256];    /* NodeName */
        char host[256];    /* NodeHostname */
        char address[256]; /* NodeAddr; the host where it says none */
        unsigned port;     /* its own Port, else SlurmdPort */
        /* where it is defined, of the configuration; NULL for a node that is in no file (slurmd -Z) */
        const char *file;
        unsigned line;
};

/* This host's names, best first, NULL-terminated. Asks the resolver for the canonical name only where `resolve`.
 * Owned by the caller: free each and the array. NULL without memory. */
char **sf_slurm_node_hosts(bool resolve);
void sf_slurm_node_hosts_free(char **hosts);

/* The node named `wanted`, or with wanted == NULL the one that a slurmd on a host of these names would be.
 * SF_ERR_NOT_FOUND says what was looked for in which file. */
int sf_slurm_node_find(const struct sf_slurm_conf *conf, const char *wanted, const char *const *hosts,
                       struct sf_slurm_node *ret, struct sf_error *err);

/* A path of slurm.conf with %h and %n replaced (SlurmdSpoolDir, SlurmdPidFile, ...). Owned by the caller. */
char *sf_slurm_node_expand(const struct sf_slurm_node *node, const char *path);

#endif
