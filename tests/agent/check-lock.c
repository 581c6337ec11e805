/* SPDX-License-Identifier: Apache-2.0 */
/* tests/agent/check-lock.c - one agent at a time, whatever other users do, and a second node that waits for the
 * first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/node/lock.h"
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fs.h"

static char directory[] = "/tmp/sf-lock.XXXXXX";

static int make_directory(void **ctx)
{
        (void)ctx;
        return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **ctx)
{
        (void)ctx;
        return sf_fs_remove_tree(directory, NULL);
}

static void one_at_a_time(void **ctx)
{
        struct sf_error err = SF_ERROR_INIT;
        _cleanup_free_ char *path = sf_fs_join(directory, "lock");
        struct stat st;

        (void)ctx;
        int fd = sf_lock_take(directory, &err);
        assert_true(fd >= 0);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        assert_int_equal(sf_lock_take(directory, &err), SF_ERR_BUSY);
        _cleanup_free_ char *own = sf_format("(pid %d)", (int)getpid());
        assert_non_null(strstr(err.text, own));
        close(fd);
        fd = sf_lock_take(directory, &err);
        assert_true(fd >= 0);
        close(fd);
}

/* An earlier agent made the file for everybody to open; somebody did, and holds it. */
static void held_by_anybody(void **ctx)
{
        struct sf_error err = SF_ERROR_INIT;
        _cleanup_free_ char *path = sf_fs_join(directory, "lock");

        (void)ctx;
        assert_int_equal(chmod(path, 0644), 0);
        int theirs = open(path, O_RDONLY);
        assert_int_equal(flock(theirs, LOCK_EX | LOCK_NB), 0);
        int fd = sf_lock_take(directory, &err);
        assert_true(fd >= 0);
        assert_int_equal(sf_lock_take(directory, &err), SF_ERR_BUSY);
        close(fd);
        close(theirs);
        /* Nor is a link followed, or a fifo waited for. */
        assert_int_equal(unlink(path), 0);
        assert_int_equal(mkfifo(path, 0600), 0);
        fd = sf_lock_take(directory, &err);
        assert_true(fd >= 0);
        close(fd);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(symlink("/etc/passwd", path), 0);
        assert_true(sf_lock_take(directory, &err) < 0);
        assert_int_equal(unlink(path), 0);
}

static void count_waits(void *ctx, const char *holder)
{
        int *waits = ctx;

        assert_non_null(strstr(holder, " on "));
        (*waits)++;
}

static void second_node_waits(void **ctx)
{
        struct sf_error err = SF_ERROR_INIT;
        int waits = 0, waited = 5, ready[2], status;
        struct sf_lock_wait wait = { .seconds = 30, .waiting = count_waits, .ctx = &waits };
        char byte;

        (void)ctx;
        int fd = sf_lock_take_shared(directory, &wait, &waited, &err);
        assert_true(fd >= 0);
        assert_int_equal(waited, 0);
        close(fd);
        assert_int_equal(pipe(ready), 0);
        pid_t first = fork();
        if (first == 0) {
                _exit(sf_lock_take_shared(directory, &wait, &waited, NULL) < 0 || write(ready[1], "x", 1) != 1 ||
                      usleep(500000) != 0);
        }
        assert_int_equal(read(ready[0], &byte, 1), 1);
        wait.seconds = 0;
        assert_int_equal(sf_lock_take_shared(directory, &wait, &waited, &err), SF_ERR_BUSY);
        wait.seconds = 30;
        fd = sf_lock_take_shared(directory, &wait, &waited, &err);
        assert_true(fd >= 0);
        assert_int_equal(waited, 1);
        assert_int_equal(waits, 2);
        assert_int_equal(waitpid(first, &status, 0), first);
        assert_int_equal(status, 0);
        close(fd);
}

static void a_signal_ends_the_wait(void **ctx)
{
        struct sf_error err = SF_ERROR_INIT;
        volatile sig_atomic_t stop = 1;
        struct sf_lock_wait wait = { .seconds = 30, .stop = &stop };
        int waited;

        (void)ctx;
        int fd = sf_lock_take_shared(directory, &wait, &waited, &err);
        assert_true(fd >= 0);
        assert_int_equal(sf_lock_take_shared(directory, &wait, &waited, &err), SF_ERR_INTERRUPTED);
        close(fd);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(one_at_a_time),
                cmocka_unit_test(held_by_anybody),
                cmocka_unit_test(second_node_waits),
                cmocka_unit_test(a_signal_ends_the_wait),
        };

        return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
