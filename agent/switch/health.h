/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/health.h - is the node back? slurmctld's record of it, slurmd itself, and the site's own checks say so.
 *
 * Believed at once: slurmctld's record names a registration from after the restart, of the expected version, without a
 * new DOWN, DRAIN, FAIL or INVALID_REG; and slurmd answers an authenticated request on this node. Not waited for:
 * contact from slurmctld, which pings only every SlurmdTimeout/3; it is noted where it came in time.
 *
 * slurmctld keeps calling a node IDLE until SlurmdTimeout even if its slurmd never registered again, so State alone is
 * worth nothing: the start time tells.
 */
#ifndef SF_AGENT_SWITCH_HEALTH_H
#define SF_AGENT_SWITCH_HEALTH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "agent/node/slurm.h"
#include "base/error.h"

/* How slurmd itself was proven, best first. */
enum sf_health_witness {
        SF_HEALTH_ANSWER,  /* scontrol show slurmd: authenticated, with its pid and version */
        SF_HEALTH_READYZ,  /* GET /readyz on its port, 25.11 and later: that it serves requests */
        SF_HEALTH_PROCESS, /* it runs and listens on a port; nothing else could be had */
};

struct sf_health_proof {
        char node[128]; /* NodeName */
        enum sf_health_witness witness;
        double seconds; /* from slurmd's start until it was believed, site checks apart */
        bool contact;   /* slurmctld has talked to the new slurmd already */
};

struct sf_health {
        struct sf_slurm slurm;                /* the new release's clients */
        const char *node;                     /* NodeName, NULL = what slurmd says */
        const char *version;                  /* what slurmd must be, "" = anything (an adopted tree) */
        const struct sf_slurm_record *before; /* the record before anything was touched; NULL = not known */
        pid_t pid;                            /* the unit's main process */
        uint64_t slurmd_port;                 /* SlurmdPort of slurm.conf; 0 = not known */
        time_t since;                         /* before it was restarted: nothing older counts */
        double started;                       /* when it was up again, CLOCK_MONOTONIC seconds */
        unsigned timeout;                     /* seconds until it is given up */
        const char *hooks;     /* directory of executables, run in strcmp order; each must end with 0. NULL = none */
        unsigned hook_timeout; /* seconds for each */
        /* The record that a release before this one was refused for. slurmctld drains a node that registers with
         * less than is promised and leaves it so: where this release's registration is valid again, that drain is
         * taken back. NULL, or started 0: nothing was refused. */
        const struct sf_slurm_record *refused;
        void (*waiting)(void *ctx, const char *for_what); /* told before each pause; may be NULL */
        void *ctx;
};

/* refused (may be NULL) receives the record that was judged SF_ERR_FAILED. SF_ERR_TIMEOUT names what was missing at
 * the end; SF_ERR_FAILED a slurmd that is not the expected one, a node that came back out of service, with
 * slurmctld's reason, or a hook. */
int sf_health_wait(const struct sf_health *health, struct sf_health_proof *ret, struct sf_slurm_record *refused,
                   struct sf_error *err);

/* The judgement on a record alone: 0 = good, 1 = may become good (err says what is missing), SF_ERR_FAILED. before
 * NULL: only INVALID_REG is held against it. */
int sf_health_judge(const struct sf_health *health, const char *node, const struct sf_slurm_record *now,
                    struct sf_error *err);

/* "slurmctld has n1's new registration, slurmd answers (0.4 s); ...": a sentence for reports. */
void sf_health_describe(const struct sf_health_proof *proof, char *out, size_t room);

#endif
