/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/adoption.c - see adoption.h. */
#include "agent/switch/adoption.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent/node/conf_source.h"
#include "agent/node/daemon.h"
#include "agent/node/package.h"
#include "agent/node/process.h"
#include "agent/node/unit.h"
#include "agent/node/unit_adopt.h"
#include "agent/node/unit_text.h"
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/output.h"
#include "base/proc.h"
#include "installer/adopted.h"
#include "release/layout.h"
#include "release/version.h"

#define ASK_SECONDS 30

static bool is_below(const char *path, const char *directory)
{
        size_t len = strlen(directory);

        return len && strncmp(path, directory, len) == 0 && path[len] == '/';
}

/* slurmd as the unit's command names it, behind a wrapper too; else what its process runs. */
static bool find_program(const struct sf_unit_of_node *unit, char *out, size_t room)
{
        const char *arguments = unit->service.arguments;

        snprintf(out, room, "%s", unit->service.command);
        for (const char *c = arguments; sf_daemon_of_program(out) != SF_DAEMON_SLURMD && *c;
             c += strcspn(c, " "), c += strspn(c, " "))
                snprintf(out, room, "%.*s", (int)strcspn(c, " "), c);
        if (*out != '/' || sf_daemon_of_program(out) != SF_DAEMON_SLURMD)
                snprintf(out, room, "%s", unit->exe);
        return *out == '/' && sf_daemon_of_program(out) == SF_DAEMON_SLURMD;
}

/* A link in /usr/sbin to view/sbin/slurmd follows view as well. */
static bool follows_view(const char *program, const char *prefix)
{
        _cleanup_free_ char *view = sf_format("%s/" SF_NODE_VIEW, prefix);
        _cleanup_free_ char *releases = sf_format("%s/" SF_NODE_RELEASES, prefix);
        char real[PATH_MAX], real_view[PATH_MAX], real_releases[PATH_MAX];

        if (!view || !releases || is_below(program, view) || is_below(program, releases))
                return true;
        if (!realpath(program, real))
                return false;
        /* view may lead to an adopted tree, whose links lead out of it again. */
        return (realpath(releases, real_releases) && is_below(real, real_releases)) ||
               (realpath(view, real_view) && is_below(real, real_view));
}

bool sf_adoption_concerns(const struct sf_unit_of_node *unit, const char *prefix)
{
        char program[512];

        return unit->daemon == SF_DAEMON_SLURMD && strcmp(unit->service.load_state, "loaded") == 0 &&
               find_program(unit, program, sizeof program) && !follows_view(program, prefix);
}

/* "slurm 24.11.5", Debian: "slurm-wlm 22.05.8". */
static int ask_version(struct sf_adoption *a, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer answer = SF_BUFFER_INIT;
        const char *argv[] = { a->program, "-V", NULL };
        const char *env[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8",
                              *a->libraries ? a->libraries : NULL, NULL };
        struct sf_proc proc = { .argv = argv, .env = env, .output = &answer, .timeout_seconds = ASK_SECONDS };
        struct sf_version version;
        int r = sf_proc_check(&proc, err);

        if (r < 0)
                return sf_error_set(err, SF_ERR_USAGE, "%s -V does not say which version it is", a->program);
        const char *text = sf_buffer_text(&answer), *word = strchr(text, ' ');
        snprintf(a->version, sizeof a->version, "%.*s", word ? (int)strcspn(word + 1, " \n") : 0, word ? word + 1 : "");
        return sf_version_parse(a->version, &version, NULL) == 0
                       ? 0
                       : sf_error_set(err, SF_ERR_USAGE, "%s -V says '%.60s', which names no version of Slurm",
                                      a->program, text);
}

/* A tree with sysconfdir inside of it: our release would look in another place. */
static void find_conf(struct sf_adoption *a, const struct sf_unit_of_node *unit)
{
        struct sf_daemon_words words = { 0 };
        char path[sizeof a->conf];

        sf_conf_source_words("", unit->name, SF_DAEMON_SLURMD, (int)unit->pid, &words);
        memcpy(a->libraries, words.libraries, sizeof a->libraries);
        if (*words.conf || *words.server)
                return;
        sf_daemon_default_conf(a->origin, path, sizeof path);
        if (*path && strcmp(path, SF_CONF_SOURCE_USUAL) != 0 && sf_fs_exists(path))
                strcpy(a->conf, path);
}

static int consider(struct sf_adoption *a, const struct sf_unit_of_node *unit, struct sf_error *err)
{
        char program[sizeof a->program];

        find_program(unit, program, sizeof program);
        if (*a->program && strcmp(program, a->program) != 0)
                return sf_error_set(err, SF_ERR_USAGE, "%s starts %s and %s starts %s: only one of them can be adopted",
                                    a->units.items[0], a->program, unit->name, program);
        if (!*a->program) {
                char *slash;
                strcpy(a->program, program);
                snprintf(a->origin, sizeof a->origin, "%.255s", program);
                for (int i = 0; i < 2 && (slash = strrchr(a->origin, '/')); i++)
                        *slash = '\0';
                find_conf(a, unit);
        }
        if (unit->pid)
                a->pid = unit->pid;
        return sf_words_append(&a->units, unit->name, err);
}

int sf_adoption_find(const struct sf_units *units, const char *prefix, struct sf_adoption *ret, struct sf_error *err)
{
        struct sf_adoption a = SF_ADOPTION_INIT;
        int r = 0;

        for (size_t i = 0; r == 0 && i < units->count; i++)
                if (sf_adoption_concerns(&units->items[i], prefix))
                        r = consider(&a, &units->items[i], err);
        if (r == 0 && a.units.count)
                r = ask_version(&a, err);
        if (r < 0) {
                sf_adoption_free(&a);
                return r;
        }
        *ret = a;
        return 0;
}

int sf_adoption_check_all(const struct sf_adoption *a, const struct sf_units *units, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer names = SF_BUFFER_INIT, lines = SF_BUFFER_INIT;
        const char *first = a->program;
        char program[sizeof a->program], wanted[sizeof a->program];
        int r = 0;

        for (size_t i = 0; r == 0 && i < units->stranger_count; i++) {
                const struct sf_unit_of_node *u = &units->strangers[i];
                if (!find_program(u, program, sizeof program) || (*first && strcmp(program, first) != 0))
                        continue;
                if (!*first)
                        first = strcpy(wanted, program);
                r = sf_buffer_printf(&names, err, "%s%s", names.len ? ", " : "", u->name);
                if (r == 0)
                        r = sf_buffer_printf(&lines, err, "unit = %s\n", u->name);
        }
        for (size_t i = 0; r == 0 && names.len && i < a->units.count; i++)
                r = sf_buffer_printf(&lines, err, "unit = %s\n", a->units.items[i]);
        if (r < 0 || !names.len)
                return r;
        sf_output_line("[service]");
        sf_output_text(sf_buffer_text(&lines));
        return sf_error_set(err, SF_ERR_USAGE,
                            "slurmd of this host that run %s are not named: %s; adopt takes over all of them together, "
                            "once sf-node.conf says the lines above",
                            first, sf_buffer_text(&names));
}

void sf_adoption_free(struct sf_adoption *adoption)
{
        sf_words_free(&adoption->units);
        *adoption = (struct sf_adoption)SF_ADOPTION_INIT;
}

int sf_adoption_release(const struct sf_adoption *adoption, const struct sf_store *store, struct sf_store_release *ret,
                        struct sf_error *err)
{
        _cleanup_free_ struct sf_store_release *all = NULL;
        struct sf_store_release release = { .foreign = true };
        size_t count;
        int r = sf_store_list(store, &all, &count, err);

        if (r < 0)
                return r;
        snprintf(release.name.version, sizeof release.name.version, "%s", adoption->version);
        snprintf(release.name.text, sizeof release.name.text, "%.40s (%.100s)", adoption->version, adoption->origin);
        memcpy(release.origin, adoption->origin, sizeof release.origin);
        for (size_t i = 0; i < count; i++) {
                if (strcmp(all[i].origin, adoption->origin) == 0 && strcmp(all[i].name.version, adoption->version) == 0)
                        release = all[i];
        }
        *ret = release;
        return 0;
}

/* The directory of the plugins that its slurmd has loaded: only that process knows it for sure. */
static char *find_plugins(const struct sf_adoption *a)
{
        char **mapped = NULL, *found = NULL;

        if (!a->pid || sf_process_mapped(a->pid, a->origin, &mapped, NULL) < 0)
                return NULL;
        for (char **m = mapped; *m && !found; m++) {
                const char *slash = strrchr(*m, '/');
                if (slash && strncmp(slash, "/auth_", 6) == 0)
                        found = sf_format("%s/%.*s", a->origin, (int)(slash - *m), *m);
        }
        sf_process_free_names(mapped);
        return found;
}

int sf_adoption_keep(const struct sf_adoption *adoption, const struct sf_store *store, char out[128],
                     struct sf_error *err)
{
        _cleanup_free_ char *plugins = find_plugins(adoption);
        struct sf_adopted what = { .plugins = plugins, .units = sf_words_argv(&adoption->units) };
        char date[SF_CLOCK_STAMP];

        memcpy(what.version, adoption->version, sizeof what.version);
        memcpy(what.origin, adoption->origin, sizeof what.origin);
        return sf_adopted_make(store, &what, sf_clock_date(time(NULL), date), out, err);
}

/* The scripts of a package would stop our slurmd with their own. */
static int guard(const struct sf_config *config, const char *unit, struct sf_error *err)
{
        _cleanup_(sf_unit_text_free) struct sf_unit_text text = SF_UNIT_TEXT_INIT;
        char package[128] = "";
        int r = 0;

        if (sf_unit_text_load(config->root, unit, &text, NULL) < 0 || !text.fragment)
                return 0;
        enum sf_package_kind kind = sf_package_owner(text.fragment, package);
        if (kind == SF_PACKAGE_DPKG)
                r = sf_package_guard(config->root, err);
        if (r > 0)
                sf_log_warning("package %s: removing or upgrading it will stop or restart slurmd, unless this site's "
                               "/usr/sbin/policy-rc.d answers 101 for slurmd",
                               package);
        if (kind == SF_PACKAGE_RPM)
                sf_log_warning("package %s: removing it stops slurmd, unless it is done with rpm -e --nopreun",
                               package);
        return r < 0 ? r : 0;
}

int sf_adoption_take_units(const struct sf_config *config, const struct sf_store *store,
                           const struct sf_store_release *from, const struct sf_store_release *to, struct sf_error *err)
{
        _cleanup_(sf_words_free) struct sf_words units = SF_WORDS_INIT;
        int r;

        if (!*from->origin || *to->origin)
                return 0;
        r = sf_adopted_units(store, from->directory, &units, err);
        for (size_t i = 0; r == 0 && i < units.count; i++) {
                struct sf_adoption a = SF_ADOPTION_INIT;
                struct sf_unit_of_node named = { .name = "" };
                memcpy(a.origin, from->origin, sizeof a.origin);
                snprintf(named.name, sizeof named.name, "%s", units.items[i]);
                find_conf(&a, &named);
                const struct sf_unit_adopt adopt = { .root = config->root,
                                                     .unit = units.items[i],
                                                     .prefix = config->prefix,
                                                     .type = to->unit,
                                                     .conf = *a.conf ? a.conf : NULL,
                                                     .libraries = *a.libraries != '\0' };
                r = guard(config, units.items[i], err);
                if (r == 0)
                        r = sf_unit_adopt(&adopt, err);
        }
        return r;
}

int sf_adoption_give_back(const struct sf_config *config, const struct sf_store *store,
                          const struct sf_store_release *to, struct sf_error *err)
{
        _cleanup_(sf_words_free) struct sf_words units = SF_WORDS_INIT;
        int r;

        if (!*to->origin)
                return 0;
        r = sf_adopted_units(store, to->directory, &units, err);
        for (size_t i = 0; r == 0 && i < units.count; i++)
                r = sf_unit_give_back(config->root, units.items[i], err);
        if (r == 0)
                sf_package_unguard(config->root);
        return r;
}
