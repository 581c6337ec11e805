/* SPDX-License-Identifier: Apache-2.0 */
/* tests/agent/check-policy.c - section [policy]: what is read, what is refused, how releases and times are judged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "agent/node/policy.h"

struct kit {
        struct sf_conf conf;
        struct sf_policy policy;
        struct sf_error err;
};

static int read_text(struct kit *kit, const char *text)
{
        char all[1024];

        snprintf(all, sizeof all, "[policy]\n%s", text);
        *kit = (struct kit){ .conf = SF_CONF_INIT, .err = SF_ERROR_INIT };
        assert_int_equal(sf_conf_parse(&kit->conf, "site.conf", all, NULL), 0);
        return sf_policy_read(&kit->conf, &kit->policy, &kit->err);
}

static void done(struct kit *kit)
{
        sf_policy_free(&kit->policy);
        sf_conf_free(&kit->conf);
}

static void wrong_values(void **state)
{
        static const char *const values[] = {
                "series = 25.05.1",
                "series = new",
                "series = 25.05rc1",
                "hold = newest",
                "hold = 25.05",
                "window = Sat",
                "window = Sat,Sun",
                "window = Sat02:00-06:00",
                "window = Sam 02:00-06:00",
                "window = 02:00",
                "window = 02:00-02:00",
                "window = 2:00-06:00",
                "window = 24:00-06:00",
                "window = 02:60-06:00",
                "window = 02:00-24:01",
                "window = 02:00-06:00 x",
                "window = Sat, 02:00-06:00",
                "window = Mon- 02:00-06:00",
                "window = Sat 02:00 - 06:00",
                "window = Sat 02:00-06:00,08:00-09:00",
                "window = Saturday 02:00-06:00",
                "window = -02:00-06:00",
                "window = 99:99-00:10",
                "wave = node[001-016]",
                "wave = 2d",
                "wave = node[001-016] 2",
                "wave = node[001-016] d",
                "wave = node[001-016] 2w",
                "wave = node[001-016] 2dd",
                "wave = node[001-016] -1d",
                "wave = node[001-016] 1.5d",
                "wave = node[001-016] 367d",
                "wave = node[001-016] 8785h",
                "wave = node[001-016] 99999999999999999999d",
                "wave = node[001-016 2d",
                "wave = node001-016] 2d",
                "wave = node[] 2d",
                "wave = node[16-1] 2d",
                "wave = node[a-b] 2d",
                "wave = node[1-] 2d",
                "wave = node[1-2]],x 2d",
                "wave = , 2d",
                "wave = node[1-99999999999999999999] 2d",
        };

        (void)state;
        for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
                struct kit kit;
                char text[256];
                snprintf(text, sizeof text, "hold = 24.11.5\n%s\n", values[i]);
                if (read_text(&kit, text) != SF_ERR_USAGE)
                        fail_msg("accepted: %s", values[i]);
                assert_non_null(strstr(kit.err.text, "site.conf:3: [policy] "));
                assert_non_null(strstr(kit.err.text, values[i]));
                done(&kit);
        }
}

/* The rule that forbids a release, "" where none does. */
static const char *forbids(const char *rules, const char *name, const char *version)
{
        static char rule[64];
        struct kit kit;

        assert_int_equal(read_text(&kit, rules), 0);
        const struct sf_conf_entry *e = sf_policy_forbids(&kit.policy, name, version);
        snprintf(rule, sizeof rule, "%s", e ? e->key : "");
        done(&kit);
        return rule;
}

static void releases(void **state)
{
        (void)state;
        assert_string_equal(forbids("", "25.11.4-noble-amd64", "25.11.4"), "");
        assert_string_equal(forbids("series = 25.05\n", "25.05.9-noble-amd64", "25.05.9"), "");
        assert_string_equal(forbids("series = 25.05\n", "25.11.4-noble-amd64", "25.11.4"), "series");
        assert_string_equal(forbids("series = 25.05\n", "", "24.11.4"), "series");
        assert_string_equal(forbids("hold = 25.05.3\n", "25.05.3-noble-amd64", "25.05.3"), "");
        assert_string_equal(forbids("hold = 25.05.3\n", "25.05.3-noble-amd64-gpu", "25.05.3"), "");
        assert_string_equal(forbids("hold = 25.05.3\n", "", "25.05.3"), "");
        assert_string_equal(forbids("hold = 25.05.3\n", "25.05.31-noble-amd64", "25.05.31"), "hold");
        assert_string_equal(forbids("hold = 25.05.3\n", "25.05.3-2-noble-amd64", "25.05.3-2"), "hold");
        assert_string_equal(forbids("hold = 25.05.3-2\n", "25.05.3-2-noble-amd64", "25.05.3-2"), "");
        assert_string_equal(forbids("hold = 25.05.3-2\n", "25.05.3-noble-amd64", "25.05.3"), "hold");
        assert_string_equal(forbids("hold = 25.05.3-noble\n", "25.05.3-noble-amd64", "25.05.3"), "");
        assert_string_equal(forbids("hold = 25.05.3-nob\n", "25.05.3-noble-amd64", "25.05.3"), "hold");
        assert_string_equal(forbids("hold = 25.05.3-noble-amd64-gpu\n", "25.05.3-noble-amd64", "25.05.3"), "hold");
        assert_string_equal(forbids("hold = 25.05.0-0rc1\n", "", "25.05.0rc1"), "");
        /* A hold wins over the series, and nothing takes it back but an empty one. */
        assert_string_equal(forbids("series = 25.11\nhold = 25.05.3\n", "25.05.3-noble-amd64", "25.05.3"), "");
        assert_string_equal(forbids("series = 25.11\nhold = 25.05.3\n", "25.11.4-noble-amd64", "25.11.4"), "hold");
        assert_string_equal(forbids("hold = 25.05.3\nhold = 25.05.4\n", "25.05.3-noble-amd64", "25.05.3"), "hold");
        assert_string_equal(forbids("hold = 25.05.3\nhold =\n", "25.11.4-noble-amd64", "25.11.4"), "");
}

static bool open_at(const char *rules, int weekday, int hour, int minute)
{
        const struct tm local = { .tm_wday = weekday, .tm_hour = hour, .tm_min = minute };
        struct kit kit;

        assert_int_equal(read_text(&kit, rules), 0);
        bool open = sf_policy_open(&kit.policy, &local);
        done(&kit);
        return open;
}

enum { SUN, MON, TUE, WED, THU, FRI, SAT };

static void windows(void **state)
{
        (void)state;
        assert_true(open_at("", WED, 12, 0));
        assert_true(open_at("window = Sat,Sun 02:00-06:00\n", SAT, 2, 0));
        assert_true(open_at("window = Sat,Sun 02:00-06:00\n", SUN, 5, 59));
        assert_false(open_at("window = Sat,Sun 02:00-06:00\n", SAT, 6, 0));
        assert_false(open_at("window = Sat,Sun 02:00-06:00\n", SAT, 1, 59));
        assert_false(open_at("window = Sat,Sun 02:00-06:00\n", FRI, 3, 0));
        assert_true(open_at("window = 00:00-24:00\n", FRI, 23, 59));
        /* Past midnight: of the day on which it began. */
        assert_true(open_at("window = fri 22:00-04:00\n", FRI, 22, 0));
        assert_true(open_at("window = fri 22:00-04:00\n", SAT, 3, 59));
        assert_false(open_at("window = fri 22:00-04:00\n", FRI, 3, 59));
        assert_false(open_at("window = fri 22:00-04:00\n", SAT, 22, 0));
        assert_true(open_at("window = Sat 22:00-04:00\n", SUN, 1, 0));
        /* Days from one to another, also over the week's end. */
        assert_true(open_at("window = Mon-Thu,Sat 02:00-06:00\n", WED, 3, 0));
        assert_true(open_at("window = Mon-Thu,Sat 02:00-06:00\n", THU, 3, 0));
        assert_false(open_at("window = Mon-Thu,Sat 02:00-06:00\n", FRI, 3, 0));
        assert_true(open_at("window = Sat-Mon 02:00-06:00\n", SUN, 3, 0));
        assert_true(open_at("window = Sat-Mon 02:00-06:00\n", MON, 3, 0));
        assert_false(open_at("window = Sat-Mon 02:00-06:00\n", TUE, 3, 0));
        /* Several add up; an empty one takes back what stands before it. */
        assert_true(open_at("window = Sat 02:00-06:00\nwindow = Tue 12:00-13:00\n", TUE, 12, 30));
        assert_true(open_at("window = Sat 02:00-06:00\nwindow = Tue 12:00-13:00\n", SAT, 3, 0));
        assert_true(open_at("window = Sat 02:00-06:00\nwindow =\n", TUE, 12, 30));
        assert_false(open_at("window = Tue 12:00-13:00\nwindow =\nwindow = Sat 02:00-06:00\n", TUE, 12, 30));
}

/* Which wave counts for a node: its line, 0 for none, and after how many hours. */
static int wave_of(const char *rules, const char *node, unsigned *ret_hours)
{
        struct kit kit;
        char all[1024];

        /* [policy] goes on behind it. */
        snprintf(all, sizeof all, "%s[service]\nnode_name = %s\n", rules, node);
        assert_int_equal(read_text(&kit, all), 0);
        const struct sf_policy_wave *own = sf_policy_own_wave(&kit.policy);
        int line = own ? own->entry->line : 0;
        *ret_hours = own ? own->hours : 0;
        done(&kit);
        return line;
}

static void waves(void **state)
{
        static const char rules[] = "wave = ALL 7d\nwave = node[001-016,020],login[1-2] 36h\nwave = node001 0\n";
        static const struct {
                const char *node;
                int line;
                unsigned hours;
        } cases[] = {
                { "node001", 4, 0 },    { "node002", 3, 36 }, { "NODE016", 3, 36 },
                { "node017", 2, 168 },  { "node020", 3, 36 }, { "node2", 2, 168 },
                { "node0020", 2, 168 }, { "login2", 3, 36 },  { "login2.cluster.example", 3, 36 },
                { "login", 2, 168 },
        };
        unsigned hours;

        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                int line = wave_of(rules, cases[i].node, &hours);
                if (line != cases[i].line || hours != cases[i].hours)
                        fail_msg("%s: line %d, %u hours", cases[i].node, line, hours);
        }
        assert_int_equal(wave_of("wave = node[001-016] 2d\n", "gpu1", &hours), 0);
        assert_int_equal(wave_of("wave = all 2d\nwave =\n", "gpu1", &hours), 0);
        assert_int_equal(wave_of("wave = n1\t,  n2 \t 2d\n", "n2", &hours), 2);
        assert_int_equal(hours, 48);
        /* Not the delay for a node of that name. */
        assert_int_equal(wave_of("wave = n1 2d\n", "2d", &hours), 0);
}

static bool reached(const char *rules, const char *created, time_t now)
{
        struct kit kit;

        assert_int_equal(read_text(&kit, rules), 0);
        bool reached = sf_policy_reached(&kit.policy, created, now);
        done(&kit);
        return reached;
}

static void when_waves_come(void **state)
{
        const time_t now = 1796040000; /* 2026-11-30T12:00:00Z */

        (void)state;
        assert_true(reached("", "2026-11-30T11:59:59Z", now));
        assert_true(reached("wave = ALL 0\n", "2026-11-30T12:00:00Z", now));
        assert_true(reached("wave = ALL 2d\n", "2026-11-28T12:00:00Z", now));
        assert_false(reached("wave = ALL 2d\n", "2026-11-28T12:00:01Z", now));
        assert_true(reached("wave = ALL 1h\n", "2026-11-30T11:00:00Z", now));
        assert_false(reached("wave = ALL 1h\n", "2026-11-30T11:00:01Z", now));
        assert_true(reached("wave = ALL 366d\n", "2025-11-29T11:59:59Z", now));
}

static void what_status_says(void **state)
{
        const struct tm local = { .tm_wday = SAT, .tm_hour = 3 };
        struct kit kit;
        char all[512] = "";
        const char *now;
        const struct sf_conf_entry *e;

        (void)state;
        assert_int_equal(read_text(&kit,
                                   "series = 25.05\nhold = 25.05.3\nwindow = Sat 02:00-06:00\nwindow = 12:00-13:00\n"
                                   "wave = ALL 7d\nwave = n[1-4] 1d\nwave = m1 0\n[service]\nnode_name = n3\n"),
                         0);
        for (size_t i = 0; (e = sf_policy_rule(&kit.policy, &local, i, &now)); i++)
                snprintf(all + strlen(all), sizeof all - strlen(all), "%s:%d %s|", e->key, e->line, now);
        assert_string_equal(all, "hold:3 in force|series:2 overruled by the hold|window:4 open|window:5 closed|"
                                 "wave:6 overruled by a later wave|wave:7 in force|wave:8 for other nodes|");
        assert_ptr_equal(sf_policy_wants(&kit.policy), kit.policy.hold);
        done(&kit);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(wrong_values), cmocka_unit_test(releases),        cmocka_unit_test(windows),
                cmocka_unit_test(waves),        cmocka_unit_test(when_waves_come), cmocka_unit_test(what_status_says),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
