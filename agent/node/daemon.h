/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/daemon.h - the daemons of Slurm, and what their own words (command line, environment) say about where
 * their configuration is.
 *
 * Options and their order of precedence: slurmd(8), slurmctld(8), sackd(8), slurmrestd(8) and
 * _establish_configuration() in src/slurmd/slurmd/slurmd.c. slurmd: --conf-server, SLURM_CONF_SERVER, -f, SLURM_CONF,
 * the release's own default, DNS.
 */
#ifndef SF_AGENT_NODE_DAEMON_H
#define SF_AGENT_NODE_DAEMON_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* In SchedMD's order of restarts: what is not Slurm's (the site's, munge) is told apart by name. */
enum sf_daemon {
        SF_DAEMON_SACKD,
        SF_DAEMON_SLURMDBD,
        SF_DAEMON_SLURMCTLD,
        SF_DAEMON_SLURMD,
        SF_DAEMON_SLURMRESTD,
        SF_DAEMON_OTHER,
};

const char *sf_daemon_name(enum sf_daemon daemon); /* "slurmd"; "" for SF_DAEMON_OTHER */
/* By the name of a program ("/opt/x/sbin/slurmd") or a unit ("slurmd@n1.service"). */
enum sf_daemon sf_daemon_of_program(const char *path);
enum sf_daemon sf_daemon_of_unit(const char *unit);

/* What a command line and environment say. Strings are "" where they say nothing. */
struct sf_daemon_words {
        char conf[1024];      /* -f, else SLURM_CONF */
        char server[512];     /* --conf-server, else SLURM_CONF_SERVER: configless */
        char node[256];       /* -N */
        char libraries[2048]; /* "LD_LIBRARY_PATH=...", what its programs need; "" = nothing, or too much to be noted */
        bool dynamic;         /* -Z: the node is not in slurm.conf */
        bool foreground;      /* -D */
        bool systemd;         /* --systemd */
};

/* argv[0] is the daemon or what calls it; environment as in environ, both NULL-terminated. A relative -f is taken as
 * it is. */
void sf_daemon_words_read(enum sf_daemon daemon, const char *const *argv, const char *const *environment,
                          struct sf_daemon_words *ret);
/* The words of a running process, from /proc. SF_ERR_NOT_FOUND: it is gone, or hides them. */
int sf_daemon_words_of(enum sf_daemon daemon, int pid, struct sf_daemon_words *ret, struct sf_error *err);

/* The value of a variable in the environment of a running process; false where it has none, or nothing can be seen. */
bool sf_daemon_variable(int pid, const char *name, char *ret, size_t room);

/* Where a daemon with these words has its configuration: a path (without root) that can be read now. For a
 * configless one that is its copy, in SlurmdSpoolDir/conf-cache or at /run/slurm/conf; otherwise the file it was
 * told, or `fallback`, where its release looks by itself. Never fails: the path need not exist. */
void sf_daemon_conf(const struct sf_daemon_words *words, const char *root, const char *fallback, char *ret,
                    size_t room);

/* Where a release looks for slurm.conf by itself: the path compiled into it. `tree` is where its files are. "" where
 * the release does not say. */
void sf_daemon_default_conf(const char *tree, char *ret, size_t room);

#endif
