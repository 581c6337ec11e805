/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/checks.h - what would hurt slurmd or jobs, one question per function: preflight asks before a switch,
 * doctor at any time.
 *
 * Every check appends one line per finding to ret, saying what is wrong and what to do, and nothing where all is well.
 * It fails only where it could not look.
 */
#ifndef SF_AGENT_SWITCH_CHECKS_H
#define SF_AGENT_SWITCH_CHECKS_H

#include <stdbool.h>
#include <sys/types.h>

#include "agent/node/service.h"
#include "agent/node/units.h"
#include "base/buffer.h"
#include "base/error.h"

struct sf_checks {
        const char *root;        /* "" on a live node; files below are looked up under it */
        const char *prefix;      /* "/opt/slurm" */
        const char *tree;        /* the release in question, an absolute path */
        const char *version;     /* its version, "" where unknown */
        const char *old_tree;    /* the active one before a switch; NULL = there is none */
        const char *old_version; /* its version; NULL or "" where unknown */
        const char *conf;        /* slurm.conf, without root */
        const char *node;        /* NodeName, where it is known; NULL = by the host's name */
        /* receives lines that are worth knowing but no reason to refuse; NULL = dropped */
        struct sf_buffer *notes;
        const struct sf_service *unit; /* the node's slurmd as loaded; NULL = no systemd here */
        const struct sf_units *units;  /* every unit that runs from the prefix; NULL = no systemd here */
        const char *unit_type;         /* what the release's own slurmd unit is: "notify"; NULL = not known */
        bool old_steps;                /* steps of the old release are running */
};

bool sf_check_has_conf(const struct sf_checks *c); /* is there a slurm.conf? */
/* Adds lines to the notes. */
int sf_check_note(const struct sf_checks *c, const struct sf_buffer *lines, struct sf_error *err);

/* KillMode, Delegate, Type of each unit */
int sf_check_unit(const struct sf_checks *c, struct sf_buffer *ret, struct sf_error *err);
int sf_check_libraries(const struct sf_checks *c, struct sf_buffer *ret,
                       struct sf_error *err); /* what slurmd starts with */
int sf_check_all_libraries(const struct sf_checks *c, struct sf_buffer *ret, struct sf_error *err); /* every ELF file */
int sf_check_plugins(const struct sf_checks *c, struct sf_buffer *ret, struct sf_error *err); /* in use, but missing */
int sf_check_spank(const struct sf_checks *c, struct sf_buffer *ret, struct sf_error *err);   /* of another series */
int sf_check_plugin_dir(const struct sf_checks *c, struct sf_buffer *ret,
                        struct sf_error *err); /* PluginDir in slurm.conf */
int sf_check_conf(const struct sf_checks *c, struct sf_buffer *ret,
                  struct sf_error *err); /* options it does not know */
int sf_check_keys(const struct sf_checks *c, struct sf_buffer *ret,
                  struct sf_error *err); /* of auth/slurm and auth/jwt; sackd's place */
int sf_check_sockets(const struct sf_checks *c, struct sf_buffer *ret, struct sf_error *err);  /* munge, or sackd's */
int sf_check_slurmdbd(const struct sf_checks *c, struct sf_buffer *ret, struct sf_error *err); /* slurmdbd.conf */
int sf_check_space(const struct sf_checks *c, struct sf_buffer *ret, struct sf_error *err); /* room to switch at all */

#endif
