/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/version_window.c - see version_window.h. Micro releases of one series understand each other: only
 * series are compared. */
#include "agent/switch/version_window.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

static int compare_series(const struct sf_version *a, const struct sf_version *b)
{
        return a->major != b->major ? (a->major < b->major ? -1 : 1) : a->minor < b->minor ? -1 : a->minor > b->minor;
}

static bool understands(const struct sf_window_row *rows, const struct sf_version *newer,
                        const struct sf_version *older)
{
        return sf_version_same_series(newer, older) || sf_window_accepts(rows, newer, older);
}

/* One series of the table, and how many steps it is from there to the wanted one. */
struct hop {
        struct sf_version version;
        const struct sf_window_row *row;
        int rest; /* -1: the table leads nowhere from here */
};

static int by_series(const void *a, const void *b)
{
        const struct hop *x = a, *y = b;

        return compare_series(&x->version, &y->version);
}

/* A newer one accepts an older one: the only steps that a path is made of. */
static bool leads(const struct hop *newer, const struct sf_version *older)
{
        char series[16];

        if (compare_series(&newer->version, older) <= 0)
                return false;
        snprintf(series, sizeof series, "%u.%02u", older->major, older->minor);
        for (size_t i = 0; i < sizeof newer->row->peers / sizeof *newer->row->peers && *newer->row->peers[i]; i++)
                if (strcmp(newer->row->peers[i], series) == 0)
                        return true;
        return false;
}

/* Of all first steps on a shortest path the one in the middle: as far from either edge of the window as can be. hops
 * are in order of series; NULL where none leads on. */
static const struct hop *next_hop(const struct hop *hops, size_t count, const struct sf_version *at)
{
        const struct hop *best[2] = { NULL, NULL }; /* the first of them, and the one in the middle so far */
        size_t equal = 0;

        for (const struct hop *h = hops; h < hops + count; h++) {
                if (h->rest < 0 || !leads(h, at))
                        continue;
                if (!best[0] || h->rest < best[0]->rest) {
                        best[0] = best[1] = h;
                        equal = 0;
                } else if (h->rest != best[0]->rest) {
                        continue;
                }
                /* The middle moves on at every other one that is as good. */
                if (equal++ % 2 == 1)
                        while (++best[1] < h && (best[1]->rest != h->rest || !leads(best[1], at)))
                                ;
        }
        return best[1];
}

/* Every series of the table up to the wanted one, each looked at once, from the newest down: steps lead forward. */
static struct hop *list_hops(const struct sf_window_row *rows, const struct sf_version *to, size_t *ret_count)
{
        size_t room = 0, count = 0;

        while (*rows[room].series)
                room++;
        struct hop *hops = calloc(room + 1, sizeof *hops);
        for (size_t i = 0; hops && i < room; i++) {
                struct hop h = { .row = &rows[i], .rest = -1 };
                if (sf_version_parse(rows[i].series, &h.version, NULL) == 0 && compare_series(&h.version, to) <= 0)
                        hops[count++] = h;
        }
        if (count)
                qsort(hops, count, sizeof *hops, by_series);
        for (size_t i = count; i-- > 0;) {
                if (sf_version_same_series(&hops[i].version, to))
                        hops[i].rest = 0;
                for (size_t j = i + 1; j < count; j++)
                        if (hops[j].rest >= 0 && (hops[i].rest < 0 || hops[j].rest + 1 < hops[i].rest) &&
                            leads(&hops[j], &hops[i].version))
                                hops[i].rest = hops[j].rest + 1;
        }
        *ret_count = count;
        return hops;
}

void sf_version_window_path(const struct sf_window_row *rows, const struct sf_version *from,
                            const struct sf_version *to, char *out, size_t room)
{
        struct sf_version at = *from;
        size_t count = 0;
        _cleanup_free_ struct hop *hops = list_hops(rows, to, &count);
        int used = snprintf(out, room, "%u.%02u", from->major, from->minor);

        while (compare_series(&at, to) < 0) {
                const struct hop *next = hops ? next_hop(hops, count, &at) : NULL;
                if (!next || used < 0 || (size_t)used >= room) {
                        *out = '\0';
                        return;
                }
                at = next->version;
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
