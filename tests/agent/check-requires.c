/* SPDX-License-Identifier: Apache-2.0 */
/* tests/agent/check-requires.c - a release that needs more than the system has is refused, by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/acquire/requires.h"
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "release/host.h"
#include "rpath/hostlib.h"

/* A root that has this machine's C library and nothing else. */
static char root[64];

static int make_root(void **state)
{
        uint16_t machine = strcmp(sf_host_arch(), "arm64") == 0 ? EM_AARCH64 : EM_X86_64;
        _cleanup_(sf_buffer_free) struct sf_buffer content = SF_BUFFER_INIT;
        _cleanup_free_ char *libc = NULL, *directory = NULL, *copy = NULL;
        struct sf_hostlib *host;

        (void)state;
        strcpy(root, "/tmp/sf-check-requires.XXXXXX");
        if (!mkdtemp(root) || sf_hostlib_open("", &host, NULL) < 0)
                return -1;
        libc = sf_hostlib_find(host, "libc.so.6", machine);
        sf_hostlib_close(host);
        directory = sf_format("%s/lib64", root);
        copy = sf_format("%s/libc.so.6", directory);
        return !libc || sf_fs_read(libc, 1u << 26, &content, NULL) < 0 || sf_fs_mkdirs(directory, 0755, NULL) < 0 ||
                               sf_fs_write(copy, content.data, content.len, 0755, NULL) < 0
                       ? -1
                       : 0;
}

static int remove_root(void **state)
{
        (void)state;
        return sf_fs_remove_tree(root, NULL);
}

static int check(const char *libc, const char *cpu, const char *libraries, const char *where, struct sf_error *err)
{
        struct sf_index_release release = { .name = { .text = "1-x-y" } };

        snprintf(release.name.arch, sizeof release.name.arch, "%s", sf_host_arch());
        snprintf(release.requires.libc, sizeof release.requires.libc, "%s", libc);
        snprintf(release.requires.cpu, sizeof release.requires.cpu, "%s", cpu);
        snprintf(release.requires.libraries, sizeof release.requires.libraries, "%s", libraries);
        return sf_requires_check(&release, where, err);
}

static void what_is_there_is_accepted(void **state)
{
        struct sf_error err = SF_ERROR_INIT;

        (void)state;
        assert_int_equal(check("", "", "", root, &err), 0);
        assert_int_equal(check("2.17", "", "libc.so.6", root, &err), 0);
        assert_int_equal(check("", "x86-64", "", root, &err), 0);
        assert_int_equal(check("2.17", "", "libc.so.6", "", &err), 0);
}

static void what_is_missing_is_named(void **state)
{
        struct sf_error err = SF_ERROR_INIT;

        (void)state;
        assert_int_equal(check("2.999", "", "libc.so.6 libnowhere.so.7", root, &err), SF_ERR_INCOMPATIBLE);
        assert_non_null(strstr(err.text, "glibc 2.999"));
        assert_non_null(strstr(err.text, "libnowhere.so.7"));
        assert_null(strstr(err.text, "libc.so.6"));
        /* A version whose beginning is there: "2.17" in every table, "2.1" + more in none. */
        assert_int_equal(check("2.179", "", "", root, &err), SF_ERR_INCOMPATIBLE);
        assert_int_equal(check("2.1", "", "", root, &err), SF_ERR_INCOMPATIBLE);
}

static void of_an_empty_root_nothing_is_known(void **state)
{
        _cleanup_free_ char *empty = sf_format("%s/empty", root);
        struct sf_error err = SF_ERROR_INIT;

        (void)state;
        assert_int_equal(sf_fs_mkdirs(empty, 0755, NULL), 0);
        assert_int_equal(check("2.999", "", "libnowhere.so.7", empty, &err), 0);
}

static void processors_have_levels(void **state)
{
        static const char v2[] = "flags\t\t: fpu cx16 lahf_lm popcnt sse4_1 sse4_2 ssse3";
        static const char v3[] = "flags\t\t: cx16 lahf_lm popcnt sse4_1 sse4_2 ssse3 avx avx2 bmi1 bmi2 f16c fma movbe";

        (void)state;
        assert_true(sf_requires_cpu_has("flags : fpu", "x86-64"));
        assert_false(sf_requires_cpu_has("flags : fpu", "x86-64-v2"));
        assert_true(sf_requires_cpu_has(v2, "x86-64-v2"));
        assert_false(sf_requires_cpu_has(v2, "x86-64-v3"));
        assert_true(sf_requires_cpu_has(v3, "x86-64-v3"));
        assert_false(sf_requires_cpu_has(v3, "x86-64-v4"));
        /* A flag that only begins like the wanted one. */
        assert_false(sf_requires_cpu_has("flags : cx16 lahf_lm popcnt sse4_1 sse4_2x ssse3", "x86-64-v2"));
        assert_true(sf_requires_cpu_has("", "armv8-a"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_is_there_is_accepted),
                cmocka_unit_test(what_is_missing_is_named),
                cmocka_unit_test(of_an_empty_root_nothing_is_known),
                cmocka_unit_test(processors_have_levels),
        };
        return cmocka_run_group_tests(tests, make_root, remove_root);
}
