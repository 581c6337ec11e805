/* SPDX-License-Identifier: Apache-2.0 */
/* tests/factory/check-osv.c - versions in order, ranges of advisories, and files made to mislead. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "factory/publish/osv.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static int sign(int n)
{
        return (n > 0) - (n < 0);
}

/* Each list is in order, and no two of it are equal. */
static void check_order(const char *package, bool semver, const char *const *list, size_t count)
{
        for (size_t i = 0; i < count; i++)
                for (size_t k = 0; k < count; k++)
                        if (sign(sf_osv_compare(package, semver, list[i], list[k])) != (i > k) - (i < k))
                                fail_msg("%s against %s", list[i], list[k]);
}

static void test_order(void **state)
{
        static const char *const plain[] = { "0",     "0.9",    "1.0~rc1", "1.0",     "1.0-1",
                                             "1.0.1", "1.0.10", "1.1rc1",  "1.1-rc2", "1.1",
                                             "1.1a",  "1.1b",   "1.17.2",  "2.0",     "18446744073709551616" };
        static const char *const semver[] = { "0.0.1",        "1.0.0-alpha",   "1.0.0-alpha.1", "1.0.0-alpha.beta",
                                              "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1",    "1.0.0",
                                              "1.2.0",        "1.10.0" };
        static const char *const slurm[] = { "23.11.10", "24.11.0-0rc1", "24.11.0", "24.11.5", "25.11.1", "25.11.1-2" };

        (void)state;
        check_order("munge", false, plain, COUNT(plain));
        check_order("munge", true, semver, COUNT(semver));
        check_order("slurm", false, slurm, COUNT(slurm));
        check_order("slurm", true, slurm, COUNT(slurm));
        assert_int_equal(sf_osv_compare("x", false, "1:1.2", "1.2"), 0);
        assert_int_equal(sf_osv_compare("x", false, "v1.2", "1.2"), 0);
        assert_int_equal(sf_osv_compare("x", true, "1", "1.0.0"), 0);
        assert_int_equal(sf_osv_compare("x", true, "1.0.0+b1", "1.0.0+b2"), 0);
}

/* What an advisory with these members of one `affected` says of munge at a version. */
static int judge(const char *members, const char *version, enum sf_osv_verdict *ret, char *ret_fixed)
{
        _cleanup_free_ char *text = sf_format("{\"id\": \"T-1\", \"affected\": [{%s}]}", members);
        _cleanup_json_ json_t *list = NULL;
        struct sf_error err = SF_ERROR_INIT;
        const char *fixed = "";
        int r = sf_osv_parse("test", text, strlen(text), &list, &err);

        if (r == 0)
                r = sf_osv_judge(json_array_get(list, 0), "munge", version, ret, &fixed, &err);
        if (r == 0 && ret_fixed)
                snprintf(ret_fixed, 64, "%s", fixed);
        assert_true(r == 0 || strlen(err.text) > 8);
        return r;
}

#define PACKAGE              "\"package\": {\"ecosystem\": \"OSS-Fuzz\", \"name\": \"munge\"}, "
#define RANGE(type, events)  PACKAGE "\"ranges\": [{\"type\": \"" type "\", \"events\": [" events "]}]"
#define EVENT(kind, version) "{\"" kind "\": \"" version "\"}"

static void test_ranges(void **state)
{
        static const struct {
                const char *members, *version;
                enum sf_osv_verdict wanted;
        } cases[] = {
                { RANGE("ECOSYSTEM", EVENT("introduced", "0") "," EVENT("fixed", "0.5.18")), "0.5.17",
                  SF_OSV_AFFECTED },
                { RANGE("ECOSYSTEM", EVENT("introduced", "0") "," EVENT("fixed", "0.5.18")), "0.5.18",
                  SF_OSV_UNAFFECTED },
                { RANGE("SEMVER", EVENT("fixed", "0.5.18") "," EVENT("introduced", "0.5.0")), "0.5.9",
                  SF_OSV_AFFECTED },
                { RANGE("SEMVER", EVENT("fixed", "0.5.18") "," EVENT("introduced", "0.5.0")), "0.4.9",
                  SF_OSV_UNAFFECTED },
                { RANGE("SEMVER", EVENT("introduced", "0.5.10")), "0.5.9", SF_OSV_UNAFFECTED },
                { RANGE("SEMVER", EVENT("introduced", "0.5.10")), "9.0", SF_OSV_AFFECTED },
                { RANGE("SEMVER", EVENT("introduced", "0") "," EVENT("last_affected", "0.5.9")), "0.5.9",
                  SF_OSV_AFFECTED },
                { RANGE("SEMVER", EVENT("introduced", "0") "," EVENT("last_affected", "0.5.9")), "0.5.10",
                  SF_OSV_UNAFFECTED },
                { RANGE("SEMVER", EVENT("introduced", "0") "," EVENT("limit", "0.5")), "0.5.1", SF_OSV_UNAFFECTED },
                { RANGE("SEMVER", EVENT("introduced", "0") "," EVENT("limit", "0.6")), "0.5.1", SF_OSV_AFFECTED },
                { RANGE("SEMVER", EVENT("introduced", "0") "," EVENT("limit", "*")), "0.5.1", SF_OSV_AFFECTED },
                /* Two spans, in any order of events; fixed and introduced again at one version. */
                { RANGE("SEMVER", EVENT("introduced", "2.0") "," EVENT("fixed", "1.1") "," EVENT("introduced", "1.0")),
                  "1.0.5", SF_OSV_AFFECTED },
                { RANGE("SEMVER", EVENT("introduced", "2.0") "," EVENT("fixed", "1.1") "," EVENT("introduced", "1.0")),
                  "1.5", SF_OSV_UNAFFECTED },
                { RANGE("SEMVER", EVENT("introduced", "2.0") "," EVENT("fixed", "1.1") "," EVENT("introduced", "1.0")),
                  "2.1", SF_OSV_AFFECTED },
                { RANGE("SEMVER", EVENT("introduced", "0") "," EVENT("introduced", "1.0") "," EVENT("fixed", "1.0")),
                  "1.0", SF_OSV_AFFECTED },
                /* A pre-release of the fix is not the fix. */
                { RANGE("SEMVER", EVENT("introduced", "0") "," EVENT("fixed", "1.0.0")), "1.0.0-rc.1",
                  SF_OSV_AFFECTED },
                { RANGE("ECOSYSTEM", EVENT("introduced", "0") "," EVENT("fixed", "1.0")), "1.0rc1", SF_OSV_AFFECTED },
                /* Commits say nothing; a list of versions beside them does. */
                { RANGE("GIT", EVENT("introduced", "0") "," EVENT("fixed", "deadbeef")), "0.5.17", SF_OSV_UNCLEAR },
                { RANGE("GIT", EVENT("introduced", "0")) ", \"versions\": [\"0.5.1\"]", "0.5.17", SF_OSV_UNAFFECTED },
                { PACKAGE "\"versions\": [\"0.5.16\", \"v0.5.17\"]", "0.5.17", SF_OSV_AFFECTED },
                { PACKAGE "\"versions\": []", "0.5.17", SF_OSV_UNCLEAR },
                /* A distribution's patched package: ours of the same version has the hole. */
                { "\"package\": {\"ecosystem\": \"Debian:12\", \"name\": \"munge\"}, \"ranges\": [{\"type\": "
                  "\"ECOSYSTEM\", \"events\": [{\"introduced\": \"0\"}, {\"fixed\": \"0.5.15-2+deb12u1\"}]}]",
                  "0.5.15", SF_OSV_AFFECTED },
                { "\"package\": {\"ecosystem\": \"Debian:12\", \"name\": \"munge\"}, \"ranges\": [{\"type\": "
                  "\"ECOSYSTEM\", \"events\": [{\"introduced\": \"0\"}, {\"fixed\": \"0.5.15-2+deb12u1\"}]}]",
                  "0.5.16", SF_OSV_UNAFFECTED },
                /* Who is meant. */
                { "\"package\": {\"purl\": \"pkg:generic/dun/Munge@1?a=/b\"}, \"versions\": [\"1\"]", "1",
                  SF_OSV_AFFECTED },
                { "\"package\": {\"ecosystem\": \"npm\", \"name\": \"munge\"}, \"versions\": [\"1\"]", "1",
                  SF_OSV_OTHER },
                { "\"package\": {\"ecosystem\": \"PyPI\", \"name\": \"munge\", \"purl\": \"pkg:pypi/munge\"}, "
                  "\"versions\": [\"1\"]",
                  "1", SF_OSV_OTHER },
                { "\"package\": {\"ecosystem\": \"X\", \"name\": \"munge2\"}, \"versions\": [\"1\"]", "1",
                  SF_OSV_OTHER },
                { "\"package\": {\"purl\": \"munge\"}, \"versions\": [\"1\"]", "1", SF_OSV_OTHER },
                { "\"ranges\": [{\"type\": \"GIT\"}]", "1", SF_OSV_OTHER },
        };

        (void)state;
        for (size_t i = 0; i < COUNT(cases); i++) {
                enum sf_osv_verdict verdict = SF_OSV_OTHER;

                assert_int_equal(judge(cases[i].members, cases[i].version, &verdict, NULL), 0);
                if (verdict != cases[i].wanted)
                        fail_msg("case %zu, %s: %d instead of %d", i, cases[i].members, (int)verdict,
                                 (int)cases[i].wanted);
        }
}

static void test_fixed(void **state)
{
        enum sf_osv_verdict verdict;
        char fixed[64];

        (void)state;
        judge(RANGE("SEMVER", EVENT("introduced",
                                    "0") "," EVENT("fixed", "3.0") "," EVENT("fixed", "1.2") "," EVENT("fixed", "1.1")),
              "1.1.5", &verdict, fixed);
        assert_string_equal(fixed, "1.2");
}

static void test_malformed(void **state)
{
        static const char *const affected[] = {
                RANGE("SEMVER", ""),
                RANGE("SEMVER", EVENT("fixed", "1")),
                RANGE("SEMVER", "7"),
                RANGE("SEMVER", "{}"),
                RANGE("SEMVER", "{\"introduced\": 0}"),
                RANGE("SEMVER", "{\"introduced\": \"\"}"),
                RANGE("SEMVER", "{\"introduced\": \"0\", \"fixed\": \"1\"}"),
                RANGE("SEMVER", "{\"appeared\": \"0\"}"),
                PACKAGE "\"ranges\": 5",
                PACKAGE "\"ranges\": [5]",
                PACKAGE "\"ranges\": [{\"type\": 1}]",
                PACKAGE "\"versions\": [5]",
                PACKAGE "\"versions\": {}",
                "\"package\": {}",
                "\"package\": \"munge\"",
        };
        static const char *const whole[] = { "",
                                             "[",
                                             "7",
                                             "\"x\"",
                                             "{}",
                                             "[7]",
                                             "[{\"id\": \"\"}]",
                                             "[{\"id\": 7}]",
                                             "{\"vulns\": [{}]}",
                                             "{\"id\": \"a\", \"id\": \"b\"}",
                                             "{\"id\": \"a\"} {\"id\": \"b\"}",
                                             "{\"id\": \"a\xff\"}" };
        enum sf_osv_verdict verdict;

        (void)state;
        for (size_t i = 0; i < COUNT(affected); i++)
                if (judge(affected[i], "1", &verdict, NULL) != SF_ERR_CORRUPT)
                        fail_msg("taken: %s", affected[i]);
        for (size_t i = 0; i < COUNT(whole); i++) {
                struct sf_error err = SF_ERROR_INIT;
                json_t *list = NULL;

                if (sf_osv_parse("f.json", whole[i], strlen(whole[i]), &list, &err) != SF_ERR_CORRUPT ||
                    !strstr(err.text, "f.json"))
                        fail_msg("taken: %s", whole[i]);
        }
}

/* Deep nesting and long versions end in an answer. */
static void test_hostile_size(void **state)
{
        static char deep[300000], version[100001];
        enum sf_osv_verdict verdict;
        struct sf_error err = SF_ERROR_INIT;
        json_t *list = NULL;

        (void)state;
        memset(deep, '[', sizeof deep - 1);
        assert_int_equal(sf_osv_parse("f", deep, strlen(deep), &list, &err), SF_ERR_CORRUPT);
        memset(version, '9', sizeof version - 1);
        _cleanup_free_ char *members = sf_format(PACKAGE "\"versions\": [\"%s\"]", version);
        assert_int_equal(judge(members, "1", &verdict, NULL), 0);
        assert_int_equal(verdict, SF_OSV_UNAFFECTED);
        _cleanup_free_ char *range = sf_format(RANGE("SEMVER", "{\"introduced\": \"%s\"}"), version);
        assert_int_equal(judge(range, "1", &verdict, NULL), SF_ERR_CORRUPT);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_order),     cmocka_unit_test(test_ranges),       cmocka_unit_test(test_fixed),
                cmocka_unit_test(test_malformed), cmocka_unit_test(test_hostile_size),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
