/* SPDX-License-Identifier: Apache-2.0 */
/* tests/agent/check-process.c - a process that runs, maps, holds open or stands in a tree is found, by path or by
 * inode. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/node/process.h"
#include "base/cleanup.h"
#include "base/fs.h"

static char base[] = "/tmp/sf-process.XXXXXX";
static char *trees[2];

static int make_trees(void **state)
{
        (void)state;
        if (!mkdtemp(base))
                return -1;
        for (size_t i = 0; i < 2; i++) {
                trees[i] = sf_format("%s/%zu", base, i);
                _cleanup_free_ char *file = sf_format("%s/lib/file", trees[i]);
                _cleanup_free_ char *lib = sf_format("%s/lib", trees[i]);
                if (sf_fs_mkdirs(lib, 0755, NULL) < 0 || sf_fs_write(file, "content", 7, 0644, NULL) < 0)
                        return -1;
        }
        return 0;
}

static int remove_trees(void **state)
{
        (void)state;
        free(trees[0]);
        free(trees[1]);
        return sf_fs_remove_tree(base, NULL);
}

/* A child that does one thing to tree 0 and waits; returns once it has done it. */
static pid_t child(void (*act)(const char *file), const char *file)
{
        int ready[2];
        char byte;

        assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                act(file);
                if (write(ready[1], "x", 1) == 1)
                        pause();
                _exit(1);
        }
        assert_int_equal(read(ready[0], &byte, 1), 1);
        close(ready[0]);
        close(ready[1]);
        return pid;
}

static void hold_open(const char *file)
{
        if (open(file, O_RDONLY) < 0)
                _exit(1);
}

static void map(const char *file)
{
        int fd = open(file, O_RDONLY);

        if (mmap(NULL, 7, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED)
                _exit(1);
        close(fd);
}

static void stand_in(const char *file)
{
        _cleanup_free_ char *directory = strndup(file, (size_t)(strrchr(file, '/') - file));

        if (chdir(directory) < 0)
                _exit(1);
}

/* The only use that is found is `how` of tree 0 by that child. */
static void is_found(pid_t pid, const char *how)
{
        _cleanup_free_ struct sf_process_user *users = NULL;
        size_t count;

        assert_int_equal(sf_process_find((const char *const *)trees, 2, &users, &count, NULL), 0);
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        assert_int_equal(count, 1);
        assert_int_equal(users[0].pid, pid);
        assert_int_equal(users[0].tree, 0);
        assert_string_equal(users[0].how, how);
        assert_false(users[0].stepd);
        free(users);
        users = NULL;
        assert_int_equal(sf_process_find((const char *const *)trees, 2, &users, &count, NULL), 0);
        assert_int_equal(count, 0);
}

static void uses_by_path(void **state)
{
        _cleanup_free_ char *file = sf_format("%s/lib/file", trees[0]);

        (void)state;
        is_found(child(hold_open, file), "fd");
        is_found(child(map, file), "maps");
        is_found(child(stand_in, file), "cwd");
}

/* Through another name, as a bind mount or another mount namespace would show it. */
static void uses_by_inode(void **state)
{
        _cleanup_free_ char *file = sf_format("%s/lib/file", trees[0]), *other = sf_format("%s/elsewhere", base);

        (void)state;
        assert_int_equal(link(file, other), 0);
        is_found(child(hold_open, other), "fd");
        is_found(child(map, other), "maps");
        assert_int_equal(unlink(other), 0);
}

/* A file that two trees share as a hard link is used by the one through which it was opened. */
static void shared_files(void **state)
{
        _cleanup_free_ char *file = sf_format("%s/lib/file", trees[0]), *shared = sf_format("%s/lib/shared", trees[1]);

        (void)state;
        assert_int_equal(link(file, shared), 0);
        is_found(child(hold_open, file), "fd");
        assert_int_equal(unlink(shared), 0);
}

static void mapped_names(void **state)
{
        _cleanup_free_ char *file = sf_format("%s/lib/file", trees[0]);
        pid_t pid = child(map, file);
        char **names;

        (void)state;
        assert_int_equal(sf_process_mapped(pid, trees[0], &names, NULL), 0);
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        assert_non_null(names[0]);
        assert_string_equal(names[0], "lib/file");
        assert_null(names[1]);
        sf_process_free_names(names);
}

/* A copy of sleep(1) in the tree under this name, run with this argv; what is said of it. */
static struct sf_process_user run_as(const char *directory, const char *name, const char *const argv[], uid_t uid)
{
        _cleanup_free_ char *program = sf_format("%s/sbin/%s", directory, name);
        _cleanup_free_ char *sbin = sf_format("%s/sbin", directory);
        _cleanup_free_ struct sf_process_user *users = NULL;
        _cleanup_(sf_buffer_free) struct sf_buffer sleep_program = SF_BUFFER_INIT;
        struct sf_process_user found = { 0 };
        size_t count = 0;

        assert_int_equal(sf_fs_mkdirs(sbin, 0755, NULL), 0);
        assert_int_equal(sf_fs_read("/bin/sleep", 64u << 20, &sleep_program, NULL), 0);
        assert_int_equal(sf_fs_write(program, sleep_program.data, sleep_program.len, 0755, NULL), 0);
        pid_t pid = fork();
        if (pid == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                if (uid && setuid(uid) < 0)
                        _exit(1);
                if (strcmp(directory, trees[0]) != 0 && chdir(trees[0]) < 0)
                        _exit(1);
                execv(program, (char *const *)argv);
                _exit(1);
        }
        /* Until it runs the program it is a copy of this one. */
        for (int i = 0; i < 500 && found.pid != pid; i++) {
                char at[PATH_MAX] = "";
                usleep(10000);
                if (!sf_process_program(pid, at, sizeof at) || strcmp(at, program) != 0)
                        continue;
                free(users);
                users = NULL;
                assert_int_equal(sf_process_find((const char *const *)trees, 1, &users, &count, NULL), 0);
                for (size_t u = 0; u < count; u++)
                        if (users[u].pid == pid)
                                found = users[u];
        }
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        assert_int_equal(found.pid, pid);
        assert_int_equal(unlink(program), 0);
        return found;
}

/* A step is judged by the program it runs and by whose it is; a name or a working directory says nothing. */
static void steps(void **state)
{
        struct sf_process_user user;

        (void)state;
        user = run_as(trees[0], "slurmstepd", (const char *[]){ "slurmstepd: [123.batch]", "60", NULL }, 0);
        assert_true(user.stepd);
        assert_string_equal(user.step, "123.batch");
        assert_string_equal(user.how, "exe");
        /* Just started: it does not say yet whom it serves. */
        user = run_as(trees[0], "slurmstepd", (const char *[]){ "/opt/slurm/sbin/slurmstepd", "60", NULL }, 0);
        assert_true(user.stepd);
        assert_string_equal(user.step, "");
        /* What holds the scope of cgroup/v2 serves nobody. sleep(1) knows that word as well. */
        user = run_as(trees[0], "slurmstepd", (const char *[]){ "slurmstepd", "infinity", NULL }, 0);
        assert_false(user.stepd);
        assert_string_equal(user.command, "slurmstepd");
        /* Another program by that name in its command line, or one that only stands in the tree. */
        user = run_as(trees[0], "tool", (const char *[]){ "slurmstepd: [123.batch]", "60", NULL }, 0);
        assert_false(user.stepd);
        user = run_as(trees[1], "slurmstepd", (const char *[]){ "slurmstepd: [123.batch]", "60", NULL }, 0);
        assert_string_equal(user.command, "slurmstepd");
        assert_string_equal(user.how, "cwd");
        assert_false(user.stepd);
        /* A user who runs it himself. */
        if (geteuid() == 0) {
                assert_int_equal(chmod(base, 0755), 0);
                user = run_as(trees[0], "slurmstepd", (const char *[]){ "slurmstepd: [123.batch]", "60", NULL }, 65534);
                assert_false(user.stepd);
                assert_string_equal(user.how, "exe");
        }
}

static void programs(void **state)
{
        _cleanup_free_ char *link_path = sf_format("%s/link", base);
        char program[PATH_MAX], directory[PATH_MAX];

        (void)state;
        assert_true(sf_process_program(getpid(), program, sizeof program));
        snprintf(directory, sizeof directory, "%.*s", (int)(strrchr(program, '/') - program), program);
        assert_true(sf_process_runs_from(getpid(), directory, program));
        assert_false(sf_process_runs_from(getpid(), trees[0], program));
        assert_string_not_equal(program, "");
        /* PREFIX may be a symbolic link. */
        assert_int_equal(symlink(directory, link_path), 0);
        assert_true(sf_process_runs_from(getpid(), link_path, program));
        assert_int_equal(unlink(link_path), 0);
        assert_true(sf_process_same_group(getpid(), getppid()));
        assert_false(sf_process_same_group(getpid(), 0x7fffffff));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(uses_by_path), cmocka_unit_test(uses_by_inode), cmocka_unit_test(shared_files),
                cmocka_unit_test(mapped_names), cmocka_unit_test(steps),         cmocka_unit_test(programs),
        };

        return cmocka_run_group_tests(tests, make_trees, remove_trees);
}
