/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/preflight.c - see preflight.h. */
#include "agent/switch/preflight.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/switch/checks.h"
#include "agent/switch/security.h"
#include "agent/switch/version_window.h"
#include "agent/node/own_step.h"
#include "agent/node/process.h"
#include "agent/node/release_users.h"
#include "agent/node/unit.h"
#include "agent/switch/readahead.h"
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/output.h"
#include "base/proc.h"
#include "installer/activate.h"
#include "release/layout.h"

#define BUSY_PAUSE 2 /* seconds */

/* The slurmstepds of one kind of release, and the versions of all of them. */
struct steps {
        struct sf_store_release *releases;
        size_t release_count;
        struct sf_process_user *users;
        size_t user_count;
        const char **versions; /* of the releases that steps run from, NULL-terminated */
};

static void free_steps(struct steps *s)
{
        free(s->releases);
        free(s->users);
        free(s->versions);
}

static int find_users(const struct sf_node_switch *live, struct steps *s, struct sf_error *err)
{
        struct sf_error why = SF_ERROR_INIT;
        int r = sf_release_users(live->store, s->releases, s->release_count, &s->users, &s->user_count, &why);

        /* Without systemd no service is touched either: a root that is put together, a container. */
        if (r == SF_ERR_UNSUPPORTED && !live->bus) {
                sf_log_warning("%s: running steps are not looked at", why.text);
                return 0;
        }
        return r < 0 ? sf_error_set(err, r, "%s", why.text) : 0;
}

static int find_steps(const struct sf_node_switch *live, struct steps *ret, struct sf_error *err)
{
        struct steps s = { 0 };
        size_t count = 0;
        int r = sf_store_list(live->store, &s.releases, &s.release_count, err);

        if (r == 0)
                r = find_users(live, &s, err);
        s.versions = calloc(s.user_count + 1, sizeof *s.versions);
        if (r == 0 && !s.versions)
                r = sf_error_set(err, SF_ERR_NOMEM, "no memory for steps");
        for (size_t i = 0; r == 0 && i < s.user_count; i++) {
                const struct sf_store_release *release = &s.releases[s.users[i].tree];
                if (s.users[i].stepd && *release->name.version)
                        s.versions[count++] = release->name.version;
        }
        if (r < 0) {
                free_steps(&s);
                return r;
        }
        *ret = s;
        return 0;
}

/* Lists the steps that neither run from the active release nor from the wanted one: "job 12.0 (pid 345, 24.11.4)". */
static int list_older(const struct steps *s, const char *from, const char *to, struct sf_buffer *ret,
                      struct sf_error *err)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < s->user_count; i++) {
                const struct sf_store_release *release = &s->releases[s->users[i].tree];
                if (s->users[i].stepd && !sf_own_step_is(s->users[i].pid) && strcmp(release->directory, from) != 0 &&
                    strcmp(release->directory, to) != 0)
                        r = sf_buffer_printf(ret, err, "%sstep %s (pid %d, %s)", ret->len ? ", " : "", s->users[i].step,
                                             (int)s->users[i].pid, release->directory);
        }
        return r;
}

/* Leaves in ret what runs now: looked at once, unless what runs has to be waited for. */
static int settle_older_steps(const struct sf_preflight *p, const char *to, struct steps *ret, struct sf_error *err)
{
        const struct sf_config *config = p->live->config;
        time_t end = time(NULL) + (time_t)config->old_steps_wait;

        for (;;) {
                _cleanup_(sf_buffer_free) struct sf_buffer older = SF_BUFFER_INIT;
                int r = find_steps(p->live, ret, err);
                if (r < 0 || config->old_steps == SF_OLD_STEPS_ALLOW || p->back ||
                    (config->old_steps == SF_OLD_STEPS_WAIT && config->dry_run))
                        return r;
                r = list_older(ret, p->from, to, &older, err);
                if (r < 0 || !older.len)
                        return r;
                if (config->old_steps == SF_OLD_STEPS_REFUSE || time(NULL) >= end)
                        return sf_error_set(
                                err, SF_ERR_BUSY,
                                "steps of a release before the active one still run: %s ([service] old_steps "
                                "says: %s)",
                                sf_buffer_text(&older),
                                config->old_steps == SF_OLD_STEPS_REFUSE ? "refuse" : "wait, and that is over");
                sf_log_detail("waiting for %s", sf_buffer_text(&older));
                free_steps(ret);
                *ret = (struct steps){ 0 };
                struct timespec pause = { BUSY_PAUSE, 0 };
                nanosleep(&pause, NULL);
        }
}

/* Where nothing may run, nothing need be fetched. */
static int check_place(const struct sf_config *config, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer finding = SF_BUFFER_INIT;
        int r = sf_security_check(config->prefix, &finding, err);

        if (r < 0 || finding.len == 0)
                return r;
        return sf_error_set(err, SF_ERR_INCOMPATIBLE, "%.*s", (int)strcspn(sf_buffer_text(&finding), "\n"),
                            sf_buffer_text(&finding));
}

/* Which slurmctld will the new slurmd talk to? One that is switched in the same run comes first. */
static const char *controller_of(const struct sf_preflight *p)
{
        return p->live->ctld.runs ? p->to_version : p->live->controller.version;
}

/* What is taken over may be of any age. Its steps decide, if there are any. */
static int gate_adoption(const struct sf_preflight *p, const char *const *versions, struct sf_error *err)
{
        const struct sf_config *config = p->live->config;
        _cleanup_free_ struct sf_process_user *users = NULL;
        _cleanup_(sf_buffer_free) struct sf_buffer names = SF_BUFFER_INIT;
        struct sf_version_window gate = { .rows = p->rows, .to = p->to_version, .from = "" };
        size_t count = 0;
        int r = sf_process_add_steps(p->adoption->origin, 0, &users, &count, err);

        gate.controller = controller_of(p);
        if (r == 0)
                r = sf_version_window_check(&gate, err);
        for (size_t i = 0; r == 0 && i < count; i++)
                if (!sf_own_step_is(users[i].pid))
                        r = sf_buffer_printf(&names, err, "%sstep %s (pid %d)", names.len ? ", " : "", users[i].step,
                                             (int)users[i].pid);
        if (r < 0 || ((!names.len || config->drain || config->when_idle) && !versions[0]))
                return r;
        gate.from = names.len && !config->drain && !config->when_idle ? p->from_version : "";
        gate.steps = versions;
        gate.allow_downgrade = config->allow_downgrade;
        struct sf_error why = SF_ERROR_INIT;
        r = sf_version_window_check(&gate, &why);
        if (r == 0)
                return 0;
        if (config->force && r == SF_ERR_INCOMPATIBLE) {
                sf_log_warning("%s; these steps will be lost: %s", why.text, sf_buffer_text(&names));
                return 0;
        }
        return sf_error_set(err, r,
                            "%.700s; running now: %s (wait for their end with --drain or --when-idle; --force "
                            "loses them)",
                            why.text, sf_buffer_text(&names));
}

/* A command that nobody lets prove who calls it says so in words that do not tell what to do. */
static int refuse_silence(const struct sf_node_switch *live, struct sf_error *err)
{
        const struct sf_checks checks = { .root = live->config->root, .conf = live->config->slurm_conf };
        _cleanup_(sf_buffer_free) struct sf_buffer why = SF_BUFFER_INIT;

        if (sf_check_sockets(&checks, &why, NULL) < 0)
                why.len = 0;
        int len = why.len ? (int)why.len - 1 : 0;
        return sf_error_set(err, SF_ERR_INCOMPATIBLE,
                            "slurmctld does not say which version it is (%.900s)%s%.*s; --force goes on without",
                            live->controller_error.text, len ? ": " : "", len, len ? (char *)why.data : "");
}

int sf_preflight_gate(const struct sf_preflight *p, struct sf_error *err)
{
        const struct sf_node_switch *live = p->live;
        _cleanup_(free_steps) struct steps steps = { 0 };
        int r;

        if (!*live->config->root && (r = check_place(live->config, err)) < 0)
                return r;
        if ((r = sf_preflight_one_node(live, err)) < 0 || !*p->to_version)
                return r;
        if (live->slurmd.main_pid && !live->ctld.runs && !*live->controller.version) {
                if (!live->config->force && !p->back)
                        return refuse_silence(live, err);
                sf_log_warning("slurmctld does not say which version it is: %s", live->controller_error.text);
        }
        r = *live->config->root ? 0 : find_steps(live, &steps, err);
        if (r < 0)
                return r;
        /* In an image (--root) nothing runs that the step from one release to the next could lose. */
        bool any_from = p->back || *live->config->root;
        if (p->adoption)
                return gate_adoption(p, steps.versions, err);
        struct sf_version_window gate = {
                .rows = p->rows,
                .from = any_from ? "" : p->from_version,
                .to = p->to_version,
                .controller = controller_of(p),
                .steps = steps.versions,
                .allow_downgrade = live->config->allow_downgrade || live->config->restore_state,
        };
        r = sf_version_window_check(&gate, err);
        return r < 0 ? r : sf_preflight_clusters(p, &gate, err);
}

static int check_budget(const struct sf_node_switch *live, struct sf_buffer *ret, struct sf_error *err)
{
        uint64_t budget = live->controller.slurmd_timeout;

        if (!budget || budget > SF_PREFLIGHT_DOWNTIME)
                return 0;
        return sf_buffer_printf(
                ret, err,
                "SlurmdTimeout is %llu s, and slurmd may be away for %d s: slurmctld would call the node down "
                "and end its jobs; raise SlurmdTimeout\n",
                (unsigned long long)budget, SF_PREFLIGHT_DOWNTIME);
}

/* Asks every question, of a release that is not here only those about the node; findings pile up in ret. What was
 * adopted may start with libraries that its unit alone names: it ran, so its programs are not tried. */
static int ask_everything(const struct sf_checks *c, const struct sf_node_switch *live, bool here, bool adopted,
                          struct sf_buffer *ret, struct sf_error *err)
{
        static const struct {
                int (*ask)(const struct sf_checks *c, struct sf_buffer *ret, struct sf_error *err);
                bool of_tree; /* reads files of the release */
                bool runs_it; /* starts programs of the release, or their loader */
        } checks[] = {
                { sf_check_space, false, false },      { sf_check_plugins, true, false },
                { sf_check_libraries, true, true },    { sf_check_spank, true, false },
                { sf_check_plugin_dir, false, false }, { sf_check_conf, true, true },
                { sf_check_slurmdbd, true, false },    { sf_check_keys, false, false },
        };
        int r = check_budget(live, ret, err);

        for (size_t i = 0; r == 0 && i < sizeof checks / sizeof *checks; i++)
                if ((here || !checks[i].of_tree) && (!adopted || !checks[i].runs_it))
                        r = checks[i].ask(c, ret, err);
        return r;
}

static void warn(struct sf_buffer *lines)
{
        char *saved = NULL;

        for (char *line = lines->len ? strtok_r((char *)lines->data, "\n", &saved) : NULL; line;
             line = strtok_r(NULL, "\n", &saved))
                sf_log_warning("%s", line);
}

/* The first line becomes the error (a warning with --force), the others warnings. */
static int judge(struct sf_buffer *findings, bool force, struct sf_error *err)
{
        char *saved = NULL, *first = findings->len ? strtok_r((char *)findings->data, "\n", &saved) : NULL;

        if (!first)
                return 0;
        for (char *line; (line = strtok_r(NULL, "\n", &saved));)
                sf_log_warning("%s", line);
        if (force) {
                sf_log_warning("%s", first);
                return 0;
        }
        return sf_error_set(err, SF_ERR_INCOMPATIBLE, "%s (--force goes on all the same)", first);
}

/* A daemon that runs now, or that a file of the site names, and whose program a switch would not change. */
int sf_preflight_commands(const struct sf_preflight *p, const char *type, struct sf_error *err)
{
        const struct sf_units *units = &p->live->units;
        const char *prefix = p->live->config->prefix;
        int r = 0;

        for (size_t i = 0; r == 0 && i < units->count; i++) {
                const struct sf_unit_of_node *u = &units->items[i];
                _cleanup_(sf_buffer_free) struct sf_buffer drop_in = SF_BUFFER_INIT;
                bool elsewhere = sf_adoption_concerns(u, prefix);
                if (p->adoption && elsewhere)
                        continue;
                struct sf_unit_of_node judged = *u;
                judged.in_prefix &= !elsewhere; /* made by hand in the prefix, beside view */
                r = u->running ? sf_units_check_command(&judged, prefix, type, &drop_in, err) : 0;
                if (r == SF_ERR_USAGE)
                        sf_output_text(sf_buffer_text(&drop_in));
        }
        return r;
}

/* Findings that --force does not lift: jobs would die, a daemon would not come back, or the switch would have no
 * effect. */
static int check_units(const struct sf_checks *c, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer findings = SF_BUFFER_INIT;

        if (!c->units)
                return 0;
        int r = sf_check_unit(c, &findings, err);
        if (r < 0 || !findings.len)
                return r;
        return sf_error_set(err, SF_ERR_INCOMPATIBLE, "%.*s", (int)strcspn(sf_buffer_text(&findings), "\n"),
                            sf_buffer_text(&findings));
}

static bool any_running(const struct sf_node_switch *live)
{
        for (size_t i = 0; i < live->units.count; i++)
                if (live->units.items[i].running)
                        return true;
        return false;
}

/* A hand-made tree says "view" in its files: after the switch its steps look for plugins in the new release. */
static int warn_of_adoption(const struct sf_preflight *p, const char *view, struct sf_error *err)
{
        _cleanup_free_ struct sf_process_user *users = NULL;
        size_t count = 0;
        int r = *p->from ? 0 : sf_process_find(&view, 1, &users, &count, err);

        for (size_t i = 0; r == 0 && i < count; i++)
                if (users[i].stepd)
                        sf_log_warning(
                                "step %s (pid %d) runs from the hand-made %s and may fail when it loads a plugin of "
                                "another release",
                                users[i].step, (int)users[i].pid, view);
        return r;
}

/* releases/ may be shared and read-only, but view is made in the prefix. */
static int check_view(const struct sf_store *store, const char *to, struct sf_error *err)
{
        char current[128];

        if (!sf_fs_is_read_only(store->base) ||
            (sf_activate_current(store, current, NULL) == 0 && strcmp(current, to) == 0))
                return 0;
        return sf_error_set(err, SF_ERR_IO, "%s/" SF_NODE_VIEW " cannot be changed: %s", store->prefix,
                            strerror(EROFS));
}

/* What can be known of a configuration before the release is here: whether the one that runs bears it. Lines are added
 * to the notes, for the new one may. */
static int ask_of_running(const struct sf_checks *c, const char *name, struct sf_buffer *notes, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer findings = SF_BUFFER_INIT;
        struct sf_checks running = *c;
        char *saved = NULL;
        int r = 0;

        running.tree = c->old_tree;
        running.version = c->old_version;
        running.old_tree = running.old_version = NULL;
        if (c->old_tree && c->old_version && *c->old_version && (r = sf_check_spank(&running, &findings, err)) == 0)
                r = sf_check_conf(&running, &findings, err);
        for (char *line = findings.len ? strtok_r((char *)findings.data, "\n", &saved) : NULL; r == 0 && line;
             line = strtok_r(NULL, "\n", &saved))
                r = sf_buffer_printf(notes, err, "the running release: %s\n", line);
        if (r == 0)
                sf_log_info(
                        "not asked before %s is here ('sf-node stage' brings it): its libraries, plugins, SPANK and "
                        "slurm.conf",
                        name);
        return r;
}

int sf_preflight_run(const struct sf_preflight *p, const struct sf_store_release *to, struct sf_error *err)
{
        const struct sf_node_switch *live = p->live;
        const struct sf_config *config = live->config;
        _cleanup_(sf_buffer_free) struct sf_buffer findings = SF_BUFFER_INIT, notes = SF_BUFFER_INIT;
        _cleanup_free_ char *tree = sf_node_switch_tree(live, to->directory);
        _cleanup_free_ char *old_tree = p->adoption ? strdup(p->adoption->origin)
                                        : *p->from  ? sf_node_switch_tree(live, p->from)
                                                    : sf_fs_join(live->store->base, "view");
        _cleanup_(free_steps) struct steps steps = { 0 };

        /* An image is checked where it boots, and where nothing runs there is nothing to hurt (doctor still tells). */
        if (*config->root)
                return 0;
        bool here = *to->directory, act = !config->dry_run;
        int r = check_view(live->store, to->directory, err);
        if (r == 0 && tree && act)
                r = sf_security_admit(tree, err);
        if (r < 0 || !any_running(live))
                return r;
        r = tree && old_tree ? settle_older_steps(p, to->directory, &steps, err)
                             : sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        if (r == 0 && !p->adoption)
                r = warn_of_adoption(p, old_tree, err);
        struct sf_checks checks = {
                .root = config->root,
                .prefix = config->prefix,
                .tree = tree,
                .version = to->foreign ? "" : to->name.version,
                /* In /usr plugins lie where the distribution puts them: the trial of slurmd judges. */
                .old_tree = p->adoption ? NULL : old_tree,
                .old_version = p->from_version,
                .conf = config->slurm_conf,
                .node = config->node_name,
                .notes = &notes,
                .unit = live->bus ? &live->slurmd : NULL,
                .units = live->bus ? &live->units : NULL,
                .unit_type = to->unit,
                .old_steps = steps.versions && steps.versions[0],
        };
        /* Read while the questions below are asked, and nothing is stopped yet. */
        if (r == 0 && live->slurmd.main_pid && act)
                sf_readahead_release(tree, live->slurmd.main_pid, old_tree);
        if (r == 0)
                r = sf_preflight_commands(p, to->unit, err);
        if (r == 0)
                r = check_units(&checks, err);
        if (r == 0)
                r = ask_everything(&checks, live, here, *to->origin != 0, &findings, err);
        if (r == 0 && !here && !findings.len)
                r = ask_of_running(&checks, to->name.text, &notes, err);
        warn(&notes);
        return r < 0 ? r : judge(&findings, config->force, err);
}
