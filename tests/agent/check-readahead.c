/* SPDX-License-Identifier: Apache-2.0 */
/* tests/agent/check-readahead.c - what a release's slurmd will load is in the page cache soon after it was asked
 * for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/switch/readahead.h"
#include "base/cleanup.h"
#include "base/fs.h"

#define SIZE (3u << 20)
#define PAGE 4096u

static void make_cold(const char *tree, const char *name)
{
        static const uint8_t content[SIZE];
        _cleanup_free_ char *path = sf_fs_join(tree, name);

        assert_int_equal(sf_fs_write(path, content, SIZE, 0644, NULL), 0);
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
        assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
}

static size_t cold_pages(const char *tree, const char *name)
{
        static unsigned char pages[SIZE / PAGE];
        _cleanup_free_ char *path = sf_fs_join(tree, name);
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
        void *map = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);
        size_t cold = 0;

        assert_true(map != MAP_FAILED);
        assert_int_equal(mincore(map, SIZE, pages), 0);
        munmap(map, SIZE);
        for (size_t i = 0; i < SIZE / PAGE; i++)
                cold += !(pages[i] & 1);
        return cold;
}

static void everything_that_is_loaded(void **state)
{
        static const char *const loaded[] = { "sbin/slurmd", "sbin/slurmstepd", "lib/slurm/auth_munge.so" };
        char tree[] = "/var/tmp/sf-warm.XXXXXX";

        (void)state;
        assert_non_null(mkdtemp(tree));
        _cleanup_free_ char *sbin = sf_fs_join(tree, "sbin"), *plugins = sf_fs_join(tree, "lib/slurm");
        assert_int_equal(sf_fs_mkdirs(sbin, 0755, NULL), 0);
        assert_int_equal(sf_fs_mkdirs(plugins, 0755, NULL), 0);
        make_cold(tree, "lib/slurm/notes.txt");
        size_t not_loaded = cold_pages(tree, "lib/slurm/notes.txt");
        for (size_t i = 0; i < sizeof loaded / sizeof *loaded; i++)
                make_cold(tree, loaded[i]);
        sf_readahead_release(tree, getpid(), "/nowhere");
        for (size_t i = 0; i < sizeof loaded / sizeof *loaded; i++)
                for (unsigned tries = 0; cold_pages(tree, loaded[i]); tries++) {
                        struct timespec pause = { 0, 10000000 };
                        assert_true(tries < 500);
                        nanosleep(&pause, NULL);
                }
        assert_int_equal(cold_pages(tree, "lib/slurm/notes.txt"), not_loaded);
        sf_readahead_release("/nowhere", getpid(), "/nowhere");
        assert_int_equal(sf_fs_remove_tree(tree, NULL), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(everything_that_is_loaded),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
