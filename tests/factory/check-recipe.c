/* SPDX-License-Identifier: Apache-2.0 */
/* tests/factory/check-recipe.c - words, recipes and what makes two recipes the same. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/words.h"
#include "factory/build/recipe.h"

#define HEX_A  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define HEX_B  "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define SOURCE "[source]\nfile = x.tar.gz\nsha256 = " HEX_A "\n"
#define WHOLE  "[package]\nname = x\nversion = 1\n" SOURCE "[step make]\nrun = make\n"

static char scratch[64];

static int make_scratch(void **state)
{
        (void)state;
        strcpy(scratch, "/tmp/sf-check-recipe.XXXXXX");
        return mkdtemp(scratch) ? 0 : -1;
}

static int remove_scratch(void **state)
{
        (void)state;
        return sf_fs_remove_tree(scratch, NULL);
}

/* Loads up to two texts as the files of one recipe. */
static int load(const char *first, const char *second, struct sf_recipe *ret, struct sf_error *err)
{
        const char *const texts[] = { first, second };
        char *paths[2] = { NULL, NULL };
        size_t count = second ? 2 : 1;

        for (size_t i = 0; i < count; i++) {
                paths[i] = sf_format("%s/%zu.ini", scratch, i);
                assert_int_equal(sf_fs_write(paths[i], texts[i], strlen(texts[i]), 0644, NULL), 0);
        }
        int r = sf_recipe_load((const char *const *)paths, count, ret, err);
        free(paths[0]);
        free(paths[1]);
        return r;
}

static void words_are_split_without_a_shell(void **state)
{
        struct sf_words words = SF_WORDS_INIT;
        struct sf_error err = SF_ERROR_INIT;

        (void)state;
        assert_null(sf_words_argv(&words)[0]);
        assert_int_equal(sf_words_split(&words, "  a 'b c'\t\"d'e\"f $HOME;x '' ", &err), 0);
        assert_int_equal(words.count, 5);
        assert_string_equal(words.items[1], "b c");
        assert_string_equal(words.items[2], "d'ef");
        assert_string_equal(words.items[3], "$HOME;x");
        assert_string_equal(words.items[4], "");
        assert_null(words.items[5]);
        assert_int_equal(sf_words_split(&words, "an 'open end", &err), SF_ERR_USAGE);
        sf_words_free(&words);

        assert_int_equal(sf_words_append(&words, "--x=@P@:@P@/@Q@ @", &err), 0);
        assert_int_equal(sf_words_substitute(&words, "P", "/a b/@P@", &err), 0);
        assert_string_equal(words.items[0], "--x=/a b/@P@:/a b/@P@/@Q@ @");
        sf_words_free(&words);
}

static void a_recipe_is_read(void **state)
{
        struct sf_error err = SF_ERROR_INIT;
        struct sf_recipe r;

        (void)state;
        assert_int_equal(load("# comment\n[package]\nname = x\nversion = 1.2\ndepends = a b\nremove = *.la lib/*.a\n"
                              "strip = no\n" SOURCE
                              "pool = pool/main/x/x.tar.gz\nurl = https://one/x\nurl = https://two/x\n"
                              "[source other]\nfile = y.tar.xz\nsha256 = " HEX_B "\n"
                              "[step configure]\nrun = ./configure --prefix=@PREFIX@\n\t--with 'two words'\n"
                              "directory = sub\nenv = A=b c\n[step make]\nrun = make\n",
                              NULL, &r, &err),
                         0);
        assert_string_equal(r.name, "x");
        assert_string_equal(r.version, "1.2");
        assert_int_equal(r.depends.count, 2);
        assert_int_equal(r.remove.count, 2);
        assert_false(r.strip);
        assert_int_equal(r.source_count, 2);
        assert_string_equal(r.sources[0].pool, "pool/main/x/x.tar.gz");
        assert_int_equal(r.sources[0].urls.count, 2);
        assert_string_equal(r.sources[1].file, "y.tar.xz");
        assert_int_equal(r.sources[1].digest.bytes[31], 0xbb);
        assert_int_equal(r.step_count, 2);
        assert_string_equal(r.steps[0].name, "configure");
        assert_int_equal(r.steps[0].run.count, 4);
        assert_string_equal(r.steps[0].run.items[3], "two words");
        assert_string_equal(r.steps[0].directory, "sub");
        assert_string_equal(r.steps[0].env.items[0], "A=b c");
        assert_string_equal(r.steps[1].directory, ".");
        sf_recipe_free(&r);
}

static void a_second_file_completes_the_first(void **state)
{
        struct sf_error err = SF_ERROR_INIT;
        struct sf_recipe r;

        (void)state;
        assert_int_equal(load("[package]\nname = s\nversion = 0\n[step make]\nrun = make -C src\n",
                              "[package]\nversion = 2\n" SOURCE "[step make]\nrun = EXTRA=1\n", &r, &err),
                         0);
        assert_string_equal(r.version, "2");
        assert_int_equal(r.step_count, 1);
        assert_int_equal(r.steps[0].run.count, 4);
        assert_true(r.strip);
        sf_recipe_free(&r);
}

static void a_later_file_takes_words_away(void **state)
{
        static const char common[] = "[package]\nname = s\nversion = 0\ndepends = a b\nalso = m\nos = openssl\n"
                                     "[step configure]\nrun = ./configure --with-a --with-b=/x 'two words'\n"
                                     "[step extra]\nrun = true\n[step make]\nrun = make\n" SOURCE;
        static const struct {
                const char *second, *expected; /* expected NULL: it is read */
        } cases[] = {
                { "[package]\ndrop-depends = a\ndrop-also = m\ndrop-steps = extra\n"
                  "[step configure]\ndrop = --with-a --with-b=* 'two words'\nrun = --with-c\n",
                  NULL },
                { "[step configure]\ndrop = --with-d\n", "no \"--with-d\" to drop" },
                { "[step configure]\ndrop = --with-c\nrun = --with-c\n", "no \"--with-c\" to drop" },
                { "[package]\ndrop-depends = c\n", "no \"c\" to drop" },
                { "[package]\ndrop-steps = no-such\n", "no step \"no-such\" to drop" },
                { "[step configure]\ndrop = --no-such*\n", "" },
        };
        struct sf_error err = SF_ERROR_INIT;
        struct sf_recipe r;

        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                int code = load(common, cases[i].second, &r, &err);

                if (cases[i].expected && *cases[i].expected) {
                        assert_int_equal(code, SF_ERR_USAGE);
                        assert_non_null(strstr(err.text, cases[i].expected));
                        continue;
                }
                assert_int_equal(code, 0);
                if (!cases[i].expected) {
                        assert_int_equal(r.depends.count, 1);
                        assert_string_equal(r.depends.items[0], "b");
                        assert_int_equal(r.also.count, 0);
                        assert_int_equal(r.step_count, 2);
                        assert_int_equal(r.steps[0].run.count, 2);
                        assert_string_equal(r.steps[0].run.items[1], "--with-c");
                }
                sf_recipe_free(&r);
        }
}

static void patches_and_layers_are_read(void **state)
{
        struct sf_error err = SF_ERROR_INIT;
        struct sf_recipe r;

        (void)state;
        assert_int_equal(
                load("[package]\nname = x\nversion = 1\nlayer = mpi\n[patch b]\nfile = b.patch\nsha256 = " HEX_B
                     "\nstrip = 0\n[patch a]\nfile = a.patch\nsha256 = " HEX_A "\n" SOURCE
                     "directory = sub/dir\n[step make]\nrun = make\n",
                     NULL, &r, &err),
                0);
        assert_string_equal(r.layer, "mpi");
        assert_string_equal(r.sources[0].directory, "sub/dir");
        assert_int_equal(r.patch_count, 2);
        assert_string_equal(r.patches[0].name, "b");
        assert_int_equal(r.patches[0].strip, 0);
        assert_int_equal(r.patches[1].strip, 1);
        sf_recipe_free(&r);
        assert_int_equal(load("[package]\nname = x\nversion = 1\nlayer = top\n" SOURCE "[step make]\nrun = make\n",
                              NULL, &r, &err),
                         SF_ERR_USAGE);
        assert_non_null(strstr(err.text, "layer \"top\""));
}

static void identity_is_what_counts(void **state)
{
        static const struct {
                const char *text;
                bool same;
        } cases[] = {
                { WHOLE, true },
                { "; comment\n\n[package]\n  name=x\nversion   =   1\n" SOURCE "# more\n[step make]\nrun = make\n",
                  true },
                { WHOLE "[step install]\nrun = make install\n", false },
                { "[package]\nname = x\nversion = 2\n" SOURCE "[step make]\nrun = make\n", false },
                { "[package]\nname = x\nversion = 1\n[source]\nfile = x.tar.gz\nsha256 = " HEX_B
                  "\n[step make]\nrun = make\n",
                  false },
        };
        struct sf_error err = SF_ERROR_INIT;
        struct sf_recipe first, other;

        (void)state;
        assert_int_equal(load(WHOLE, NULL, &first, &err), 0);
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                assert_int_equal(load(cases[i].text, NULL, &other, &err), 0);
                assert_int_equal(sf_digest_equal(&first.identity, &other.identity), cases[i].same);
                sf_recipe_free(&other);
        }
        sf_recipe_free(&first);
}

static void mistakes_are_named(void **state)
{
        static const struct {
                const char *text, *expected;
        } cases[] = {
                { "", "empty recipe" },
                { "[package]\nversion = 1\n", "[package] has no name" },
                { "[package]\nname = ../x\nversion = 1\n", "plain words" },
                { "[package]\nname = x\nversion = 1/2\n", "plain words" },
                { WHOLE "[package]\nstrip = perhaps\n", "strip = perhaps" },
                { WHOLE "[package]\ndepend = a\n", "depend" },
                { "[package]\nname = x\nversion = 1\n[step make]\nrun = make\n", "needs a [source]" },
                { "[package]\nname = x\nversion = 1\n" SOURCE, "needs a [source]" },
                { WHOLE "[source two]\nfile = y\n", "[source two] has no sha256" },
                { WHOLE "[source two]\nfile = a/b\nsha256 = " HEX_A "\n", "not a plain file name" },
                { WHOLE "[source two]\nfile = y\nsha256 = AA\n", "sha256 is not 64" },
                { WHOLE "[source two]\nfile = y\nsha256 = " HEX_A "\npool = /etc/passwd\n", "not a relative path" },
                { WHOLE "[step two]\ndirectory = x\n", "[step two] has no run" },
                { WHOLE "[step a/b]\nrun = x\n", "not a plain name" },
                { WHOLE "[step two]\nrun = 'x\n", "no closing '" },
                { WHOLE "[step two]\nrun = x\nenv = NOVALUE\n", "not NAME=value" },
        };

        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                struct sf_error err = SF_ERROR_INIT;
                struct sf_recipe r;

                assert_int_equal(load(cases[i].text, NULL, &r, &err), SF_ERR_USAGE);
                if (!strstr(err.text, cases[i].expected))
                        fail_msg("\"%s\" does not say \"%s\"", err.text, cases[i].expected);
        }
}

/* The recipes that are shipped can be read, and Slurm's versions fit its common part. */
static void check_patches(const char *top, const struct sf_recipe *recipe)
{
        for (size_t i = 0; i < recipe->patch_count; i++) {
                _cleanup_free_ char *path = sf_format("%s/etc/recipes/patches/%s", top, recipe->patches[i].file);
                _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
                struct sf_digest digest;

                assert_int_equal(sf_fs_read(path, 1u << 24, &text, NULL), 0);
                sf_digest_of(text.data, text.len, &digest);
                if (!sf_digest_equal(&digest, &recipe->patches[i].digest))
                        fail_msg("%s has another digest than recipe %s says", path, recipe->name);
        }
}

/* Loads the files as one recipe and checks what it names: other recipes, patches. */
static void check_shipped(const char *top, const char *const *paths, size_t count)
{
        struct sf_error err = SF_ERROR_INIT;
        struct sf_recipe r;

        if (sf_recipe_load(paths, count, &r, &err) < 0)
                fail_msg("%s: %s", paths[count - 1], err.text);
        check_patches(top, &r);
        const struct sf_words *const lists[] = { &r.depends, &r.also };
        for (size_t l = 0; l < 2; l++)
                for (size_t i = 0; i < lists[l]->count; i++) {
                        _cleanup_free_ char *other = sf_format("%s/etc/recipes/%s.ini", top, lists[l]->items[i]);
                        if (!sf_fs_exists(other))
                                fail_msg("%s names %s, which has no recipe", paths[0], lists[l]->items[i]);
                }
        sf_recipe_free(&r);
}

static void shipped_recipes_are_whole(void **state)
{
        const char *top = getenv("top_srcdir");
        _cleanup_free_ char *slurm = sf_format("%s/etc/recipes/slurm.ini", top ? top : "");
        _cleanup_free_ char *recipes = sf_format("%s/etc/recipes/*.ini", top ? top : "");
        _cleanup_free_ char *versions = sf_format("%s/etc/slurm/*.ini", top ? top : "");
        _cleanup_free_ char *profiles = sf_format("%s/etc/profiles/*.ini", top ? top : "");
        glob_t r, v, p;

        (void)state;
        if (!top)
                skip();
        assert_int_equal(glob(recipes, 0, NULL, &r), 0);
        assert_int_equal(glob(versions, 0, NULL, &v), 0);
        assert_int_equal(glob(profiles, 0, NULL, &p), 0);
        for (size_t i = 0; i < r.gl_pathc; i++)
                if (strcmp(r.gl_pathv[i], slurm) != 0)
                        check_shipped(top, (const char *const[]){ r.gl_pathv[i] }, 1);
        for (size_t i = 0; i < v.gl_pathc; i++) {
                check_shipped(top, (const char *const[]){ slurm, v.gl_pathv[i] }, 2);
                for (size_t j = 0; j < p.gl_pathc; j++)
                        check_shipped(top, (const char *const[]){ slurm, v.gl_pathv[i], p.gl_pathv[j] }, 3);
        }
        globfree(&r);
        globfree(&v);
        globfree(&p);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(words_are_split_without_a_shell),
                cmocka_unit_test(a_recipe_is_read),
                cmocka_unit_test(a_second_file_completes_the_first),
                cmocka_unit_test(a_later_file_takes_words_away),
                cmocka_unit_test(patches_and_layers_are_read),
                cmocka_unit_test(identity_is_what_counts),
                cmocka_unit_test(mistakes_are_named),
                cmocka_unit_test(shipped_recipes_are_whole),
        };
        return cmocka_run_group_tests(tests, make_scratch, remove_scratch);
}
