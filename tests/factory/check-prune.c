/* SPDX-License-Identifier: Apache-2.0 */
/* tests/factory/check-prune.c - what prune takes off the offer, what it deletes, and when: with a clock of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/json.h"
#include "factory/pack/import.h"
#include "factory/publish/keys.h"
#include "factory/publish/prune.h"
#include "factory/publish/publish.h"

#define DAY         86400
#define PLACEHOLDER "/media/a-placeholder-that-is-not-very-long-but-forced"

struct world {
        char *top, *builds, *repository, *keys;
        const char *key_list[2];
        int64_t now;
};

static char *below(const struct world *w, const char *name)
{
        char *path = sf_fs_join(w->top, name);

        assert_non_null(path);
        return path;
}

static void make_release(const struct world *w, const char *version)
{
        _cleanup_free_ char *tree = sf_format("%s/tree-%s", w->top, version), *sbin = sf_fs_join(tree, "sbin");
        _cleanup_free_ char *program = sf_fs_join(sbin, "slurmd"), *text = sf_format("#!/bin/sh\necho %s\n", version);
        _cleanup_(sf_pack_result_free) struct sf_pack_result packed = { 0 };
        static const char *const placeholders[] = { PLACEHOLDER, NULL };
        const struct sf_import import = { .directory = tree,
                                          .placeholders = placeholders,
                                          .version = version,
                                          .toolchain = "test",
                                          .arch = "amd64",
                                          .builds = w->builds,
                                          .force = true };
        struct sf_release_name name;
        struct sf_error err = SF_ERROR_INIT;

        assert_int_equal(sf_fs_mkdirs(sbin, 0755, &err), 0);
        assert_int_equal(sf_fs_write(program, text, strlen(text), 0755, &err), 0);
        if (sf_import_run(&import, &name, &packed, &err) < 0)
                fail_msg("%s", err.text);
}

static int set_up(void **state)
{
        static const char *const versions[] = { "24.11.5", "24.11.6", "25.05.1", "25.05.2", "25.05.3" };
        struct world *w = calloc(1, sizeof *w);
        char pattern[] = "/tmp/check-factory-prune.XXXXXX";
        struct sf_error err = SF_ERROR_INIT;

        assert_non_null(w);
        assert_non_null(mkdtemp(pattern));
        w->top = strdup(pattern);
        w->builds = below(w, "builds");
        w->repository = below(w, "repo");
        w->keys = below(w, "keys");
        w->key_list[0] = w->keys;
        w->now = time(NULL);
        for (size_t i = 0; i < sizeof versions / sizeof *versions; i++)
                make_release(w, versions[i]);
        const struct sf_metadata_options options = { .repository = w->repository, .keys = w->key_list, .now = w->now };
        const struct sf_keys_init init = { w->keys, w->keys, 1, 1 };
        const struct sf_publish publish = { .repository = w->repository,
                                            .keys = w->key_list,
                                            .builds = w->builds,
                                            .releases = versions,
                                            .release_count = sizeof versions / sizeof *versions,
                                            .now = w->now };
        if (sf_keys_init(&options, &init, &err) < 0 || sf_publish_run(&publish, &err) < 0)
                fail_msg("%s", err.text);
        *state = w;
        return 0;
}

static int tear_down(void **state)
{
        struct world *w = *state;

        sf_fs_remove_tree(w->top, NULL);
        free(w->top);
        free(w->builds);
        free(w->repository);
        free(w->keys);
        free(w);
        return 0;
}

/* Prunes `days` from now. */
static int prune(const struct world *w, unsigned keep, int days, struct sf_prune_result *ret)
{
        const struct sf_prune prune = {
                .repository = w->repository, .keys = w->key_list, .keep = keep, .now = w->now + (int64_t)days * DAY
        };
        struct sf_error err = SF_ERROR_INIT;
        int r = sf_prune_run(&prune, ret, &err);

        if (r < 0)
                print_message("%s\n", err.text);
        return r;
}

static void refresh(const struct world *w, int days)
{
        const struct sf_metadata_options options = { .repository = w->repository,
                                                     .keys = w->key_list,
                                                     .now = w->now + (int64_t)days * DAY };
        _cleanup_metadata_ struct sf_metadata *metadata = NULL;
        struct sf_error err = SF_ERROR_INIT;

        assert_int_equal(sf_metadata_open(&options, &metadata, &err), 0);
        assert_int_equal(sf_metadata_refresh(metadata, &err), 0);
}

static int count_file(void *ctx, int dirfd, const char *name, const char *path, const struct stat *st,
                      struct sf_error *err)
{
        (void)dirfd, (void)name, (void)path, (void)err;
        *(size_t *)ctx += S_ISREG(st->st_mode);
        return 0;
}

static size_t count(const struct world *w, const char *directory)
{
        _cleanup_free_ char *path = sf_fs_join(w->repository, directory);
        size_t files = 0;

        assert_int_equal(sf_fs_walk(path, count_file, &files, NULL), 0);
        return files;
}

/* Publishing what is left again finds all of it undamaged: nothing is written. */
static void assert_complete(const struct world *w, const char *const *releases, size_t release_count, int days)
{
        const struct sf_publish publish = { .repository = w->repository,
                                            .keys = w->key_list,
                                            .builds = w->builds,
                                            .releases = releases,
                                            .release_count = release_count,
                                            .now = w->now + (int64_t)days * DAY };
        struct sf_error err = SF_ERROR_INIT;
        size_t blobs = count(w, "blobs"), metadata = count(w, "metadata");

        if (sf_publish_run(&publish, &err) < 0)
                fail_msg("%s", err.text);
        assert_int_equal(count(w, "blobs"), blobs);
        assert_int_equal(count(w, "metadata"), metadata);
}

static void a_reader_of_yesterday_finds_all(void **state)
{
        static const char *const left[] = { "24.11.6", "25.05.3" };
        struct world *w = *state;
        struct sf_prune_result result;
        size_t all = count(w, "blobs");

        assert_int_equal(prune(w, 0, 0, &result), 0);
        /* What `keys init` and the publication left has not expired: nothing goes. */
        assert_int_equal(result.files, 0);
        sf_prune_result_free(&result);

        assert_int_equal(prune(w, 1, 0, &result), 0);
        assert_int_equal(result.removed.count, 3);
        assert_int_equal(result.files, 0);
        assert_true(result.waiting_files > 0);
        assert_int_equal(result.waiting_until, w->now + 14 * DAY);
        assert_int_equal(count(w, "blobs"), all);
        sf_prune_result_free(&result);

        refresh(w, 10);
        assert_int_equal(prune(w, 1, 13, &result), 0);
        assert_int_equal(result.files, 0);
        assert_int_equal(count(w, "blobs"), all);
        sf_prune_result_free(&result);
        /* Now nobody has metadata any more that names them. */
        assert_int_equal(prune(w, 1, 15, &result), 0);
        assert_true(result.files > 0);
        assert_int_equal(result.waiting_files, 0);
        assert_true(count(w, "blobs") < all);
        sf_prune_result_free(&result);
        assert_complete(w, left, 2, 15);
        /* Once is enough. */
        assert_int_equal(prune(w, 1, 15, &result), 0);
        assert_int_equal(result.files, 0);
        sf_prune_result_free(&result);
}

static void what_lies_around_goes_when_it_is_old(void **state)
{
        struct world *w = *state;
        _cleanup_free_ char *orphan = sf_format("%s/blobs/sha256/orphan.partial", w->repository);
        _cleanup_free_ char *page = sf_fs_join(w->repository, "index.html");
        struct sf_prune_result result;
        struct sf_error err = SF_ERROR_INIT;

        assert_int_equal(sf_fs_write(orphan, "x", 1, 0644, &err), 0);
        assert_int_equal(sf_fs_write(page, "x", 1, 0644, &err), 0);
        const struct sf_prune young = {
                .repository = w->repository, .keys = w->key_list, .now = w->now + DAY / 2, .grace = DAY
        };
        assert_int_equal(sf_prune_run(&young, &result, &err), 0);
        assert_true(sf_fs_exists(orphan));
        struct sf_prune trial = young;
        trial.now += DAY;
        trial.dry_run = true;
        assert_int_equal(sf_prune_run(&trial, &result, &err), 0);
        assert_int_equal(result.files, 1);
        assert_true(sf_fs_exists(orphan));
        trial.dry_run = false;
        assert_int_equal(sf_prune_run(&trial, &result, &err), 0);
        assert_false(sf_fs_exists(orphan));
        assert_true(sf_fs_exists(page));
}

static void a_dry_run_changes_nothing(void **state)
{
        struct world *w = *state;
        const char *named[] = { "25.05.1" };
        struct sf_prune trial = { .repository = w->repository,
                                  .keys = w->key_list,
                                  .releases = named,
                                  .release_count = 1,
                                  .keep = 1,
                                  .dry_run = true,
                                  .now = w->now + 15 * DAY };
        struct sf_prune_result result;
        struct sf_error err = SF_ERROR_INIT;
        size_t blobs = count(w, "blobs"), metadata = count(w, "metadata");

        assert_int_equal(sf_prune_run(&trial, &result, &err), 0);
        assert_int_equal(result.removed.count, 3);
        sf_prune_result_free(&result);
        assert_int_equal(count(w, "blobs"), blobs);
        assert_int_equal(count(w, "metadata"), metadata);
        named[0] = "23.02.1";
        trial.dry_run = false;
        assert_int_equal(sf_prune_run(&trial, &result, &err), SF_ERR_NOT_FOUND);
}

static void withdrawn_releases_do_not_count(void **state)
{
        struct world *w = *state;
        const struct sf_publish publish = { .repository = w->repository, .keys = w->key_list, .now = w->now };
        struct sf_prune_result result;
        struct sf_error err = SF_ERROR_INIT;

        assert_int_equal(sf_publish_withdraw(&publish, "25.05.3", "eats jobs", &err), 0);
        assert_int_equal(sf_publish_withdraw(&publish, "24.11.5", "old", &err), 0);
        assert_int_equal(prune(w, 1, 0, &result), 0);
        assert_int_equal(result.removed.count, 2); /* 25.05.3 may come back: 25.05.2 is the newest on offer */
        assert_string_equal(result.removed.items[0], "24.11.5-test-amd64");
        assert_string_equal(result.removed.items[1], "25.05.1-test-amd64");
        sf_prune_result_free(&result);
        assert_int_equal(sf_publish_restore(&publish, "25.05.3", &err), 0);
        assert_int_equal(sf_publish_restore(&publish, "24.11.5-test-amd64", &err), 0);
        assert_int_equal(sf_publish_restore(&publish, "25.05.3", &err), SF_ERR_NOT_FOUND);
}

static void damage_stops_it(void **state)
{
        struct world *w = *state;
        _cleanup_free_ char *index = sf_fs_join(w->repository, "targets/index"), *gone = NULL;
        _cleanup_free_ char *orphan = sf_format("%s/blobs/sha256/orphan", w->repository);
        struct sf_prune_result result;
        struct sf_error err = SF_ERROR_INIT;

        assert_int_equal(sf_fs_write(orphan, "x", 1, 0644, &err), 0);
        gone = sf_format("%s.gone", index);
        assert_int_equal(rename(index, gone), 0);
        assert_true(prune(w, 0, 2, &result) < 0);
        assert_true(sf_fs_exists(orphan));
        assert_int_equal(rename(gone, index), 0);
        assert_int_equal(prune(w, 0, 2, &result), 0);
        assert_false(sf_fs_exists(orphan));
}

static void roots_stay_for_ever(void **state)
{
        struct world *w = *state;
        const struct sf_metadata_options options = { .repository = w->repository, .keys = w->key_list, .now = w->now };
        _cleanup_free_ char *first = sf_fs_join(w->repository, "metadata/1.root.json");
        struct sf_prune_result result;
        struct sf_error err = SF_ERROR_INIT;

        for (int i = 0; i < 3; i++)
                assert_int_equal(sf_keys_rotate(&options, "root", NULL, NULL, &err), 0);
        refresh(w, 1000);
        assert_int_equal(prune(w, 0, 1000, &result), 0);
        assert_true(result.files > 0);
        assert_true(sf_fs_exists(first));
        /* 4 roots and the one that the refresh made, timestamp, snapshot, targets and 4 delegated roles */
        assert_int_equal(count(w, "metadata"), 12);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        const struct CMUnitTest tests[] = {
                TEST(a_reader_of_yesterday_finds_all),
                TEST(what_lies_around_goes_when_it_is_old),
                TEST(a_dry_run_changes_nothing),
                TEST(withdrawn_releases_do_not_count),
                TEST(damage_stops_it),
                TEST(roots_stay_for_ever),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
