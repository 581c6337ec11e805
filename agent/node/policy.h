/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/policy.h - what the site lets this node switch to, and when: section [policy] of the configuration.
 *
 *     series = 25.05                   upgrade stays on this series
 *     hold = 25.05.3                   nothing else becomes active: a version, or a release by name or beginning
 *     window = Sat,Sun 02:00-06:00     switches begin in local time within a window; may be repeated
 *     wave = node[001-016] 2d          these nodes pass over a release until two days after it was published
 *
 * The last series and the last hold count, an empty value takes back what earlier files say; windows add up, an empty
 * one takes back the earlier ones. Of the waves the last one that names this node counts, an empty one takes back the
 * earlier ones. A hold wins over the series. A rollback and a recovery are never judged.
 */
#ifndef SF_AGENT_NODE_POLICY_H
#define SF_AGENT_NODE_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "base/conf.h"
#include "base/error.h"
#include "release/version.h"

struct sf_policy_window {
        const struct sf_conf_entry *entry; /* borrowed */
        int from, to;                      /* minutes of a day; to <= from: it ends on the next day */
        unsigned days;                     /* bit 0 = Sunday: the days on which it begins */
};

/* Nodes (a host list as Slurm writes it, or ALL) and how long after its publication a release is for them. */
struct sf_policy_wave {
        const struct sf_conf_entry *entry; /* borrowed */
        unsigned hours;
};

struct sf_policy {
        const struct sf_conf_entry *series, *hold; /* borrowed from the configuration; NULL = no such rule */
        struct sf_policy_window *windows;          /* owned */
        size_t window_count;                       /* 0 = at any time */
        struct sf_policy_wave *waves;              /* owned */
        size_t wave_count;
        char node[256]; /* the name by which waves know this node: [service] node_name, else the host's */
};

/* Reads and checks the section; what is wrong is SF_ERR_USAGE with file, line and key. *ret refers to conf. */
int sf_policy_read(struct sf_conf *conf, struct sf_policy *ret, struct sf_error *err);
void sf_policy_free(struct sf_policy *policy);

/* The rule that a release of this name and version breaks, NULL where there is none. `name` may be "" (adopted). */
const struct sf_conf_entry *sf_policy_forbids(const struct sf_policy *policy, const char *name, const char *version);
/* What an upgrade without a version means: the hold, else the series; NULL where there is neither. */
const struct sf_conf_entry *sf_policy_wants(const struct sf_policy *policy);
/* Is this time in that window? */
bool sf_policy_window_open(const struct sf_policy_window *window, const struct tm *local);
/* In any of them, or are there none? */
bool sf_policy_open(const struct sf_policy *policy, const struct tm *local);

/* The wave of this node; NULL where none names it. A name with a domain is looked for with it, then without. */
const struct sf_policy_wave *sf_policy_own_wave(const struct sf_policy *policy);
/* Has a release that was published at `created` ("2026-11-23T12:00:00Z") reached this node at `now`? */
bool sf_policy_reached(const struct sf_policy *policy, const char *created, time_t now);

/* Every rule, for status: the i-th and what it means now ("in force", "overruled by the hold", "open", "closed", "for
 * other nodes", "overruled by a later wave"). NULL at the end. */
const struct sf_conf_entry *sf_policy_rule(const struct sf_policy *policy, const struct tm *local, size_t i,
                                           const char **ret_state);

#endif
