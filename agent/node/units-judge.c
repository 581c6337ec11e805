/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/units-judge.c - what speaks against restarting a unit: each daemon as its kind needs. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "agent/node/unit.h"
#include "agent/node/unit_text.h"
#include "agent/node/units.h"
#include "base/cleanup.h"

/* The settings in question, from one of two sources. */
struct settings {
        const char *from; /* "" as loaded, else ", not yet loaded," */
        const char *kill_mode;
        const char *type;
        bool delegate;
};

static bool is_below(const char *path, const char *directory)
{
        size_t len = strlen(directory);

        return strncmp(path, directory, len) == 0 && path[len] == '/';
}

/* A link in /usr/sbin to view/sbin/slurmd is as good as the path itself. */
static bool leads_below(const char *path, const char *root, const char *prefix)
{
        char real[PATH_MAX], real_prefix[PATH_MAX];

        if (is_below(path, prefix))
                return true;
        return !*root && realpath(path, real) && realpath(prefix, real_prefix) && is_below(real, real_prefix);
}

static int judge_settings(const struct sf_unit_of_node *u, const struct settings *s, struct sf_buffer *ret,
                          struct sf_error *err)
{
        int r = 0;

        /* Only slurmd has children that must live on. */
        if (u->daemon != SF_DAEMON_SLURMD)
                return 0;
        if (strcmp(s->kill_mode, "process") != 0)
                r = sf_buffer_printf(ret, err,
                                     "%s has KillMode=%s%s: a restart would kill every job; set KillMode=process in a "
                                     "drop-in\n",
                                     u->name, s->kill_mode, s->from);
        if (r == 0 && !s->delegate)
                r = sf_buffer_printf(
                        ret, err,
                        "%s has Delegate=no%s: systemd would take the steps' cgroups away; set Delegate=yes "
                        "in a drop-in\n",
                        u->name, s->from);
        return r;
}

static const char *setting(const struct sf_unit_text *text, const char *key, const char *otherwise)
{
        const struct sf_unit_setting *s = sf_unit_text_get(text, "Service", key);

        return s && *s->value ? s->value : otherwise;
}

/* "yes", a list of controllers and an empty value all delegate. */
static bool delegates(const struct sf_unit_text *text)
{
        const struct sf_unit_setting *s = sf_unit_text_get(text, "Service", "Delegate");

        return s && sf_unit_text_bool(s->value, true);
}

/* systemd's rule: with a program the default is "simple", with a bus name "dbus". */
static const char *type_of(const struct sf_unit_text *text)
{
        return setting(text, "Type", setting(text, "BusName", NULL) ? "dbus" : "simple");
}

/* A daemon that is never told to report makes a start of Type=notify run into its time limit. */
static int judge_notify(const struct sf_unit_of_node *u, const struct sf_unit_text *text, const char *type,
                        const struct sf_daemon_words *words, struct sf_buffer *ret, struct sf_error *err)
{
        bool notify = strncmp(type_of(text), "notify", 6) == 0, knows = true;

        if (u->daemon == SF_DAEMON_SLURMD && *type)
                knows = strcmp(type, "notify") == 0;
        if (notify && !words->systemd && u->daemon != SF_DAEMON_OTHER)
                return sf_buffer_printf(
                        ret, err,
                        "%s is Type=%s but starts %s without --systemd, which then never says that it is "
                        "ready: add --systemd to its command, or set Type=simple (with -D)\n",
                        u->name, type_of(text), sf_daemon_name(u->daemon));
        if (words->systemd && !knows)
                return sf_buffer_printf(ret, err,
                                        "%s starts slurmd with --systemd, which the release does not know: set "
                                        "Type=simple and start it with -D\n",
                                        u->name);
        return 0;
}

/* Started in the wrong ground, the main process ends at once or never. */
static int judge_ground(const struct sf_unit_of_node *u, const struct sf_unit_text *text,
                        const struct sf_daemon_words *words, struct sf_buffer *ret, struct sf_error *err)
{
        const char *type = type_of(text);
        bool stays = words->foreground || words->systemd || u->daemon == SF_DAEMON_SLURMRESTD ||
                     u->daemon == SF_DAEMON_SACKD;

        if (u->daemon == SF_DAEMON_OTHER)
                return 0;
        if (strcmp(type, "forking") == 0 && stays && u->daemon != SF_DAEMON_SLURMRESTD && u->daemon != SF_DAEMON_SACKD)
                return sf_buffer_printf(
                        ret, err,
                        "%s is Type=forking but its %s stays in the foreground (-D or --systemd): systemd "
                        "would wait for it in vain; set Type=%s\n",
                        u->name, sf_daemon_name(u->daemon), words->systemd ? "notify" : "simple");
        if (strcmp(type, "forking") == 0 && !stays && !setting(text, "PIDFile", NULL))
                return sf_buffer_printf(
                        ret, err,
                        "%s is Type=forking without PIDFile=: systemd has to guess which process is %s; set "
                        "PIDFile= to what slurm.conf says\n",
                        u->name, sf_daemon_name(u->daemon));
        if ((strcmp(type, "simple") == 0 || strcmp(type, "exec") == 0) && !stays)
                return sf_buffer_printf(
                        ret, err,
                        "%s is Type=%s but its %s goes into the background: systemd would call it ended; "
                        "start it with -D\n",
                        u->name, type, sf_daemon_name(u->daemon));
        return 0;
}

static int judge_manual(const struct sf_unit_of_node *u, const struct sf_unit_text *text, struct sf_buffer *ret,
                        struct sf_error *err)
{
        static const char *const keys[] = { "RefuseManualStart", "RefuseManualStop" };
        int r = 0;

        for (size_t i = 0; r == 0 && i < sizeof keys / sizeof *keys; i++) {
                const struct sf_unit_setting *s = sf_unit_text_get(text, "Unit", keys[i]);
                if (s && sf_unit_text_bool(s->value, false))
                        r = sf_buffer_printf(ret, err, "%s has %s=yes (%s): nobody may restart it\n", u->name, keys[i],
                                             s->file);
        }
        return r;
}

/* Words of the command behind a wrapper: those from the daemon's own on. */
static const char *const *behind_wrapper(const struct sf_words *command, enum sf_daemon daemon)
{
        const char *const *argv = sf_words_argv(command);

        for (const char *const *a = argv; *a; a++)
                if (sf_daemon_of_program(*a) == daemon)
                        return a;
        return NULL;
}

/* Does the switch write this setting anew? It does where the unit file is ours and no drop-in says otherwise. */
static bool is_rewritten(const struct sf_unit_of_node *u, const struct sf_unit_text *text, const char *root,
                         const char *key)
{
        const struct sf_unit_setting *s = sf_unit_text_get(text, "Service", key);
        enum sf_unit_owner owner;

        return strcmp(u->name, SF_UNIT_SLURMD) == 0 && (!s || strcmp(s->file, text->fragment) == 0) &&
               sf_unit_find(root, &owner, NULL, NULL) == 0 && owner == SF_UNIT_OURS;
}

static int judge_text(const struct sf_unit_of_node *u, const char *root, const char *prefix, const char *type,
                      struct sf_buffer *ret, struct sf_error *err)
{
        _cleanup_(sf_unit_text_free) struct sf_unit_text text = SF_UNIT_TEXT_INIT;
        _cleanup_(sf_words_free) struct sf_words environment = SF_WORDS_INIT, command = SF_WORDS_INIT;
        struct sf_error why = SF_ERROR_INIT;
        struct sf_daemon_words words;
        int r = sf_unit_text_load(root, u->name, &text, &why);

        /* Transient units and those of portable services have no file that lasts: what is loaded was judged. */
        if (r == SF_ERR_NOT_FOUND)
                return 0;
        if (r < 0)
                return sf_buffer_printf(ret, err, "%s cannot be read: %s\n", u->name, why.text);
        if (text.masked)
                return u->running
                               ? sf_buffer_printf(ret, err,
                                                  "%s is masked (%s) and would not start again: systemctl unmask it\n",
                                                  u->name, text.fragment)
                               : 0;
        const struct settings on_disk = { ", in its files though not yet loaded",
                                          setting(&text, "KillMode", "control-group"), type_of(&text),
                                          delegates(&text) };
        if (strcmp(on_disk.kill_mode, u->service.kill_mode) != 0 || on_disk.delegate != u->service.delegate)
                r = judge_settings(u, &on_disk, ret, err);
        if (r == 0)
                r = judge_manual(u, &text, ret, err);
        if (r == 0 && (sf_unit_text_environment(&text, root, &environment, &why) < 0 ||
                       sf_unit_text_command(&text, &environment, &command, &why) < 0))
                return sf_buffer_printf(ret, err, "%s cannot be read: %s\n", u->name, why.text);
        const char *const *argv = behind_wrapper(&command, u->daemon);
        if (r < 0 || !argv)
                return r; /* a script: what it starts is not ours to know */
        if (u->in_prefix && *argv[0] == '/' && !leads_below(argv[0], root, prefix))
                r = sf_buffer_printf(ret, err, "%s would start %s, outside of %s (%s): a switch would have no effect\n",
                                     u->name, argv[0], prefix, text.fragment);
        if (r < 0)
                return r;
        sf_daemon_words_read(u->daemon, argv, sf_words_argv(&environment), &words);
        if (*type && is_rewritten(u, &text, root, "ExecStart")) {
                if (is_rewritten(u, &text, root, "Type"))
                        return 0; /* command and Type will be the release's own */
                words.systemd = strcmp(type, "notify") == 0;
                words.foreground = !words.systemd;
        }
        r = judge_notify(u, &text, type, &words, ret, err);
        return r < 0 ? r : judge_ground(u, &text, &words, ret, err);
}

/* The words that Slurm's own units put behind each program. */
static const char *arguments_of(enum sf_daemon daemon, const char *type)
{
        switch (daemon) {
        case SF_DAEMON_SLURMD:
                return strcmp(type, "simple") == 0 ? "-D -s $SLURMD_OPTIONS" : "--systemd $SLURMD_OPTIONS";
        case SF_DAEMON_SLURMCTLD:
                return "-D -s $SLURMCTLD_OPTIONS";
        case SF_DAEMON_SLURMDBD:
                return "-D -s $SLURMDBD_OPTIONS";
        case SF_DAEMON_SLURMRESTD:
                return "$SLURMRESTD_OPTIONS";
        case SF_DAEMON_SACKD:
                return "--systemd $SACKD_OPTIONS";
        case SF_DAEMON_OTHER:
                break;
        }
        return "";
}

int sf_units_check_command(const struct sf_unit_of_node *unit, const char *prefix, const char *type,
                           struct sf_buffer *drop_in, struct sf_error *err)
{
        const char *daemon = sf_daemon_name(unit->daemon), *fragment = unit->service.fragment;
        bool slurmd = unit->daemon == SF_DAEMON_SLURMD, simple = strcmp(type, "simple") == 0;
        bool notifies = unit->daemon == SF_DAEMON_SACKD || (slurmd && !simple);

        if (!*unit->service.command || unit->in_prefix || unit->daemon == SF_DAEMON_OTHER)
                return 0;
        const char *adopt = slurmd ? ", or \"sf-node adopt\" takes it over" : "";
        int r = sf_buffer_printf(drop_in, err,
                                 "# /etc/systemd/system/%s.d/sf-node.conf\n"
                                 "[Service]\n"
                                 "Type=%s\n"
                                 "ExecStart=\n"
                                 "ExecStart=@%s/view/sbin/%s %s %s\n"
                                 "%s",
                                 unit->name, notifies ? "notify" : "simple", prefix, daemon, daemon,
                                 arguments_of(unit->daemon, type), slurmd ? "KillMode=process\nDelegate=yes\n" : "");
        if (r < 0)
                return r;
        return sf_error_set(err, SF_ERR_USAGE,
                            "%s, which sf-node did not write, starts %s, outside of %s: a drop-in would change that "
                            "(printed on standard output)%s",
                            *fragment ? fragment : unit->name, unit->service.command, prefix, adopt);
}

/* systemd would signal the wrapper only, and the old daemon would keep its port. */
static int judge_wrapper(const struct sf_unit_of_node *u, struct sf_buffer *ret, struct sf_error *err)
{
        if (!u->service.main_pid || u->pid == u->service.main_pid || strcmp(u->service.kill_mode, "process") != 0)
                return 0;
        return sf_buffer_printf(ret, err,
                                "%s: its main process %d is a wrapper and %s its child %d, which a restart would leave "
                                "behind; let the wrapper end with exec\n",
                                u->name, (int)u->service.main_pid, sf_daemon_name(u->daemon), (int)u->pid);
}

int sf_units_judge(const struct sf_unit_of_node *unit, const char *root, const char *prefix, const char *type,
                   struct sf_buffer *ret, struct sf_error *err)
{
        const struct settings loaded = { "", unit->service.kill_mode, unit->service.type, unit->service.delegate };

        if (strcmp(unit->service.load_state, "loaded") != 0)
                return strcmp(unit->service.load_state, "not-found") == 0
                               ? 0
                               : judge_text(unit, root, prefix, type, ret, err);
        int r = judge_settings(unit, &loaded, ret, err);
        if (r == 0)
                r = judge_text(unit, root, prefix, type, ret, err);
        return r < 0 ? r : judge_wrapper(unit, ret, err);
}
