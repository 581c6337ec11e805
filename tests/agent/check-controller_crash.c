/* SPDX-License-Identifier: Apache-2.0 */
/* tests/agent/check-controller_crash.c - slurmctld's state after a SIGKILL before every call that changes the disk.
 *
 * A child runs the switch and dies before its n-th such call, for every n; the recovery after it is killed in the same
 * way and runs again. What is left is the old release with its state, or the one that it led to with a state that it
 * can read; nothing in between. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/node/ctld_state.h"
#include "agent/switch/controller.h"
#include "agent/switch/state_copy.h"
#include "agent/switch/transaction.h"
#include "base/buffer.h"
#include "base/fs.h"

#define OLD "24.11.6-noble"
#define NEW "25.11.4-noble"

/* --- calls that change the disk: the countdown ends the process before one of them ------------------------------- */

static int countdown; /* 0 = never */

static void maybe_die(void)
{
        if (countdown > 0 && --countdown == 0)
                kill(getpid(), SIGKILL);
}

#define NEXT(name, ...)                                   \
        static int (*next)(__VA_ARGS__);                  \
        if (!next)                                        \
                *(void **)&next = dlsym(RTLD_NEXT, name); \
        maybe_die()

int rename(const char *a, const char *b)
{
        NEXT("rename", const char *, const char *);
        return next(a, b);
}
int renameat(int d, const char *a, int e, const char *b)
{
        NEXT("renameat", int, const char *, int, const char *);
        return next(d, a, e, b);
}
int unlink(const char *a)
{
        NEXT("unlink", const char *);
        return next(a);
}
int unlinkat(int d, const char *a, int f)
{
        NEXT("unlinkat", int, const char *, int);
        return next(d, a, f);
}
int mkdir(const char *a, mode_t m)
{
        NEXT("mkdir", const char *, mode_t);
        return next(a, m);
}
/* On a scratch directory durability is of no interest, and costs all the time. */
int fsync(int fd)
{
        (void)fd;
        maybe_die();
        return 0;
}
int futimens(int fd, const struct timespec t[2])
{
        NEXT("futimens", int, const struct timespec *);
        return next(fd, t);
}
int symlink(const char *a, const char *b)
{
        NEXT("symlink", const char *, const char *);
        return next(a, b);
}

/* --- a node ----------------------------------------------------------------------------------------------------- */

static char *scratch;

static char *at(const char *name)
{
        static char paths[8][512];
        static unsigned next;

        next = (next + 1) % 8;
        snprintf(paths[next], sizeof paths[next], "%s/%s", scratch, name);
        return paths[next];
}

static void put(const char *name, const char *bytes, size_t len)
{
        char *path = at(name), *slash = strrchr(path, '/');

        *slash = '\0';
        assert_int_equal(sf_fs_mkdirs(path, 0755, NULL), 0);
        *slash = '/';
        assert_int_equal(sf_fs_write(path, bytes, len, 0600, NULL), 0);
}

/* The head that slurmctld writes (agent/node/ctld_state.h), then what distinguishes one state from another. */
#define HEAD(protocol, rest) "\0\0\0\x11PROTOCOL_VERSION\0" protocol "\0\0\0\0\0\x69\x2b\x5c\x9f\0\0\0\x0c" rest

static void slurmctld(const char *directory, bool newer, const char *mark)
{
        char name[64], text[128];
        size_t head = sizeof HEAD("x", "") - 1;

        memcpy(text, newer ? HEAD("\x2c", "") : HEAD("\x2a", ""), head);
        strcpy(text + head, mark);
        snprintf(name, sizeof name, "%s/job_state", directory);
        put(name, text, head + strlen(mark));
        snprintf(name, sizeof name, "%s/node_state", directory);
        put(name, mark, strlen(mark));
        snprintf(name, sizeof name, "%s/hash.1/job.%s/script", directory, mark);
        put(name, mark, strlen(mark));
}

static void make_node(bool rollback)
{
        struct sf_controller_copy copy = { .release = OLD, .series = "24.11", .time = 1 };

        countdown = 0;
        assert_int_equal(sf_fs_remove_tree(scratch, NULL), 0);
        assert_int_equal(mkdir(scratch, 0700), 0);
        char conf[600];
        snprintf(conf, sizeof conf, "ClusterName=c\nSlurmctldHost=nobody\nStateSaveLocation=%s\n", at("live"));
        put("slurm.conf", conf, strlen(conf));
        slurmctld("live", false, "eleven");
        if (rollback) {
                snprintf(copy.location, sizeof copy.location, "%s", at("live"));
                assert_int_equal(sf_state_copy_finish(at("live"), at("st/controller/" OLD "/state"), NULL, NULL), 0);
                assert_int_equal(sf_controller_copy_write(at("st"), &copy, NULL), 0);
                slurmctld("live", true, "twelve");
        }
}

static int tree_text(void *ctx, int dirfd, const char *name, const char *path, const struct stat *st,
                     struct sf_error *err)
{
        struct sf_buffer *all = ctx, content = SF_BUFFER_INIT;

        (void)dirfd, (void)name, (void)err;
        assert_int_equal(sf_buffer_printf(all, NULL, "%s %o ", path, st->st_mode), 0);
        if (S_ISREG(st->st_mode)) {
                char *file = at("live/");
                strcat(file, path);
                assert_int_equal(sf_fs_read(file, 4096, &content, NULL), 0);
                assert_int_equal(sf_buffer_append(all, content.data, content.len, NULL), 0);
        }
        sf_buffer_free(&content);
        return 0;
}

/* Everything in StateSaveLocation. */
static struct sf_buffer live_text(void)
{
        struct sf_buffer text = SF_BUFFER_INIT;

        assert_int_equal(sf_fs_walk(at("live"), tree_text, &text, NULL), 0);
        return text;
}

static bool is_like(const struct sf_buffer *wanted)
{
        struct sf_buffer now = live_text();
        bool same = now.len == wanted->len && memcmp(now.data, wanted->data, now.len) == 0;

        sf_buffer_free(&now);
        return same;
}

/* --- the switch, and what recovery does with it ------------------------------------------------------------------ */

struct story {
        const char *from, *to, *home; /* home: of the record */
        bool comes_up;                /* slurmctld of `to` writes its state before the end */
        bool returns;                 /* a later step fails, and the switch goes back by itself */
};

static struct sf_config config_of_node(void)
{
        static char state[512], conf[512];

        snprintf(state, sizeof state, "%s", at("st"));
        snprintf(conf, sizeof conf, "%s", at("slurm.conf"));
        return (struct sf_config){
                .root = "", .state = state, .record = state, .slurm_conf = conf, .restore_state = true
        };
}

/* Ends the process with 0 at the good end, 1 where a call failed. */
static _Noreturn void run_switch(const struct story *s)
{
        struct sf_config config = config_of_node();
        struct sf_error err = SF_ERROR_INIT;
        struct sf_transaction record = { .step = SF_STEP_ACTIVATE };
        char from[48], to[48];

        snprintf(from, sizeof from, "%.*s", (int)strcspn(s->from, "-"), s->from);
        snprintf(to, sizeof to, "%.*s", (int)strcspn(s->to, "-"), s->to);
        struct sf_controller c = { .config = &config,
                                   .slurm = { .tree = "/nonexistent", .conf = config.slurm_conf, .timeout = 1 },
                                   .unit = "slurmctld.service",
                                   .from_version = from,
                                   .to_version = to };
        strcpy(record.verb, "upgrade");
        strcpy(record.from, s->from);
        strcpy(record.to, s->to);
        strcpy(record.home, s->home);
        int r = sf_controller_plan(&c, &err);
        if (r == 0 && !c.crosses)
                _exit(2);
        if (r == 0)
                r = sf_controller_check(&c, true, &err);
        if (r == 0)
                r = sf_controller_begin(&c, s->from, &err);
        if (r == 0)
                r = sf_transaction_write(config.state, &record, &err);
        record.step = SF_STEP_RESTART;
        if (r == 0)
                r = sf_transaction_write(config.state, &record, &err);
        if (r == 0)
                r = sf_controller_exchange(&c, &err);
        c.started = true;
        if (r == 0 && s->comes_up)
                slurmctld("live", strcmp(s->to, NEW) == 0, "thirteen");
        if (r == 0 && s->returns && sf_controller_may_return(&c, to, &err) == 1) {
                strcpy(record.home, s->from);
                r = sf_transaction_write(config.state, &record, &err);
                if (r == 0)
                        r = sf_controller_return(&c, &err);
        }
        if (r == 0)
                r = sf_transaction_end(config.state, &err);
        if (r == 0)
                r = sf_controller_end(config.state, &err);
        if (r < 0)
                fprintf(stderr, "%s\n", err.text);
        _exit(r < 0);
}

/* As agent/switch/recovery.c does; at its end the mark is gone and `decided` names where the node is. */
static _Noreturn void run_recovery(void)
{
        struct sf_config config = config_of_node();
        struct sf_error err = SF_ERROR_INIT;
        struct sf_transaction record;
        const char *home = NULL;
        int r = sf_transaction_load(config.state, &record, &err);

        if (r == SF_ERR_NOT_FOUND)
                _exit(0);
        const struct sf_controller_crash crash = { .state = config.state,
                                                   .slurm_conf = config.slurm_conf,
                                                   .boot = true,
                                                   .unit = "slurmctld.service",
                                                   .from = record.from,
                                                   .to = record.to,
                                                   .home = record.home,
                                                   .to_tree = "/nonexistent" };
        if (r == 0)
                r = sf_controller_recover(&crash, &home, &err);
        if (r == 0 && home) {
                char text[128];
                snprintf(text, sizeof text, "%s", home);
                strcpy(record.home, text);
                r = sf_transaction_write(config.state, &record, &err);
        }
        if (r == 0)
                r = sf_controller_end(config.state, &err);
        if (r < 0)
                fprintf(stderr, "recovery: %s\n", err.text);
        _exit(r < 0);
}

/* Runs it in a child that dies before its nth call: true where it died. */
static bool killed(void (*run)(const void *), const void *what, int nth)
{
        int status;
        pid_t pid = fork();

        if (pid == 0) {
                /* What --restore-state loses is said a thousand times. */
                if (!freopen("/dev/null", "w", stderr))
                        _exit(4);
                countdown = nth;
                run(what);
                _exit(3);
        }
        assert_true(pid > 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (WIFEXITED(status))
                assert_int_equal(WEXITSTATUS(status), 0);
        return WIFSIGNALED(status);
}

static void the_switch(const void *s)
{
        run_switch(s);
}

static void the_recovery(const void *s)
{
        (void)s;
        run_recovery();
}

/* Where is the node, and can the release that is there read what it finds? */
static void judge(const struct story *s, const struct sf_buffer *before, const struct sf_buffer *target, int nth,
                  int mth)
{
        struct sf_transaction record;
        struct sf_ctld_state now;
        bool open = sf_transaction_load(at("st"), &record, NULL) == 0;
        bool old = is_like(before);

        if (!sf_fs_exists(at("live/job_state")) || sf_ctld_state_read(at("live"), &now, NULL) < 0)
                fail_msg("killed at %d, %d: no state", nth, mth);
        if (!open && old)
                return; /* before the record, or undone */
        if (open && strcmp(record.home, s->from) == 0) {
                if (!old)
                        fail_msg("killed at %d, %d: home is %s, and its state is not as it was", nth, mth, record.home);
                return;
        }
        /* At the release that it led to: what it came up on, or has made of it. */
        if (strncmp(now.series, s->to, 5) != 0 && !(strcmp(s->to, NEW) == 0 && old))
                fail_msg("killed at %d, %d: %s finds a state of %s", nth, mth, s->to, now.series);
        if (!s->comes_up && !old && !is_like(target))
                fail_msg("killed at %d, %d: the state of %s is not what was kept", nth, mth, s->to);
}

/* step: every how many calls of the switch one is killed. */
static void tell(const struct story *s, int step)
{
        bool rollback = strcmp(s->to, OLD) == 0;
        /* Every pair of the two takes minutes: by hand. */
        bool all = getenv("SF_TEST_EVERY_KILL");
        int nth, mth = 0, runs = 0;

        make_node(true);
        assert_int_equal(sf_state_copy_finish(at("st/controller/" OLD "/state"), at("live"), NULL, NULL), 0);
        struct sf_buffer target = live_text();
        make_node(rollback);
        struct sf_buffer before = live_text();
        for (nth = all ? 1 : 1 + step / 2;; nth += all ? 1 : step) {
                make_node(rollback);
                if (!killed(the_switch, s, nth))
                        break;
                /* Recovery dies as well, before one of its calls or each of them, and is run again. */
                for (mth = all ? 1 : 1 + nth * 7 % 23; killed(the_recovery, NULL, mth) && mth < 400; mth++)
                        if (!all)
                                mth = 399;
                assert_true(mth <= 400);
                if (mth == 400)
                        assert_false(killed(the_recovery, NULL, 0));
                runs++;
                judge(s, &before, &target, nth, mth);
                /* The same switch succeeds now, where it was undone. */
                if ((all || nth % 4 == 0) && is_like(&before)) {
                        sf_transaction_end(at("st"), NULL);
                        assert_false(killed(the_switch, s, 0));
                }
        }
        print_message("%s -> %s: %d calls of the switch, %d kills\n", s->from, s->to, nth - 1, runs);
        assert_true(nth > 20);
        sf_buffer_free(&before);
        sf_buffer_free(&target);
}

static void upgrade(void **state)
{
        (void)state;
        tell(&(struct story){ OLD, NEW, OLD, false, true }, 2);
        tell(&(struct story){ OLD, NEW, OLD, true, false }, 5);
}

static void rollback(void **state)
{
        (void)state;
        tell(&(struct story){ NEW, OLD, OLD, false, true }, 3);
        tell(&(struct story){ NEW, OLD, OLD, true, false }, 5);
}

/* "activate OLD --restore-state": home is the release that is left. */
static void activate(void **state)
{
        (void)state;
        tell(&(struct story){ NEW, OLD, NEW, false, true }, 4);
        tell(&(struct story){ NEW, OLD, NEW, true, false }, 7);
}

static int make_scratch(void **state)
{
        (void)state;
        scratch = strdup(access("/dev/shm", W_OK) == 0 ? "/dev/shm/sf-crash-XXXXXX" : "/tmp/sf-crash-XXXXXX");
        return mkdtemp(scratch) ? 0 : -1;
}

static int drop_scratch(void **state)
{
        (void)state;
        countdown = 0;
        int r = sf_fs_remove_tree(scratch, NULL);
        free(scratch);
        return r;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(upgrade),
                cmocka_unit_test(rollback),
                cmocka_unit_test(activate),
        };

        return cmocka_run_group_tests(tests, make_scratch, drop_scratch);
}
