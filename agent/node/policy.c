/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/policy.c - see policy.h. */
#include "agent/node/policy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "agent/node/hostlist.h"
#include "base/clock.h"

#define SECTION   "policy"
#define DAY       1440 /* minutes */
#define ALL_DAYS  0x7fu
#define HOURS_MAX (366u * 24)
#define LINE_MAX  256 /* bytes; lines of the configuration have fewer */

/* --- reading --------------------------------------------------------------------------------------------------- */

static int wrong(const struct sf_conf_entry *e, const char *expected, struct sf_error *err)
{
        return sf_error_set(err, SF_ERR_USAGE, "%s:%d: [" SECTION "] %s = %s: %s", e->file, e->line, e->key, e->value,
                            expected);
}

/* "Sat": its number, -1 where it is no day. */
static int day_at(const char **at)
{
        static const char names[] = "sunmontuewedthufrisat";

        for (int i = 0; i < 7; i++) {
                if (strncasecmp(*at, names + 3 * i, 3) == 0) {
                        *at += 3;
                        return i;
                }
        }
        return -1;
}

/* "Sat,Mon-Wed ": false where that is not what stands there. No days are all days. */
static bool read_days(const char **at, unsigned *ret)
{
        *ret = 0;
        if (**at >= '0' && **at <= '9') {
                *ret = ALL_DAYS;
                return true;
        }
        for (;; ++*at) {
                int from = day_at(at), to = from;
                if (from >= 0 && **at == '-') {
                        ++*at;
                        to = day_at(at);
                }
                if (from < 0 || to < 0)
                        return false;
                for (; from != to; from = (from + 1) % 7)
                        *ret |= 1u << from;
                *ret |= 1u << to;
                if (**at != ',')
                        break;
        }
        size_t space = strspn(*at, " \t");
        *at += space;
        return space > 0;
}

static int two_digits(const char *at)
{
        return at[0] >= '0' && at[0] <= '9' && at[1] >= '0' && at[1] <= '9' ? (at[0] - '0') * 10 + at[1] - '0' : -1;
}

/* "02:00" in minutes, -1 where it is no time. 24:00 is the end of a day. */
static int time_at(const char **at)
{
        int hours = two_digits(*at), minutes = hours >= 0 && (*at)[2] == ':' ? two_digits(*at + 3) : -1;

        if (minutes < 0 || minutes > 59 || hours * 60 + minutes > DAY)
                return -1;
        *at += 5;
        return hours * 60 + minutes;
}

static int read_window(const struct sf_conf_entry *e, struct sf_policy_window *ret, struct sf_error *err)
{
        const char *at = e->value;

        *ret = (struct sf_policy_window){ .entry = e };
        if (read_days(&at, &ret->days) && (ret->from = time_at(&at)) >= 0 && ret->from < DAY && *at++ == '-' &&
            (ret->to = time_at(&at)) >= 0 && !*at && ret->to != ret->from)
                return 0;
        return wrong(e, "days and times as in 'Sat,Sun 02:00-06:00' or 'Mon-Fri 22:00-04:00' expected", err);
}

static int read_windows(struct sf_conf *conf, struct sf_policy *policy, struct sf_error *err)
{
        policy->windows = calloc(conf->count + 1, sizeof *policy->windows);
        if (!policy->windows)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for the configuration");
        for (const struct sf_conf_entry *e = NULL; (e = sf_conf_next(conf, SECTION, "window", e));) {
                int r = *e->value ? read_window(e, &policy->windows[policy->window_count], err) : 0;
                if (r < 0)
                        return r;
                policy->window_count = *e->value ? policy->window_count + 1 : 0;
        }
        return 0;
}

/* "node[001-016],login 2d": the nodes into ret, and where the delay begins. */
static const char *split_wave(const struct sf_conf_entry *e, char ret[LINE_MAX])
{
        size_t len = strcspn(e->value, " \t"), next;

        while (e->value[next = len + strspn(e->value + len, " \t")] && e->value[next + strcspn(e->value + next, " \t")])
                len = next + strcspn(e->value + next, " \t");
        snprintf(ret, LINE_MAX, "%.*s", (int)len, e->value);
        return e->value + next;
}

/* "2d", "36h" or "0". */
static bool read_delay(const char *text, unsigned *ret)
{
        size_t digits = strspn(text, "0123456789");
        unsigned long number = digits && digits < 6 ? strtoul(text, NULL, 10) : HOURS_MAX + 1;

        *ret = (unsigned)number * (text[digits] == 'd' ? 24 : 1);
        return number <= HOURS_MAX && *ret <= HOURS_MAX &&
               (text[digits] ? strchr("dh", text[digits]) && !text[digits + 1] : number == 0);
}

static bool names_all(const char *nodes)
{
        return strcasecmp(nodes, "ALL") == 0;
}

static int read_wave(const struct sf_conf_entry *e, struct sf_policy_wave *ret, struct sf_error *err)
{
        char nodes[LINE_MAX];
        const char *delay = split_wave(e, nodes);

        *ret = (struct sf_policy_wave){ .entry = e };
        if (!read_delay(delay, &ret->hours))
                return wrong(e, "nodes and a delay as in 'node[001-016] 2d', 'login 36h' or 'ALL 0' expected", err);
        if (!names_all(nodes) && sf_hostlist_count(nodes) == 0)
                return wrong(e,
                             "ALL, or a list of nodes as slurm.conf has it, such as node[001-016,020],login1, expected",
                             err);
        return 0;
}

static int read_waves(struct sf_conf *conf, struct sf_policy *policy, struct sf_error *err)
{
        policy->waves = calloc(conf->count + 1, sizeof *policy->waves);
        if (!policy->waves)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for the configuration");
        for (const struct sf_conf_entry *e = NULL; (e = sf_conf_next(conf, SECTION, "wave", e));) {
                int r = *e->value ? read_wave(e, &policy->waves[policy->wave_count], err) : 0;
                if (r < 0)
                        return r;
                policy->wave_count = *e->value ? policy->wave_count + 1 : 0;
        }
        return 0;
}

static void read_node(struct sf_conf *conf, char ret[256])
{
        const char *name = sf_conf_get(conf, "service", "node_name");

        if (name)
                snprintf(ret, 256, "%s", name);
        else
                gethostname(ret, 255);
}

static const struct sf_conf_entry *last(struct sf_conf *conf, const char *key)
{
        const struct sf_conf_entry *found = NULL;

        for (const struct sf_conf_entry *e = NULL; (e = sf_conf_next(conf, SECTION, key, e));)
                found = *e->value ? e : NULL;
        return found;
}

int sf_policy_read(struct sf_conf *conf, struct sf_policy *ret, struct sf_error *err)
{
        struct sf_version version;

        ret->series = last(conf, "series");
        ret->hold = last(conf, "hold");
        if (ret->series &&
            (sf_version_parse(ret->series->value, &version, NULL) < 0 || version.has_micro || *version.suffix))
                return wrong(ret->series, "a series such as 25.05 expected", err);
        size_t len = ret->hold ? sf_release_name_version_length(ret->hold->value) : 0;
        if (ret->hold && !len)
                return wrong(ret->hold, "a version such as 25.05.3, or the name of a release expected", err);
        if (ret->hold && sf_version_parse(ret->hold->value, &version, NULL) == 0 && !version.has_micro)
                return wrong(ret->hold, "a series is not one release (series = stays on one)", err);
        read_node(conf, ret->node);
        int r = read_windows(conf, ret, err);
        return r < 0 ? r : read_waves(conf, ret, err);
}

void sf_policy_free(struct sf_policy *policy)
{
        free(policy->windows);
        free(policy->waves);
        *policy = (struct sf_policy){ 0 };
}

/* --- judging --------------------------------------------------------------------------------------------------- */

const struct sf_conf_entry *sf_policy_forbids(const struct sf_policy *policy, const char *name, const char *version)
{
        char series[8];

        if (policy->hold)
                return sf_release_name_is_exact(policy->hold->value, name, version) ? NULL : policy->hold;
        sf_version_series(version, series);
        return policy->series && strcmp(series, policy->series->value) != 0 ? policy->series : NULL;
}

const struct sf_conf_entry *sf_policy_wants(const struct sf_policy *policy)
{
        return policy->hold ? policy->hold : policy->series;
}

bool sf_policy_window_open(const struct sf_policy_window *w, const struct tm *local)
{
        int now = local->tm_hour * 60 + local->tm_min, yesterday = (local->tm_wday + 6) % 7;
        bool today = w->days >> local->tm_wday & 1, late = w->days >> yesterday & 1;

        if (w->from < w->to)
                return today && now >= w->from && now < w->to;
        return (today && now >= w->from) || (late && now < w->to);
}

bool sf_policy_open(const struct sf_policy *policy, const struct tm *local)
{
        for (size_t i = 0; i < policy->window_count; i++)
                if (sf_policy_window_open(&policy->windows[i], local))
                        return true;
        return !policy->window_count;
}

static bool names_node(const struct sf_policy_wave *wave, const char *node)
{
        char nodes[LINE_MAX], alone[256];

        split_wave(wave->entry, nodes);
        snprintf(alone, sizeof alone, "%.*s", (int)strcspn(node, "."), node);
        return names_all(nodes) || sf_hostlist_find(nodes, node) >= 0 || sf_hostlist_find(nodes, alone) >= 0;
}

const struct sf_policy_wave *sf_policy_own_wave(const struct sf_policy *policy)
{
        for (size_t i = policy->wave_count; i-- > 0;)
                if (names_node(&policy->waves[i], policy->node))
                        return &policy->waves[i];
        return NULL;
}

bool sf_policy_reached(const struct sf_policy *policy, const char *created, time_t now)
{
        const struct sf_policy_wave *own = sf_policy_own_wave(policy);
        char since[SF_CLOCK_STAMP];

        return !own || strcmp(created, sf_clock_stamp((int64_t)now - own->hours * INT64_C(3600), since)) <= 0;
}

static const char *wave_state(const struct sf_policy *policy, const struct sf_policy_wave *wave)
{
        return wave == sf_policy_own_wave(policy) ? "in force"
               : names_node(wave, policy->node)   ? "overruled by a later wave"
                                                  : "for other nodes";
}

const struct sf_conf_entry *sf_policy_rule(const struct sf_policy *policy, const struct tm *local, size_t i,
                                           const char **ret_state)
{
        *ret_state = "in force";
        if (policy->hold && i-- == 0)
                return policy->hold;
        if (policy->series && i-- == 0) {
                if (policy->hold)
                        *ret_state = "overruled by the hold";
                return policy->series;
        }
        if (i < policy->window_count) {
                *ret_state = sf_policy_window_open(&policy->windows[i], local) ? "open" : "closed";
                return policy->windows[i].entry;
        }
        i -= policy->window_count;
        if (i >= policy->wave_count)
                return NULL;
        *ret_state = wave_state(policy, &policy->waves[i]);
        return policy->waves[i].entry;
}
