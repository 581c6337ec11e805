/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/adoption.h - taking over a slurmd that something else installed: from a distribution's package, a Spack
 * or EasyBuild tree, or one made by hand, which its unit starts from outside of PREFIX/view.
 *
 * The switch itself is the usual one; what ran becomes a release foreign-<date> (installer/adopted.h), so that the way
 * back and rollback know where to go. Steps that it started go on in their own tree to their end.
 */
#ifndef SF_AGENT_SWITCH_ADOPTION_H
#define SF_AGENT_SWITCH_ADOPTION_H

#include "agent/node/config.h"
#include "agent/node/units.h"
#include "base/error.h"
#include "base/words.h"
#include "installer/store.h"

struct sf_adoption {
        struct sf_words units; /* what starts such a slurmd; none: nothing to adopt */
        pid_t pid;             /* of its slurmd, 0 = it does not run */
        char program[512];     /* "/usr/sbin/slurmd", as the unit names it */
        char origin[256];      /* "/usr" */
        char version[48];      /* of that slurmd */
        char conf[1024];       /* its slurm.conf, which the release would not find by itself; "" = it would */
        char libraries[2048];  /* "LD_LIBRARY_PATH=...", without which its programs do not start; "" = they do */
};

#define SF_ADOPTION_INIT               \
        {                              \
                .units = SF_WORDS_INIT \
        }

/* Does this unit start slurmd from elsewhere than PREFIX/view and PREFIX/releases? */
bool sf_adoption_concerns(const struct sf_unit_of_node *unit, const char *prefix);

/* What there is to adopt among the units of this node. SF_ERR_USAGE: it is of several places, or does not say its
 * version. */
int sf_adoption_find(const struct sf_units *units, const char *prefix, struct sf_adoption *ret, struct sf_error *err);
/* Several slurmd of one installation go together: SF_ERR_USAGE where some that run its program (any program, where
 * there is nothing to adopt) are not in the set of units; what sf-node.conf has to say is printed then. */
int sf_adoption_check_all(const struct sf_adoption *adoption, const struct sf_units *units, struct sf_error *err);
void sf_adoption_free(struct sf_adoption *adoption);

/* The same as a release of this node: the one that an earlier adoption left, else with an empty directory. */
int sf_adoption_release(const struct sf_adoption *adoption, const struct sf_store *store, struct sf_store_release *ret,
                        struct sf_error *err);
/* Makes its directory below releases/. */
int sf_adoption_keep(const struct sf_adoption *adoption, const struct sf_store *store, char out[128],
                     struct sf_error *err);

/* Unit files for a move from or to an adopted release (origin not ""); nothing to do for any other. systemd is to be
 * reloaded afterwards. */
int sf_adoption_take_units(const struct sf_config *config, const struct sf_store *store,
                           const struct sf_store_release *from, const struct sf_store_release *to,
                           struct sf_error *err);
int sf_adoption_give_back(const struct sf_config *config, const struct sf_store *store,
                          const struct sf_store_release *to, struct sf_error *err);

#endif
