/* SPDX-License-Identifier: Apache-2.0 */
/* tests/factory/check-extract.c - archives on their way to disk: what is taken of them, archives that want out, and a
 * disk that is full.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "factory/build/extract.h"
#include "factory/pack/tarball.h"

#define CONTENT "no archive\n"

static char scratch[64];

static int start(void **state)
{
        (void)state;
        strcpy(scratch, "/tmp/sf-check-extract.XXXXXX");
        return mkdtemp(scratch) ? 0 : -1;
}

static int stop(void **state)
{
        (void)state;
        return sf_fs_remove_tree(scratch, NULL);
}

/* --- extracting ------------------------------------------------------------------------------------------------- */

struct member {
        const char *path, *link;
        time_t time;
};

static char *make_archive(const struct member *members, size_t count)
{
        static unsigned number;
        char *path = sf_format("%s/archive%u.tar.gz", scratch, number++);
        struct archive *a = archive_write_new();

        archive_write_add_filter_gzip(a);
        archive_write_set_format_pax_restricted(a);
        assert_int_equal(archive_write_open_filename(a, path), ARCHIVE_OK);
        for (size_t i = 0; i < count; i++) {
                struct archive_entry *e = archive_entry_new();

                archive_entry_set_pathname(e, members[i].path);
                archive_entry_set_filetype(e, members[i].link ? AE_IFLNK : AE_IFREG);
                archive_entry_set_perm(e, 0644);
                archive_entry_set_mtime(e, members[i].time, 0);
                if (members[i].link)
                        archive_entry_set_symlink(e, members[i].link);
                else
                        archive_entry_set_size(e, 1);
                archive_write_header(a, e);
                if (!members[i].link)
                        archive_write_data(a, "x", 1);
                archive_entry_free(e);
        }
        archive_write_free(a);
        return path;
}

static void archives_lose_their_top_and_keep_their_times(void **state)
{
        static const struct member members[] = { { "top-1/a", NULL, 1000 },
                                                 { "top-1/sub/b", NULL, 3000 },
                                                 { "./top-1/c", NULL, 2000 } };
        _cleanup_free_ char *archive = make_archive(members, 3), *to = sf_format("%s/extracted", scratch);
        _cleanup_free_ char *b = sf_fs_join(to, "sub/b"), *c = sf_fs_join(to, "c");
        struct stat st;
        int64_t epoch = 0;

        (void)state;
        assert_int_equal(sf_fs_mkdirs(to, 0755, NULL), 0);
        assert_int_equal(sf_extract(archive, to, "", &epoch, NULL), 0);
        assert_int_equal(epoch, 3000);
        assert_int_equal(stat(b, &st), 0);
        assert_int_equal(st.st_mtime, 3000);
        assert_int_equal(stat(c, &st), 0);
        assert_int_equal(st.st_mtime, 2000);
}

static void one_directory_of_an_archive_is_enough(void **state)
{
        static const struct member members[] = { { "top-1/a", NULL, 1000 },
                                                 { "top-1/3rd-party/x/b", NULL, 3000 },
                                                 { "top-1/3rd-party/xy/c", NULL, 4000 },
                                                 { "top-1/3rd-party/x/sub/d", NULL, 2000 } };
        _cleanup_free_ char *archive = make_archive(members, 4), *to = sf_format("%s/part", scratch);
        _cleanup_free_ char *b = sf_fs_join(to, "b"), *d = sf_fs_join(to, "sub/d"), *a = sf_fs_join(to, "a");
        _cleanup_free_ char *c = sf_fs_join(to, "c"), *empty = sf_format("%s/none", scratch);
        struct sf_error err = SF_ERROR_INIT;
        int64_t epoch = 0;

        (void)state;
        assert_int_equal(sf_fs_mkdirs(to, 0755, NULL), 0);
        assert_int_equal(sf_extract(archive, to, "3rd-party/x", &epoch, NULL), 0);
        assert_int_equal(epoch, 3000);
        assert_true(sf_fs_exists(b) && sf_fs_exists(d));
        assert_false(sf_fs_exists(a) || sf_fs_exists(c));
        assert_int_equal(sf_fs_mkdirs(empty, 0755, NULL), 0);
        assert_int_equal(sf_extract(archive, empty, "3rd-party/nothing", &epoch, &err), SF_ERR_CORRUPT);
        assert_non_null(strstr(err.text, "3rd-party/nothing"));
}

static void archives_may_not_lead_out(void **state)
{
        static const struct member up[] = { { "top/../../out", NULL, 1 } };
        static const struct member through[] = { { "top/way", "../..", 1 }, { "top/way/out", NULL, 1 } };
        static const struct member absolute[] = { { "/top/out", NULL, 1 } };
        const struct {
                const struct member *members;
                size_t count;
        } cases[] = { { up, 1 }, { through, 2 }, { absolute, 1 } };
        _cleanup_free_ char *to = sf_format("%s/a/b", scratch), *out = sf_format("%s/out", scratch);

        (void)state;
        assert_int_equal(sf_fs_mkdirs(to, 0755, NULL), 0);
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                _cleanup_free_ char *archive = make_archive(cases[i].members, cases[i].count);
                struct sf_error err = SF_ERROR_INIT;
                int64_t epoch;

                assert_true(sf_extract(archive, to, "", &epoch, &err) < 0);
                assert_non_null(strstr(err.text, archive));
                assert_false(sf_fs_exists(out));
        }
        assert_false(sf_fs_exists("/top/out"));
}

static void what_is_no_archive_is_refused(void **state)
{
        _cleanup_free_ char *path = sf_format("%s/not-an-archive", scratch), *to = sf_format("%s/nowhere", scratch);
        int64_t epoch;

        (void)state;
        assert_int_equal(sf_fs_mkdirs(to, 0755, NULL), 0);
        assert_int_equal(sf_fs_write(path, CONTENT, strlen(CONTENT), 0644, NULL), 0);
        assert_int_equal(sf_extract(path, to, "", &epoch, NULL), SF_ERR_CORRUPT);
}

/* --- a full disk ------------------------------------------------------------------------------------------------ */

#define NO_MOUNTS 77

static bool put(const char *path, const char *text)
{
        _cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

        return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

/* In a mount namespace, as root in a user namespace where this is no root: a file system of 256 KiB. */
static bool mount_small(const char *directory)
{
        _cleanup_free_ char *users = sf_format("0 %u 1", (unsigned)geteuid());
        _cleanup_free_ char *groups = sf_format("0 %u 1", (unsigned)getegid());

        if (geteuid() != 0 && (unshare(CLONE_NEWUSER) < 0 || !put("/proc/self/setgroups", "deny") ||
                               !put("/proc/self/uid_map", users) || !put("/proc/self/gid_map", groups)))
                return false;
        return unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
               mount("small", directory, "tmpfs", 0, "size=256k") == 0;
}

/* An archive of a file that does not fit. */
static char *make_big(void)
{
        static char bytes[1 << 20];
        char *path = sf_format("%s/big.tar.gz", scratch);
        struct archive *a = archive_write_new();
        struct archive_entry *e = archive_entry_new();

        for (size_t i = 0; i < sizeof bytes; i++)
                bytes[i] = (char)(i * 7 + i / 251);
        archive_write_add_filter_gzip(a);
        archive_write_set_format_pax_restricted(a);
        assert_int_equal(archive_write_open_filename(a, path), ARCHIVE_OK);
        archive_entry_set_pathname(e, "view/big");
        archive_entry_set_filetype(e, AE_IFREG);
        archive_entry_set_perm(e, 0644);
        archive_entry_set_size(e, sizeof bytes);
        assert_int_equal(archive_write_header(a, e), ARCHIVE_OK);
        assert_int_equal(archive_write_data(a, bytes, sizeof bytes), sizeof bytes);
        archive_entry_free(e);
        archive_write_free(a);
        return path;
}

static int fill_disk(const char *archive, const char *directory, bool tarball)
{
        struct sf_error err = SF_ERROR_INIT;
        unsigned long others;
        int64_t epoch;

        if (!mount_small(directory))
                return NO_MOUNTS;
        int r = tarball ? sf_tarball_unpack(archive, directory, &others, &err)
                        : sf_extract(archive, directory, "", &epoch, &err);
        if (r == SF_ERR_NO_SPACE && strstr(err.text, "/small/big: ") && strstr(err.text, "No space left"))
                return 0;
        print_error("%d: %s\n", r, err.text);
        return 1;
}

static void a_full_disk_is_an_error(void **state)
{
        _cleanup_free_ char *archive = make_big(), *small = sf_format("%s/small", scratch);
        int status;

        (void)state;
        assert_int_equal(sf_fs_mkdirs(small, 0755, NULL), 0);
        for (int tarball = 0; tarball < 2; tarball++) {
                pid_t pid = fork();

                if (pid == 0)
                        _exit(fill_disk(archive, small, tarball));
                assert_int_equal(waitpid(pid, &status, 0), pid);
                if (WIFEXITED(status) && WEXITSTATUS(status) == NO_MOUNTS) {
                        print_message("skipped: nothing can be mounted here\n");
                        skip();
                }
                assert_int_equal(status, 0);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(archives_lose_their_top_and_keep_their_times),
                cmocka_unit_test(one_directory_of_an_archive_is_enough),
                cmocka_unit_test(archives_may_not_lead_out),
                cmocka_unit_test(what_is_no_archive_is_refused),
                cmocka_unit_test(a_full_disk_is_an_error),
        };
        return cmocka_run_group_tests(tests, start, stop);
}
