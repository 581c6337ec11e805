/* SPDX-License-Identifier: Apache-2.0 */
/* tests/rpath/check-runpath.c - RUNPATH to $ORIGIN, and strings that others use. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "rpath/runpath.h"
#include "tests/kit/elfmaker.h"

#define P "/opt/build/prefix/of/some/length"

struct rewriting {
        const char *path, *before;
        int drop_foreign;
        const char *after;
};

static const struct rewriting rewritings[] = {
        { "lib/slurm/auth.so", P "/lib/slurm", 0, "$ORIGIN" },
        { "lib/slurm/auth.so", P "/lib", 0, "$ORIGIN/.." },
        { "lib/slurm/auth.so", P "/lib:" P "/lib/slurm", 0, "$ORIGIN/..:$ORIGIN" },
        { "lib/slurm/auth.so", P "/lib/slurm2", 0, "$ORIGIN/../slurm2" },
        { "lib/slurm/auth.so", P "/lib/slur", 0, "$ORIGIN/../slur" },
        { "bin/srun", P "/lib/slurm", 0, "$ORIGIN/../lib/slurm" },
        { "srun", P "/lib", 0, "$ORIGIN/lib" },
        { "srun", P, 0, "$ORIGIN" },
        { "a/b/c/d", P, 0, "$ORIGIN/../../.." },
        { "bin/srun", P "//lib/./slurm///", 0, "$ORIGIN/../lib/slurm" },
        { "bin/srun", P "/lib/../lib64", 0, "$ORIGIN/../lib/../lib64" },
        { "bin/srun", P "/lib:" P "/lib/:" P "/lib", 0, "$ORIGIN/../lib" },
        { "bin/srun", "$ORIGIN/../lib:" P "/lib", 0, "$ORIGIN/../lib" },
        { "bin/srun", "/usr/lib64:" P "/lib", 0, "/usr/lib64:$ORIGIN/../lib" },
        { "bin/srun", "/usr/lib64:" P "/lib", 1, "$ORIGIN/../lib" },
        { "bin/srun", P "/../../etc:" P "/lib", 0, P "/../../etc:$ORIGIN/../lib" },
        { "bin/srun", P "/../../etc:" P "/lib", 1, "$ORIGIN/../lib" },
        { "bin/srun", P "-other/lib", 0, P "-other/lib" },
        { "bin/srun", "lib::" P "/lib:", 1, "$ORIGIN/../lib" },
        { "bin/srun", "$ORIGIN/../../etc:" P "/lib", 1, "$ORIGIN/../lib" },
        { "bin/srun", "${ORIGIN}/../lib:$ORIGINAL:$ORIGIN/$LIB", 1, "${ORIGIN}/../lib" },
        { "bin/srun", "/usr/lib64", 1, "" },
        { "bin/srun", "", 1, "" },
};

static void rewrites_lists(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof rewritings / sizeof *rewritings; i++) {
                const struct rewriting *w = &rewritings[i];
                struct elfmaker m;
                elfmaker_start(&m);
                uint64_t string = elfmaker_string(&m, w->before);
                elfmaker_dynamic(&m, DT_RUNPATH, string);
                elfmaker_finish(&m);
                int changed = strcmp(w->before, w->after) != 0;
                assert_int_equal(sf_runpath_localize(m.data, m.size, w->path, P, w->drop_foreign, NULL), changed);
                assert_string_equal(elfmaker_text(&m, string), w->after);
                /* nothing of the old string is left behind the new one */
                for (size_t at = strlen(w->after); changed && at <= strlen(w->before); at++)
                        assert_int_equal(elfmaker_text(&m, string)[at], 0);
                assert_int_equal(sf_runpath_localize(m.data, m.size, w->path, P, w->drop_foreign, NULL), 0);
        }
}

enum user { BY_NEEDED, BY_UNCOUNTED_SYMBOL, BY_SYMBOL, BY_VERSION_FILE, BY_VERSION, BY_DEFINITION, USERS };

/* A file whose RUNPATH is `before` and in which something else uses the string that starts `at` bytes into it. */
static uint64_t make_shared(struct elfmaker *m, const char *before, size_t at, enum user user)
{
        elfmaker_start(m);
        uint64_t string = elfmaker_string(m, before), used = string + at;
        elfmaker_dynamic(m, DT_RUNPATH, string);
        if (user == BY_NEEDED)
                elfmaker_dynamic(m, DT_NEEDED, used);
        if (user == BY_SYMBOL || user == BY_UNCOUNTED_SYMBOL)
                elfmaker_symbol(m, used);
        if (user != BY_UNCOUNTED_SYMBOL)
                elfmaker_sections(m);
        if (user == BY_VERSION_FILE)
                elfmaker_version_need(m, used, 0);
        if (user == BY_VERSION)
                elfmaker_version_need(m, 0, used);
        if (user == BY_DEFINITION)
                elfmaker_version_definition(m, used);
        elfmaker_finish(m);
        return string;
}

/* The linker merges "slurm" into the tail of the RUNPATH: it must stay, everything before it is cleared. */
static void keeps_tails_that_others_use(void **state)
{
        static const char before[] = P "/lib/slurm";
        const size_t at = sizeof P "/lib/" - 1;

        (void)state;
        for (enum user user = 0; user < USERS; user++) {
                struct elfmaker m;
                uint64_t string = make_shared(&m, before, at, user);
                assert_int_equal(sf_runpath_localize(m.data, m.size, "bin/srun", P, 0, NULL), 1);
                assert_string_equal(elfmaker_text(&m, string), "$ORIGIN/../lib/slurm");
                assert_string_equal(elfmaker_text(&m, string + at), "slurm");
                for (size_t i = sizeof "$ORIGIN/../lib/slurm" - 1; i < at; i++)
                        assert_int_equal(elfmaker_text(&m, string)[i], 0);
        }
}

/* A tail so long that the new string would run into it, and the whole string used by something else. */
static void leaves_what_can_not_be_changed(void **state)
{
        static const char before[] = P "/lib/slurm";
        const size_t starts[] = { 0, 1, sizeof "$ORIGIN/../lib/slurm" - 1 };

        (void)state;
        for (enum user user = 0; user < USERS; user++)
                for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
                        struct elfmaker m, untouched;
                        make_shared(&m, before, starts[i], user);
                        untouched = m;
                        assert_int_equal(sf_runpath_localize(m.data, m.size, "bin/srun", P, 0, NULL), 0);
                        assert_memory_equal(m.data, untouched.data, sizeof m.data);
                }
        /* one byte more of room is enough */
        struct elfmaker m;
        uint64_t string = make_shared(&m, before, starts[2] + 1, BY_NEEDED);
        assert_int_equal(sf_runpath_localize(m.data, m.size, "bin/srun", P, 0, NULL), 1);
        assert_string_equal(elfmaker_text(&m, string), "$ORIGIN/../lib/slurm");
        assert_string_equal(elfmaker_text(&m, string + starts[2] + 1), before + starts[2] + 1);
}

/* The RUNPATH is itself the tail of a longer string. */
static void leaves_tails_of_longer_strings(void **state)
{
        struct elfmaker m;

        (void)state;
        elfmaker_start(&m);
        uint64_t longer = elfmaker_string(&m, "x" P "/lib");
        elfmaker_dynamic(&m, DT_RUNPATH, longer + 1);
        elfmaker_symbol(&m, longer);
        elfmaker_finish(&m);
        assert_int_equal(sf_runpath_localize(m.data, m.size, "bin/srun", P, 0, NULL), 0);
        assert_string_equal(elfmaker_text(&m, longer), "x" P "/lib");
}

static void handles_rpath_and_runpath_together(void **state)
{
        struct elfmaker m;

        (void)state;
        elfmaker_start(&m);
        uint64_t both = elfmaker_string(&m, P "/lib"), own = elfmaker_string(&m, P "/lib:" P "/sbin");
        elfmaker_dynamic(&m, DT_RPATH, both);
        elfmaker_dynamic(&m, DT_RUNPATH, both);
        elfmaker_dynamic(&m, DT_RPATH, own);
        elfmaker_finish(&m);
        assert_int_equal(sf_runpath_localize(m.data, m.size, "lib/a.so", P, 0, NULL), 2);
        assert_string_equal(elfmaker_text(&m, both), "$ORIGIN");
        assert_string_equal(elfmaker_text(&m, own), "$ORIGIN:$ORIGIN/../sbin");
}

static void leaves_strings_that_would_grow(void **state)
{
        struct elfmaker m;

        (void)state;
        elfmaker_start(&m);
        uint64_t string = elfmaker_string(&m, "/o/lib");
        elfmaker_dynamic(&m, DT_RUNPATH, string);
        elfmaker_finish(&m);
        assert_int_equal(sf_runpath_localize(m.data, m.size, "bin/srun", "/o", 0, NULL), 0);
        assert_string_equal(elfmaker_text(&m, string), "/o/lib");
}

/* Tables that lie, in a file whose RUNPATH has to be rewritten. */
static void refuses_tables_outside_the_file(void **state)
{
        static const int64_t tags[] = { DT_SYMTAB, DT_VERNEED, DT_VERDEF };

        (void)state;
        for (size_t i = 0; i < sizeof tags / sizeof *tags; i++) {
                struct elfmaker m;
                elfmaker_start(&m);
                elfmaker_dynamic(&m, DT_RUNPATH, elfmaker_string(&m, P "/lib"));
                elfmaker_dynamic(&m, tags[i], 0x7fffffffffff);
                elfmaker_dynamic(&m, DT_VERNEEDNUM, 1);
                elfmaker_dynamic(&m, DT_VERDEFNUM, 1);
                elfmaker_finish(&m);
                assert_int_equal(sf_runpath_localize(m.data, m.size, "bin/srun", P, 0, NULL), SF_ERR_CORRUPT);
        }
        /* a chain that leaves the file, and one that runs in small steps for ever */
        static const uint32_t steps[] = { 1, 0xf0000000 };
        for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
                struct elfmaker m;
                make_shared(&m, P "/lib", 0, BY_VERSION_FILE);
                ((Elf64_Verneed *)(void *)(m.data + ELFMAKER_NEEDS))->vn_next = steps[i];
                for (unsigned entry = 0; entry < m.dynamic_count; entry++) {
                        Elf64_Dyn *dynamic = (Elf64_Dyn *)(void *)(m.data + ELFMAKER_DYNAMIC) + entry;
                        if (dynamic->d_tag == DT_VERNEEDNUM)
                                dynamic->d_un.d_val = UINT64_MAX;
                }
                assert_int_equal(sf_runpath_localize(m.data, m.size, "bin/srun", P, 0, NULL), SF_ERR_CORRUPT);
        }
}

/* Records that overlap, so that a file of n bytes would hold n/4 of them, each with a list as long: refused, not
 * walked. */
static void refuses_chains_longer_than_the_file(void **state)
{
        struct elfmaker m;
        const uint32_t step = 4; /* vn_version 4, vn_cnt 0, vn_file 4, vn_aux 4, vn_next 4, and so on */

        (void)state;
        make_shared(&m, P "/lib", 0, BY_VERSION_FILE);
        for (uint64_t at = ELFMAKER_NEEDS; at < ELFMAKER_STRINGS - 4; at += step)
                memcpy(m.data + at, &step, sizeof step);
        for (unsigned entry = 0; entry < m.dynamic_count; entry++) {
                Elf64_Dyn *dynamic = (Elf64_Dyn *)(void *)(m.data + ELFMAKER_DYNAMIC) + entry;
                if (dynamic->d_tag == DT_VERNEEDNUM)
                        dynamic->d_un.d_val = UINT32_MAX;
        }
        assert_int_equal(sf_runpath_localize(m.data, m.size, "bin/srun", P, 0, NULL), SF_ERR_CORRUPT);
}

static void ignores_what_is_not_dynamic(void **state)
{
        uint8_t text[] = "#!/bin/sh\n# " P "/lib\n";
        struct elfmaker m;

        (void)state;
        assert_int_equal(sf_runpath_localize(text, sizeof text, "bin/x", P, 0, NULL), 0);
        assert_int_equal(sf_runpath_localize(text, 0, "bin/x", P, 0, NULL), 0);
        elfmaker_start(&m);
        elfmaker_finish(&m);
        ((Elf64_Ehdr *)(void *)m.data)->e_phnum = 1;
        assert_int_equal(sf_runpath_localize(m.data, m.size, "bin/x", P, 0, NULL), 0);
}

/* lib/slurm has libslurmfull.so, lib has libhwloc.so.15. */
static bool example_holds(void *ctx, const char *directory, const char *library)
{
        (void)ctx;
        return (strcmp(directory, "lib/slurm") == 0 && strcmp(library, "libslurmfull.so") == 0) ||
               (strcmp(directory, "lib") == 0 && strcmp(library, "libhwloc.so.15") == 0);
}

static void keeps_only_directories_that_are_needed(void **state)
{
        static const struct {
                const char *needed, *before, *after;
        } cases[] = {
                { "libslurmfull.so", P "/lib:" P "/lib/slurm", "$ORIGIN/../lib/slurm" },
                { "libhwloc.so.15", P "/lib:" P "/lib/slurm", "$ORIGIN/../lib" },
                { "libc.so.6", P "/lib:" P "/lib/slurm", "" },
                { "libc.so.6", P "/lib:/opt/site/lib", "/opt/site/lib" },
        };
        const struct sf_runpath_rules rules = { .holds = example_holds };

        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                struct elfmaker m;

                elfmaker_start(&m);
                uint64_t needed = elfmaker_string(&m, cases[i].needed), list = elfmaker_string(&m, cases[i].before);
                elfmaker_dynamic(&m, DT_NEEDED, needed);
                elfmaker_dynamic(&m, DT_RPATH, list);
                elfmaker_finish(&m);
                assert_int_equal(sf_runpath_apply(m.data, m.size, "bin/srun", P, &rules, NULL), 1);
                assert_string_equal(elfmaker_text(&m, list), cases[i].after);
        }
}

static uint64_t tag_at(const struct elfmaker *m, unsigned index, uint64_t *ret_value)
{
        Elf64_Dyn entry;

        memcpy(&entry, m->data + ELFMAKER_DYNAMIC + index * sizeof entry, sizeof entry);
        *ret_value = entry.d_un.d_val;
        return (uint64_t)entry.d_tag;
}

static void sets_the_kind_of_list(void **state)
{
        static const struct {
                int64_t first, second, wanted; /* second 0: there is only one list */
        } cases[] = {
                { DT_RUNPATH, 0, DT_RPATH },        { DT_RPATH, 0, DT_RUNPATH },          { DT_RPATH, 0, DT_RPATH },
                { DT_RPATH, DT_RUNPATH, DT_RPATH }, { DT_RUNPATH, DT_RPATH, DT_RUNPATH },
        };

        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                const struct sf_runpath_rules rules = { .tag = cases[i].wanted };
                struct elfmaker m;
                uint64_t value;

                elfmaker_start(&m);
                uint64_t a = elfmaker_string(&m, "$ORIGIN/a"), b = elfmaker_string(&m, "$ORIGIN/b");
                elfmaker_dynamic(&m, cases[i].first, a);
                if (cases[i].second)
                        elfmaker_dynamic(&m, cases[i].second, b);
                elfmaker_finish(&m);
                assert_true(sf_runpath_apply(m.data, m.size, "bin/srun", P, &rules, NULL) >= 0);
                /* The RUNPATH's list is the one that was searched. */
                uint64_t searched = cases[i].second == DT_RUNPATH ? b : a;
                for (unsigned entry = 0; entry < (cases[i].second ? 2u : 1u); entry++) {
                        assert_int_equal(tag_at(&m, entry, &value), cases[i].wanted);
                        assert_int_equal(value, searched);
                }
                assert_int_equal(sf_runpath_apply(m.data, m.size, "bin/srun", P, &rules, NULL), 0);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(keeps_only_directories_that_are_needed),
                cmocka_unit_test(sets_the_kind_of_list),
                cmocka_unit_test(rewrites_lists),
                cmocka_unit_test(keeps_tails_that_others_use),
                cmocka_unit_test(leaves_what_can_not_be_changed),
                cmocka_unit_test(leaves_tails_of_longer_strings),
                cmocka_unit_test(handles_rpath_and_runpath_together),
                cmocka_unit_test(leaves_strings_that_would_grow),
                cmocka_unit_test(refuses_tables_outside_the_file),
                cmocka_unit_test(refuses_chains_longer_than_the_file),
                cmocka_unit_test(ignores_what_is_not_dynamic),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
