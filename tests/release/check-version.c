/* SPDX-License-Identifier: Apache-2.0 */
/* tests/release/check-version.c - versions, release names, what a user means by part of one, and the window. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "release/version.h"

static void reads_versions(void **state)
{
        struct sf_version v;

        (void)state;
        assert_int_equal(sf_version_parse("24.11.5rc1", &v, NULL), 0);
        assert_int_equal(v.major, 24);
        assert_int_equal(v.minor, 11);
        assert_int_equal(v.micro, 5);
        assert_true(v.has_micro);
        assert_string_equal(v.suffix, "rc1");
        assert_int_equal(sf_version_parse("26.05", &v, NULL), 0);
        assert_int_equal(v.minor, 5);
        assert_false(v.has_micro);

        /* what META says of a re-release and of a candidate, and what packages make of the latter */
        assert_int_equal(sf_version_parse("21.08.8-2", &v, NULL), 0);
        assert_int_equal(v.micro, 8);
        assert_int_equal(v.build, 2);
        assert_string_equal(v.suffix, "");
        assert_int_equal(sf_version_parse("25.11.0-0rc1", &v, NULL), 0);
        assert_int_equal(v.build, 0);
        assert_string_equal(v.suffix, "rc1");
        assert_int_equal(sf_version_parse("25.11.0rc1", &v, NULL), 0);
        assert_int_equal(v.build, 0);

        static const char *const refused[] = { "",
                                               "24",
                                               "24.",
                                               "24.11.",
                                               ".11",
                                               "24.11.05",
                                               "24.11.x",
                                               "24.11.5-1",
                                               "24.11.5-",
                                               "24.11.5-02",
                                               "24.11-2",
                                               "24.11.5-2-3",
                                               "24.11.5-rc1",
                                               "24.11.5 ",
                                               "24.11.5/..",
                                               "24.11.5RC1",
                                               "-24.11",
                                               "+24.11.5",
                                               "24.11.5.1",
                                               "99999.1.1",
                                               "24.11.5aaaaaaaaaaaaaaaaaaaaaaaaaaaa" };
        for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
                assert_int_equal(sf_version_parse(refused[i], &v, NULL), SF_ERR_USAGE);
}

static void orders_versions(void **state)
{
        static const char *const ascending[] = { "2.6.9",      "22.05.8",      "23.11.10",     "24.05.1", "24.11",
                                                 "24.11.1rc2", "24.11.1rc10",  "24.11.1",      "24.11.5", "24.11.5-2",
                                                 "24.11.10",   "25.05.0-0rc1", "25.05.0-0rc2", "25.05.0" };
        size_t count = sizeof ascending / sizeof *ascending;

        (void)state;
        for (size_t i = 0; i < count; i++)
                for (size_t j = 0; j < count; j++) {
                        struct sf_version a, b;
                        assert_int_equal(sf_version_parse(ascending[i], &a, NULL), 0);
                        assert_int_equal(sf_version_parse(ascending[j], &b, NULL), 0);
                        int order = sf_version_compare(&a, &b);
                        assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
                }
}

static void knows_other_spellings(void **state)
{
        (void)state;
        assert_true(sf_version_is_same("25.11.0rc1", "25.11.0-0rc1"));
        assert_true(sf_version_is_same("25.11.1-2", "25.11.1-2"));
        assert_false(sf_version_is_same("25.11.1-2", "25.11.1"));
        assert_false(sf_version_is_same("25.11.0rc1", "25.11.0"));
        assert_false(sf_version_is_same("25.11", "25.11.0"));
        assert_true(sf_version_is_same("", ""));
        assert_false(sf_version_is_same("", "25.11.0"));
}

static void reads_release_names(void **state)
{
        struct sf_release_name n;

        (void)state;
        assert_int_equal(sf_release_name_parse("25.11.6-noble-amd64-site-2", &n, NULL), 0);
        assert_string_equal(n.version, "25.11.6");
        assert_string_equal(n.toolchain, "noble");
        assert_string_equal(n.arch, "amd64");
        assert_string_equal(n.build, "site-2");
        assert_int_equal(sf_release_name_parse("24.11.5-rockylinux9-arm64", &n, NULL), 0);
        assert_string_equal(n.build, "");

        static const char *const with_build[][2] = {
                { "25.11.0-0rc1-noble-amd64", "25.11.0-0rc1" },
                { "21.08.8-2-noble-amd64-site-2", "21.08.8-2" },
                { "25.11.1-2-el9-amd64", "25.11.1-2" },
        };
        for (size_t i = 0; i < sizeof with_build / sizeof *with_build; i++) {
                assert_int_equal(sf_release_name_parse(with_build[i][0], &n, NULL), 0);
                assert_string_equal(n.version, with_build[i][1]);
                assert_string_equal(n.arch, "amd64");
                assert_int_equal(sf_release_name_version_length(n.text), strlen(n.version));
                assert_int_equal(sf_release_name_make(n.version, n.toolchain, n.arch, n.build, &n, NULL), 0);
                assert_string_equal(n.text, with_build[i][0]);
        }
        assert_int_equal(sf_release_name_version_length("25.11.1-2-noble"), 9);
        assert_int_equal(sf_release_name_version_length("foreign-20261130"), 0);

        static const char *const refused[] = { "",
                                               "24.11.5-2",
                                               "24.11.5-2-noble",
                                               "24.11.5-1-noble-amd64", /* a second name of 24.11.5 */
                                               "24.11.5",
                                               "24.11.5-noble",
                                               "24.11-noble-amd64", /* no micro: not a release */
                                               "24.11.5-noble-amd64-",
                                               "24.11.5--amd64",
                                               "24.11.5-../..-amd64",
                                               "24.11.5-noble-amd64-../x",
                                               "24.11.5-noble-amd64-a/b",
                                               "24.11.5-noble-amd64 ",
                                               "24.11.5-..-amd64",
                                               "24.11.5-Noble-amd64",
                                               "24.11.5-noble-amd64\n",
                                               "24.11.5-noble-averyverylongarchitecture" };
        for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
                assert_int_equal(sf_release_name_parse(refused[i], &n, NULL), SF_ERR_USAGE);

        assert_int_equal(sf_release_name_make("24.11.5", "bookworm", "amd64", NULL, &n, NULL), 0);
        assert_string_equal(n.text, "24.11.5-bookworm-amd64");
        assert_int_equal(sf_release_name_make("24.11.5", "book-worm", "amd64", "", &n, NULL), SF_ERR_USAGE);
}

static void understands_what_is_wanted(void **state)
{
        static const char *const texts[] = { "24.11.5-noble-amd64",    "24.11.10-noble-amd64",   "24.11.9-noble-amd64",
                                             "25.1.1-noble-amd64",     "25.11.0rc1-noble-amd64", "23.11.1-noble-amd64",
                                             "23.11.1-noble-amd64-b2", "23.11.0-noble-amd64",    "26.05.1-noble-amd64",
                                             "26.05.1-2-noble-amd64",  "26.05.2-2-noble-amd64" };
        static const struct {
                const char *wanted, *chosen;
                int result;
        } cases[] = {
                { "25.11.0-0rc1", "25.11.0rc1-noble-amd64", 0 }, /* as its daemon calls itself */
                { "24.11", "24.11.10-noble-amd64", 0 },
                { "24.11.5", "24.11.5-noble-amd64", 0 },
                { "24.11.5-noble", "24.11.5-noble-amd64", 0 },
                { "24.11.1", NULL, SF_ERR_NOT_FOUND }, /* not 24.11.10 */
                { "25.1", "25.1.1-noble-amd64", 0 },   /* not 25.11 */
                { "25.11", "25.11.0rc1-noble-amd64", 0 },
                { "23.11", NULL, SF_ERR_USAGE },
                { "23.11.1-noble-amd64", "23.11.1-noble-amd64", 0 }, /* a whole name is never ambiguous */
                { "26.05.1", "26.05.1-noble-amd64", 0 },             /* itself, not its second release */
                { "26.05.1-2", "26.05.1-2-noble-amd64", 0 },
                { "26.05.2", "26.05.2-2-noble-amd64", 0 },
                { "", NULL, SF_ERR_NOT_FOUND },
                { "24.11.5-", NULL, SF_ERR_NOT_FOUND },
        };
        struct sf_release_name names[sizeof texts / sizeof *texts];
        struct sf_error err = SF_ERROR_INIT;
        size_t count = sizeof texts / sizeof *texts, chosen;

        (void)state;
        for (size_t i = 0; i < count; i++)
                assert_int_equal(sf_release_name_parse(texts[i], &names[i], NULL), 0);
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                int r = sf_release_name_choose(names, count, cases[i].wanted, &chosen, &err);
                assert_int_equal(r, cases[i].result);
                if (r == 0)
                        assert_string_equal(names[chosen].text, cases[i].chosen);
        }
        assert_int_equal(sf_release_name_choose(names, count, "23.11", &chosen, &err), SF_ERR_USAGE);
        assert_string_equal(err.text, "\"23.11\" may mean any of 23.11.1-noble-amd64, 23.11.1-noble-amd64-b2");
}

static bool accepts(const char *server, const char *client)
{
        struct sf_version s, c;

        assert_int_equal(sf_version_parse(server, &s, NULL), 0);
        assert_int_equal(sf_version_parse(client, &c, NULL), 0);
        return sf_window_accepts(sf_window_builtin, &s, &c);
}

static void knows_the_window(void **state)
{
        (void)state;
        assert_true(accepts("24.11.5", "24.11.0"));
        assert_true(accepts("24.11.5", "24.05.1"));
        assert_true(accepts("24.11.5", "23.02.7"));
        assert_true(accepts("25.11.6", "24.05.1"));
        assert_true(accepts("26.05.0", "24.11.5"));
        assert_false(accepts("25.11.6", "23.11.1"));
        assert_false(accepts("24.11.5", "22.05.8"));
        assert_false(accepts("24.11.5", "25.05.0")); /* a peer that is newer than the daemon */
        assert_false(accepts("19.05.8", "19.05.8")); /* a series nobody knows */
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(reads_versions),
                cmocka_unit_test(orders_versions),
                cmocka_unit_test(knows_other_spellings),
                cmocka_unit_test(reads_release_names),
                cmocka_unit_test(understands_what_is_wanted),
                cmocka_unit_test(knows_the_window),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
