/* SPDX-License-Identifier: Apache-2.0 */
/* tests/rpath/check-lint.c - each kind of finding once, and a tree without any. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "rpath/lint.h"
#include "tests/kit/elfmaker.h"

#define P "/opt/0123456789abcdefghijklmnopqrstuvwxyz-not-periodic"

/* A scratch directory with a tree and a host of its own, so that the result does not depend on this machine. */
struct world {
        char root[64];
        char *tree, *host;
        struct sf_buffer findings; /* "path: reason\n" */
        struct sf_lint *lint;
        struct sf_lint_options options;
};

static void note(void *ctx, const char *path, const char *reason)
{
        struct world *w = ctx;

        assert_int_equal(sf_buffer_printf(&w->findings, NULL, "%s: %s\n", path, reason), 0);
}

static void write_file(const char *root, const char *name, const void *data, size_t len)
{
        _cleanup_free_ char *path = sf_fs_join(root, name), *directory = strdup(path);

        *strrchr(directory, '/') = '\0';
        assert_int_equal(sf_fs_mkdirs(directory, 0755, NULL), 0);
        assert_int_equal(sf_fs_write(path, data, len, 0644, NULL), 0);
}

static void write_elf(const char *root, const char *name, const char *runpath, const char *needed, int machine)
{
        struct elfmaker m;

        elfmaker_start(&m);
        if (runpath)
                elfmaker_dynamic(&m, DT_RUNPATH, elfmaker_string(&m, runpath));
        if (needed)
                elfmaker_dynamic(&m, DT_NEEDED, elfmaker_string(&m, needed));
        elfmaker_finish(&m);
        ((Elf64_Ehdr *)(void *)m.data)->e_machine = (uint16_t)machine;
        write_file(root, name, m.data, m.size);
}

static int set_up(void **state)
{
        struct world *w = calloc(1, sizeof *w);

        strcpy(w->root, "/tmp/sf-check-lint.XXXXXX");
        assert_non_null(mkdtemp(w->root));
        w->tree = sf_fs_join(w->root, "tree");
        w->host = sf_fs_join(w->root, "host");
        write_elf(w->host, "lib64/libc.so.6", NULL, NULL, EM_X86_64);
        write_elf(w->host, "usr/lib/multi/libm.so.6", NULL, NULL, EM_X86_64);
        write_elf(w->host, "usr/lib/libarm.so.1", NULL, NULL, EM_AARCH64);
        static const char include[] = "include ld.so.conf.d/*.conf # all of them\n", multi[] = "\t/usr/lib/multi \n";
        write_file(w->host, "etc/ld.so.conf", include, sizeof include - 1);
        write_file(w->host, "etc/ld.so.conf.d/multi.conf", multi, sizeof multi - 1);
        assert_int_equal(sf_fs_mkdirs(w->tree, 0755, NULL), 0);
        w->options = (struct sf_lint_options){ .prefix = P,
                                               .canonical = "/opt/canonical",
                                               .trees = (const char *const *)&w->tree,
                                               .tree_count = 1,
                                               .sysroot = w->host,
                                               .finding = note,
                                               .ctx = w };
        assert_int_equal(sf_lint_open(&w->options, &w->lint, NULL), 0);
        *state = w;
        return 0;
}

static int tear_down(void **state)
{
        struct world *w = *state;

        sf_lint_close(w->lint);
        sf_fs_remove_tree(w->root, NULL);
        sf_buffer_free(&w->findings);
        free(w->tree);
        free(w->host);
        free(w);
        return 0;
}

/* Lints the tree and expects these lines and no others. */
static void expect(struct world *w, int count, const char *findings)
{
        struct sf_error err = SF_ERROR_INIT;
        int r = sf_lint_trees(w->lint, &err);

        assert_string_equal(err.text, "");
        assert_string_equal(sf_buffer_text(&w->findings), findings);
        assert_int_equal(r, count);
}

static void make_link(struct world *w, const char *target, const char *name)
{
        _cleanup_free_ char *path = sf_fs_join(w->tree, name);

        assert_int_equal(symlink(target, path), 0);
}

static void accepts_a_good_tree(void **state)
{
        struct world *w = *state;
        static const char text[] = "prefix=" P "\nlibdir=" P "/lib\n";

        write_elf(w->tree, "lib/liba.so.1", NULL, "libc.so.6", EM_X86_64);
        write_elf(w->tree, "lib/slurm/b.so", "$ORIGIN/..:" P "/lib/slurm", "liba.so.1", EM_X86_64);
        write_elf(w->tree, "bin/c", P "/lib", "liba.so.1", EM_X86_64);
        write_elf(w->tree, "lib/security/e.so", "/opt/canonical////lib", "liba.so.1", EM_X86_64);
        write_elf(w->tree, "bin/d", NULL, "libm.so.6", EM_X86_64);
        write_file(w->tree, "lib/a.pc", text, sizeof text - 1);
        make_link(w, "liba.so.1", "lib/liba.so");
        make_link(w, "../lib", "lib/again");
        expect(w, 0, "");
}

static void reports_search_lists(void **state)
{
        struct world *w = *state;

        write_elf(w->tree, "a", "/usr/lib64:" P "/lib", NULL, EM_X86_64);
        write_elf(w->tree, "b", ".libs:" P "/lib:", NULL, EM_X86_64);
        write_elf(w->tree, "lib/c", "$ORIGIN/../..:$ORIGIN/..", NULL, EM_X86_64);
        write_elf(w->tree, "lib/d", P "/../etc", NULL, EM_X86_64);
        write_elf(w->tree, "lib/e", "/opt/canonical2/lib", NULL, EM_X86_64);
        expect(w, 6,
               "a: RUNPATH element \"/usr/lib64\" lies outside the prefix\n"
               "b: RUNPATH element \".libs\" is relative to the working directory\n"
               "b: RUNPATH element \"\" is relative to the working directory\n"
               "lib/c: RUNPATH element \"$ORIGIN/../..\" lies outside the prefix\n"
               "lib/d: RUNPATH element \"" P "/../etc\" lies outside the prefix\n"
               "lib/e: RUNPATH element \"/opt/canonical2/lib\" lies outside the prefix\n");
}

/* ld.so searches the last of several RUNPATH entries: none of them may hide behind another. */
static void looks_at_every_runpath(void **state)
{
        struct world *w = *state;
        struct elfmaker m;

        write_elf(w->tree, "lib/liba.so.1", NULL, NULL, EM_X86_64);
        elfmaker_start(&m);
        elfmaker_dynamic(&m, DT_RUNPATH, elfmaker_string(&m, "/tmp"));
        elfmaker_dynamic(&m, DT_RPATH, elfmaker_string(&m, "x"));
        elfmaker_dynamic(&m, DT_RUNPATH, elfmaker_string(&m, P "/lib"));
        elfmaker_dynamic(&m, DT_NEEDED, elfmaker_string(&m, "liba.so.1"));
        elfmaker_finish(&m);
        write_file(w->tree, "a", m.data, m.size);
        expect(w, 2,
               "a: RUNPATH element \"/tmp\" lies outside the prefix\n"
               "a: RUNPATH element \"x\" is relative to the working directory\n");
}

static void reports_unresolved_libraries(void **state)
{
        struct world *w = *state;

        write_elf(w->tree, "bin/a", P "/lib", "libmissing.so.1", EM_X86_64);
        write_elf(w->tree, "bin/b", NULL, "libhidden.so.1", EM_X86_64);  /* in the tree, but not in its RUNPATH */
        write_elf(w->tree, "bin/c", P "/lib", "libarm.so.1", EM_X86_64); /* another machine's */
        write_elf(w->tree, "bin/d", P "/lib", P "/lib/libhidden.so.1", EM_X86_64);
        write_elf(w->tree, "lib/libhidden.so.1", NULL, NULL, EM_X86_64);
        write_elf(w->tree, "above", "/usr/lib64", "libtop.so.1",
                  EM_X86_64); /* a foreign element is no place in the tree */
        write_elf(w->tree, "libtop.so.1", NULL, NULL, EM_X86_64);
        expect(w, 6,
               "above: RUNPATH element \"/usr/lib64\" lies outside the prefix\n"
               "above: needs libtop.so.1, which is neither in its RUNPATH nor a library of this system\n"
               "bin/a: needs libmissing.so.1, which is neither in its RUNPATH nor a library of this system\n"
               "bin/b: needs libhidden.so.1, which is neither in its RUNPATH nor a library of this system\n"
               "bin/c: needs libarm.so.1, which is neither in its RUNPATH nor a library of this system\n"
               "bin/d: needs \"" P "/lib/libhidden.so.1\": a path instead of a name\n");
}

static void looks_through_all_trees(void **state)
{
        struct world *w = *state;
        _cleanup_free_ char *deps = sf_fs_join(w->root, "deps");
        const char *trees[] = { deps, w->tree };

        write_elf(deps, "lib/libdep.so.1", NULL, NULL, EM_X86_64);
        write_elf(w->tree, "bin/a", P "/lib", "libdep.so.1", EM_X86_64);
        expect(w, 1, "bin/a: needs libdep.so.1, which is neither in its RUNPATH nor a library of this system\n");
        sf_buffer_free(&w->findings);
        sf_lint_close(w->lint);
        w->options.trees = trees;
        w->options.tree_count = 2;
        assert_int_equal(sf_lint_open(&w->options, &w->lint, NULL), 0);
        expect(w, 0, "");
}

static void reports_links_and_leftovers(void **state)
{
        struct world *w = *state;
        static const char fragment[] = "....cdefghij....", whole[] = "#!" P "/bin/perl";

        write_file(w->tree, "a", fragment, sizeof fragment - 1);
        write_file(w->tree, "b", whole, sizeof whole - 1);
        write_file(w->tree, "c", ELFMAG, SELFMAG);
        make_link(w, P "/bin/x", "d");
        make_link(w, "../x", "e");
        make_link(w, "lib/../../x", "f");
        expect(w, 5,
               "a: holds a fragment of the build prefix at byte 4\n"
               "c: c: ELF identification ends at byte 4\n"
               "d: is an absolute symbolic link to " P "/bin/x\n"
               "e: is a symbolic link to ../x, which may lie outside the tree\n"
               "f: is a symbolic link to lib/../../x, which may lie outside the tree\n");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(accepts_a_good_tree, set_up, tear_down),
                cmocka_unit_test_setup_teardown(reports_search_lists, set_up, tear_down),
                cmocka_unit_test_setup_teardown(looks_at_every_runpath, set_up, tear_down),
                cmocka_unit_test_setup_teardown(reports_unresolved_libraries, set_up, tear_down),
                cmocka_unit_test_setup_teardown(looks_through_all_trees, set_up, tear_down),
                cmocka_unit_test_setup_teardown(reports_links_and_leftovers, set_up, tear_down),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
