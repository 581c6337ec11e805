/* SPDX-License-Identifier: Apache-2.0 */
/* tests/agent/check-recovery.c - what is decided after a crash where no service is involved: in a tree of --root. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/node/lease.h"
#include "agent/node/state.h"
#include "agent/node/stop_limit.h"
#include "agent/switch/recovery.h"
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "installer/activate.h"

struct node {
        char root[64];
        struct sf_store store;
        struct sf_config config;
};

static void put(const struct node *n, const char *path, const char *text)
{
        _cleanup_free_ char *full = sf_fs_join(n->root, path);
        _cleanup_free_ char *parent = strdup(full);

        *strrchr(parent, '/') = '\0';
        assert_int_equal(sf_fs_mkdirs(parent, 0755, NULL), 0);
        assert_int_equal(sf_fs_write(full, text, strlen(text), 0644, NULL), 0);
}

static void put_release(const struct node *n, const char *directory)
{
        _cleanup_free_ char *path = sf_format("opt/slurm/releases/%s/.sf-release/release.json", directory);
        _cleanup_free_ char *text = sf_format("{\"prefix\":\"/opt/slurm/releases/%s\",\"release\":\"%.*s-test-amd64\","
                                              "\"tree\":\"sha256:%064d\",\"unit\":\"\"}",
                                              directory, (int)strcspn(directory, "-"), directory, 1);

        put(n, path, text);
}

static int set_up(void **state)
{
        struct node *n = calloc(1, sizeof *n);

        strcpy(n->root, "/tmp/check-recovery-XXXXXX");
        assert_non_null(mkdtemp(n->root));
        put_release(n, "24.11.4-test");
        put_release(n, "24.11.5-test");
        assert_int_equal(sf_store_open(n->root, "/opt/slurm", &n->store, NULL), 0);
        n->config = (struct sf_config){
                .root = n->root,
                .prefix = n->store.prefix,
                .state = sf_format("%s/var/lib/sf-node", n->root),
                .record = sf_format("%s/var/lib/sf-node", n->root),
        };
        assert_int_equal(sf_fs_mkdirs(n->config.state, 0755, NULL), 0);
        *state = n;
        return 0;
}

static int tear_down(void **state)
{
        struct node *n = *state;

        sf_fs_remove_tree(n->root, NULL);
        sf_store_close(&n->store);
        free(n->config.state);
        free(n->config.record);
        free(n);
        return 0;
}

static void assert_view(const struct node *n, const char *directory)
{
        char current[128];

        assert_int_equal(sf_activate_current(&n->store, current, NULL), 0);
        assert_string_equal(current, directory);
}

static bool exists(const struct node *n, const char *name)
{
        _cleanup_free_ char *path = sf_fs_join(n->config.state, name);

        return sf_fs_exists(path);
}

static void write_record(const struct node *n, const char *verb, const char *home)
{
        struct sf_transaction record = { .from = "24.11.4-test", .to = "24.11.5-test", .step = SF_STEP_HEALTH };

        strcpy(record.verb, verb);
        strcpy(record.home, home);
        assert_int_equal(sf_transaction_write(n->config.state, &record, NULL), 0);
}

static void undone_and_finished(void **state)
{
        struct node *n = *state;
        struct sf_error err = SF_ERROR_INIT;
        struct sf_state after;
        char note[SF_RECOVERY_NOTE];

        assert_int_equal(sf_recovery_run(&n->config, &n->store, false, note, &err), 0);
        assert_int_equal(sf_recovery_tell(&n->config, note), 0);
        assert_int_equal(sf_activate_switch(&n->store, "24.11.5-test", &err), 0);
        write_record(n, "upgrade", "24.11.4-test");
        /* Telling is not doing. */
        assert_int_equal(sf_recovery_tell(&n->config, note), 1);
        assert_non_null(strstr(note, "would be undone first"));
        assert_view(n, "24.11.5-test");
        assert_int_equal(sf_recovery_run(&n->config, &n->store, true, note, &err), 1);
        assert_non_null(strstr(note, "is now undone; on 24.11.4-test"));
        assert_view(n, "24.11.4-test");
        assert_false(exists(n, "transaction.json"));
        assert_int_equal(sf_state_load(n->config.state, &after, &err), 0);
        assert_int_equal(after.result, SF_RESULT_UNDONE);
        /* A rollback is finished. */
        write_record(n, "rollback", "24.11.5-test");
        assert_int_equal(sf_recovery_run(&n->config, &n->store, true, note, &err), 1);
        assert_non_null(strstr(note, "is now finished; on 24.11.5-test"));
        assert_view(n, "24.11.5-test");
        assert_int_equal(sf_state_load(n->config.state, &after, &err), 0);
        assert_string_equal(after.active, "24.11.5-test");
        assert_string_equal(after.previous, "24.11.4-test");
}

/* A run that was killed while slurmd stopped: the unit has its own TimeoutStopSec again. */
static void stop_limit_is_forgotten(void **state)
{
        static const char drop_in[] = "run/systemd/system/slurmd@n1.service.d/zzzz-sf-node-stop.conf";
        struct node *n = *state;
        struct sf_error err = SF_ERROR_INIT;
        struct sf_transaction record = { .from = "24.11.4-test",
                                         .to = "24.11.5-test",
                                         .home = "24.11.4-test",
                                         .verb = "upgrade",
                                         .step = SF_STEP_RESTART,
                                         .services = { "slurmd@n1.service" },
                                         .service_count = 1 };
        _cleanup_free_ char *path = sf_fs_join(n->root, drop_in);
        _cleanup_free_ char *site = sf_fs_join(n->root, "run/systemd/system/slurmd@n1.service.d/site.conf");
        char note[SF_RECOVERY_NOTE];

        assert_int_equal(sf_activate_switch(&n->store, "24.11.5-test", &err), 0);
        assert_int_equal(sf_stop_limit_set(n->root, "slurmd@n1.service", 3600, &err), 1);
        assert_true(sf_fs_exists(path));
        put(n, "run/systemd/system/slurmd@n1.service.d/site.conf", "[Service]\n");
        assert_int_equal(sf_transaction_write(n->config.state, &record, NULL), 0);
        assert_int_equal(sf_recovery_run(&n->config, &n->store, false, note, &err), 1);
        assert_false(sf_fs_exists(path));
        assert_true(sf_fs_exists(site));
}

/* Home is gone: that needs a human, and the record stays. */
static void home_is_gone(void **state)
{
        struct node *n = *state;
        struct sf_error err = SF_ERROR_INIT;
        char note[SF_RECOVERY_NOTE];

        struct sf_transaction record = { .verb = "upgrade", .step = SF_STEP_HEALTH };
        strcpy(record.from, "23.02.1-test");
        strcpy(record.home, "23.02.1-test");
        strcpy(record.to, "24.11.5-test");
        assert_int_equal(sf_transaction_write(n->config.state, &record, NULL), 0);
        int r = sf_recovery_run(&n->config, &n->store, false, note, &err);
        assert_int_equal(r, SF_ERR_NOT_FOUND);
        assert_int_equal(sf_recovery_exit(r), SF_EXIT_HUMAN);
        assert_non_null(strstr(err.text, "recovering from an interrupted upgrade"));
        assert_true(exists(n, "transaction.json"));
}

static void newer_record(void **state)
{
        struct node *n = *state;
        struct sf_error err = SF_ERROR_INIT;
        char note[SF_RECOVERY_NOTE];

        put(n, "var/lib/sf-node/transaction.json", "{\"version\":9,\"verb\":\"upgrade\"}");
        int r = sf_recovery_run(&n->config, &n->store, false, note, &err);
        assert_int_equal(r, SF_ERR_UNSUPPORTED);
        assert_int_equal(sf_recovery_exit(r), 0);
        assert_true(exists(n, "transaction.json"));
}

/* It is set aside; the release that was proven last is what an interrupted switch would have gone back to. */
static void damaged_record(void **state)
{
        static const char *const texts[] = {
                "",
                "{",
                "{\"verb\":\"upgrade\"}",
                "\001\002\377",
                "{\"verb\":\"upgrade\",\"from\":\"24.11.4-test\",\"to\":\"24.11.5-test\",\"home\":\"../../"
                "etc\",\"step\":\"health\","
                "\"time\":\"\"}",
                "{\"verb\":\"upgrade\",\"from\":\"a\",\"to\":\"b\",\"home\":\"a\",\"step\":\"nonsense\",\"time\":\"\"}",
        };
        struct node *n = *state;
        struct sf_state proven = { .active = "24.11.4-test" };
        char note[SF_RECOVERY_NOTE];

        assert_int_equal(sf_state_save(n->config.state, &proven, NULL), 0);
        for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
                struct sf_error err = SF_ERROR_INIT;
                assert_int_equal(sf_activate_switch(&n->store, "24.11.5-test", &err), 0);
                put(n, "var/lib/sf-node/transaction.json", texts[i]);
                assert_int_equal(sf_recovery_run(&n->config, &n->store, false, note, &err), 1);
                for (const char *c = note; *c; c++)
                        assert_true((unsigned char)*c >= 0x20);
                assert_view(n, "24.11.4-test");
                assert_false(exists(n, "transaction.json"));
                assert_true(exists(n, "transaction.json.damaged"));
                assert_int_equal(sf_recovery_run(&n->config, &n->store, false, note, &err), 0);
        }
}

static void judged_by_what_runs(void **state)
{
        (void)state;
        assert_string_equal(sf_recovery_judge("new", "old", ""), "old");
        assert_string_equal(sf_recovery_judge("new", "old", "old"), "old");
        assert_string_equal(sf_recovery_judge("new", "old", "new"), "");
        assert_string_equal(sf_recovery_judge("old", "old", "new"), "");
        assert_string_equal(sf_recovery_judge("new", "", ""), "");
        assert_string_equal(sf_recovery_judge("", "old", ""), "old");
}

static void leases(void **state)
{
        struct node *n = *state;
        struct sf_error err = SF_ERROR_INIT;
        const char *const first[] = { "24.11.4-test", "", "not-there" }, *const second[] = { "24.11.5-test" };
        _cleanup_free_ struct sf_lease *others = NULL;
        size_t count = 9;

        assert_int_equal(sf_lease_others(&n->store, &others, &count, &err), 0);
        assert_int_equal(count, 0);
        assert_int_equal(sf_lease_write(&n->store, first, 3, true, &err), 0);
        assert_int_equal(sf_lease_write(&n->store, second, 1, true, &err), 0);
        free(others);
        assert_int_equal(sf_lease_others(&n->store, &others, &count, &err), 0);
        assert_int_equal(count, 0);
        put(n, "opt/slurm/releases/.leases/other-00000000",
            "{\"version\":1,\"node\":\"other\",\"time\":\"\",\"releases\":[\"24.11.4-test\",\"24.11.5-test\"]}");
        free(others);
        assert_int_equal(sf_lease_others(&n->store, &others, &count, &err), 0);
        assert_int_equal(count, 2);
        assert_string_equal(others[1].directory, "24.11.5-test");
        assert_string_equal(others[1].node, "other");
        /* One that cannot be read may name anything. */
        put(n, "opt/slurm/releases/.leases/third-00000000", "{");
        free(others);
        others = NULL;
        assert_int_equal(sf_lease_others(&n->store, &others, &count, &err), SF_ERR_CORRUPT);
}

#define NODE_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
        const struct CMUnitTest tests[] = {
                NODE_TEST(undone_and_finished),
                NODE_TEST(stop_limit_is_forgotten),
                NODE_TEST(home_is_gone),
                NODE_TEST(newer_record),
                NODE_TEST(damaged_record),
                cmocka_unit_test(judged_by_what_runs),
                NODE_TEST(leases),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
