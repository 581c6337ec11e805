/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/version_window.h - may this release follow that one here? SchedMD's compatibility window, asked before
 * anything is touched.
 *
 * "24.11 accepts 24.05, 23.11, 23.02": daemons and running steps of older releases are understood for a limited number
 * of releases, never newer ones. The table comes from the signed rollout metadata, or is the built-in one.
 */
#ifndef SF_AGENT_SWITCH_VERSION_WINDOW_H
#define SF_AGENT_SWITCH_VERSION_WINDOW_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "release/version.h"

struct sf_version_window {
        const struct sf_window_row *rows; /* ended by an empty series */
        const char *from;                 /* active version, "" where it is not known (adopted or none) */
        const char *to;                   /* version asked for */
        const char *controller;           /* slurmctld's version, "" where it does not matter */
        const char *const *steps;         /* versions of running slurmstepds, NULL-terminated; may be NULL */
        bool allow_downgrade;             /* the operator accepts a step back across major releases */
};

/* SF_ERR_INCOMPATIBLE with the reason: too wide a step (and the path that would do), slurmd newer than slurmctld, steps
 * that the new release would not understand, a downgrade across major releases. */
int sf_version_window_check(const struct sf_version_window *gate, struct sf_error *err);

/* "23.11 → 24.11 → 25.11": the fewest steps from one series to another; "" where there is no path. */
void sf_version_window_path(const struct sf_window_row *rows, const struct sf_version *from,
                            const struct sf_version *to, char *out, size_t room);

#endif
