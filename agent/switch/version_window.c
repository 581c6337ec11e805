/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/version_window.c - see version_window.h. Micro releases of one series understand each other: only
 * series are compared. */
#include "agent/switch/version_window.h"

#include <stdio.h>
#include <string.h>

static int compare_series(const struct sf_version *a, const struct sf_version *b)
{
        return a->major != b->major ? (a->major < b->major ? -1 : 1) : a->minor < b->minor ? -1 : a->minor > b->minor;
}

static bool understands(const struct sf_window_row *rows, const struct sf_version *newer,
                        const struct sf_version *older)
{
        return sf_version_same_series(newer, older) || sf_window_accepts(rows, newer, older);
}

/* The fewest steps forward from one series to another; -1 where the table leads nowhere. */
static int count_hops(const struct sf_window_row *rows, const struct sf_version *at, const struct sf_version *to)
{
        int best = -1;

        if (sf_version_same_series(at, to))
                return 0;
        for (const struct sf_window_row *row = rows; *row->series; row++) {
                struct sf_version v;
                if (sf_version_parse(row->series, &v, NULL) < 0 || compare_series(&v, at) <= 0 ||
                    compare_series(&v, to) > 0 || !sf_window_accepts(rows, &v, at))
                        continue;
                int rest = count_hops(rows, &v, to);
                if (rest >= 0 && (best < 0 || rest + 1 < best))
                        best = rest + 1;
        }
        return best;
}

/* Of all first steps on a shortest path the one in the middle: as far from either edge of the window as can be. */
static bool next_hop(const struct sf_window_row *rows, const struct sf_version *at, const struct sf_version *to,
                     struct sf_version *ret)
{
        struct sf_version found[32];
        size_t count = 0;
        int hops = count_hops(rows, at, to);

        for (const struct sf_window_row *row = rows; *row->series && count < sizeof found / sizeof *found; row++) {
                struct sf_version v;
                if (sf_version_parse(row->series, &v, NULL) < 0 || compare_series(&v, at) <= 0 ||
                    compare_series(&v, to) > 0 || !sf_window_accepts(rows, &v, at) ||
                    count_hops(rows, &v, to) != hops - 1)
                        continue;
                size_t i = count++;
                for (; i && compare_series(&found[i - 1], &v) > 0; i--)
                        found[i] = found[i - 1];
                found[i] = v;
        }
        if (count)
                *ret = found[count / 2];
        return count > 0;
}

void sf_version_window_path(const struct sf_window_row *rows, const struct sf_version *from,
                            const struct sf_version *to, char *out, size_t room)
{
        struct sf_version at = *from, next;
        int used = snprintf(out, room, "%u.%02u", from->major, from->minor);

        while (compare_series(&at, to) < 0) {
                if (!next_hop(rows, &at, to, &next) || used < 0 || (size_t)used >= room) {
                        *out = '\0';
                        return;
                }
                at = next;
                used += snprintf(out + used, room - (size_t)used, " → %u.%02u", at.major, at.minor);
        }
}

static int check_step(const struct sf_version_window *gate, const struct sf_version *from, const struct sf_version *to,
                      struct sf_error *err)
{
        char path[256];

        if (compare_series(to, from) < 0)
                return gate->allow_downgrade
                               ? 0
                               : sf_error_set(
                                         err, SF_ERR_INCOMPATIBLE,
                                         "%s → %s goes back across a major release: running steps and slurmd's saved "
                                         "state are of the newer one and may be lost (--allow-downgrade accepts that)",
                                         gate->from, gate->to);
        if (understands(gate->rows, to, from))
                return 0;
        sf_version_window_path(gate->rows, from, to, path, sizeof path);
        if (!*path)
                return sf_error_set(err, SF_ERR_INCOMPATIBLE,
                                    "%s → %s: no path between the two in the compatibility table", gate->from,
                                    gate->to);
        return sf_error_set(err, SF_ERR_INCOMPATIBLE, "%s → %s is too wide a step, running jobs would be lost: go %s",
                            gate->from, gate->to, path);
}

static int check_controller(const struct sf_version_window *gate, const struct sf_version *to, struct sf_error *err)
{
        struct sf_version controller;
        int r = sf_version_parse(gate->controller, &controller, err);

        if (r < 0)
                return sf_error_prefix(err, "slurmctld's version");
        if (compare_series(to, &controller) > 0)
                return sf_error_set(
                        err, SF_ERR_INCOMPATIBLE,
                        "slurmctld is %s and does not understand a newer slurmd: upgrade it to %u.%02u first "
                        "(order: slurmdbd, slurmctld, slurmd)",
                        gate->controller, to->major, to->minor);
        if (!understands(gate->rows, &controller, to))
                return sf_error_set(err, SF_ERR_INCOMPATIBLE,
                                    "slurmctld is %s and no longer understands a slurmd of %s", gate->controller,
                                    gate->to);
        return 0;
}

int sf_version_window_check(const struct sf_version_window *gate, struct sf_error *err)
{
        struct sf_version from, to, step;
        int r = sf_version_parse(gate->to, &to, err);

        if (r == 0 && *gate->from) {
                r = sf_version_parse(gate->from, &from, err);
                if (r == 0)
                        r = check_step(gate, &from, &to, err);
        }
        if (r == 0 && *gate->controller)
                r = check_controller(gate, &to, err);
        for (const char *const *s = gate->steps; r == 0 && s && *s; s++) {
                r = sf_version_parse(*s, &step, err);
                if (r < 0 || understands(gate->rows, &to, &step) ||
                    (compare_series(&step, &to) > 0 && gate->allow_downgrade))
                        continue;
                r = sf_error_set(err, SF_ERR_INCOMPATIBLE,
                                 "steps of %s are running, which slurmd %s does not understand", *s, gate->to);
        }
        return r;
}
