/* SPDX-License-Identifier: Apache-2.0 */
/* Releases on disk: made visible whole or not at all, found by name, replaced, removed. */
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "installer/resume.h"
#include "tests/kit/store-node.h"

static void test_install_lists_and_chooses(void **state)
{
        struct node *n = *state;
        struct sf_store_release found;
        struct sf_filelist list;
        struct sf_error err = SF_ERROR_INIT;

        assert_int_equal(count_releases(n), 0);
        install_checked(n);
        load(n, NEW);
        install_checked(n);
        assert_int_equal(count_releases(n), 2);
        assert_int_equal(sf_store_choose(&n->store, "24.11", &found, &err), 0);
        assert_string_equal(found.name.text, NEW);
        assert_string_equal(found.unit, "notify");
        assert_int_equal(sf_store_choose(&n->store, "24.11.5", &found, &err), 0);
        assert_string_equal(found.directory, "24.11.5-bookworm");
        assert_int_equal(sf_store_choose(&n->store, "24.11.5-bookworm", &found, &err), 0);
        assert_int_equal(sf_store_choose(&n->store, "23.11", &found, &err), SF_ERR_NOT_FOUND);
        assert_int_equal(sf_store_choose(&n->store, "24.11.6", &found, &err), 0);
        assert_int_equal(sf_store_filelist(&n->store, &found, &list, &err), 0);
        assert_true(sf_digest_equal(&list.tree, &n->list.tree));
        sf_filelist_free(&list);
        assert_int_equal(sf_store_remove(&n->store, "24.11.5-bookworm", &err), 0);
        assert_int_equal(count_names(n), 1);
        assert_int_equal(sf_store_remove(&n->store, "../releases", &err), SF_ERR_USAGE);
        assert_int_equal(sf_store_remove(&n->store, "24.11.5-bookworm", &err), SF_ERR_NOT_FOUND);
}

/* Processes may run from the tree that has the name: the same release published again goes beside it, and is meant
 * by the name from then on. */
static void test_install_again_keeps(void **state)
{
        struct node *n = *state;
        struct sf_store_release found;
        struct sf_error err = SF_ERROR_INIT;
        struct stat before, after;
        _cleanup_free_ char *path = sf_fs_join(n->store.releases, n->release.directory);
        char hex[SF_DIGEST_HEX + 1], second[128];

        install_checked(n);
        assert_int_equal(stat(path, &before), 0);
        assert_int_equal(sf_store_choose(&n->store, "24.11.5", &found, &err), 0);
        assert_string_equal(found.directory, "24.11.5-bookworm");
        install_checked(n);
        snprintf(second, sizeof second, "24.11.5-bookworm+%.8s", sf_digest_hex(&n->release.tree, hex));
        assert_string_equal(n->release.directory, second);
        install_checked(n);
        assert_int_equal(strncmp(n->release.directory, second, strlen(second)), 0);
        assert_string_equal(n->release.directory + strlen(second), ".2");
        assert_int_equal(stat(path, &after), 0);
        assert_int_equal(before.st_ino, after.st_ino);
        assert_int_equal(count_names(n), 3);
        assert_int_equal(sf_store_choose(&n->store, "24.11.5", &found, &err), 0);
        assert_string_equal(found.directory, n->release.directory);
        assert_int_equal(sf_store_choose(&n->store, "24.11.5-bookworm", &found, &err), 0);
        assert_string_equal(found.directory, n->release.directory);
        assert_int_equal(sf_store_choose(&n->store, second, &found, &err), 0);
        assert_string_equal(found.directory, second);
        assert_int_equal(sf_store_find(&n->store, "24.11.5-bookworm", &found, &err), 0);
        assert_string_equal(found.directory, "24.11.5-bookworm");
        assert_int_equal(sf_store_find(&n->store, "24.11.5", &found, &err), SF_ERR_NOT_FOUND);
}

/* A name that somebody else took meanwhile is theirs. */
static void test_name_taken_meanwhile(void **state)
{
        struct node *n = *state;
        struct sf_error err = SF_ERROR_INIT;
        struct sf_staging staging;
        _cleanup_free_ char *path = sf_fs_join(n->store.releases, n->release.directory);

        assert_int_equal(store_node_begin(&n->store, n->release.directory, &staging, &err), 0);
        struct sf_unpack u = unpack_at(n, staging.dirfd);
        assert_int_equal(sf_unpack_run(&u, &err), 0);
        assert_int_equal(mkdir(path, 0755), 0);
        assert_int_equal(sf_store_commit(&n->store, &staging, &n->list, n->text.data, n->text.len, &n->release, &err),
                         SF_ERR_EXISTS);
        sf_store_abort(&n->store, &staging);
        assert_int_equal(rmdir(path), 0);
}

/* PREFIX is a link to where the releases really lie, as /proc shows it. */
static void test_prefix_is_a_link(void **state)
{
        struct node *n = *state;
        _cleanup_free_ char *elsewhere = sf_format("%s/elsewhere", n->root), *opt = sf_format("%s/opt", n->root);
        char out[128];

        assert_int_equal(mkdir(elsewhere, 0755), 0);
        assert_int_equal(mkdir(opt, 0755), 0);
        assert_int_equal(symlink(elsewhere, n->store.base), 0);
        install_checked(n);
        _cleanup_free_ char *resolved = sf_store_resolved(&n->store, "24.11.5-bookworm");
        _cleanup_free_ char *tree = sf_format("%s/releases/24.11.5-bookworm", elsewhere);
        _cleanup_free_ char *program = sf_format("%s/sbin/slurmd", tree), *outside = sf_format("%s2/sbin/x", elsewhere);
        assert_string_equal(resolved, tree);
        assert_true(sf_store_locate(&n->store, program, out));
        assert_string_equal(out, "24.11.5-bookworm");
        assert_true(sf_store_locate(&n->store, tree, out));
        assert_false(sf_store_locate(&n->store, outside, out));
        assert_false(sf_store_locate(&n->store, "/usr/sbin/slurmd", out));
}

/* A record that was changed must not pass for the list of the release. */
static void test_changed_record(void **state)
{
        struct node *n = *state;
        struct sf_filelist list;
        struct sf_error err = SF_ERROR_INIT;

        install_checked(n);
        _cleanup_free_ char *path = sf_format("%s/%s/.sf-release/filelist", n->store.releases, n->release.directory);
        char *mode = strstr((char *)n->text.data, "f 0555 ");
        assert_non_null(mode);
        mode[3] = '7';
        assert_int_equal(sf_fs_write(path, n->text.data, n->text.len, 0644, &err), 0);
        assert_int_equal(sf_store_filelist(&n->store, &n->release, &list, &err), SF_ERR_CORRUPT);
        assert_non_null(strstr(err.text, "not the list that release.json names"));
}

/* It stays in sight, says nothing, and is in nobody's way when the same release is installed again. */
static void test_damaged_record(void **state)
{
        struct node *n = *state;
        struct sf_store_release found;
        struct sf_error err = SF_ERROR_INIT;

        install_checked(n);
        _cleanup_free_ char *path = sf_format("%s/%s/.sf-release/release.json", n->store.releases,
                                              n->release.directory);
        assert_int_equal(sf_fs_write(path, "{}", 2, 0644, &err), 0);
        sf_store_forget(&n->store);
        assert_int_equal(sf_store_choose(&n->store, "24.11.5", &found, &err), SF_ERR_NOT_FOUND);
        assert_int_equal(sf_store_choose(&n->store, "24.11.5-bookworm", &found, &err), 0);
        assert_true(found.foreign);
        install_checked(n);
        assert_int_equal(sf_store_choose(&n->store, "24.11.5", &found, &err), 0);
        assert_false(found.foreign);
        assert_int_equal(count_names(n), 2);
}

/* --- interruption ---------------------------------------------------------------------------------------------- */

/* A layer that stops arriving: the reader says so through a pipe and waits to be killed. */
static int stalled_pipe;

static ssize_t stalled_read(struct sf_stream *s, void *buf, size_t len, struct sf_error *err)
{
        (void)s;
        (void)buf;
        (void)len;
        /* Time enough for the decoders to write what the first layer held. */
        usleep(100000);
        (void)!write(stalled_pipe, "x", 1);
        pause();
        return sf_error_set(err, SF_ERR_INTERRUPTED, "not killed");
}

static void stalled_close(struct sf_stream *s)
{
        (void)s;
}

static int stalled_open_range(void *ctx, size_t layer, uint64_t offset, uint64_t length, struct sf_stream **ret,
                              struct sf_error *err)
{
        static const struct sf_stream_ops ops = { stalled_read, stalled_close };
        static struct sf_stream stalled = { &ops };

        if (layer == 0)
                return counting_open_range(ctx, layer, offset, length, ret, err);
        *ret = &stalled;
        return 0;
}

/* A process that unpacks the first layer and is killed while the second one comes. */
static void kill_while_unpacking(struct node *n)
{
        int ends[2], status;
        char byte;

        assert_int_equal(pipe(ends), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
                struct sf_staging staging;
                stalled_pipe = ends[1];
                if (store_node_begin(&n->store, n->release.directory, &staging, NULL) < 0)
                        _exit(1);
                struct sf_unpack u = unpack_at(n, staging.dirfd);
                u.open_range = stalled_open_range;
                _exit(sf_unpack_run(&u, NULL) < 0);
        }
        close(ends[1]);
        assert_int_equal(read(ends[0], &byte, 1), 1);
        close(ends[0]);
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        /* A part lies there, hidden; nothing is listed. */
        assert_int_equal(count_names(n), 1);
        assert_int_equal(count_releases(n), 0);
}

static void test_killed_while_unpacking(void **state)
{
        struct node *n = *state;

        kill_while_unpacking(n);
        install_checked(n);
        assert_int_equal(count_names(n), 1);
        assert_int_equal(count_releases(n), 1);
}

/* Whole files stay, whatever else the killed run or the power cut left goes. */
static void test_resumed(void **state)
{
        struct node *n = *state;
        struct sf_error err = SF_ERROR_INIT;
        struct sf_staging staging;
        _cleanup_free_ uint8_t *missing = calloc(n->list.entry_count, 1);
        size_t kept, empty = (size_t)(entry_of(n, "lib/empty") - n->list.entries),
                     text = (size_t)(entry_of(n, "lib/pkgconfig/hwloc.pc") - n->list.entries),
                     noise = (size_t)(entry_of(n, "lib/libhwloc.so.15") - n->list.entries);

        kill_while_unpacking(n);
        assert_int_equal(sf_store_resume(&n->store, n->release.directory, &staging, &err), 0);
        assert_true(staging.continued);
        int file = openat(staging.dirfd, "lib/libhwloc.so.15", O_WRONLY);
        assert_int_equal(pwrite(file, "X", 1, 1000), 1);
        close(file);
        assert_int_equal(mkdirat(staging.dirfd, ".sf-release", 0755), 0);
        assert_int_equal(symlinkat("/etc/passwd", staging.dirfd, ".sf-release/filelist"), 0);
        assert_int_equal(linkat(staging.dirfd, "lib/empty", staging.dirfd, "lib/other", 0), 0);
        for (size_t i = 0; i < n->list.entry_count; i++)
                missing[i] = n->list.entries[i].type == SF_ENTRY_FILE;
        struct sf_unpack u = unpack_at(n, staging.dirfd);
        assert_int_equal(sf_resume_tree(&u.tree, missing, &kept, &err), 0);
        /* Relocated, and still known by its canonical digest. A file with two names may be another release's. */
        assert_int_equal(missing[text], 0);
        assert_int_equal(missing[noise], 1);
        assert_int_equal(missing[empty], 1);
        assert_int_equal(kept, 1);
        assert_int_equal(faccessat(staging.dirfd, ".sf-release", F_OK, 0), -1);
        assert_int_equal(sf_unpack_skeleton(&u.tree, &err), 0);
        finish_checked(n, &staging, missing);
        assert_int_equal(count_names(n), 1);
}

/* Another release's leftovers are of no use. */
static void test_resumed_for_another(void **state)
{
        struct node *n = *state;
        struct sf_error err = SF_ERROR_INIT;
        struct sf_staging staging;

        kill_while_unpacking(n);
        load(n, NEW);
        assert_int_equal(sf_store_resume(&n->store, n->release.directory, &staging, &err), 0);
        assert_false(staging.continued);
        assert_int_equal(count_names(n), 1);
        sf_store_leave(&staging);
        assert_int_equal(count_names(n), 1);
        assert_int_equal(sf_store_clear(&n->store, &err), 0);
        assert_int_equal(count_names(n), 0);
}

/* What lies under the name of a staging directory is continued only where nobody else could have put files into it. */
static void test_resumed_from_others(void **state)
{
        struct node *n = *state;
        struct sf_error err = SF_ERROR_INIT;
        struct sf_staging staging;
        struct stat st;
        _cleanup_free_ char *hidden = sf_format("%s/.incoming-%s", n->store.releases, n->release.directory);
        _cleanup_free_ char *elsewhere = sf_format("%s/elsewhere", n->root);

        assert_int_equal(sf_fs_mkdirs(n->store.releases, 0755, &err), 0);
        assert_int_equal(mkdir(elsewhere, 0755), 0);
        for (unsigned i = 0; i < 4; i++) {
                if (i == 0)
                        assert_int_equal(symlink(elsewhere, hidden), 0);
                else if (i == 1)
                        assert_int_equal(close(creat(hidden, 0600)), 0);
                else
                        assert_int_equal(mkdir(hidden, 0700), 0);
                if (i == 2)
                        assert_int_equal(chmod(hidden, 0777), 0);
                if (i == 3 && (geteuid() != 0 || chown(hidden, 1, 1) < 0))
                        break;
                assert_int_equal(sf_store_resume(&n->store, n->release.directory, &staging, &err), 0);
                assert_false(staging.continued);
                assert_int_equal(fstat(staging.dirfd, &st), 0);
                assert_true(st.st_uid == geteuid() && (st.st_mode & 07777) == 0700);
                sf_store_abort(&n->store, &staging);
                assert_int_equal(count_names(n), 0);
        }
        assert_int_equal(rmdir(elsewhere), 0);
}

static void test_failed_unpack_leaves_nothing(void **state)
{
        struct node *n = *state;
        struct sf_error err = SF_ERROR_INIT;

        n->maker.blobs[1].data[40] ^= 1;
        assert_int_equal(install(n, &err), SF_ERR_CORRUPT);
        assert_int_equal(count_names(n), 0);
        assert_non_null(strstr(err.text, "layer slurm: frame 0: sha256 mismatch"));
}

/* A file system of its own that is too small: said beforehand, and when it turns out in the middle. */
static void fill_small_disk(struct node *n)
{
        struct sf_error err = SF_ERROR_INIT;

        assert_int_equal(sf_fs_mkdirs(n->store.base, 0755, &err), 0);
        assert_int_equal(mount("none", n->store.base, "tmpfs", 0, "size=256k"), 0);
        assert_int_equal(install(n, &err), SF_ERR_NO_SPACE);
        assert_int_equal(count_names(n), 0);
        int fd = open(n->store.base, O_RDONLY | O_DIRECTORY);
        assert_int_equal(sf_unpack_check_space(&n->list, NULL, fd, &err), SF_ERR_NO_SPACE);
        assert_non_null(strstr(err.text, "bytes are needed"));
        close(fd);
        assert_int_equal(mount("none", n->store.base, "tmpfs", MS_REMOUNT, "size=64m,nr_inodes=20"), 0);
        fd = open(n->store.base, O_RDONLY | O_DIRECTORY);
        assert_int_equal(sf_unpack_check_space(&n->list, NULL, fd, &err), SF_ERR_NO_SPACE);
        assert_non_null(strstr(err.text, "inodes are needed"));
        close(fd);
        assert_int_equal(mount("none", n->store.base, "tmpfs", MS_REMOUNT, "size=64m,nr_inodes=1000"), 0);
        assert_int_equal(install(n, &err), 0);
}

static void test_full_disk(void **state)
{
        struct node *n = *state;
        int status;

        if (geteuid() != 0) {
                print_message("SKIPPED: a full disk needs root, to mount a small file system\n");
                skip();
        }
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
                if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
                        _exit(77);
                fill_small_disk(n);
                _exit(0);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
                print_message("SKIPPED: a full disk needs a mount namespace, which is denied here\n");
                skip();
        }
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                NODE_TEST(test_install_lists_and_chooses),
                NODE_TEST(test_install_again_keeps),
                NODE_TEST(test_name_taken_meanwhile),
                NODE_TEST(test_prefix_is_a_link),
                NODE_TEST(test_changed_record),
                NODE_TEST(test_damaged_record),
                NODE_TEST(test_killed_while_unpacking),
                NODE_TEST(test_resumed),
                NODE_TEST(test_resumed_for_another),
                NODE_TEST(test_resumed_from_others),
                NODE_TEST(test_failed_unpack_leaves_nothing),
                NODE_TEST(test_full_disk),
        };
        return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
