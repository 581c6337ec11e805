/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/units.c - see units.h. What speaks against a unit is in units-judge.c. */
#include "agent/node/units.h"

#include "agent/node/process.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/node/conf_source.h"
#include "agent/node/unit.h"
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/words.h"
#include "release/layout.h"

struct search {
        struct sf_service_bus *bus;
        const char *prefix;
        char real[PATH_MAX];   /* the prefix without symbolic links: what /proc says */
        char usual_conf[1024]; /* where a daemon looks that is told nothing */
        struct sf_units found;
};

static bool is_below(const char *path, const char *directory)
{
        size_t len = strlen(directory);

        return len && strncmp(path, directory, len) == 0 && path[len] == '/';
}

static bool in_prefix(const struct search *s, const char *path)
{
        char real[PATH_MAX];

        return is_below(path, s->prefix) || is_below(path, s->real) ||
               (*path == '/' && realpath(path, real) && is_below(real, s->real));
}

/* One of the words lies in the prefix: "numactl -i all /opt/slurm/view/sbin/slurmd -D". */
static bool mentions_prefix(const struct search *s, const char *arguments)
{
        for (const char *c = arguments; *c; c += strcspn(c, " "), c += strspn(c, " ")) {
                _cleanup_free_ char *word = strndup(c, strcspn(c, " "));
                if (word && in_prefix(s, word))
                        return true;
        }
        return false;
}

/* The daemon that a word of the command names, behind a wrapper too. */
static enum sf_daemon daemon_of_command(const struct sf_service *service)
{
        enum sf_daemon daemon = sf_daemon_of_program(service->command);

        for (const char *c = service->arguments; daemon == SF_DAEMON_OTHER && *c;
             c += strcspn(c, " "), c += strspn(c, " ")) {
                _cleanup_free_ char *word = strndup(c, strcspn(c, " "));
                daemon = word && *word == '/' ? sf_daemon_of_program(word) : SF_DAEMON_OTHER;
        }
        return daemon;
}

/* A wrapper that did not exec has the daemon as its child. */
static pid_t find_child(const struct search *s, pid_t parent, char *exe, size_t room)
{
        _cleanup_(sf_buffer_free) struct sf_buffer children = SF_BUFFER_INIT;
        char path[64];

        snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)parent, (int)parent);
        if (sf_fs_read(path, 1u << 20, &children, NULL) < 0)
                return 0;
        for (const char *c = sf_buffer_text(&children); *c;) {
                char *end;
                pid_t pid = (pid_t)strtol(c, &end, 10);
                if (end == c)
                        break;
                if (sf_process_program(pid, exe, room) && in_prefix(s, exe) &&
                    sf_daemon_of_program(exe) != SF_DAEMON_OTHER)
                        return pid;
                c = end + strspn(end, " ");
        }
        return 0;
}

static void look_at_process(const struct search *s, struct sf_unit_of_node *u)
{
        char exe[sizeof u->exe];

        u->pid = u->service.main_pid;
        if (!u->pid)
                return;
        sf_process_program(u->pid, u->exe, sizeof u->exe);
        if (in_prefix(s, u->exe))
                return;
        pid_t child = find_child(s, u->pid, exe, sizeof exe);
        if (child) {
                u->pid = child;
                snprintf(u->exe, sizeof u->exe, "%s", exe);
        }
}

static bool is_running(const struct sf_service *service)
{
        static const char *const states[] = { "active", "activating", "reloading" };

        for (size_t i = 0; i < sizeof states / sizeof *states; i++)
                if (strcmp(service->active_state, states[i]) == 0)
                        return true;
        return false;
}

static int add(struct sf_unit_of_node **list, size_t *count, const struct sf_unit_of_node *unit, struct sf_error *err)
{
        struct sf_unit_of_node *grown = reallocarray(*list, *count + 1, sizeof *grown);

        if (!grown)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for units");
        *list = grown;
        grown[(*count)++] = *unit;
        return 0;
}

/* Its program is X/view/sbin/slurmd, where X/view is a link to a release: X is a prefix of sf-node's, another one. */
static bool is_of_other_prefix(const struct sf_unit_of_node *u)
{
        static const char program[] = "/sbin/slurmd", releases[] = SF_NODE_RELEASES "/";
        size_t len = strlen(u->service.command);
        char view[sizeof u->service.command], target[sizeof releases];

        if (len <= strlen(program) || strcmp(u->service.command + len - strlen(program), program) != 0)
                return false;
        snprintf(view, sizeof view, "%.*s", (int)(len - strlen(program)), u->service.command);
        return readlink(view, target, strlen(releases)) == (ssize_t)strlen(releases) &&
               memcmp(target, releases, strlen(releases)) == 0;
}

static int consider(struct search *s, const char *name, bool wanted, bool configured, struct sf_error *err)
{
        struct sf_unit_of_node u = { .configured = configured };
        int r = sf_service_read(s->bus, name, &u.service, err);

        if (r < 0)
                return r;
        snprintf(u.name, sizeof u.name, "%s", *u.service.id ? u.service.id : name);
        for (size_t i = 0; i < s->found.count; i++) {
                if (strcmp(s->found.items[i].name, u.name) == 0) {
                        s->found.items[i].configured |= configured;
                        return 0;
                }
        }
        look_at_process(s, &u);
        u.running = is_running(&u.service);
        u.in_prefix = in_prefix(s, u.service.command) || mentions_prefix(s, u.service.arguments) || in_prefix(s, u.exe);
        u.daemon = daemon_of_command(&u.service);
        if (u.daemon == SF_DAEMON_OTHER && in_prefix(s, u.exe))
                u.daemon = sf_daemon_of_program(u.exe);
        if (u.daemon == SF_DAEMON_OTHER)
                u.daemon = sf_daemon_of_unit(u.name);
        if (!wanted && !u.in_prefix)
                return u.daemon == SF_DAEMON_SLURMD && u.running && !is_of_other_prefix(&u)
                               ? add(&s->found.strangers, &s->found.stranger_count, &u, err)
                               : 0;
        if (u.daemon != SF_DAEMON_OTHER && sf_conf_source_words("", u.name, u.daemon, (int)u.pid, &u.words))
                sf_daemon_conf(&u.words, "", s->usual_conf, u.conf, sizeof u.conf);
        return add(&s->found.items, &s->found.count, &u, err);
}

static int rank_of(const struct sf_unit_of_node *u)
{
        return strcmp(u->name, "munge.service") == 0 ? -1 : (int)u->daemon;
}

static int by_name(const void *a, const void *b)
{
        return strcmp(((const struct sf_unit_of_node *)a)->name, ((const struct sf_unit_of_node *)b)->name);
}

/* Stable: what has the same rank keeps its order. */
static void sort(struct sf_units *units)
{
        for (size_t i = 1; i < units->count; i++) {
                struct sf_unit_of_node u = units->items[i];
                size_t at = i;
                for (; at && rank_of(&units->items[at - 1]) > rank_of(&u); at--)
                        units->items[at] = units->items[at - 1];
                units->items[at] = u;
        }
}

/* Two prefixes on one node: a slurmd.service that nobody named is the other one's where it runs from elsewhere, and
 * that is another prefix of sf-node's, or another slurmd runs from this prefix. Here it is as if it were not there. */
static void leave_to_others(struct sf_units *units)
{
        const struct sf_unit_of_node *own = NULL;

        for (const struct sf_unit_of_node *u = NULL; (u = sf_units_next(units, SF_DAEMON_SLURMD, u));)
                own = u->in_prefix ? u : own;
        for (size_t i = 0; i < units->count; i++) {
                struct sf_unit_of_node *u = &units->items[i];
                if (strcmp(u->name, SF_UNIT_SLURMD) != 0 || u->configured || u->in_prefix || !*u->service.command ||
                    (!own && !is_of_other_prefix(u)))
                        continue;
                *u = (struct sf_unit_of_node){ .name = SF_UNIT_SLURMD, .daemon = SF_DAEMON_SLURMD };
                snprintf(u->service.load_state, sizeof u->service.load_state, "not-found");
                return;
        }
}

int sf_units_find(struct sf_service_bus *bus, const char *prefix, const char *const *configured, struct sf_units *ret,
                  struct sf_error *err)
{
        struct search s = { .bus = bus, .prefix = prefix };
        _cleanup_(sf_words_free) struct sf_words loaded = SF_WORDS_INIT;
        int r = 0;

        if (!realpath(prefix, s.real))
                snprintf(s.real, sizeof s.real, "%s", prefix);
        sf_conf_source_default("", prefix, s.usual_conf, sizeof s.usual_conf);
        for (const char *const *c = configured; r == 0 && c && *c; c++)
                r = consider(&s, *c, true, true, err);
        if (r == 0)
                r = consider(&s, SF_UNIT_SLURMD, true, false, err);
        if (r == 0)
                r = sf_service_list(bus, &loaded, err);
        for (size_t i = 0; r == 0 && i < loaded.count; i++)
                r = consider(&s, loaded.items[i], false, false, err);
        if (r < 0) {
                sf_units_free(&s.found);
                return r;
        }
        leave_to_others(&s.found);
        sort(&s.found);
        if (s.found.stranger_count)
                qsort(s.found.strangers, s.found.stranger_count, sizeof *s.found.strangers, by_name);
        *ret = s.found;
        return 0;
}

void sf_units_free(struct sf_units *units)
{
        free(units->items);
        free(units->strangers);
        *units = (struct sf_units)SF_UNITS_INIT;
}

const struct sf_unit_of_node *sf_units_next(const struct sf_units *units, enum sf_daemon daemon,
                                            const struct sf_unit_of_node *after)
{
        for (size_t i = after ? (size_t)(after - units->items) + 1 : 0; i < units->count; i++)
                if (units->items[i].daemon == daemon)
                        return &units->items[i];
        return NULL;
}

const struct sf_unit_of_node *sf_units_slurmd(const struct sf_units *units)
{
        const struct sf_unit_of_node *first = NULL;

        for (const struct sf_unit_of_node *u = NULL; (u = sf_units_next(units, SF_DAEMON_SLURMD, u));) {
                if (u->service.main_pid)
                        return u;
                if (!first || strcmp(u->name, SF_UNIT_SLURMD) == 0)
                        first = u;
        }
        return first;
}

const struct sf_unit_of_node *sf_units_next_other(const struct sf_units *units, const struct sf_unit_of_node *after)
{
        const struct sf_unit_of_node *first = sf_units_slurmd(units), *u = after;

        while ((u = sf_units_next(units, SF_DAEMON_SLURMD, u)) && (u == first || !u->running))
                ;
        return u;
}

const struct sf_unit_of_node *sf_units_next_cluster(const struct sf_units *units, const char *conf,
                                                    const struct sf_unit_of_node *after)
{
        const struct sf_unit_of_node *u = after;

        while ((u = sf_units_next_other(units, u)) && (!*u->conf || strcmp(u->conf, conf) == 0))
                ;
        return u;
}

bool sf_units_runs_elsewhere(const struct sf_unit_of_node *unit, const char *tree)
{
        char real[PATH_MAX];

        if (!unit->pid || !*unit->exe)
                return false;
        return !is_below(unit->exe, tree) && !(realpath(tree, real) && is_below(unit->exe, real));
}
