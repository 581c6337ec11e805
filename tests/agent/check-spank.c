/* SPDX-License-Identifier: Apache-2.0 */
/* tests/agent/check-spank.c - which SPANK plugins a release would not load, wherever plugstack.conf names them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/node/spank.h"
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/proc.h"

static char root[] = "/tmp/sf-spank.XXXXXX";
static struct sf_buffer findings, notes;
static struct sf_version now, before;

static int make_root(void **state)
{
        (void)state;
        strcpy(root + strlen(root) - 6, "XXXXXX");
        return mkdtemp(root) && sf_version_parse("25.11.4", &now, NULL) == 0 &&
                               sf_version_parse("24.11.6", &before, NULL) == 0
                       ? 0
                       : -1;
}

static int remove_root(void **state)
{
        (void)state;
        sf_buffer_free(&findings);
        sf_buffer_free(&notes);
        return sf_fs_remove_tree(root, NULL);
}

static void put(const char *place, const char *content)
{
        _cleanup_free_ char *path = sf_format("%s%s", root, place);
        _cleanup_free_ char *directory = strndup(path, (size_t)(strrchr(path, '/') - path));

        assert_int_equal(sf_fs_mkdirs(directory, 0755, NULL), 0);
        assert_int_equal(sf_fs_write(path, content, strlen(content), 0644, NULL), 0);
}

/* A real shared object of the compiler that is here; "" for one without the symbol. */
static void build(const char *place, const char *version)
{
        _cleanup_free_ char *path = sf_format("%s%s", root, place);
        _cleanup_free_ char *source = sf_format("%s.c", path);
        _cleanup_free_ char *text = *version ? sf_format("const unsigned int plugin_version = %s;\n", version)
                                             : sf_format("int nothing;\n");
        const char *argv[] = { "cc", "-shared", "-fPIC", "-o", path, source, NULL };
        const struct sf_proc proc = { .argv = argv, .timeout_seconds = 60 };
        _cleanup_free_ char *in_root = sf_format("%s.c", place);

        put(in_root, text);
        assert_int_equal(sf_proc_check(&proc, NULL), 0);
        assert_int_equal(sf_fs_remove_tree(source, NULL), 0);
}

static void check(const char *found, const char *noted)
{
        _cleanup_free_ char *dir = sf_format("%s/opt/new/lib64/slurm", root);
        const char *const dirs[] = { "/nonexistent", dir, NULL };
        const struct sf_spank spank = { .root = root,
                                        .plugstack = "/etc/slurm/plugstack.conf",
                                        .plugin_dirs = dirs,
                                        .version = &now,
                                        .before = &before };

        sf_buffer_free(&findings);
        sf_buffer_free(&notes);
        assert_int_equal(sf_spank_check(&spank, &findings, &notes, NULL), 0);
        if (!found != !findings.len || (found && !strstr(sf_buffer_text(&findings), found)))
                fail_msg("found: %s", sf_buffer_text(&findings));
        if (!noted != !notes.len || (noted && !strstr(sf_buffer_text(&notes), noted)))
                fail_msg("noted: %s", sf_buffer_text(&notes));
}

#define NEW "25 << 16 | 11 << 8 | 1"
#define OLD "24 << 16 | 11 << 8 | 6"

static void plugins(void **state)
{
        (void)state;
        check(NULL, NULL);
        put("/etc/slurm/plugstack.conf", "# nothing\n\nrequired\nunknown /x.so\n");
        check(NULL, NULL);
        build("/opt/site/new.so", NEW);
        build("/opt/site/old.so", OLD);
        build("/opt/site/mute.so", "");
        put("/etc/slurm/plugstack.conf", "required /opt/site/new.so arg=1 # comment\n");
        check(NULL, NULL);
        put("/etc/slurm/plugstack.conf", "\trequired\t/opt/site/old.so\n");
        check("/opt/site/old.so (/etc/slurm/plugstack.conf) is built for Slurm 24.11, not 25.11", NULL);
        put("/etc/slurm/plugstack.conf", "required /opt/site/mute.so\n");
        check("says no plugin_version", NULL);
        put("/etc/slurm/plugstack.conf", "required /opt/site/none.so\n");
        check("cannot be read", NULL);
        put("/etc/slurm/plugstack.conf", "required /etc/slurm/plugstack.conf\n");
        check("cannot be read", NULL);
        /* What is optional and loaded so far would go missing without a word; what was not loaded is no news. */
        put("/etc/slurm/plugstack.conf", "optional /opt/site/old.so\noptional /opt/site/none.so\n");
        check(NULL, "optional SPANK plugin /opt/site/old.so");
        /* Without a path: PluginDir. */
        put("/opt/new/lib64/slurm/keep", "");
        build("/opt/new/lib64/slurm/here.so", NEW);
        put("/etc/slurm/plugstack.conf", "required here.so\n");
        check(NULL, NULL);
        put("/etc/slurm/plugstack.conf", "required there.so\n");
        check("required SPANK plugin there.so (/etc/slurm/plugstack.conf) is in no directory of PluginDir", NULL);
}

static void includes(void **state)
{
        (void)state;
        build("/opt/site/old.so", OLD);
        put("/etc/slurm/plugstack.conf", "include plugstack.conf.d/*.conf\ninclude nowhere/*.conf\n");
        check(NULL, NULL);
        /* Relative to the file that includes, not to slurm.conf. */
        put("/etc/slurm/plugstack.conf.d/10-a.conf", "include more/b.conf\n");
        put("/etc/slurm/plugstack.conf.d/more/b.conf", "required /opt/site/old.so\n");
        check("(/etc/slurm/plugstack.conf.d/more/b.conf)", NULL);
        put("/etc/slurm/plugstack.conf.d/more/b.conf", "include /etc/site/*\n");
        check(NULL, NULL);
        put("/etc/site/c", "required missing.so\n");
        check("required SPANK plugin missing.so (/etc/site/c)", NULL);
        put("/etc/site/c", "include /etc/slurm/plugstack.conf\n");
        check("is included again", NULL);
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(plugins, make_root, remove_root),
                                            cmocka_unit_test_setup_teardown(includes, make_root, remove_root) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
