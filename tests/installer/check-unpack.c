/* SPDX-License-Identifier: Apache-2.0 */
/* Unpacking honest releases: they arrive whole and relocated, on one thread or many, wholly or in part. What hostile
 * ones meet is in check-installer-hostile.c.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "tests/kit/layer-scratch.h"

static void assert_content(const struct scratch *s, const char *path, const char *expected)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;

        assert_int_equal(sf_fs_read_at(s->dirfd, path, 1 << 20, &text, NULL), 0);
        assert_string_equal(sf_buffer_text(&text), expected);
}

/* What was told of the unpacking last: bytes of how many. */
static uint64_t told_done, told_total;
static unsigned told_times;

static void note_unpacked(void *ctx, uint64_t done, uint64_t total)
{
        (void)ctx;
        assert_true(done >= told_done && done <= total);
        assert_true(told_times == 0 || total == told_total);
        told_done = done;
        told_total = total;
        told_times++;
}

static uint64_t bytes_of_files(const struct sf_filelist *list)
{
        uint64_t bytes = 0;

        for (size_t i = 0; i < list->entry_count; i++)
                bytes += list->entries[i].type == SF_ENTRY_FILE ? list->entries[i].size : 0;
        return bytes;
}

/* --- honest releases ------------------------------------------------------------------------------------------- */

static void honest(unsigned threads)
{
        struct maker m = { 0 };
        struct sf_filelist list;
        struct sf_error err = SF_ERROR_INIT;
        struct scratch s = make_scratch();
        struct stat st;

        maker_honest(&m, RELEASE);
        assert_int_equal(read_list(&m, &list, &err), 0);
        struct sf_unpack u = unpack_of(&m, &list, s.dirfd, threads);
        u.unpacked = note_unpacked;
        told_done = told_times = 0;
        umask(077);
        int r = sf_unpack_run(&u, &err);
        if (r < 0)
                print_error("%s\n", err.text);
        assert_int_equal(r, 0);
        assert_true(told_times >= 2);
        assert_int_equal(told_total, bytes_of_files(&list));
        assert_int_equal(told_done, told_total);
        assert_int_equal(sf_tree_verify(&u.tree, NULL, NULL, &err), 0);
        assert_content(&s, "lib/pkgconfig/hwloc.pc", "prefix=" PREFIX "\nlibdir=" PREFIX "/lib\n");
        assert_content(&s, "lib/slurm/auth_munge.so", RELEASE);
        assert_int_equal(fstatat(s.dirfd, "lib/slurm/cred_munge.so", &st, AT_SYMLINK_NOFOLLOW), 0);
        assert_int_equal(st.st_mode, S_IFREG | 0555);
        assert_int_equal(fstatat(s.dirfd, "bin", &st, AT_SYMLINK_NOFOLLOW), 0);
        assert_int_equal(st.st_mode, S_IFDIR | 0755);
        sf_filelist_free(&list);
        maker_free(&m);
        drop_scratch(&s);
}

static void test_honest_one_thread(void **state)
{
        (void)state;
        honest(1);
}

static void test_honest_many_threads(void **state)
{
        (void)state;
        honest(8);
}

/* Only the frames that hold wanted files are asked for, and nothing but wanted files is written. */
static void test_wanted_only(void **state)
{
        struct maker m = { 0 };
        struct sf_filelist list;
        struct sf_error err = SF_ERROR_INIT;
        struct scratch s = make_scratch();
        _cleanup_free_ struct sf_unpack_range *ranges = NULL;
        size_t count;
        uint64_t bytes;
        struct stat st;

        (void)state;
        maker_honest(&m, RELEASE);
        assert_int_equal(read_list(&m, &list, &err), 0);
        _cleanup_free_ uint8_t *wanted = calloc(list.entry_count, 1);
        for (size_t i = 0; i < list.entry_count; i++)
                wanted[i] = list.entries[i].type == SF_ENTRY_DIRECTORY;
        assert_int_equal(sf_unpack_plan(&list, wanted, &ranges, &count, &bytes, &err), 0);
        assert_int_equal(count, 0);
        assert_int_equal(bytes, 0);
        free(sf_steal_pointer(ranges));
        wanted[sf_filelist_find(&list, "lib/pkgconfig/hwloc.pc") - list.entries] = 1;
        assert_int_equal(sf_unpack_plan(&list, wanted, &ranges, &count, &bytes, &err), 0);
        assert_int_equal(count, 1);
        assert_int_equal(bytes, list.frames[0].size);
        struct sf_unpack u = unpack_of(&m, &list, s.dirfd, 2);
        u.wanted = wanted;
        u.unpacked = note_unpacked;
        told_done = told_times = 0;
        assert_int_equal(sf_unpack_run(&u, &err), 0);
        assert_int_equal(told_done, sf_filelist_find(&list, "lib/pkgconfig/hwloc.pc")->size);
        assert_int_equal(told_done, told_total);
        assert_content(&s, "lib/pkgconfig/hwloc.pc", "prefix=" PREFIX "\nlibdir=" PREFIX "/lib\n");
        assert_int_equal(fstatat(s.dirfd, "lib/empty", &st, AT_SYMLINK_NOFOLLOW), -1);
        sf_filelist_free(&list);
        maker_free(&m);
        drop_scratch(&s);
}

/* A server that turns out to have no ranges when the second one is asked for. */
static int first_range_only(void *ctx, size_t layer, uint64_t offset, uint64_t length, struct sf_stream **ret,
                            struct sf_error *err)
{
        if (offset)
                return sf_error_set(err, SF_ERR_UNSUPPORTED, "no ranges here");
        return maker_open_range(ctx, layer, offset, length, ret, err);
}

/* The layer is then read whole, and what the first range brought is not written again. */
static void test_ranges_end(void **state)
{
        static uint8_t noise[200000];
        struct maker m = { 0 };
        struct sf_filelist list;
        struct sf_error err = SF_ERROR_INIT;
        struct scratch s = make_scratch();
        uint8_t wanted[] = { 1, 0, 1 };
        struct stat st;
        uint32_t random = 1;

        (void)state;
        for (size_t i = 0; i < sizeof noise; i++)
                noise[i] = (uint8_t)((random = random * 1664525u + 1013904223u) >> 24);
        m.list.release = RELEASE;
        m.list.prefix_length = MAKER_PREFIX;
        maker_layer(&m, "deps");
        maker_file(&m, "a", 0644, "first", 5);
        maker_cut(&m);
        maker_file(&m, "b", 0644, noise, sizeof noise);
        maker_cut(&m);
        maker_file(&m, "c", 0644, "third", 5);
        maker_end_layer(&m);
        maker_seal(&m);
        assert_int_equal(read_list(&m, &list, &err), 0);
        struct sf_unpack u = unpack_of(&m, &list, s.dirfd, 2);
        u.wanted = wanted;
        u.open_range = first_range_only;
        assert_int_equal(sf_unpack_run(&u, &err), 0);
        assert_content(&s, "a", "first");
        assert_content(&s, "c", "third");
        assert_int_equal(fstatat(s.dirfd, "b", &st, AT_SYMLINK_NOFOLLOW), -1);
        sf_filelist_free(&list);
        maker_free(&m);
        drop_scratch(&s);
}

static void test_long_prefix(void **state)
{
        struct maker m = { 0 };
        struct sf_filelist list;
        struct sf_error err = SF_ERROR_INIT;

        (void)state;
        maker_honest(&m, RELEASE);
        assert_int_equal(read_list(&m, &list, &err), 0);
        assert_int_equal(sf_unpack_check_prefix(&list, PREFIX, &err), 0);
        int r = sf_unpack_check_prefix(&list, "/a/prefix/that/is/longer/than/the/room/that/the/release/has/for/it",
                                       &err);
        assert_int_equal(r, SF_ERR_NO_FIT);
        assert_non_null(strstr(err.text, "66"));
        sf_filelist_free(&list);
        maker_free(&m);
}

/* Frames too large for memory: decoded through a window, and where they do not compress, spooled to the disk. */
static void large_frame(unsigned spread)
{
        size_t size = 35u << 20;
        _cleanup_free_ uint8_t *content = malloc(size);
        struct maker m = { 0 };
        struct sf_filelist list;
        struct sf_error err = SF_ERROR_INIT;
        struct scratch s = make_scratch();
        uint64_t state = 1;

        for (size_t i = 0; i < size; i++) {
                state = state * 6364136223846793005u + 1442695040888963407u;
                content[i] = (uint8_t)((state >> 33) & spread);
        }
        m.list.release = RELEASE;
        m.list.prefix_length = MAKER_PREFIX;
        maker_layer(&m, "deps");
        maker_file(&m, "large", 0644, content, size);
        maker_end_layer(&m);
        maker_seal(&m);
        assert_true(spread < 255 || m.blobs[0].len > size);
        assert_true(spread == 255 || m.blobs[0].len <= SF_UNPACK_QUEUE);
        assert_int_equal(read_list(&m, &list, &err), 0);
        struct sf_unpack u = unpack_of(&m, &list, s.dirfd, 1);
        assert_int_equal(sf_unpack_run(&u, &err), 0);
        assert_int_equal(sf_tree_verify(&u.tree, NULL, NULL, &err), 0);
        sf_filelist_free(&list);
        maker_free(&m);
        drop_scratch(&s);
}

static void test_large_frames(void **state)
{
        (void)state;
        large_frame(0);
        large_frame(255);
}

/* Files of every kind of length, some mapped, in a few frames: what is written beside the decoder and what is not. */
static void files_of_all_lengths(unsigned threads)
{
        static const size_t lengths[] = {
                0, 1, 511, 512, 65535, 65536, 65537, 69632, 100001, 1 << 20, (1 << 20) + 511
        };
        enum { COUNT = sizeof lengths / sizeof *lengths, ROUNDS = 8 };
        _cleanup_free_ uint8_t *content = malloc((2 << 20) + ROUNDS * COUNT);
        const uint64_t offset = 4096;
        struct maker m = { 0 };
        struct sf_filelist list;
        struct sf_error err = SF_ERROR_INIT;
        struct scratch s = make_scratch();
        char path[32];

        for (size_t i = 0; i < (2 << 20) + ROUNDS * COUNT; i++)
                content[i] = (uint8_t)(i * 2654435761u >> 11);
        m.list.release = RELEASE;
        m.list.prefix_length = MAKER_PREFIX;
        maker_layer(&m, "deps");
        for (size_t i = 0; i < ROUNDS * COUNT; i++) {
                snprintf(path, sizeof path, "file-%zu", i);
                maker_file(&m, path, i % 2 ? 0755 : 0444, content + i, lengths[i % COUNT]);
                if (i % COUNT == COUNT - 1 && i + 1 < ROUNDS * COUNT)
                        maker_cut(&m);
        }
        memcpy(content + offset, "/opt/slurm/view", 15);
        memset(content + offset + 15, '/', MAKER_PREFIX - 15);
        maker_map(&m, maker_file(&m, "mapped", 0755, content, 300000), SF_MAP_BINARY, &offset, 1);
        maker_end_layer(&m);
        maker_seal(&m);
        assert_int_equal(read_list(&m, &list, &err), 0);
        struct sf_unpack u = unpack_of(&m, &list, s.dirfd, threads);
        int r = sf_unpack_run(&u, &err);
        if (r < 0)
                print_error("%s\n", err.text);
        assert_int_equal(r, 0);
        assert_int_equal(sf_tree_verify(&u.tree, NULL, NULL, &err), 0);
        sf_filelist_free(&list);
        maker_free(&m);
        drop_scratch(&s);
}

static void test_lengths(void **state)
{
        (void)state;
        files_of_all_lengths(1);
        files_of_all_lengths(3);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_honest_one_thread), cmocka_unit_test(test_honest_many_threads),
                cmocka_unit_test(test_wanted_only),       cmocka_unit_test(test_ranges_end),
                cmocka_unit_test(test_long_prefix),       cmocka_unit_test(test_large_frames),
                cmocka_unit_test(test_lengths),
        };
        return cmocka_run_group_tests_name("unpack", tests, NULL, NULL);
}
