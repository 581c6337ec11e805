/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/config.h - what the operator asked for: configuration files, then the command line, checked once.
 *
 * Read in this order, later wins: built-in defaults, /etc/sf-node/sf-node.conf, /etc/sf-node/conf.d/X.conf in strcmp
 * order, then the options. --config FILE replaces both files and directory. etc/sf-node.conf documents every key.
 */
#ifndef SF_AGENT_NODE_CONFIG_H
#define SF_AGENT_NODE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/node/policy.h"
#include "base/conf.h"
#include "base/error.h"
#include "base/verb.h"
#include "base/words.h"
#include "transport/credentials.h"

/* What an upgrade does while steps of a release before the active one still run. */
enum sf_old_steps { SF_OLD_STEPS_REFUSE, SF_OLD_STEPS_WAIT, SF_OLD_STEPS_ALLOW };

/* install --init: section [init], and the options that come with it. */
#define SF_INIT_UNSET UINT64_MAX
struct sf_config_init {
        bool wanted, munge, pam, nss;
        const char *conf_server; /* "ctl1:6817,ctl2", or "dns" for SRV records; NULL = a slurm.conf is there */
        const char *slurm_user;  /* NULL = slurm.conf's SlurmUser, else "slurm" */
        const char *spool_dir;   /* NULL = slurm.conf's SlurmdSpoolDir, else Slurm's default */
        uint64_t slurm_uid, slurm_gid, munge_uid, munge_gid; /* SF_INIT_UNSET = whatever the node has */
};

struct sf_config {
        char *root;             /* "" or --root without a trailing slash: another system's tree, no service touched */
        char *prefix;           /* "/opt/slurm" */
        char *toolchain, *arch; /* this node's, or what the options say */
        char *shared;           /* root + /var/lib/sf-node: trusted metadata and caches, of every prefix */
        char *file;             /* --config, absolute; NULL = the usual files */
        char *state;            /* the same for the default prefix, SHARED/prefix/opt-b for /opt/b: two prefixes on one
                                      node have two locks, records and histories */
        char *record; /* where the record of a switch under way is: state, or PREFIX/.sf-node where the state is
                                   in memory and the prefix is not: what view points to outlives the state */
        const char *trusted_root;  /* the root.json that a node begins with which trusts none yet; NULL = none */
        const char **repositories; /* base URLs of one repository, tried in order; NULL-terminated */
        size_t repository_count;
        struct sf_words made;               /* owns those that were made from paths */
        const char *ca_bundle;              /* NULL = the distribution's */
        struct sf_credentials *credentials; /* of hosts: sections [credentials HOST]; strings as in conf */
        size_t credential_count;
        struct sf_proxy proxy;
        const char *no_access;   /* why a secret could not be read; NULL = all were. Only the repository is lost */
        uint64_t rate_limit;     /* bytes per second, 0 = none */
        uint64_t stall_timeout;  /* seconds without progress before a transfer is given up */
        uint64_t retries;        /* of one request */
        uint64_t metadata_grace; /* seconds an expired timestamp or snapshot is still accepted */
        uint64_t clock_wait;     /* seconds to wait for time synchronisation where the clock is before our build */
        uint64_t delta_memory;   /* bytes a delta may need; larger ones are not used */
        bool fast;               /* do not give way to jobs while fetching and unpacking */
        bool drain, when_idle;   /* drain the node before the switch, or only wait until it has no jobs */
        uint64_t drain_timeout;  /* seconds to wait for that, 0 = without end */
        uint64_t jitter;         /* seconds: wait a random time up to this before talking to the repository */
        struct sf_policy policy; /* [policy]: what may become active, and when */
        bool ignore_hold, ignore_window, ignore_waves;
        const char *node_seed; /* what tells this node from others in waves; NULL = its name */
        bool follow_agent;     /* [upgrade] agent = follow: self-update before install, upgrade and stage */
        bool json, dry_run, force, no_restart, allow_downgrade, restore_state;
        const char **units; /* of [service] unit, in SchedMD's order; NULL-terminated. sf_node_switch_open makes them
                               all services that run from the release, as they are on this node */
        size_t unit_count;
        uint64_t quiet_timeout;   /* seconds to wait for scripts that slurmd waits for, 0 = not at all */
        uint64_t settle_ms;       /* how long a restarted service must stay up before it is believed */
        uint64_t restart_timeout; /* seconds for one restart */
        uint64_t health_timeout;  /* seconds until slurmctld must have the new slurmd's registration; 0 = 60 */
        uint64_t hook_timeout;    /* seconds for each site check */
        enum sf_old_steps old_steps;
        uint64_t old_steps_wait;                    /* seconds, for SF_OLD_STEPS_WAIT */
        const char *slurm_conf, *node_name, *hooks; /* node_name NULL = this host's */
        char *found_slurm_conf; /* what slurm_conf points to where no file names one; without root */
        struct sf_config_init init;
        struct sf_conf conf; /* owns the strings of the files; sections of other modules are read from here */
};

/* line may be NULL (defaults and files only). Everything that is wrong is SF_ERR_USAGE with file and line or option;
 * for the verb recover, what is wrong in files is a warning, and they are left out. */
int sf_config_load(const struct sf_command_line *line, struct sf_config *ret, struct sf_error *err);
/* The same places and toolchain with the settings of another file: those that an interrupted run had. */
int sf_config_load_file(const struct sf_config *like, const char *file, struct sf_config *ret, struct sf_error *err);
void sf_config_free(struct sf_config *config);

/* A part of sf_config_load: the prefix can be written where it has to be, and below --root nothing leads to this host's
 * own directories. */
int sf_config_check_places(const struct sf_config *config, struct sf_error *err);

/* A part of sf_config_load: sets config->record. */
int sf_config_place_record(struct sf_config *config, struct sf_error *err);

/* A part of sf_config_load: fills config->init, whose files are in config->conf. line may be NULL. */
int sf_config_read_init(const struct sf_command_line *line, struct sf_config *config, struct sf_error *err);

/* A part of sf_config_load: section [service]. root, prefix and conf are set. */
int sf_config_read_service(struct sf_config *config, struct sf_error *err);

/* A part of sf_config_load: credentials and proxy. Warns of files with secrets that others can read; no secret is in
 * any error. */
int sf_config_read_access(struct sf_config *config, struct sf_error *err);

/* A unit of ours: "sf-node-switch.service", with the prefix in its name where that is not the default one. Owned by the
 * caller, NULL = no memory. */
char *sf_config_unit_name(const struct sf_config *config, const char *stem);

#endif
