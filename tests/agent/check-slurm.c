/* SPDX-License-Identifier: Apache-2.0 */
/* tests/agent/check-slurm.c - a slurmctld that leaves a question without an answer is not asked the next one. The
 * client here is a script that waits as scontrol does; docs/NODE.md has what was measured with real ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/node/cluster.h"
#include "agent/node/slurm.h"
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fs.h"

static char tree[] = "/tmp/sf-slurm.XXXXXX";

static void put(const char *name, const char *text)
{
        _cleanup_free_ char *path = sf_fs_join(tree, name);

        assert_int_equal(sf_fs_write(path, text, strlen(text), 0755, NULL), 0);
}

/* A client that notes its words and then does this. */
static void put_client(const char *name, const char *does)
{
        _cleanup_free_ char *text = sf_format("#!/bin/sh\nprintf '%%s\\n' \"$*\" >>%s/asked\n%s\n", tree, does);

        put(name, text);
}

static size_t asked(void)
{
        _cleanup_(sf_buffer_free) struct sf_buffer text = SF_BUFFER_INIT;
        _cleanup_free_ char *path = sf_fs_join(tree, "asked");
        size_t lines = 0;

        sf_fs_read(path, 1 << 16, &text, NULL);
        for (const char *c = sf_buffer_text(&text); (c = strchr(c, '\n')); c++)
                lines++;
        return lines;
}

static int make_tree(void **state)
{
        (void)state;
        _cleanup_free_ char *bin = mkdtemp(tree) ? sf_fs_join(tree, "bin") : NULL;
        return bin ? sf_fs_mkdirs(bin, 0755, NULL) : -1;
}

static int remove_tree(void **state)
{
        (void)state;
        return sf_fs_remove_tree(tree, NULL);
}

static void silence_is_remembered(void **state)
{
        struct sf_error err = SF_ERROR_INIT, silence = SF_ERROR_INIT;
        struct sf_slurm slurm = { .tree = tree, .timeout = 10, .silence = &silence };
        struct sf_slurm_controller controller;
        struct sf_slurm_record record;
        struct sf_slurm_daemon daemon;
        struct sf_cluster_controller *all;
        _cleanup_(sf_buffer_free) struct sf_buffer jobs = SF_BUFFER_INIT;
        char version[48];
        size_t count;

        (void)state;
        put_client("bin/squeue", "exit 1");
        put_client("bin/sacctmgr", "exit 1");
        /* A client that fails at once was not left alone: the next question is asked. */
        put_client("bin/scontrol", "echo error: no such node >&2; exit 1");
        assert_true(sf_slurm_record(&slurm, "n1", &record, &err) < 0);
        assert_int_equal(silence.code, 0);
        assert_true(sf_slurm_controller(&slurm, &controller, &err) < 0);
        assert_int_equal(asked(), 2);

        put_client("bin/scontrol", "sleep 2.2; echo error: Unable to contact slurm controller >&2; exit 1");
        assert_true(sf_slurm_controller(&slurm, &controller, &err) < 0);
        assert_int_equal(asked(), 3);
        assert_non_null(strstr(silence.text, "Unable to contact"));
        put_client("bin/scontrol", "exit 1");
        assert_true(sf_slurm_record(&slurm, "n1", &record, &err) < 0);
        assert_non_null(strstr(err.text, "Unable to contact"));
        assert_true(sf_cluster_jobs(&slurm, &jobs, &err) < 0);
        assert_true(sf_slurm_controller(&slurm, &controller, NULL) < 0);
        assert_int_equal(asked(), 3);
        /* Others are asked: slurmd, slurmdbd, each slurmctld whether it is up. */
        assert_true(sf_slurm_daemon(&slurm, 0, &daemon, &err) < 0);
        assert_int_equal(asked(), 4);
        assert_true(sf_cluster_database(&slurm, version, &err) < 0);
        assert_int_equal(asked(), 5);
        assert_true(sf_cluster_controllers(&slurm, &all, &count, &err) < 0);
        assert_int_equal(asked(), 6);
        /* And where nobody remembers, all is asked anew. */
        slurm.silence = NULL;
        assert_true(sf_slurm_controller(&slurm, &controller, &err) < 0);
        assert_int_equal(asked(), 7);
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(silence_is_remembered) };

        return cmocka_run_group_tests(tests, make_tree, remove_tree);
}
