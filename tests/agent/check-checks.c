/* SPDX-License-Identifier: Apache-2.0 */
/* tests/agent/check-checks.c - preflight's judgements that need files only: PluginDir, PlugStackConfig, slurmdbd.conf,
 * libraries, and what cannot be read. What needs a bus or a running slurmd is tried on nodes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/switch/checks.h"
#include "base/fs.h"

static char scratch[] = "/tmp/sf-checks.XXXXXX";
static char tree[128];

static void put_mode(const char *path, const char *bytes, size_t len, unsigned mode)
{
        char whole[512];

        snprintf(whole, sizeof whole, "%s/%s", scratch, path);
        char *slash = strrchr(whole, '/');
        *slash = '\0';
        assert_int_equal(sf_fs_mkdirs(whole, 0755, NULL), 0);
        *slash = '/';
        assert_int_equal(sf_fs_write(whole, bytes, len, mode, NULL), 0);
}

static void put(const char *path, const char *text)
{
        put_mode(path, text, strlen(text), 0644);
}

static struct sf_checks checks_of(struct sf_buffer *notes)
{
        return (struct sf_checks){ .root = scratch,
                                   .prefix = "/opt/slurm",
                                   .tree = tree,
                                   .version = "25.11.4",
                                   .conf = "/etc/slurm/slurm.conf",
                                   .notes = notes };
}

typedef int check_fn(const struct sf_checks *, struct sf_buffer *, struct sf_error *);

/* said "" = nothing is found. */
static void expect(const struct sf_checks *c, check_fn *check, const char *said)
{
        struct sf_buffer findings = SF_BUFFER_INIT;
        struct sf_error err = SF_ERROR_INIT;

        if (check(c, &findings, &err) < 0)
                fail_msg("%s", err.text);
        if (!*said && findings.len)
                fail_msg("%s", sf_buffer_text(&findings));
        if (*said && !strstr(sf_buffer_text(&findings), said))
                fail_msg("'%s' is not in: %s", said, sf_buffer_text(&findings));
        sf_buffer_free(&findings);
}

/* The stable path stands for another release after the switch; steps of the old one would load its plugins. */
static void test_plugin_dir(void **state)
{
        struct sf_checks c = checks_of(NULL);

        (void)state;
        put("etc/slurm/slurm.conf", "ClusterName=c\nPluginDir=/opt/slurm/view/lib/slurm\n");
        c.old_tree = "/opt/slurm/releases/24.11.5-bookworm";
        expect(&c, sf_check_plugin_dir, "");
        c.old_steps = true;
        expect(&c, sf_check_plugin_dir, "/etc/slurm/slurm.conf sets PluginDir=/opt/slurm/view/lib/slurm");
        /* doctor, with no switch under way: a release finds its own. */
        c.old_steps = false;
        c.old_tree = NULL;
        expect(&c, sf_check_plugin_dir, "take the line out");
        put("etc/slurm/slurm.conf", "ClusterName=c\nInclude more.conf\n");
        put("etc/slurm/more.conf", "plugindir = /opt/slurm/view/lib/slurm:/site\n");
        expect(&c, sf_check_plugin_dir, "PluginDir=/opt/slurm/view/lib/slurm:/site");
        put("etc/slurm/more.conf", "PluginDir=/site/plugins\n");
        expect(&c, sf_check_plugin_dir, "");
}

static void test_spank_plugin_is_missing(void **state)
{
        struct sf_buffer notes = SF_BUFFER_INIT;
        struct sf_checks c = checks_of(&notes);

        (void)state;
        put("etc/slurm/slurm.conf", "ClusterName=c\n");
        put("etc/slurm/plugstack.conf", "include plugstack.d/*.conf\n");
        put("etc/slurm/plugstack.d/site.conf", "required /site/lib/absent.so\n");
        expect(&c, sf_check_spank, "/site/lib/absent.so");
        put("etc/slurm/plugstack.d/site.conf", "optional /site/lib/absent.so\n");
        expect(&c, sf_check_spank, "");
        /* Without a version there is nothing to compare with. */
        put("etc/slurm/plugstack.d/site.conf", "required /site/lib/absent.so\n");
        c.version = "";
        expect(&c, sf_check_spank, "");
        sf_buffer_free(&notes);
}

static void test_libraries_of_an_empty_tree(void **state)
{
        struct sf_checks c = checks_of(NULL);
        struct sf_buffer findings = SF_BUFFER_INIT;
        struct sf_error err = SF_ERROR_INIT;

        (void)state;
        int r = sf_check_libraries(&c, &findings, &err);
        /* A tree without slurmd is either named file by file or refused; it never passes. */
        assert_true(r < 0 ? err.text[0] != '\0' : strstr(sf_buffer_text(&findings), "sbin/slurmd") != NULL);
        sf_buffer_free(&findings);
}

static void test_conf_that_cannot_be_read(void **state)
{
        struct sf_checks c = checks_of(NULL);

        (void)state;
        put("etc/slurm/slurm.conf", "ClusterName=c\nInclude absent.conf\n");
        expect(&c, sf_check_conf, "absent.conf");
        /* No slurm.conf: configless, or nothing runs here. */
        c.conf = "/etc/slurm/none.conf";
        assert_false(sf_check_has_conf(&c));
        expect(&c, sf_check_conf, "");
        expect(&c, sf_check_plugin_dir, "");
        expect(&c, sf_check_spank, "");
}

static void test_space(void **state)
{
        struct sf_checks c = checks_of(NULL);

        (void)state;
        put("opt/slurm/x", "");
        put("var/lib/x", "");
        expect(&c, sf_check_space, "");
}

static void test_notes_are_optional(void **state)
{
        struct sf_checks c = checks_of(NULL);
        struct sf_buffer lines = SF_BUFFER_INIT, notes = SF_BUFFER_INIT;

        (void)state;
        assert_int_equal(sf_buffer_printf(&lines, NULL, "a line\n"), 0);
        assert_int_equal(sf_check_note(&c, &lines, NULL), 0);
        c.notes = &notes;
        assert_int_equal(sf_check_note(&c, &lines, NULL), 0);
        assert_string_equal(sf_buffer_text(&notes), "a line\n");
        sf_buffer_free(&lines);
        sf_buffer_free(&notes);
}

static int make_scratch(void **state)
{
        (void)state;
        if (!mkdtemp(scratch))
                return -1;
        snprintf(tree, sizeof tree, "%s/opt/slurm/releases/25.11.4-bookworm", scratch);
        return sf_fs_mkdirs(tree, 0755, NULL);
}

static int remove_scratch(void **state)
{
        (void)state;
        return sf_fs_remove_tree(scratch, NULL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_plugin_dir),
                cmocka_unit_test(test_spank_plugin_is_missing),
                cmocka_unit_test(test_libraries_of_an_empty_tree),
                cmocka_unit_test(test_conf_that_cannot_be_read),
                cmocka_unit_test(test_space),
                cmocka_unit_test(test_notes_are_optional),
        };

        return cmocka_run_group_tests(tests, make_scratch, remove_scratch);
}
