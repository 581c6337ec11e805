/* SPDX-License-Identifier: Apache-2.0 */
/* tests/agent/check-controller_state.c - what slurmctld's files say, copies of them, and what a queue lost in
 * between. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/node/cluster.h"
#include "agent/node/ctld_state.h"
#include "agent/switch/controller_copy.h"
#include "agent/switch/expected_units.h"
#include "agent/switch/state_copy.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/fs.h"

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
        struct sf_error err = SF_ERROR_INIT;
        char *path = at(name), *slash = strrchr(path, '/');

        *slash = '\0';
        assert_int_equal(sf_fs_mkdirs(path, 0755, &err), 0);
        *slash = '/';
        if (sf_fs_write(path, bytes, len, 0600, &err) < 0)
                fail_msg("%s", err.text);
}

static int make_scratch(void **state)
{
        (void)state;
        scratch = strdup("/tmp/sf-state-XXXXXX");
        return mkdtemp(scratch) ? 0 : -1;
}

static int drop_scratch(void **state)
{
        (void)state;
        int r = sf_fs_remove_tree(scratch, NULL);
        free(scratch);
        return r;
}

/* The first 35 bytes that slurmctld 24.11.6 and 25.11.4 wrote on a node of the test bed; only job ids differ. */
#define HEAD(protocol) "\0\0\0\x11PROTOCOL_VERSION\0" protocol "\0\0\0\0\x69\x2b\x5c\x9f\0\0\0\x0c"

static void reads_job_state(void **state)
{
        struct sf_ctld_state s;

        (void)state;
        put("s/job_state", HEAD("\x2a\0") "more", sizeof HEAD("\x2a\0") + 3);
        assert_int_equal(sf_ctld_state_read(at("s"), &s, NULL), 0);
        assert_string_equal(s.series, "24.11");
        assert_int_equal(s.written, 0x692b5c9f);
        assert_int_equal(s.last_job, 12);
        put("s/job_state", HEAD("\x2c\0"), sizeof HEAD("\x2c\0") - 1);
        assert_int_equal(sf_ctld_state_read(at("s"), &s, NULL), 0);
        assert_string_equal(s.series, "25.11");
        /* A release of the future: the number is kept, no series is guessed. */
        put("s/job_state", HEAD("\x40\0"), sizeof HEAD("\x40\0") - 1);
        assert_int_equal(sf_ctld_state_read(at("s"), &s, NULL), 0);
        assert_string_equal(s.series, "");
        assert_int_equal(s.protocol, 0x4000);
        put("s/job_state", HEAD("\x2a\0"), 20);
        assert_int_equal(sf_ctld_state_read(at("s"), &s, NULL), SF_ERR_CORRUPT);
        put("s/job_state", "not a state file, but long enough for a head", 44);
        assert_int_equal(sf_ctld_state_read(at("s"), &s, NULL), SF_ERR_CORRUPT);
        assert_int_equal(sf_ctld_state_read(at("nowhere"), &s, NULL), SF_ERR_NOT_FOUND);
        assert_string_equal(sf_ctld_series_of(38 << 8), "22.05");
        assert_string_equal(sf_ctld_series_of(40 << 8), "23.11");
        assert_string_equal(sf_ctld_series_of(45 << 8), "26.05");
        assert_string_equal(sf_ctld_series_of(0), "");
}

static void reads_heartbeat(void **state)
{
        struct sf_ctld_heartbeat beat;

        (void)state;
        put("s/heartbeat", "\0\0\0\0\x69\x2b\x5c\x9f\0\0\0\0\0\0\0\x01", 16);
        assert_int_equal(sf_ctld_heartbeat_read(at("s"), &beat, NULL), 0);
        assert_int_equal(beat.time, 0x692b5c9f);
        assert_int_equal(beat.controller, 1);
        put("s/heartbeat", "\0\0", 2);
        assert_int_equal(sf_ctld_heartbeat_read(at("s"), &beat, NULL), SF_ERR_CORRUPT);
}

static void expect_text(const char *name, const char *text)
{
        struct sf_buffer content = SF_BUFFER_INIT;

        assert_int_equal(sf_fs_read(at(name), 1000, &content, NULL), 0);
        assert_string_equal(sf_buffer_text(&content), text);
        sf_buffer_free(&content);
}

/* First pass, changes, second pass, changes, back: what was copied is what comes back, and nothing else. */
static void copies_and_puts_back(void **state)
{
        struct sf_error err = SF_ERROR_INIT;
        int same;

        (void)state;
        put("live/hash.1/job.11/script", "eleven", 6);
        put("live/hash.2/job.12/script", "twelve", 6);
        put("live/job_state", "old", 3);
        assert_int_equal(symlink("job_state", at("live/link")), 0);
        assert_int_equal(mkfifo(at("live/pipe"), 0600), 0);
        assert_int_equal(sf_state_copy_begin(at("live"), at("copy"), "hash.", &err), 0);
        expect_text("copy/hash.1/job.11/script", "eleven");
        assert_false(sf_fs_exists(at("copy/job_state")));

        assert_int_equal(sf_fs_remove_tree(at("live/hash.2/job.12"), NULL), 0);
        put("live/hash.3/job.13/script", "thirteen", 8);
        put("live/job_state", "newer", 5);
        assert_int_equal(sf_state_copy_finish(at("live"), at("copy"), "hash.", &err), 0);
        expect_text("copy/job_state", "newer");
        expect_text("copy/link", "newer");
        expect_text("copy/hash.3/job.13/script", "thirteen");
        assert_false(sf_fs_exists(at("copy/hash.2/job.12")));
        assert_false(sf_fs_exists(at("copy/pipe")));
        assert_int_equal(sf_state_copy_same(at("copy/job_state"), at("live/job_state"), &same, NULL), 0);
        assert_true(same);

        put("live/job_state", "converted", 9);
        put("live/hash.4/job.14/script", "fourteen", 8);
        put("live/hash.1/job.11/script", "ELEVEN", 6); /* same size: a restore takes nothing for granted */
        assert_int_equal(sf_state_copy_same(at("copy/job_state"), at("live/job_state"), &same, NULL), 0);
        assert_false(same);
        assert_int_equal(sf_state_copy_finish(at("copy"), at("live"), NULL, &err), 0);
        expect_text("live/job_state", "newer");
        expect_text("live/hash.1/job.11/script", "eleven");
        assert_false(sf_fs_exists(at("live/hash.4")));
        assert_int_equal(sf_state_copy_same(at("no"), at("neither"), &same, NULL), 0);
        assert_true(same);
        assert_int_equal(sf_state_copy_finish(at("gone"), at("copy"), NULL, &err), SF_ERR_NOT_FOUND);
        expect_text("copy/job_state", "newer");
}

/* StateSaveLocation is SlurmUser's: what he prepares there for root to write into is not written into. */
static void follows_nobodys_links(void **state)
{
        struct sf_error err = SF_ERROR_INIT;

        (void)state;
        put("victim", "precious", 8);
        put("kept/job_state", "old", 3);
        put("kept/hash.1/script", "eleven", 6);
        put("home/x", "x", 1);
        assert_int_equal(link(at("victim"), at("home/job_state.sf-new")), 0);
        assert_int_equal(mkdir(at("elsewhere"), 0711), 0);
        assert_int_equal(symlink("../elsewhere", at("home/hash.1")), 0);
        assert_int_equal(sf_state_copy_finish(at("kept"), at("home"), NULL, &err), 0);
        expect_text("victim", "precious");
        expect_text("home/job_state", "old");
        expect_text("home/hash.1/script", "eleven");
        assert_false(sf_fs_exists(at("elsewhere/script")));
}

/* A directory that becomes a link to elsewhere and back, all the time. */
static void *swap(void *stop)
{
        char directory[128], other[128], away[128], elsewhere[128];

        snprintf(directory, sizeof directory, "%s/live/hash.1", scratch);
        snprintf(elsewhere, sizeof elsewhere, "%s/elsewhere", scratch);
        snprintf(other, sizeof other, "%s/other", scratch);
        for (unsigned i = 0; !atomic_load((atomic_bool *)stop); i++) {
                snprintf(away, sizeof away, "%s/away.%u", scratch, i);
                if (symlink(elsewhere, other) < 0 && rename(other, away) == 0)
                        continue;
                if (renameat2(AT_FDCWD, directory, AT_FDCWD, other, RENAME_EXCHANGE) < 0)
                        mkdir(directory, 0755);
                sched_yield();
                renameat2(AT_FDCWD, directory, AT_FDCWD, other, RENAME_EXCHANGE);
        }
        return NULL;
}

static void is_not_led_elsewhere(void **state)
{
        char elsewhere[128];
        atomic_bool stop = false;
        pthread_t thread;

        (void)state;
        for (int i = 0; i < 20; i++) {
                char name[64];
                snprintf(name, sizeof name, "kept/hash.1/job.%d", i);
                put(name, "script", 6);
        }
        put("live/hash.1/x", "x", 1);
        snprintf(elsewhere, sizeof elsewhere, "%s/elsewhere", scratch);
        assert_int_equal(mkdir(elsewhere, 0755), 0);
        assert_int_equal(pthread_create(&thread, NULL, swap, &stop), 0);
        /* Not whether it succeeds, but where nothing may ever be. */
        double end = sf_clock_seconds() + 0.5;
        while (sf_clock_seconds() < end)
                sf_state_copy_finish(at("kept"), at("live"), NULL, NULL);
        atomic_store(&stop, true);
        pthread_join(thread, NULL);
        assert_int_equal(rmdir(elsewhere), 0);
}

static void keeps_copies_by_release(void **state)
{
        struct sf_controller_copy copy = {
                .release = "24.11.6-noble", .location = "/var/spool/ctld", .series = "24.11", .time = 100
        };
        struct sf_controller_mark mark = { .phase = SF_CONTROLLER_RESTORING,
                                           .release = "24.11.6-noble",
                                           .location = "/x" };
        struct sf_controller_copy found;
        struct sf_error err = SF_ERROR_INIT;

        (void)state;
        assert_int_equal(sf_controller_copy_find(at("st"), "24.11", "/var/spool/ctld", &found, NULL), SF_ERR_NOT_FOUND);
        assert_int_equal(sf_controller_copy_write(at("st"), &copy, NULL), 0);
        copy.time = 200;
        strcpy(copy.release, "24.11.5-noble");
        assert_int_equal(sf_controller_copy_write(at("st"), &copy, NULL), 0);
        /* Without its record a copy is not whole. */
        put("st/controller/24.11.9-noble/state/job_state", "half", 4);
        assert_int_equal(sf_controller_copy_find(at("st"), "24.11", "/var/spool/ctld", &found, NULL), 0);
        assert_string_equal(found.release, "24.11.5-noble");
        assert_int_equal(sf_controller_copy_find(at("st"), "24.11", "/elsewhere", &found, NULL), SF_ERR_NOT_FOUND);
        assert_int_equal(sf_controller_copy_find(at("st"), "25.11", "/var/spool/ctld", &found, NULL), SF_ERR_NOT_FOUND);
        assert_int_equal(sf_controller_mark_write(at("st"), &mark, NULL), 0);
        memset(&mark, 0, sizeof mark);
        assert_int_equal(sf_controller_mark_read(at("st"), &mark, NULL), 0);
        assert_int_equal(mark.phase, SF_CONTROLLER_RESTORING);
        assert_string_equal(mark.release, "24.11.6-noble");
        put("st/controller/phase.json", "{\"phase\":\"judging\",\"release\":\"a\",\"location\":\"/x\"}", 49);
        assert_int_equal(sf_controller_mark_read(at("st"), &mark, &err), SF_ERR_UNSUPPORTED);
        assert_non_null(strstr(err.text, "newer sf-node (phase 'judging')"));
        mark.phase = SF_CONTROLLER_NOTHING;
        assert_int_equal(sf_controller_mark_write(at("st"), &mark, NULL), 0);
        assert_int_equal(sf_controller_mark_read(at("st"), &mark, NULL), 0);
        assert_int_equal(mark.phase, SF_CONTROLLER_NOTHING);
        assert_int_equal(sf_controller_copy_remove(at("st"), "24.11.5-noble", NULL), 0);
        assert_int_equal(sf_controller_copy_find(at("st"), "24.11", "/var/spool/ctld", &found, NULL), 0);
        assert_string_equal(found.release, "24.11.6-noble");
}

static void counts_what_happened(void **state)
{
        struct sf_cluster_change c;

        (void)state;
        sf_cluster_compare("10 R\n11 R\n12 PD\n13 PD\n", "10 R\n12 R\n13 CA\n14 PD\n15 R\n16 CD\n", &c);
        assert_int_equal(c.submitted, 3);
        assert_string_equal(c.submitted_ids, "14, 15, 16");
        assert_int_equal(c.started, 3);
        assert_string_equal(c.started_ids, "12, 15, 16");
        assert_int_equal(c.ended, 3);
        assert_string_equal(c.ended_ids, "13, 16, 11");
        sf_cluster_compare("10 R\n", "10 R\n", &c);
        assert_int_equal(c.submitted + c.started + c.ended, 0);
        assert_string_equal(c.ended_ids, "");
        sf_cluster_compare("", "", &c);
        assert_int_equal(c.submitted, 0);

        struct sf_buffer many = SF_BUFFER_INIT;
        for (int i = 1000; i < 2000; i++)
                assert_int_equal(sf_buffer_printf(&many, NULL, "%d PD\n", i), 0);
        sf_cluster_compare("", sf_buffer_text(&many), &c);
        assert_int_equal(c.submitted, 1000);
        assert_non_null(strstr(c.submitted_ids, "1000, 1001, "));
        assert_non_null(strstr(c.submitted_ids, " and 979 more"));
        sf_buffer_free(&many);
}

static void remembers_units(void **state)
{
        const char *units[] = { "slurmctld.service", "slurmd.service", "slurmrestd.service" };
        bool running[] = { true, true, false }, later[] = { false, false, false };

        (void)state;
        assert_int_equal(sf_expected_units_read(at("u"), units, later, 3, NULL), 0);
        assert_false(later[0]);
        assert_int_equal(sf_expected_units_write(at("u"), units, running, 3, NULL), 0);
        assert_int_equal(sf_expected_units_read(at("u"), units, later, 3, NULL), 0);
        assert_true(later[0] && later[1] && !later[2]);
        assert_int_equal(sf_expected_units_remove(at("u"), NULL), 0);
        assert_int_equal(sf_expected_units_remove(at("u"), NULL), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(reads_job_state, make_scratch, drop_scratch),
                cmocka_unit_test_setup_teardown(reads_heartbeat, make_scratch, drop_scratch),
                cmocka_unit_test_setup_teardown(copies_and_puts_back, make_scratch, drop_scratch),
                cmocka_unit_test_setup_teardown(follows_nobodys_links, make_scratch, drop_scratch),
                cmocka_unit_test_setup_teardown(is_not_led_elsewhere, make_scratch, drop_scratch),
                cmocka_unit_test_setup_teardown(keeps_copies_by_release, make_scratch, drop_scratch),
                cmocka_unit_test(counts_what_happened),
                cmocka_unit_test_setup_teardown(remembers_units, make_scratch, drop_scratch),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
