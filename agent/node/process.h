/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/process.h - who uses a release: processes that run, map, hold open or stand in its tree (proc(5)).
 *
 * A release stays until the last of them is gone: Slurm loads plugins late, and a slurmstepd whose tree has vanished
 * fails its job. Files are recognised by path, and where the path is of no use (deleted, another mount namespace, a
 * bind mount) by device and inode.
 */
#ifndef SF_AGENT_NODE_PROCESS_H
#define SF_AGENT_NODE_PROCESS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"

struct sf_process_user {
        pid_t pid;
        size_t tree;      /* index into the trees asked for */
        char command[16]; /* comm of proc(5) */
        char how[8];      /* "exe", "maps", "cwd", "root" or "fd" */
        bool stepd;       /* a step of a job: it runs slurmstepd from this tree, as root or as we do */
        char step[48];    /* what it serves: "123.batch", "123.0"; "" where it does not say */
};

/* Every process but ourselves that uses one of the trees (absolute paths without a trailing slash), each once per
 * tree, in order of pid. *ret is one allocation (free()). Processes that end meanwhile are left out.
 * SF_ERR_UNSUPPORTED: there is no /proc here. */
int sf_process_find(const char *const *trees, size_t tree_count, struct sf_process_user **ret, size_t *ret_count,
                    struct sf_error *err);

/* Files below `tree` that a process has mapped, as paths relative to the tree, each once, NULL-terminated. Free with
 * sf_process_free_names(). */
int sf_process_mapped(pid_t pid, const char *tree, char ***ret, struct sf_error *err);
void sf_process_free_names(char **names);

/* Fills command, stepd and step of a user whose pid and how are known. */
void sf_process_describe(struct sf_process_user *user);

/* The program that a process runs, also where its file has gone by now. False and "" where that cannot
 * be read. */
bool sf_process_program(pid_t pid, char *out, size_t room);
/* Does it run a program inside this tree? The tree's path may lead through symbolic links. `program` is filled as
 * above. */
bool sf_process_runs_from(pid_t pid, const char *tree, char program[PATH_MAX]);

/* Does any step of a job run on this node, of whatever release? */
bool sf_process_has_steps(void);

/* Adds the steps whose slurmstepd lies below `origin` (an absolute path without a trailing slash or symbolic links,
 * such as /usr) to a list of sf_process_find's, as users of `tree`. */
int sf_process_add_steps(const char *origin, size_t tree, struct sf_process_user **users, size_t *count,
                         struct sf_error *err);

/* Are both in the same control group? False where that cannot be read. */
bool sf_process_same_group(pid_t a, pid_t b);

#endif
