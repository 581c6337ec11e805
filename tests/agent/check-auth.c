/* SPDX-License-Identifier: Apache-2.0 */
/* tests/agent/check-auth.c - which key a daemon of auth/slurm or auth/jwt will read, and which it would end for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/node/auth.h"
#include "base/cleanup.h"
#include "base/fs.h"

static char scratch[] = "/tmp/sf-auth.XXXXXX";

static void put(const char *name, const char *text, mode_t mode)
{
        char path[256];

        snprintf(path, sizeof path, "%s/%s", scratch, name);
        unlink(path);
        assert_int_equal(sf_fs_write(path, text, strlen(text), 0600, NULL), 0);
        assert_int_equal(chmod(path, mode), 0);
}

static void drop(const char *name)
{
        char path[256];

        snprintf(path, sizeof path, "%s/%s", scratch, name);
        unlink(path);
}

static void load(const char *text, struct sf_slurm_conf *ret)
{
        char path[256];

        put("slurm.conf", text, 0644);
        snprintf(path, sizeof path, "%s/slurm.conf", scratch);
        assert_int_equal(sf_slurm_conf_load("", path, ret, NULL), 0);
}

/* said "" = no key is complained of. */
static void controller_says(const char *text, bool running, const char *said)
{
        _cleanup_(sf_slurm_conf_free) struct sf_slurm_conf conf = SF_SLURM_CONF_INIT;
        _cleanup_(sf_buffer_free) struct sf_buffer findings = SF_BUFFER_INIT;
        struct sf_unit_of_node unit = { .name = "slurmctld.service",
                                        .daemon = SF_DAEMON_SLURMCTLD,
                                        .running = running };
        const struct sf_units units = { .items = &unit, .count = 1 };

        load(text, &conf);
        assert_int_equal(sf_auth_check_keys(&conf, &units, &findings, NULL), 0);
        if (!*said && findings.len)
                fail_msg("%s", sf_buffer_text(&findings));
        if (*said && (!findings.len || !strstr(sf_buffer_text(&findings), said)))
                fail_msg("'%s' is not in: %s", said, findings.len ? sf_buffer_text(&findings) : "");
}

static void jwt(void **state)
{
        char text[1024];

        (void)state;
        controller_says("AuthType=auth/munge\n", true, "");
        controller_says("AuthAltTypes=auth/jwt\nStateSaveLocation=/nowhere\n", true,
                        "auth/jwt: the key /nowhere/jwt_hs256.key cannot be read: No such file");
        controller_says("AuthAltTypes=auth/jwt\nStateSaveLocation=/nowhere\n", false, "");
        snprintf(text, sizeof text, "authalttypes=auth/jwt\nAuthAltParameters=disable_token_creation,jwt_key=%s/k\n",
                 scratch);
        put("k", "x", 0640);
        controller_says(text, true, "");
        put("k", "x", 0604);
        controller_says(text, true, "mode 0604: chmod o= ");
        /* A set of keys alone is enough, and both are read where both are named. */
        put("set", "{}", 0600);
        snprintf(text, sizeof text, "AuthAltTypes=auth/jwt\nAuthAltParameters=jwks=%s/set\n", scratch);
        controller_says(text, true, "");
        snprintf(text, sizeof text, "AuthAltTypes=auth/jwt\nAuthAltParameters=jwks=%s/set,jwt_key=%s/k\n", scratch,
                 scratch);
        controller_says(text, true, "/k has mode");
}

static void slurm_key(void **state)
{
        _cleanup_(sf_slurm_conf_free) struct sf_slurm_conf conf = SF_SLURM_CONF_INIT;
        char told[256], other[64] = "/tmp/sf-auth-usual.XXXXXX";

        (void)state;
        assert_non_null(mkdtemp(other));
        controller_says("AuthType=auth/slurm\n", true, "/slurm.key cannot be read");
        put("slurm.key", "x", 0600);
        controller_says("AuthType=auth/slurm\n", true, "");
        put("slurm.jwks", "{}", 0644);
        controller_says("AuthType=auth/slurm\n", true, "/slurm.jwks has mode 0644");
        drop("slurm.jwks");
        load("AuthType=auth/slurm\n", &conf);
        _cleanup_free_ char *beside = sf_auth_slurm_key(&conf, 0, other);
        snprintf(told, sizeof told, "%s/slurm.key", scratch);
        assert_string_equal(beside, told);
        /* A slurmd that fetches slurm.conf has its key where it looks by itself. */
        drop("slurm.key");
        snprintf(told, sizeof told, "%s/slurm.key", other);
        assert_int_equal(sf_fs_write(told, "x", 1, 0600, NULL), 0);
        _cleanup_free_ char *usual = sf_auth_slurm_key(&conf, 0, other);
        assert_string_equal(usual, told);
        sf_fs_remove_tree(other, NULL);
}

static int begin(void **state)
{
        (void)state;
        return mkdtemp(scratch) ? 0 : -1;
}

static int end(void **state)
{
        (void)state;
        return sf_fs_remove_tree(scratch, NULL);
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(jwt), cmocka_unit_test(slurm_key) };

        return cmocka_run_group_tests(tests, begin, end);
}
