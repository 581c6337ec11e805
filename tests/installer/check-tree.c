/* SPDX-License-Identifier: Apache-2.0 */
/* Installed trees: read back through relocation, compared, mended, and reused for the next release. */
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
#include "installer/reuse.h"
#include "tests/kit/store-node.h"

static void test_read_back_is_canonical(void **state)
{
        struct node *n = *state;
        struct sf_error err = SF_ERROR_INIT;
        size_t read = 0;

        install_checked(n);
        int fd = open_installed(n);
        struct sf_tree tree = tree_at(n, fd);
        for (size_t i = 0; i < n->list.entry_count; i++) {
                _cleanup_(sf_buffer_free) struct sf_buffer content = SF_BUFFER_INIT;
                if (n->list.entries[i].type != SF_ENTRY_FILE)
                        continue;
                assert_int_equal(sf_tree_read(&tree, &n->list.entries[i], &content, &err), 0);
                struct sf_digest digest;
                sf_digest_of(content.data, content.len, &digest);
                assert_true(sf_digest_equal(&digest, &n->list.entries[i].digest));
                read++;
        }
        assert_int_equal(read, n->list.file_count);
        close(fd);
}

struct damages {
        char text[2048];
        const struct sf_filelist *list;
        uint8_t *wanted;
};

static int note_damage(void *ctx, enum sf_damage damage, const char *path, const struct sf_entry *entry,
                       struct sf_error *err)
{
        struct damages *d = ctx;
        size_t used = strlen(d->text);

        (void)err;
        snprintf(d->text + used, sizeof d->text - used, "%s: %s\n", path, sf_damage_name(damage));
        if (entry)
                d->wanted[entry - d->list->entries] = 1;
        return 0;
}

static void damage_everything(int fd)
{
        int file = openat(fd, "bin/srun", O_WRONLY);
        assert_int_equal(pwrite(file, "X", 1, 2), 1);
        close(file);
        file = openat(fd, "lib/pkgconfig/hwloc.pc", O_WRONLY);
        assert_int_equal(pwrite(file, "/opt/slurm/view/////////////////////", 36, 7), 36);
        close(file);
        assert_int_equal(unlinkat(fd, "lib/slurm/auth_munge.so", 0), 0);
        assert_int_equal(fchmodat(fd, "lib/slurm/cred_munge.so", 04755, 0), 0);
        assert_int_equal(unlinkat(fd, "bin/sbatch", 0), 0);
        assert_int_equal(symlinkat("/bin/sh", fd, "bin/sbatch"), 0);
        assert_int_equal(unlinkat(fd, "lib/empty", 0), 0);
        assert_int_equal(mkdirat(fd, "lib/empty", 0700), 0);
        assert_int_equal(symlinkat("..", fd, "lib/empty/up"), 0);
        assert_int_equal(mkfifoat(fd, "lib/slurm/zzz.so", 0600), 0);
}

static void test_verify_and_repair(void **state)
{
        struct node *n = *state;
        struct sf_error err = SF_ERROR_INIT;

        install_checked(n);
        int fd = open_installed(n);
        struct sf_unpack u = unpack_at(n, fd);
        struct damages d = { .list = &n->list, .wanted = calloc(n->list.entry_count, 1) };
        assert_int_equal(sf_tree_verify(&u.tree, note_damage, &d, &err), 0);
        assert_string_equal(d.text, "");
        damage_everything(fd);
        assert_int_equal(sf_tree_verify(&u.tree, note_damage, &d, &err), 8);
        assert_string_equal(d.text, "bin/sbatch: wrong target\n"
                                    "bin/srun: wrong content\n"
                                    "lib/empty: wrong type\n"
                                    "lib/empty/up: not listed\n"
                                    "lib/pkgconfig/hwloc.pc: wrong content\n"
                                    "lib/slurm/cred_munge.so: wrong mode\n"
                                    "lib/slurm/zzz.so: not listed\n"
                                    "lib/slurm/auth_munge.so: missing\n");
        u.wanted = d.wanted;
        u.replace = true;
        int r = sf_unpack_run(&u, &err);
        if (r < 0)
                print_error("%s\n", err.text);
        assert_int_equal(r, 0);
        d.text[0] = '\0';
        assert_int_equal(sf_tree_verify(&u.tree, note_damage, &d, &err), 1);
        assert_string_equal(d.text, "lib/slurm/zzz.so: not listed\n");
        free(d.wanted);
        close(fd);
}

/* --- reuse ----------------------------------------------------------------------------------------------------- */

static ino_t inode_of(int fd, const char *path)
{
        struct stat st;

        assert_int_equal(fstatat(fd, path, &st, AT_SYMLINK_NOFOLLOW), 0);
        return st.st_ino;
}

/* The two releases differ in one file, lib/slurm/auth_munge.so. */
static void install_by_reuse(struct node *n, bool expect_damage)
{
        struct sf_error err = SF_ERROR_INIT;
        struct sf_staging staging;
        _cleanup_free_ uint8_t *planned = NULL, *missing = calloc(n->list.entry_count, 1);
        _cleanup_free_ struct sf_stat_record *seen = calloc(n->list.entry_count, sizeof *seen);
        _cleanup_reuse_ struct sf_reuse *reuse = NULL;

        assert_int_equal(sf_reuse_open(&n->store, &reuse, &err), 0);
        assert_int_equal(sf_reuse_plan(reuse, &n->list, &planned, &err), 0);
        for (size_t i = 0; i < n->list.entry_count; i++)
                assert_int_equal(planned[i], strcmp(n->list.entries[i].path, "lib/slurm/auth_munge.so") == 0);
        assert_int_equal(store_node_begin(&n->store, n->release.directory, &staging, &err), 0);
        struct sf_unpack u = unpack_at(n, staging.dirfd);
        assert_int_equal(sf_unpack_skeleton(&u.tree, &err), 0);
        for (size_t i = 0; i < n->list.entry_count; i++)
                missing[i] = n->list.entries[i].type == SF_ENTRY_FILE;
        assert_int_equal(sf_reuse_run(reuse, &u.tree, missing, seen, &err), 0);
        staging.seen = seen;
        assert_int_equal(missing[entry_of(n, "lib/slurm/auth_munge.so") - n->list.entries], 1);
        assert_int_equal(missing[entry_of(n, "lib/libhwloc.so.15") - n->list.entries], expect_damage);
        assert_int_equal(missing[entry_of(n, "bin/srun") - n->list.entries], 0);
        finish_checked(n, &staging, missing);
}

static void test_reuse(void **state)
{
        struct node *n = *state;
        uint64_t all = 0;

        install_checked(n);
        int old = open_installed(n);
        load(n, NEW);
        install_by_reuse(n, false);
        for (size_t i = 0; i < n->list.layer_count; i++)
                all += n->list.layers[i].size;
        assert_true(n->asked > 0);
        assert_true(n->asked < all / 2);
        /* Unmapped files share their blocks, or even their inode; mapped ones say their own directory. */
        int new = open_installed(n);
        assert_int_not_equal(inode_of(old, "bin/srun"), inode_of(new, "bin/srun"));
        if (geteuid() == 0)
                print_message("unmapped files are %s here\n",
                              inode_of(old, "lib/libhwloc.so.15") == inode_of(new, "lib/libhwloc.so.15") ? "hard-linked"
                                                                                                         : "cloned");
        close(old);
        close(new);
}

/* A server that gives whole layers only. */
static int whole_open_range(void *ctx, size_t layer, uint64_t offset, uint64_t length, struct sf_stream **ret,
                            struct sf_error *err)
{
        struct node *n = ctx;

        if (length < n->list.layers[layer].size)
                return sf_error_set(err, SF_ERR_UNSUPPORTED, "no ranges here");
        return counting_open_range(ctx, layer, offset, length, ret, err);
}

static void test_repair_without_ranges(void **state)
{
        struct node *n = *state;
        struct sf_error err = SF_ERROR_INIT;
        struct sf_unpack_range *ranges;
        size_t count;
        uint64_t bytes;

        install_checked(n);
        int fd = open_installed(n);
        struct sf_unpack u = unpack_at(n, fd);
        _cleanup_free_ uint8_t *wanted = calloc(n->list.entry_count, 1);
        wanted[entry_of(n, "bin/srun") - n->list.entries] = 1;
        assert_int_equal(unlinkat(fd, "bin/srun", 0), 0);
        assert_int_equal(sf_unpack_plan(&n->list, wanted, &ranges, &count, &bytes, &err), 0);
        assert_int_equal(count, 1);
        assert_true(bytes < n->list.layers[1].size);
        free(ranges);
        u.wanted = wanted;
        u.replace = true;
        u.open_range = whole_open_range;
        n->asked = 0;
        assert_int_equal(sf_unpack_run(&u, &err), 0);
        assert_int_equal(n->asked, n->list.layers[1].size);
        assert_int_equal(sf_tree_verify(&u.tree, NULL, NULL, &err), 0);
        close(fd);
}

/* What lists promise, the disk may have lost: then it is fetched. */
static void test_reuse_of_damaged(void **state)
{
        struct node *n = *state;

        install_checked(n);
        int old = open_installed(n);
        int file = openat(old, "lib/libhwloc.so.15", O_WRONLY);
        assert_int_equal(pwrite(file, "X", 1, 1000), 1);
        close(file);
        close(old);
        load(n, NEW);
        install_by_reuse(n, true);
}

/* A hard link would share the wrong mode, and mending it would change the other release. */
static void test_reuse_of_other_mode(void **state)
{
        struct node *n = *state;
        struct stat st;

        install_checked(n);
        int old = open_installed(n);
        assert_int_equal(fchmodat(old, "lib/libhwloc.so.15", 0700, 0), 0);
        load(n, NEW);
        install_by_reuse(n, false);
        assert_int_equal(fstatat(old, "lib/libhwloc.so.15", &st, AT_SYMLINK_NOFOLLOW), 0);
        assert_int_equal(st.st_mode, S_IFREG | 0700);
        close(old);
}

/* What reuse knows of lib/libhwloc.so.15 once it has linked it: .durable says that it was believed unread. */
static struct sf_stat_record link_and_look(struct node *n)
{
        struct sf_error err = SF_ERROR_INIT;
        struct sf_staging staging;
        _cleanup_reuse_ struct sf_reuse *reuse = NULL;
        size_t at = (size_t)(entry_of(n, "lib/libhwloc.so.15") - n->list.entries);
        _cleanup_free_ uint8_t *missing = calloc(n->list.entry_count, 1);
        _cleanup_free_ struct sf_stat_record *seen = calloc(n->list.entry_count, sizeof *seen);

        assert_int_equal(sf_reuse_open(&n->store, &reuse, &err), 0);
        assert_int_equal(store_node_begin(&n->store, n->release.directory, &staging, &err), 0);
        struct sf_unpack u = unpack_at(n, staging.dirfd);
        assert_int_equal(sf_unpack_skeleton(&u.tree, &err), 0);
        missing[at] = 1;
        assert_int_equal(sf_reuse_run(reuse, &u.tree, missing, seen, &err), 0);
        assert_int_equal(missing[at], 0);
        sf_store_abort(&n->store, &staging);
        return seen[at];
}

/* On a file system with clones nothing is linked, and a clone is our own file, to be synced. */
static bool links_here(struct node *n)
{
        return link_and_look(n).inode != 0;
}

static void test_untouched_is_not_read(void **state)
{
        struct node *n = *state;
        struct sf_error err = SF_ERROR_INIT;
        struct stat st;

        install_checked(n);
        int old = open_installed(n);
        load(n, NEW);
        if (!links_here(n))
                skip();
        assert_true(link_and_look(n).durable);
        /* Other names more or less change nothing. */
        assert_int_equal(linkat(old, "lib/libhwloc.so.15", old, "lib/second", 0), 0);
        assert_true(link_and_look(n).durable);
        assert_int_equal(unlinkat(old, "lib/second", 0), 0);
        /* The same file made anew, with the time of the first. */
        assert_int_equal(fstatat(old, "lib/libhwloc.so.15", &st, 0), 0);
        _cleanup_(sf_buffer_free) struct sf_buffer content = SF_BUFFER_INIT;
        assert_int_equal(sf_fs_read_at(old, "lib/libhwloc.so.15", 1u << 20, &content, &err), 0);
        assert_int_equal(sf_fs_write_at(old, "lib/libhwloc.so.15", content.data, content.len, 0755, &err), 0);
        const struct timespec times[2] = { st.st_atim, st.st_mtim };
        assert_int_equal(utimensat(old, "lib/libhwloc.so.15", times, 0), 0);
        assert_false(link_and_look(n).durable);
        close(old);
}

static void test_touched_is_read(void **state)
{
        struct node *n = *state;
        struct sf_error err = SF_ERROR_INIT;

        install_checked(n);
        int old = open_installed(n);
        load(n, NEW);
        if (!links_here(n))
                skip();
        assert_int_equal(utimensat(old, "lib/libhwloc.so.15", NULL, 0), 0);
        assert_false(link_and_look(n).durable);
        /* A record that is cut, of another list, or not there, says nothing. */
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        load(n, OLD);
        install_checked(n);
        close(old);
        old = open_installed(n);
        load(n, NEW);
        assert_true(link_and_look(n).durable);
        assert_int_equal(sf_fs_read_at(old, ".sf-release/seen", 1u << 20, &text, &err), 0);
        assert_int_equal(sf_fs_write_at(old, ".sf-release/seen", text.data, text.len - 2, 0644, &err), 0);
        assert_false(link_and_look(n).durable);
        text.data[12] ^= 1;
        assert_int_equal(sf_fs_write_at(old, ".sf-release/seen", text.data, text.len, 0644, &err), 0);
        assert_false(link_and_look(n).durable);
        assert_int_equal(unlinkat(old, ".sf-release/seen", 0), 0);
        assert_false(link_and_look(n).durable);
        close(old);
}

static void test_repair_from_other_release(void **state)
{
        struct node *n = *state;
        struct sf_error err = SF_ERROR_INIT;
        _cleanup_reuse_ struct sf_reuse *reuse = NULL;

        install_checked(n);
        load(n, NEW);
        install_checked(n);
        int fd = open_installed(n);
        struct sf_tree tree = tree_at(n, fd);
        int file = openat(fd, "lib/libhwloc.so.15", O_WRONLY);
        assert_int_equal(pwrite(file, "X", 1, 1000), 1);
        close(file);
        _cleanup_free_ uint8_t *broken = calloc(n->list.entry_count, 1);
        broken[entry_of(n, "lib/libhwloc.so.15") - n->list.entries] = 1;
        assert_int_equal(sf_reuse_open(&n->store, &reuse, &err), 0);
        assert_int_equal(sf_reuse_repair(reuse, &tree, broken, &err), 0);
        assert_int_equal(broken[entry_of(n, "lib/libhwloc.so.15") - n->list.entries], 0);
        assert_int_equal(sf_tree_verify(&tree, NULL, NULL, &err), 0);
        close(fd);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                NODE_TEST(test_read_back_is_canonical),
                NODE_TEST(test_verify_and_repair),
                NODE_TEST(test_reuse),
                NODE_TEST(test_reuse_of_damaged),
                NODE_TEST(test_reuse_of_other_mode),
                NODE_TEST(test_untouched_is_not_read),
                NODE_TEST(test_touched_is_read),
                NODE_TEST(test_repair_from_other_release),
                NODE_TEST(test_repair_without_ranges),
        };
        return cmocka_run_group_tests_name("tree", tests, NULL, NULL);
}
