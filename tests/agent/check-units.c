/* SPDX-License-Identifier: Apache-2.0 */
/* tests/agent/check-units.c - units as their files say they are, the daemons' own words, and what speaks against a
 * restart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/node/conf_source.h"
#include "agent/node/daemon.h"
#include "agent/node/unit_text.h"
#include "agent/node/units.h"
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fs.h"

#define ETC "/etc/systemd/system/"
#define USR "/usr/lib/systemd/system/"

static char root[] = "/tmp/sf-units.XXXXXX";
static struct sf_unit_text text;
static struct sf_words environment, command;
static struct sf_error err;

static int make_root(void **state)
{
        (void)state;
        strcpy(root + strlen(root) - 6, "XXXXXX");
        sf_error_clear(&err);
        return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
        (void)state;
        sf_unit_text_free(&text);
        sf_words_free(&environment);
        sf_words_free(&command);
        return sf_fs_remove_tree(root, NULL);
}

static void put(const char *place, const char *content)
{
        _cleanup_free_ char *path = sf_format("%s%s", root, place);
        _cleanup_free_ char *directory = strndup(path, (size_t)(strrchr(path, '/') - path));

        assert_int_equal(sf_fs_mkdirs(directory, 0755, NULL), 0);
        assert_int_equal(sf_fs_write(path, content, strlen(content), 0644, NULL), 0);
}

static void load(const char *unit)
{
        sf_unit_text_free(&text);
        assert_int_equal(sf_unit_text_load(root, unit, &text, &err), 0);
}

static void is(const char *key, const char *value)
{
        const struct sf_unit_setting *s = sf_unit_text_get(&text, "Service", key);

        assert_non_null(s);
        assert_string_equal(s->value, value);
}

static void files(void **state)
{
        (void)state;
        assert_int_equal(sf_unit_text_load(root, "slurmd.service", &text, &err), SF_ERR_NOT_FOUND);
        put(USR "slurmd.service", "[Unit]\nDescription=distribution's\n[Service]\nKillMode = process\nDelegate=yes\n"
                                  "ExecStart=/usr/sbin/slurmd \\\n# a comment within\n  --systemd\n");
        load("slurmd.service");
        is("KillMode", "process");
        is("ExecStart", "/usr/sbin/slurmd  --systemd");
        assert_null(sf_unit_text_get(&text, "Unit", "KillMode"));
        /* By name of the file, wherever it lies; one of the same name hides the other. */
        put("/etc/systemd/system/slurmd.service.d/10-a.conf", "[Service]\nKillMode=mixed\n");
        put(USR "slurmd.service.d/10-a.conf", "[Service]\nKillMode=none\n");
        put(USR "slurmd.service.d/20-b.conf", "[Service]\nKillMode=control-group\nExecStart=\nExecStart=/b\n");
        put(ETC "service.d/05-all.conf", "[Service]\nRestart=no\n");
        put(ETC "slurmd.service.d/readme", "[Service]\nKillMode=none\n");
        load("slurmd.service");
        is("KillMode", "control-group");
        is("Restart", "no");
        assert_int_equal(text.drop_in_count, 3);
        assert_string_equal(text.drop_ins[0], ETC "service.d/05-all.conf");
        assert_string_equal(text.drop_ins[1], ETC "slurmd.service.d/10-a.conf");
        const struct sf_unit_setting *start = sf_unit_text_next(&text, "Service", "ExecStart", NULL);
        assert_string_equal(start->value, "/b");
        assert_null(sf_unit_text_next(&text, "Service", "ExecStart", start));
        /* A drop-in that /dev/null stands for, then a unit that is masked. */
        _cleanup_free_ char *mask = sf_format("%s" ETC "slurmd.service.d/20-b.conf", root);
        _cleanup_free_ char *unit = sf_format("%s" ETC "slurmd.service", root);
        assert_int_equal(symlink("/dev/null", mask), 0);
        load("slurmd.service");
        is("KillMode", "mixed");
        assert_int_equal(symlink("/dev/null", unit), 0);
        load("slurmd.service");
        assert_true(text.masked);
}

static void templates(void **state)
{
        (void)state;
        put(ETC "slurmd@.service",
            "[Service]\nKillMode=process\nEnvironment=A=1 \"B=two words\" I=%i\n"
            "EnvironmentFile=-/etc/default/slurmd\nEnvironmentFile=-/etc/default/%p-%i\n"
            "ExecStart=@/opt/slurm/view/sbin/slurmd slurmd -N %i $OPTIONS ${A}x -L ${B} %% $NONE\n");
        put(ETC "slurmd@.service.d/a.conf", "[Service]\nDelegate=cpu memory\n");
        put(ETC "slurmd@n1.service.d/b.conf", "[Service]\nEnvironment=A=2\n");
        put("/etc/default/slurmd", "# OPTIONS=no\nOPTIONS=\"-f /etc/other/slurm.conf\"\n");
        put("/etc/default/slurmd-n1", "OPTIONS='-f /etc/n1/slurm.conf --systemd'\n");
        load("slurmd@n1.service");
        is("Delegate", "cpu memory");
        assert_int_equal(sf_unit_text_environment(&text, root, &environment, &err), 0);
        assert_string_equal(sf_unit_text_variable(&environment, "A"), "2");
        assert_string_equal(sf_unit_text_variable(&environment, "I"), "n1");
        assert_int_equal(sf_unit_text_command(&text, &environment, &command, &err), 0);
        static const char *const words[] = { "/opt/slurm/view/sbin/slurmd",
                                             "-N",
                                             "n1",
                                             "-f",
                                             "/etc/n1/slurm.conf",
                                             "--systemd",
                                             "2x",
                                             "-L",
                                             "two words",
                                             "%" };
        assert_int_equal(command.count, sizeof words / sizeof *words);
        for (size_t i = 0; i < command.count; i++)
                assert_string_equal(command.items[i], words[i]);
}

static struct sf_daemon_words words_of(const char *line, const char *variable)
{
        _cleanup_(sf_words_free) struct sf_words argv = SF_WORDS_INIT;
        const char *const env[] = { variable, NULL };
        struct sf_daemon_words w;

        assert_int_equal(sf_words_split(&argv, line, NULL), 0);
        sf_daemon_words_read(sf_daemon_of_program(argv.items[0]), sf_words_argv(&argv), env, &w);
        return w;
}

static void daemons(void **state)
{
        struct sf_daemon_words w;

        (void)state;
        assert_int_equal(sf_daemon_of_unit("slurmd@n1.service"), SF_DAEMON_SLURMD);
        assert_int_equal(sf_daemon_of_unit("slurmdbd.service"), SF_DAEMON_SLURMDBD);
        assert_int_equal(sf_daemon_of_unit("munge.service"), SF_DAEMON_OTHER);
        assert_int_equal(sf_daemon_of_program("/x/sbin/slurmctld (deleted)"), SF_DAEMON_SLURMCTLD);
        w = words_of("slurmd -Dsf /etc/a.conf -Nn7 -d /x/slurmstepd", "SLURM_CONF=/etc/b.conf");
        assert_string_equal(w.conf, "/etc/a.conf");
        assert_string_equal(w.node, "n7");
        assert_true(w.foreground && !w.systemd && !w.dynamic);
        w = words_of("slurmd --systemd --conf-server ctl:6817 -Z --conf Port=1", "SLURM_CONF=/etc/b.conf");
        assert_string_equal(w.server, "ctl:6817");
        assert_string_equal(w.conf, "/etc/b.conf");
        assert_true(w.systemd && w.dynamic);
        w = words_of("slurmd --conf-server=ctl --conf x", "SLURM_CONF_SERVER=other");
        assert_string_equal(w.server, "ctl");
        w = words_of("slurmctld -D", "SLURM_CONF_SERVER=other");
        assert_string_equal(w.server, "other");
        w = words_of("slurmd -D", "LD_LIBRARY_PATH=/eb/lib:/eb/hwloc/lib");
        assert_string_equal(w.libraries, "LD_LIBRARY_PATH=/eb/lib:/eb/hwloc/lib");
        w = words_of("slurmd -N", NULL); /* its value is missing */
        assert_string_equal(w.node, "");
}

/* What a wrapper gives the daemon counts as the unit's own environment does. */
static void wrapper(void **state)
{
        struct sf_daemon_words w = { 0 };

        (void)state;
        put("/etc/systemd/system/wrapped.service",
            "[Service]\nEnvironment=SLURM_CONF=/etc/a.conf LD_LIBRARY_PATH=/a\n"
            "ExecStart=/usr/bin/env SLURM_CONF=/etc/b.conf LD_LIBRARY_PATH=/b:/c /eb/sbin/slurmd -D -N n7\n");
        assert_true(sf_conf_source_words(root, "wrapped.service", SF_DAEMON_SLURMD, 0, &w));
        assert_string_equal(w.conf, "/etc/b.conf");
        assert_string_equal(w.libraries, "LD_LIBRARY_PATH=/b:/c");
        assert_string_equal(w.node, "n7");
}

static void where_conf_is(void **state)
{
        struct sf_daemon_words none = { 0 }, told = { .conf = "/etc/n1/slurm.conf" },
                               configless = { .server = "ctl", .node = "n1" };
        char path[1024];

        (void)state;
        sf_daemon_conf(&none, root, "/etc/slurm/slurm.conf", path, sizeof path);
        assert_string_equal(path, "/etc/slurm/slurm.conf");
        sf_daemon_conf(&told, root, "/etc/slurm/slurm.conf", path, sizeof path);
        assert_string_equal(path, "/etc/n1/slurm.conf");
        sf_daemon_conf(&configless, root, "/etc/slurm/slurm.conf", path, sizeof path);
        assert_string_equal(path, "/run/slurm/conf/slurm.conf");
        /* The copy of the daemon that started last says where this one's is. */
        put("/run/slurm/conf/slurm.conf", "SlurmdSpoolDir=/var/spool/%n\nNodeName=n[1-2] NodeHostname=fat\n");
        put("/var/spool/n1/conf-cache/slurm.conf", "");
        sf_daemon_conf(&configless, root, "/etc/slurm/slurm.conf", path, sizeof path);
        assert_string_equal(path, "/var/spool/n1/conf-cache/slurm.conf");
        /* DNS: nothing is said, and there is no file. */
        sf_daemon_conf(&none, root, "/etc/slurm/slurm.conf", path, sizeof path);
        assert_non_null(strstr(path, "/run/slurm/conf/slurm.conf"));
        put("/etc/slurm/slurm.conf", "");
        sf_daemon_conf(&none, root, "/etc/slurm/slurm.conf", path, sizeof path);
        assert_non_null(strstr(path, "/etc/slurm/slurm.conf"));
}

static struct sf_unit_of_node slurmd(void)
{
        return (struct sf_unit_of_node){
                .name = "slurmd.service",
                .daemon = SF_DAEMON_SLURMD,
                .in_prefix = true,
                .running = true,
                .pid = 7,
                .service = { .load_state = "loaded", .kill_mode = "process", .delegate = true, .main_pid = 7 }
        };
}

/* The unit file says what follows [Service]; NULL: nothing is found to say against it. */
static void judged(const struct sf_unit_of_node *u, const char *service, const char *type, const char *said)
{
        _cleanup_(sf_buffer_free) struct sf_buffer findings = SF_BUFFER_INIT;
        _cleanup_free_ char *file = sf_format("[Service]\n%s\n", service);

        put(ETC "slurmd.service", file);
        assert_int_equal(sf_units_judge(u, root, "/opt/slurm", type, &findings, &err), 0);
        if (said && !strstr(sf_buffer_text(&findings), said))
                fail_msg("not found: %s, but: %s", said, sf_buffer_text(&findings));
        if (!said && findings.len)
                fail_msg("found: %s", sf_buffer_text(&findings));
}

#define GOOD   "KillMode=process\nDelegate=yes\n"
#define SLURMD "ExecStart=/opt/slurm/view/sbin/slurmd "

static void judgements(void **state)
{
        struct sf_unit_of_node u = slurmd();

        (void)state;
        judged(&u, GOOD "Type=notify\n" SLURMD "--systemd", "notify", NULL);
        judged(&u, GOOD "Type=simple\n" SLURMD "-D -s", "simple", NULL);
        judged(&u, GOOD "Type=simple\n" SLURMD "-D", "notify", NULL);
        judged(&u, GOOD "Type=forking\nPIDFile=/run/slurmd.pid\n" SLURMD, "notify", NULL);
        judged(&u, GOOD "Type=notify\nEnvironment=O=--systemd\n" SLURMD "$O", "notify", NULL);
        judged(&u, GOOD "Type=notify\nExecStart=/usr/bin/numactl -i all /opt/slurm/view/sbin/slurmd --systemd",
               "notify", NULL);
        judged(&u, GOOD "ExecStart=/usr/local/sbin/start-slurmd", "notify", NULL);
        /* Edited, not reloaded. */
        judged(&u, "Delegate=yes\n" SLURMD "-D", "notify",
               "KillMode=control-group, in its files though not yet loaded: a");
        judged(&u, "KillMode=process\n" SLURMD "-D", "notify", "Delegate=no, in its files");
        judged(&u, "KillMode=process\nDelegate=\n" SLURMD "-D", "notify", NULL);
        judged(&u, GOOD "ExecStart=/usr/sbin/slurmd -D", "notify",
               "would start /usr/sbin/slurmd, outside of /opt/slurm");
        /* Shapes that cannot start. */
        judged(&u, GOOD "Type=notify\n" SLURMD "-D", "notify", "without --systemd");
        judged(&u, GOOD "Type=notify\n" SLURMD "--systemd", "simple", "which the release does not know");
        judged(&u, GOOD "Type=forking\nPIDFile=/x\n" SLURMD "-D", "notify", "set Type=simple");
        judged(&u, GOOD "Type=forking\n" SLURMD, "notify", "without PIDFile=");
        judged(&u, GOOD SLURMD, "notify", "goes into the background");
        judged(&u, GOOD SLURMD "-D\n[Unit]\nRefuseManualStop=on", "notify", "RefuseManualStop=yes");
        judged(&u, GOOD SLURMD "-D 'a", "notify", "cannot be read");
        /* As loaded. */
        snprintf(u.service.kill_mode, sizeof u.service.kill_mode, "mixed");
        judged(&u, GOOD SLURMD "-D", "notify", "KillMode=mixed: a restart would kill every job");
        u = slurmd();
        u.pid = 8;
        judged(&u, GOOD SLURMD "-D", "notify", "its main process 7 is a wrapper and slurmd its child 8");
}

/* Only slurmd has steps to lose. */
static void other_daemons(void **state)
{
        struct sf_unit_of_node u = slurmd();
        _cleanup_(sf_buffer_free) struct sf_buffer findings = SF_BUFFER_INIT;

        (void)state;
        u.daemon = SF_DAEMON_SLURMCTLD;
        snprintf(u.name, sizeof u.name, "slurmctld.service");
        snprintf(u.service.kill_mode, sizeof u.service.kill_mode, "control-group");
        u.service.delegate = false;
        put(ETC "slurmctld.service", "[Service]\nUser=slurm\nExecStart=/opt/slurm/view/sbin/slurmctld -D\n");
        assert_int_equal(sf_units_judge(&u, root, "/opt/slurm", "notify", &findings, &err), 0);
        assert_string_equal(sf_buffer_text(&findings), "");
        put(ETC "slurmctld.service", "[Service]\nType=notify\nExecStart=/opt/slurm/view/sbin/slurmctld -D\n");
        assert_int_equal(sf_units_judge(&u, root, "/opt/slurm", "notify", &findings, &err), 0);
        assert_non_null(strstr(sf_buffer_text(&findings), "starts slurmctld without --systemd"));
}

static void outside(void **state)
{
        _cleanup_(sf_buffer_free) struct sf_buffer drop_in = SF_BUFFER_INIT;
        struct sf_unit_of_node u = slurmd();

        (void)state;
        snprintf(u.service.command, sizeof u.service.command, "/opt/slurm/view/sbin/slurmd");
        assert_int_equal(sf_units_check_command(&u, "/opt/slurm", "notify", &drop_in, &err), 0);
        u.in_prefix = false;
        snprintf(u.service.command, sizeof u.service.command, "/opt/slurm-old/sbin/slurmd");
        snprintf(u.service.fragment, sizeof u.service.fragment, USR "slurmd.service");
        assert_int_equal(sf_units_check_command(&u, "/opt/slurm", "notify", &drop_in, &err), SF_ERR_USAGE);
        assert_non_null(strstr(err.text, USR "slurmd.service"));
        assert_non_null(
                strstr(sf_buffer_text(&drop_in),
                       "\nExecStart=\nExecStart=@/opt/slurm/view/sbin/slurmd slurmd --systemd $SLURMD_OPTIONS\n"));
        sf_buffer_free(&drop_in);
        u.daemon = SF_DAEMON_SLURMDBD;
        assert_int_equal(sf_units_check_command(&u, "/opt/slurm", "notify", &drop_in, &err), SF_ERR_USAGE);
        assert_non_null(strstr(sf_buffer_text(&drop_in),
                               "Type=simple\nExecStart=\nExecStart=@/opt/slurm/view/sbin/slurmdbd "
                               "slurmdbd -D -s"));
        assert_null(strstr(sf_buffer_text(&drop_in), "KillMode"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(files, make_root, remove_root),
                cmocka_unit_test_setup_teardown(templates, make_root, remove_root),
                cmocka_unit_test(daemons),
                cmocka_unit_test_setup_teardown(wrapper, make_root, remove_root),
                cmocka_unit_test_setup_teardown(where_conf_is, make_root, remove_root),
                cmocka_unit_test_setup_teardown(judgements, make_root, remove_root),
                cmocka_unit_test_setup_teardown(other_daemons, make_root, remove_root),
                cmocka_unit_test(outside),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
