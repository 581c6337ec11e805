/* SPDX-License-Identifier: Apache-2.0 */
/* factory/rebuild/conditions.h - this program run as a child, either as it is or under other conditions that must not
 * show in what is built: user, umask, time zone, locale, variables, host name, processors, clock, directory. */
#ifndef SF_FACTORY_REBUILD_CONDITIONS_H
#define SF_FACTORY_REBUILD_CONDITIONS_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/json.h"
#include "base/words.h"

/* The clock of the second build's steps runs ahead where the root has libfaketime(1): compile.c reads this variable, in
 * seconds. */
#define SF_CONDITIONS_CLOCK       "SF_REBUILD_CLOCK"
#define SF_CONDITIONS_CLOCK_AHEAD "34560000" /* 400 days: another day, month and year */

struct sf_conditions {
        bool other_user; /* uid and gid below; needs root, and readable recipes and cache */
        uid_t uid;
        gid_t gid;
        bool other_host;       /* a host name of its own; needs root */
        bool fewer_processors; /* one less than this process may use; needs two */
        bool other_clock;      /* libfaketime is there */
        unsigned jobs;         /* --jobs */
        const char *directory; /* working directory and $HOME; borrowed */
};

/* What can be varied here. `paths` (NULL-terminated) must be usable by the other user: the first one writable, the
 * others readable. root: where steps run ("" = this machine). *ret_kept says in words what could not be varied. */
int sf_conditions_choose(const char *const *paths, const char *root, unsigned jobs, struct sf_conditions *ret,
                         struct sf_words *ret_kept, struct sf_error *err);
/* In words, one for each condition that differs. */
int sf_conditions_describe(const struct sf_conditions *conditions, struct sf_words *ret, struct sf_error *err);

/* Runs this program with argv (argv[0] is only its name), with standard error shared; conditions NULL = as it is.
 * *ret is the JSON object it printed, a new reference. A failure carries the child's own text. */
int sf_conditions_run(const struct sf_conditions *conditions, const struct sf_words *argv, json_t **ret,
                      struct sf_error *err);

#endif
