/* SPDX-License-Identifier: Apache-2.0 */
/* installer/adopted.h - a Slurm that something else installed outside of the prefix (a distribution's package in /usr,
 * a Spack or EasyBuild tree, a hand-made one) as a release of this node: what a rollback goes back to.
 *
 * PREFIX/releases/foreign-<YYYYMMDD>[-<n>]/ holds symbolic links, so that view/bin/scontrol and view/sbin/slurmd work
 * whichever release view names: to the directories of the origin, or in a prefix that others share (/usr, /usr/local)
 * to Slurm's own programs. Nothing of the origin is copied or changed. .sf-release/adopted.json says what it is:
 *
 *     {"format": 1, "slurm": "24.11.5", "origin": "/usr", "units": ["slurmd.service"]}
 */
#ifndef SF_INSTALLER_ADOPTED_H
#define SF_INSTALLER_ADOPTED_H

#include "base/error.h"
#include "base/words.h"
#include "installer/store.h"

struct sf_adopted {
        char version[48];         /* of its slurmd */
        char origin[256];         /* "/usr": an absolute path without a trailing slash */
        const char *plugins;      /* its plugin directory, NULL = not known */
        const char *const *units; /* systemd units that start it; NULL-terminated */
};

/* Makes the directory and gives it its name, durably. date: "20261130"; out: its name below releases/, 128 bytes. */
int sf_adopted_make(const struct sf_store *store, const struct sf_adopted *what, const char *date, char out[128],
                    struct sf_error *err);

/* Its units. SF_ERR_NOT_FOUND: there is no such record, as in a hand-made view that was adopted. */
int sf_adopted_units(const struct sf_store *store, const char *directory, struct sf_words *ret, struct sf_error *err);

#endif
