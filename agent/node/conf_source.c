/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/conf_source.c - see conf_source.h. */
#include "agent/node/conf_source.h"

#include <ctype.h>
#include <dirent.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/node/unit_text.h"
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fs.h"

#define WANTS "/etc/systemd/system/*.wants/"

static bool exists(const char *root, const char *path)
{
        _cleanup_free_ char *real = sf_format("%s%s", root, path);

        return real && access(real, F_OK) == 0;
}

void sf_conf_source_default(const char *root, const char *prefix, char *ret, size_t room)
{
        _cleanup_free_ char *tree = sf_format("%s%s/view", root, prefix);
        _cleanup_free_ char *inside = sf_format("%s/view/etc/slurm.conf", prefix);
        _cleanup_free_ char *deeper = sf_format("%s/view/etc/slurm/slurm.conf", prefix);

        *ret = '\0';
        /* Reading the library is worth it only where the usual answer may be wrong. */
        if (tree && inside && deeper &&
            (exists(root, inside) || exists(root, deeper) || !exists(root, SF_CONF_SOURCE_USUAL)))
                sf_daemon_default_conf(tree, ret, room);
        if (!*ret)
                snprintf(ret, room, "%s", SF_CONF_SOURCE_USUAL);
}

static const char *const *behind_wrapper(const struct sf_words *command, enum sf_daemon daemon)
{
        for (const char *const *a = sf_words_argv(command); *a; a++)
                if (sf_daemon_of_program(*a) == daemon)
                        return a;
        return NULL;
}

bool sf_conf_source_words(const char *root, const char *unit, enum sf_daemon daemon, int pid,
                          struct sf_daemon_words *ret)
{
        _cleanup_(sf_unit_text_free) struct sf_unit_text text = SF_UNIT_TEXT_INIT;
        _cleanup_(sf_words_free) struct sf_words environment = SF_WORDS_INIT, command = SF_WORDS_INIT;

        if (sf_unit_text_load(root, unit, &text, NULL) == 0 && !text.masked &&
            sf_unit_text_environment(&text, root, &environment, NULL) == 0 &&
            sf_unit_text_command(&text, &environment, &command, NULL) == 0) {
                const char *const *argv = behind_wrapper(&command, daemon);
                /* "env NAME=value slurmd" */
                for (const char *const *a = sf_words_argv(&command); argv && a < argv; a++)
                        if (strchr(*a, '=') && sf_words_append(&environment, *a, NULL) < 0)
                                argv = NULL;
                if (argv) {
                        sf_daemon_words_read(daemon, argv, sf_words_argv(&environment), ret);
                        return true;
                }
        }
        return pid > 0 && sf_daemon_words_of(daemon, pid, ret, NULL) == 0;
}

/* A process of this daemon that runs from the prefix; 0 where there is none. */
static int find_process(const char *prefix, enum sf_daemon daemon)
{
        char real[PATH_MAX], link[PATH_MAX], exe[PATH_MAX];
        DIR *proc = realpath(prefix, real) ? opendir("/proc") : NULL;
        size_t len = proc ? strlen(real) : 0;
        int found = 0;

        for (const struct dirent *e; proc && !found && (e = readdir(proc));) {
                if (!isdigit((unsigned char)*e->d_name))
                        continue;
                snprintf(link, sizeof link, "/proc/%s/exe", e->d_name);
                ssize_t n = readlink(link, exe, sizeof exe - 1);
                if (n <= 0)
                        continue;
                exe[n] = '\0';
                if (strncmp(exe, real, len) == 0 && exe[len] == '/' && sf_daemon_of_program(exe) == daemon)
                        found = (int)strtol(e->d_name, NULL, 10);
        }
        if (proc)
                closedir(proc);
        return found;
}

/* The first enabled instance: "slurmd@n1.service". */
static bool find_instance(const char *root, enum sf_daemon daemon, char *ret, size_t room)
{
        _cleanup_free_ char *pattern = sf_format("%s" WANTS "%s@?*.service", root, sf_daemon_name(daemon));
        glob_t found = { 0 };
        bool any = pattern && glob(pattern, 0, NULL, &found) == 0 && found.gl_pathc;

        if (any)
                snprintf(ret, room, "%s", strrchr(found.gl_pathv[0], '/') + 1);
        globfree(&found);
        return any;
}

static bool ask(const char *root, const char *prefix, const char *unit, enum sf_daemon daemon,
                struct sf_daemon_words *ret)
{
        if (daemon == SF_DAEMON_OTHER || daemon == SF_DAEMON_SLURMDBD)
                return false; /* slurmdbd has no slurm.conf of its own */
        return sf_conf_source_words(root, unit, daemon, *root ? 0 : find_process(prefix, daemon), ret);
}

static bool ask_all(const char *root, const char *prefix, const char *const *units, struct sf_daemon_words *ret)
{
        static const enum sf_daemon order[] = { SF_DAEMON_SLURMD, SF_DAEMON_SLURMCTLD, SF_DAEMON_SACKD,
                                                SF_DAEMON_SLURMRESTD };
        char unit[256];

        for (const char *const *u = units; u && *u; u++)
                if (ask(root, prefix, *u, sf_daemon_of_unit(*u), ret))
                        return true;
        for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
                snprintf(unit, sizeof unit, "%s.service", sf_daemon_name(order[i]));
                if (ask(root, prefix, unit, order[i], ret) ||
                    (find_instance(root, order[i], unit, sizeof unit) && ask(root, prefix, unit, order[i], ret)))
                        return true;
        }
        return false;
}

void sf_conf_source_find(const char *root, const char *prefix, const char *const *units, char *ret, size_t room)
{
        struct sf_daemon_words words = { 0 };
        char usual[1024];

        sf_conf_source_default(root, prefix, usual, sizeof usual);
        ask_all(root, prefix, units, &words);
        sf_daemon_conf(&words, root, usual, ret, room);
}
