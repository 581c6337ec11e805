/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/slurm.h - questions to Slurm, asked with a release's own clients: a client only understands daemons that
 * are not older than itself, so the caller says which release asks.
 *
 * scontrol(1). Times are seconds since the epoch; 0 = never.
 */
#ifndef SF_AGENT_NODE_SLURM_H
#define SF_AGENT_NODE_SLURM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "base/error.h"
#include "base/proc.h"

struct sf_slurm {
        const char *tree;      /* of the release that asks: TREE/bin/scontrol */
        const char *conf;      /* slurm.conf, NULL = where the release looks by itself */
        unsigned timeout;      /* seconds per question */
        const char *libraries; /* "LD_LIBRARY_PATH=..." that its programs need, NULL or "" = none */
        /* Why slurmctld left a question without an answer: it is not asked the next one then, which would wait as long.
         * NULL = each question is asked. */
        struct sf_error *silence;
};

/* The same for questions that somebody else than slurmctld answers, or that each of several slurmctld is asked once:
 * whose silence it is does not matter to them. */
struct sf_slurm sf_slurm_regardless(const struct sf_slurm *slurm);

/* Runs TREE/bin/PROGRAM with these words (eight at most), times in UTC. Of proc the caller sets what becomes of the
 * output. status NULL: an exit status other than 0 is an error. */
int sf_slurm_ask(const struct sf_slurm *slurm, const char *program, const char *const *words, struct sf_proc *proc,
                 int *status, struct sf_error *err);

/* scontrol show config: what slurmctld says of itself. */
struct sf_slurm_controller {
        char version[48];
        uint64_t slurmd_timeout; /* seconds until it gives up a silent node; 0 = never */
        uint64_t slurmd_port;    /* SlurmdPort, where clients look for a slurmd; 0 = it does not say */
};
int sf_slurm_controller(const struct sf_slurm *slurm, struct sf_slurm_controller *ret, struct sf_error *err);

/* scontrol show slurmd: what this node's slurmd says of itself, over an authenticated connection. */
struct sf_slurm_daemon {
        pid_t pid;
        char version[48];
        char node[128];      /* its NodeName ("Hostname" in scontrol's words) */
        time_t last_message; /* from slurmctld */
};
/* port: where that slurmd listens. scontrol only knows SlurmdPort and not a node's own Port; 0 = as scontrol does. */
int sf_slurm_daemon(const struct sf_slurm *slurm, unsigned port, struct sf_slurm_daemon *ret, struct sf_error *err);

/* scontrol show node: what slurmctld believes of a node. */
enum sf_slurm_trouble {
        SF_SLURM_DOWN = 1,      /* it gets no jobs, and those it had are lost */
        SF_SLURM_DRAIN = 2,     /* it gets no new jobs */
        SF_SLURM_INVALID = 4,   /* INVALID_REG: what slurmd registered is less than what slurm.conf promises */
        SF_SLURM_FAIL = 8,      /* FAIL: about to be taken out of service */
        SF_SLURM_UNCERTAIN = 16 /* UNKNOWN or NOT_RESPONDING: slurmctld is about to find out */
};
struct sf_slurm_record {
        time_t started;   /* when its slurmd started, as that slurmd said at registration */
        char version[48]; /* of the slurmd that registered last */
        char state[128];  /* "IDLE+DRAIN" */
        char reason[256]; /* with who set it and when, "" where there is none */
        bool busy;        /* it has jobs, or is still clearing up after one */
        unsigned trouble; /* enum sf_slurm_trouble, from state */
};
int sf_slurm_record(const struct sf_slurm *slurm, const char *node, struct sf_slurm_record *ret, struct sf_error *err);
/* The same from scontrol's output (of `show node`, not with -o). SF_ERR_CORRUPT names what is missing. */
int sf_slurm_record_parse(const char *text, struct sf_slurm_record *ret, struct sf_error *err);

/* scontrol update: no new jobs for the node, for this reason; and jobs again. */
int sf_slurm_drain(const struct sf_slurm *slurm, const char *node, const char *reason, struct sf_error *err);
int sf_slurm_resume(const struct sf_slurm *slurm, const char *node, struct sf_error *err);

/* What a release's own client complains of when it reads slurm.conf, one line per complaint, appended to ret; nothing
 * where it is content. */
struct sf_buffer;
int sf_slurm_check_conf(const struct sf_slurm *slurm, struct sf_buffer *ret, struct sf_error *err);

#endif
