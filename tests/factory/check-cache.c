/* SPDX-License-Identifier: Apache-2.0 */
/* tests/factory/check-cache.c - placeholder prefixes, layer keys, the cache's directories and locks, trees of files. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "factory/build/cache.h"
#include "factory/build/prefix.h"
#include "factory/build/toolchain.h"

static char scratch[64];

static int make_scratch(void **state)
{
        (void)state;
        strcpy(scratch, "/tmp/sf-check-cache.XXXXXX");
        return mkdtemp(scratch) ? 0 : -1;
}

static int remove_scratch(void **state)
{
        (void)state;
        return sf_fs_remove_tree(scratch, NULL);
}

static struct sf_toolchain example(void)
{
        static char name[] = "bookworm", compiler[] = "gcc 12.2.0", libc[] = "glibc 2.36";

        return (struct sf_toolchain){ .name = name,
                                      .arch = "amd64",
                                      .compiler = compiler,
                                      .libc = libc,
                                      .cc = "gcc",
                                      .cxx = "g++",
                                      .cflags = "-O2",
                                      .cxxflags = "-O2",
                                      .ldflags = "",
                                      .placeholder_length = 288 };
}

static struct sf_recipe example_recipe(void)
{
        return (struct sf_recipe){ .name = "x", .version = "1", .layer = "deps", .strip = true };
}

/* --- placeholder ----------------------------------------------------------------------------------------------- */

static void placeholder_has_the_length_and_no_period(void **state)
{
        static const size_t lengths[] = { 256, 257, 288, 1040 };
        struct sf_toolchain tc = example();

        (void)state;
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
                _cleanup_free_ char *prefix = NULL, *again = NULL;

                tc.placeholder_length = lengths[i];
                assert_int_equal(sf_toolchain_placeholder(&tc, "/media", &prefix, NULL), 0);
                assert_int_equal(sf_toolchain_placeholder(&tc, "/media", &again, NULL), 0);
                assert_string_equal(prefix, again);
                assert_int_equal(strlen(prefix), lengths[i]);
                assert_int_equal(strncmp(prefix, "/media/", 7), 0);
                assert_string_equal(prefix + lengths[i] - 3, "zqj");
                /* The lint searches for windows of 8 bytes: none may occur twice. */
                for (size_t a = 0; a + 8 <= lengths[i]; a++)
                        assert_null(memmem(prefix + a + 1, lengths[i] - a - 1, prefix + a, 8));
                for (char *part = strtok(prefix, "/"); part; part = strtok(NULL, "/"))
                        assert_true(strlen(part) <= 255);
        }
}

static void placeholder_follows_the_toolchain(void **state)
{
        static char other[] = "noble";
        struct sf_toolchain tc = example();
        _cleanup_free_ char *a = NULL, *b = NULL, *c = NULL;
        char base[200];

        (void)state;
        assert_int_equal(sf_toolchain_placeholder(&tc, "/media", &a, NULL), 0);
        tc.name = other;
        assert_int_equal(sf_toolchain_placeholder(&tc, "/media", &b, NULL), 0);
        assert_string_not_equal(a, b);
        memset(base, 'x', sizeof base);
        base[0] = '/';
        base[sizeof base - 1] = '\0';
        assert_int_equal(sf_toolchain_placeholder(&tc, base, &c, NULL), SF_ERR_USAGE);
}

static void toolchain_is_measured_and_configured(void **state)
{
        struct sf_error err = SF_ERROR_INIT;
        struct sf_toolchain tc;
        _cleanup_free_ char *directory = sf_fs_join(scratch, "toolchains"),
                            *file = sf_fs_join(directory, "default.ini");
        const char *good = "[toolchain]\ncflags = -O3\nplaceholder_length = 300\n";
        const char *small = "[toolchain]\nplaceholder_length = 255\n", *wrong = "[toolchain]\ncc = no-such-compiler\n";

        (void)state;
        assert_int_equal(sf_fs_mkdirs(directory, 0755, NULL), 0);
        assert_int_equal(sf_fs_write(file, good, strlen(good), 0644, NULL), 0);
        assert_int_equal(sf_toolchain_load(directory, NULL, NULL, &tc, &err), 0);
        assert_string_equal(tc.cflags, "-O3");
        assert_int_equal(tc.placeholder_length, 300);
        assert_int_equal(strncmp(tc.compiler, "gcc ", 4), 0);
        assert_true(tc.compiler[4] >= '0' && tc.compiler[4] <= '9');
        sf_toolchain_free(&tc);
        assert_int_equal(sf_toolchain_load(directory, "atlantis", NULL, &tc, &err), SF_ERR_INCOMPATIBLE);
        assert_non_null(strstr(err.text, "atlantis"));
        assert_int_equal(sf_fs_write(file, small, strlen(small), 0644, NULL), 0);
        assert_int_equal(sf_toolchain_load(directory, NULL, NULL, &tc, &err), SF_ERR_USAGE);
        assert_int_equal(sf_fs_write(file, wrong, strlen(wrong), 0644, NULL), 0);
        assert_true(sf_toolchain_load(directory, NULL, NULL, &tc, &err) < 0);
        assert_non_null(strstr(err.text, "no-such-compiler"));
}

/* --- keys ------------------------------------------------------------------------------------------------------ */

static char *key_name(const struct sf_recipe *recipe, const struct sf_toolchain *tc, const char *prefix,
                      const struct sf_cache_key *depend)
{
        struct sf_cache_key key;

        assert_int_equal(sf_cache_key_make(recipe, tc, prefix, &depend, depend ? 1 : 0, &key, NULL), 0);
        free(key.text);
        return key.name;
}

static void check_all_different(char *const *names, size_t count)
{
        for (size_t i = 0; i < count; i++)
                for (size_t j = 0; j < i; j++)
                        assert_string_not_equal(names[i], names[j]);
}

static void a_key_covers_everything_that_matters(void **state)
{
        static char gcc13[] = "gcc 13.1.0", libc[] = "glibc 2.39", noble[] = "noble";
        char name_a[] = "a", name_b[] = "b";
        static char version_1[] = "3.0.1", version_2[] = "3.0.2", word[] = "openssl";
        struct sf_toolchain_os older = { "openssl", "libssl-dev", "", version_1 };
        struct sf_toolchain_os newer = { "openssl", "libssl-dev", "", version_2 };
        struct sf_recipe_patch patch = { .name = "p", .file = "p.patch", .strip = 1 };
        char *openssl[] = { word, NULL };
        const struct sf_cache_key a = { NULL, name_a }, b = { NULL, name_b };
        char *names[16];
        size_t count = 0;

        (void)state;
        for (int variant = 0; variant < 15; variant++) {
                struct sf_recipe recipe = example_recipe();
                struct sf_toolchain tc = example();
                tc.os = &older;
                tc.os_count = 1;
                const char *prefix = "/p";
                const struct sf_cache_key *depend = NULL;
                switch (variant) {
                case 1:
                        recipe.strip = false;
                        break;
                case 2:
                        recipe.version = "2";
                        break;
                case 3:
                        tc.compiler = gcc13;
                        break;
                case 4:
                        tc.libc = libc;
                        break;
                case 5:
                        tc.name = noble;
                        break;
                case 6:
                        tc.arch = "arm64";
                        break;
                case 7:
                        tc.cflags = "-O3";
                        break;
                case 8:
                        prefix = "/q";
                        break;
                case 9:
                        depend = &a;
                        break;
                case 10:
                        depend = &b;
                        break;
                case 11:
                        recipe.layer = "mpi";
                        break;
                case 12:
                        recipe.patches = &patch;
                        recipe.patch_count = 1;
                        break;
                case 13:
                        recipe.os = (struct sf_words){ openssl, 1 };
                        break;
                case 14:
                        recipe.os = (struct sf_words){ openssl, 1 };
                        tc.os = &newer;
                        break;
                default:
                        break;
                }
                names[count++] = key_name(&recipe, &tc, prefix, depend);
        }
        struct sf_recipe same = example_recipe();
        struct sf_toolchain tc = example();
        names[count++] = key_name(&same, &tc, "/p", NULL);
        assert_string_equal(names[0], names[count - 1]);
        assert_int_equal(strncmp(names[0], "x-1-", 4), 0);
        assert_int_equal(strlen(names[0]), 4 + SF_DIGEST_HEX);
        check_all_different(names, count - 1);
        for (size_t i = 0; i < count; i++)
                free(names[i]);
}

static void touch(const char *directory, const char *path, const char *text, mode_t mode)
{
        _cleanup_free_ char *full = sf_fs_join(directory, path), *parent = strdup(full);

        *strrchr(parent, '/') = '\0';
        assert_int_equal(sf_fs_mkdirs(parent, 0755, NULL), 0);
        assert_int_equal(sf_fs_write(full, text, strlen(text), mode, NULL), 0);
}

static void a_layer_is_stored_and_found(void **state)
{
        struct sf_recipe recipe = example_recipe();
        struct sf_toolchain tc = example();
        struct sf_cache_key key;
        struct sf_cache cache;
        _cleanup_free_ char *root = sf_fs_join(scratch, "store"), *tree = NULL;
        _cleanup_free_ char *built = sf_fs_join(root, "work/built"), *file = NULL;
        uint64_t freed;

        (void)state;
        assert_int_equal(sf_cache_open(root, &cache, NULL), 0);
        assert_int_equal(sf_cache_key_make(&recipe, &tc, "/p", NULL, 0, &key, NULL), 0);
        assert_int_equal(sf_cache_find(&cache, &key, &tree, NULL), SF_ERR_NOT_FOUND);
        touch(built, "bin/tool", "tool", 0755);
        assert_int_equal(sf_cache_store(&cache, &key, built, NULL), 0);
        assert_false(sf_fs_exists(built));
        assert_int_equal(sf_cache_find(&cache, &key, &tree, NULL), 0);
        file = sf_fs_join(tree, "bin/tool");
        assert_true(sf_fs_exists(file));
        assert_int_equal(sf_cache_clean(&cache, false, &freed, NULL), 0);
        assert_true(freed >= 512);
        assert_false(sf_fs_exists(tree));
        sf_cache_key_free(&key);
        sf_cache_close(&cache);
}

/* A kill in clean, or a damaged disk, leaves the directory without its tree. */
static void an_entry_without_a_tree_is_replaced(void **state)
{
        struct sf_recipe recipe = example_recipe();
        struct sf_toolchain tc = example();
        struct sf_cache_key key;
        struct sf_cache cache;
        _cleanup_free_ char *root = sf_fs_join(scratch, "ruin"), *built = sf_fs_join(root, "work/built");
        _cleanup_free_ char *entry = NULL, *rest = NULL, *tree = NULL, *work = NULL;

        (void)state;
        assert_int_equal(sf_cache_open(root, &cache, NULL), 0);
        assert_int_equal(sf_cache_key_make(&recipe, &tc, "/p", NULL, 0, &key, NULL), 0);
        entry = sf_cache_path(&cache, "buildcache", key.name);
        touch(entry, "key", "old", 0644);
        touch(entry, "rest/of/it", "old", 0644);
        touch(built, "bin/tool", "tool", 0755);
        assert_int_equal(sf_cache_store(&cache, &key, built, NULL), 0);
        assert_int_equal(sf_cache_find(&cache, &key, &tree, NULL), 0);
        rest = sf_fs_join(entry, "rest");
        assert_false(sf_fs_exists(rest));
        work = sf_cache_path(&cache, "work", NULL);
        assert_int_equal(rmdir(work), 0);
        sf_cache_key_free(&key);
        sf_cache_close(&cache);
}

/* 0 where a removal that cannot go on leaves no half layer behind. */
static int clean_in_vain(const char *root)
{
        struct sf_recipe recipe = example_recipe();
        struct sf_toolchain tc = example();
        struct sf_cache_key key;
        struct sf_cache cache;
        _cleanup_free_ char *built = sf_fs_join(root, "work/built"), *fixed = sf_fs_join(built, "fixed");
        _cleanup_free_ char *tree = NULL;
        uint64_t freed;

        if (geteuid() == 0 && setuid(65534) < 0)
                return 1;
        if (sf_cache_open(root, &cache, NULL) < 0 || sf_cache_key_make(&recipe, &tc, "/p", NULL, 0, &key, NULL) < 0)
                return 2;
        touch(built, "fixed/file", "old", 0644);
        if (chmod(fixed, 0555) < 0 || sf_cache_store(&cache, &key, built, NULL) < 0)
                return 3;
        if (sf_cache_clean(&cache, false, &freed, NULL) == 0)
                return 4;
        return sf_cache_find(&cache, &key, &tree, NULL) == SF_ERR_NOT_FOUND ? 0 : 5;
}

static void clean_leaves_no_half_layer(void **state)
{
        _cleanup_free_ char *root = sf_fs_join(scratch, "fixed");
        int status;

        (void)state;
        assert_int_equal(sf_fs_mkdirs(root, 0755, NULL), 0);
        assert_int_equal(chmod(scratch, 0755) | chmod(root, 0777), 0);
        pid_t pid = fork();
        if (pid == 0)
                _exit(clean_in_vain(root));
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        if (geteuid() != 0) {
                _cleanup_free_ char *command = sf_format("chmod -R u+w '%s'", root);
                assert_int_equal(system(command), 0);
        }
}

static void a_lock_keeps_others_out(void **state)
{
        struct sf_error err = SF_ERROR_INIT;
        struct sf_cache cache;
        _cleanup_free_ char *root = sf_fs_join(scratch, "lock");
        int first = -1, second = -1;
        uint64_t freed;

        (void)state;
        assert_int_equal(sf_cache_open(root, &cache, NULL), 0);
        assert_int_equal(sf_cache_lock(&cache, "l", false, &first, &err), 0);
        assert_int_equal(sf_cache_lock(&cache, "l", false, &second, &err), SF_ERR_BUSY);
        assert_int_equal(sf_cache_lock(&cache, "other", false, &second, &err), 0);
        close(second);
        assert_int_equal(sf_cache_clean(&cache, false, &freed, &err), SF_ERR_BUSY);
        close(first);
        assert_int_equal(sf_cache_clean(&cache, false, &freed, &err), 0);
        assert_int_equal(sf_cache_lock(&cache, "l", false, &second, &err), 0);
        close(second);
        sf_cache_close(&cache);
}

/* --- trees ----------------------------------------------------------------------------------------------------- */

static void trees_are_added_and_taken_out(void **state)
{
        struct sf_error err = SF_ERROR_INIT;
        struct stat st;
        _cleanup_free_ char *base = sf_fs_join(scratch, "base"), *tree = sf_fs_join(scratch, "tree");
        _cleanup_free_ char *tool = sf_fs_join(tree, "bin/tool"), *link = sf_fs_join(base, "bin/link");
        _cleanup_free_ char *own = sf_fs_join(tree, "bin/own"), *share = sf_fs_join(tree, "share");
        _cleanup_free_ char *copied_link = sf_fs_join(tree, "bin/link");

        (void)state;
        touch(base, "bin/tool", "tool", 0755);
        touch(base, "share/doc/text", "text", 0644);
        assert_int_equal(symlink("tool", link), 0);
        assert_int_equal(sf_fs_mkdirs(tree, 0755, NULL), 0);
        assert_int_equal(sf_prefix_add(base, tree, &err), 0);
        assert_int_equal(stat(tool, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0755);
        assert_int_equal(sf_prefix_add(base, tree, &err), SF_ERR_EXISTS);

        touch(tree, "bin/own", "own", 0755);
        assert_int_equal(sf_prefix_subtract(tree, base, &err), 0);
        assert_false(sf_fs_exists(tool));
        assert_false(sf_fs_exists(copied_link));
        assert_false(sf_fs_exists(share));
        assert_true(sf_fs_exists(own));

        assert_int_equal(sf_fs_remove_tree(tree, NULL), 0);
        assert_int_equal(sf_fs_mkdirs(tree, 0755, NULL), 0);
        assert_int_equal(sf_prefix_add(base, tree, &err), 0);
        assert_int_equal(unlink(copied_link), 0);
        assert_int_equal(symlink("elsewhere", copied_link), 0);
        assert_int_equal(sf_prefix_subtract(tree, base, &err), SF_ERR_CORRUPT);
        assert_non_null(strstr(err.text, "bin/link of a dependency was changed"));
        assert_int_equal(unlink(copied_link), 0);
        assert_int_equal(sf_prefix_subtract(tree, base, &err), SF_ERR_CORRUPT);
        assert_non_null(strstr(err.text, "deleted"));
}

static void patterns_remove_at_any_depth(void **state)
{
        struct sf_words patterns = SF_WORDS_INIT;
        _cleanup_free_ char *tree = sf_fs_join(scratch, "remove");
        _cleanup_free_ char *deep = sf_fs_join(tree, "lib/slurm/a.la"), *kept = sf_fs_join(tree, "lib/slurm/a.so");
        _cleanup_free_ char *cmake = sf_fs_join(tree, "lib/cmake/x/y");

        (void)state;
        touch(tree, "lib/slurm/a.la", "", 0644);
        touch(tree, "lib/slurm/a.so", "", 0644);
        touch(tree, "lib/cmake/x/y", "", 0644);
        assert_int_equal(sf_words_split(&patterns, "*.la lib/cmake/*", NULL), 0);
        assert_int_equal(sf_prefix_remove(tree, &patterns, NULL), 0);
        assert_false(sf_fs_exists(deep));
        assert_false(sf_fs_exists(cmake));
        assert_true(sf_fs_exists(kept));
        sf_words_free(&patterns);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(placeholder_has_the_length_and_no_period),
                cmocka_unit_test(placeholder_follows_the_toolchain),
                cmocka_unit_test(toolchain_is_measured_and_configured),
                cmocka_unit_test(a_key_covers_everything_that_matters),
                cmocka_unit_test(a_layer_is_stored_and_found),
                cmocka_unit_test(an_entry_without_a_tree_is_replaced),
                cmocka_unit_test(clean_leaves_no_half_layer),
                cmocka_unit_test(a_lock_keeps_others_out),
                cmocka_unit_test(trees_are_added_and_taken_out),
                cmocka_unit_test(patterns_remove_at_any_depth),
        };
        return cmocka_run_group_tests(tests, make_scratch, remove_scratch);
}
