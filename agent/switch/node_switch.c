/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/node_switch.c - see node_switch.h. Everything slow happens before a service is stopped: between stop
 * and start systemd alone is at work. */
#include "agent/switch/node_switch.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/acquire/own_program.h"
#include "agent/node/cluster.h"
#include "agent/switch/daemon_order.h"
#include "agent/switch/drain.h"
#include "agent/switch/expected_units.h"
#include "agent/node/listener.h"
#include "agent/node/process.h"
#include "agent/node/scripts.h"
#include "agent/node/unit.h"
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"
#include "installer/activate.h"
#include "release/layout.h"

#define ASK_SECONDS 10

/* From here on the configuration names the units that this node has, not only those that a file lists. */
static int find_units(struct sf_node_switch *live, struct sf_error *err)
{
        struct sf_config *own = malloc(sizeof *own);
        int r = own ? sf_units_find(live->bus, live->config->prefix, live->config->units, &live->units, err)
                    : sf_error_set(err, SF_ERR_NOMEM, "no memory for units");
        const char **names = r == 0 ? calloc(live->units.count + 1, sizeof *names) : NULL;

        if (r == 0 && !names)
                r = sf_error_set(err, SF_ERR_NOMEM, "no memory for units");
        if (r < 0) {
                free(own);
                return r;
        }
        for (size_t i = 0; i < live->units.count; i++)
                names[i] = live->units.items[i].name;
        *own = *live->config;
        own->units = names;
        own->unit_count = live->units.count;
        live->config = live->own_config = own;
        return 0;
}

static int look_at_services(struct sf_node_switch *live, struct sf_error *err)
{
        int r = find_units(live, err);
        const struct sf_config *config = live->config;

        if (r < 0)
                return r;
        if (config->unit_count > SF_NODE_SWITCH_UNITS_MAX)
                return sf_error_set(err, SF_ERR_USAGE, "more than %d units run from %s", SF_NODE_SWITCH_UNITS_MAX,
                                    config->prefix);
        for (size_t i = 0; i < config->unit_count; i++) {
                const struct sf_unit_of_node *unit = &live->units.items[i];
                live->running[i] = unit->running;
                live->pids[i] = unit->service.main_pid;
                live->stop_seconds[i] = unit->service.stop_seconds;
        }
        const struct sf_unit_of_node *slurmd = sf_units_slurmd(&live->units);
        if (slurmd)
                live->slurmd = slurmd->service;
        r = sf_expected_units_read(config->state, config->units, live->running, config->unit_count, err);
        for (size_t i = 0; i < config->unit_count; i++) {
                const struct sf_unit_of_node *unit = &live->units.items[i];
                if (strcmp(unit->service.load_state, "loaded") != 0)
                        continue;
                if (unit->daemon == SF_DAEMON_SLURMCTLD && !live->ctld.unit) {
                        live->ctld.unit = config->units[i];
                        live->ctld.runs = live->running[i];
                } else if (unit->daemon == SF_DAEMON_SLURMDBD && !live->dbd.unit) {
                        live->dbd.unit = config->units[i];
                        live->dbd.runs = live->running[i];
                }
        }
        return r;
}

/* How slurmctld sees the node before anything is touched: a node that was drained before may come back drained. */
static void note_record(struct sf_node_switch *live, const struct sf_slurm *slurm)
{
        unsigned port = sf_listener_port(live->slurmd.main_pid);
        struct sf_slurm_daemon daemon = { 0 };
        const char *node = live->config->node_name;

        if (!node && sf_slurm_daemon(slurm, port == live->controller.slurmd_port ? 0 : port, &daemon, NULL) == 0)
                node = daemon.node;
        if (node)
                sf_slurm_record(slurm, node, &live->before, NULL);
        snprintf(live->node, sizeof live->node, "%s", node ? node : "");
}

struct sf_slurm sf_node_switch_client(const struct sf_node_switch *live, char **ret_tree)
{
        *ret_tree = live->adoption ? strdup(live->adoption->origin) : sf_fs_join(live->store->base, SF_NODE_VIEW);
        return (struct sf_slurm){ .tree = *ret_tree,
                                  .conf = live->config->slurm_conf,
                                  .timeout = ASK_SECONDS,
                                  .libraries = live->adoption ? live->adoption->libraries : NULL };
}

/* "scontrol ping" tries each slurmctld once, where other questions are repeated for ten seconds. */
static bool anybody_is_up(const struct sf_slurm *slurm, struct sf_error *err)
{
        _cleanup_free_ struct sf_cluster_controller *all = NULL;
        size_t count = 0;

        if (sf_cluster_controllers(slurm, &all, &count, err) < 0)
                return false;
        for (size_t i = 0; i < count; i++)
                if (all[i].up)
                        return true;
        sf_error_set(err, SF_ERR_NETWORK, "scontrol ping: no slurmctld is up");
        return false;
}

void sf_node_switch_ask(struct sf_node_switch *live, bool patient)
{
        if (!live->slurmd.main_pid && !live->ctld.runs)
                return;
        _cleanup_free_ char *view = NULL;
        struct sf_slurm slurm = sf_node_switch_client(live, &view);

        slurm.silence = &live->silence;
        if (!view || !sf_fs_exists(view))
                sf_error_set(&live->controller_error, SF_ERR_NOT_FOUND,
                             "no release is active that could ask slurmctld");
        else if (!patient && !anybody_is_up(&slurm, &live->controller_error))
                return;
        else if (sf_slurm_controller(&slurm, &live->controller, &live->controller_error) == 0)
                note_record(live, &slurm);
}

int sf_node_switch_open(const struct sf_config *config, const struct sf_store *store, struct sf_node_switch *ret,
                        struct sf_error *err)
{
        struct sf_node_switch live = { .config = config, .store = store, .downtime = -1 };
        int r;

        if (*config->root) {
                *ret = live;
                return 0;
        }
        r = sf_service_open(&live.bus, err);
        if (r == SF_ERR_UNSUPPORTED) {
                sf_log_warning("%s: services are left alone, restart what runs yourself", err->text);
                sf_error_clear(err);
                *ret = live;
                return 0;
        }
        if (r == 0)
                r = look_at_services(&live, err);
        if (r < 0) {
                sf_node_switch_close(&live);
                return r;
        }
        *ret = live;
        return 0;
}

int sf_node_switch_plan(struct sf_node_switch *live, const struct sf_node_plan *plan, struct sf_error *err)
{
        const char *from_version = plan->from_version, *to_version = plan->to_version;
        const struct sf_config *config = live->config;
        _cleanup_free_ char *view = NULL;
        struct sf_slurm slurm = sf_node_switch_client(live, &view);
        struct sf_version from, to;
        char host[256] = "";

        slurm.silence = &live->silence;
        struct sf_daemon_order order = {
                .rows = plan->rows,
                .slurm = slurm,
                .root = config->root,
                .to_version = to_version,
                .slurmdbd = live->dbd.unit,
                .slurmctld = live->ctld.unit,
                .slurmd = live->slurmd.main_pid,
                .node = config->node_name ? config->node_name : host,
                .force = config->force,
        };
        if (!view)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        gethostname(host, sizeof host - 1);
        host[strcspn(host, ".")] = '\0';
        live->ctld.config = config;
        live->ctld.slurm = slurm;
        live->ctld.from_version = from_version;
        live->ctld.to_version = to_version;
        live->dbd.config = config;
        live->dbd.from_version = from_version;
        live->dbd.to_version = to_version;
        int r = sf_database_plan(&live->dbd, plan->restart, err);
        if (r == 0)
                r = sf_controller_plan(&live->ctld, err);
        bool within = sf_version_parse(from_version, &from, NULL) == 0 &&
                      sf_version_parse(to_version, &to, NULL) == 0 && sf_version_same_series(&from, &to);
        if (r == 0 && !within && !*config->root)
                r = sf_daemon_order_check(&order, err);
        if (r == 0)
                r = sf_controller_check(&live->ctld, plan->restart, err);
        /* Its tree's path was this function's. */
        live->ctld.slurm.tree = NULL;
        return r;
}

/* Whoever is about to leave a record needs somebody to read it after a power cut. */
static int ensure_recovery(const struct sf_node_switch *live, struct sf_error *err)
{
        const struct sf_config *config = live->config;
        char agent[PATH_MAX];
        bool replaced; /* by a package manager, while it runs: the new one is where the old one was */
        int r = live->bus ? sf_own_program_name(agent, &replaced, err) : 0;

        /* A record in memory is gone after a power cut, and the switch with it. */
        if (r < 0 || !live->bus || sf_fs_storage(config->record) == SF_FS_MEMORY)
                return r;
        _cleanup_free_ char *name = sf_config_unit_name(config, "sf-node-recover");
        const struct sf_unit_recovery wanted = {
                .root = config->root,
                .name = name,
                .agent = agent,
                .prefix = config->prefix,
                .toolchain = config->toolchain,
                .state = config->record + strlen(config->root),
                .units = config->units,
        };
        return name ? sf_unit_ensure_recovery(&wanted, err) : sf_error_set(err, SF_ERR_NOMEM, "no memory for a unit");
}

int sf_node_switch_begin(struct sf_node_switch *live, const char *leaving, struct sf_error *err)
{
        const struct sf_config *config = live->config;
        _cleanup_free_ char *view = sf_fs_join(live->store->base, SF_NODE_VIEW);

        if (!view)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        live->ctld.slurm.tree = view;
        /* Before the record: a crash right after it finds somebody who reads it. Marks of an earlier run end here. */
        int r = ensure_recovery(live, err);
        if (r == 0)
                r = sf_controller_end(config->state, err);
        if (r == 0)
                r = sf_database_end(config, err);
        if (r == 0)
                r = sf_controller_begin(&live->ctld, leaving, err);
        live->ctld.slurm.tree = NULL;
        return r;
}

int sf_node_switch_expect(const struct sf_node_switch *live, struct sf_error *err)
{
        const struct sf_config *config = live->config;

        return live->bus ? sf_expected_units_write(config->state, config->units, live->running, config->unit_count, err)
                         : 0;
}

void sf_node_switch_close(struct sf_node_switch *live)
{
        sf_service_close(live->bus);
        live->bus = NULL;
        sf_units_free(&live->units);
        if (live->own_config)
                free(live->own_config->units);
        free(live->own_config);
        live->own_config = NULL;
}

char *sf_node_switch_tree(const struct sf_node_switch *live, const char *directory)
{
        return sf_store_resolved(live->store, directory);
}

/* The directory below releases/ that a process runs from; false where it runs from elsewhere or has ended. */
static bool locate(const struct sf_node_switch *live, pid_t pid, char out[128])
{
        char link[64], target[PATH_MAX];

        snprintf(link, sizeof link, "/proc/%d/exe", (int)pid);
        ssize_t len = readlink(link, target, sizeof target - 1);
        if (len < 0)
                return false;
        target[len] = '\0';
        return sf_store_locate(live->store, target, out);
}

bool sf_node_switch_runs_elsewhere(const struct sf_node_switch *live, const char *directory)
{
        _cleanup_free_ char *tree = sf_node_switch_tree(live, directory);

        for (size_t i = 0; tree && i < live->units.count; i++) {
                const struct sf_unit_of_node *unit = &live->units.items[i];
                char where[128];
                /* A unit that was given back may still run what it was switched to. */
                bool ours = unit->in_prefix || (unit->pid && locate(live, unit->pid, where));
                if ((ours && sf_units_runs_elsewhere(unit, tree)) || (live->running[i] && !unit->running))
                        return true;
        }
        return false;
}

void sf_node_switch_running(const struct sf_node_switch *live, char out[128])
{
        const struct sf_unit_of_node *slurmd = sf_units_slurmd(&live->units);

        out[0] = '\0';
        if (slurmd && slurmd->pid && locate(live, slurmd->pid, out))
                return;
        for (size_t i = 0; !*out && i < live->units.count; i++)
                if (live->units.items[i].pid && !locate(live, live->units.items[i].pid, out))
                        out[0] = '\0';
}

/* The text that the unit file gets; empty where it stays as it is. */
static int choose_unit(const struct sf_node_switch *live, const struct sf_node_move *move, struct sf_buffer *ret,
                       struct sf_error *err)
{
        const struct sf_config *config = live->config;
        int r = move->back ? sf_unit_kept(config->state, move->to->directory, ret, err) : SF_ERR_NOT_FOUND;

        if (r == SF_ERR_NOT_FOUND) {
                if (err)
                        sf_error_clear(err);
                r = *move->to->unit ? sf_unit_render(config->prefix, move->to->unit, ret, err) : 0;
        }
        return r;
}

/* slurmd.service starts the slurmd of another prefix, and the configuration does not name it (sf_units_find). */
static bool is_left_to_other_prefix(const struct sf_node_switch *live, enum sf_unit_owner owner, const char *text)
{
        _cleanup_free_ char *program = sf_format("@%s/" SF_NODE_VIEW "/", live->config->prefix);

        for (size_t i = 0; i < live->units.count; i++) {
                const struct sf_unit_of_node *u = &live->units.items[i];
                if (strcmp(u->name, SF_UNIT_SLURMD) == 0)
                        return owner != SF_UNIT_NONE && !u->configured &&
                               strcmp(u->service.load_state, "not-found") == 0;
        }
        return owner == SF_UNIT_OURS && program && !strstr(text, program);
}

/* The unit file of the release that is being activated, unless the site has one of its own. */
static int place_unit(struct sf_node_switch *live, const struct sf_node_move *move, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer before = SF_BUFFER_INIT, after = SF_BUFFER_INIT;
        const struct sf_config *config = live->config;
        enum sf_unit_owner owner;
        int r = sf_unit_find(config->root, &owner, &before, err);

        if (r < 0)
                return r;
        if (is_left_to_other_prefix(live, owner, sf_buffer_text(&before))) {
                sf_log_info("slurmd.service starts the slurmd of another prefix, and is left as it is; named in "
                            "[service] unit it would be written for %s",
                            config->prefix);
                return 0;
        }
        if (owner == SF_UNIT_FOREIGN)
                return 0;
        if (owner == SF_UNIT_OURS && *move->from->directory && !move->back)
                r = sf_unit_keep(config->state, move->from->directory, &before, err);
        if (r == 0)
                r = choose_unit(live, move, &after, err);
        if (r < 0 || !after.len || (before.len == after.len && memcmp(before.data, after.data, after.len) == 0))
                return r;
        r = sf_unit_write(config->root, &after, err);
        live->changed |= r == 0;
        return r;
}

/* On the way back services matter more than anything around them. */
static int settle_for(const struct sf_node_move *move, int r, struct sf_error *err)
{
        if (r == 0 || !move->back)
                return r;
        sf_log_warning("%s", err ? err->text : "a unit file could not be written");
        if (err)
                sf_error_clear(err);
        return 0;
}

/* Units that something else installed: taken over, or given back. */
static int move_units(struct sf_node_switch *live, const struct sf_node_move *move, struct sf_error *err)
{
        bool takes = *move->from->origin && !*move->to->origin;
        int r = takes ? sf_adoption_take_units(live->config, live->store, move->from, move->to, err)
                      : sf_adoption_give_back(live->config, live->store, move->to, err);

        if (!takes && !*move->to->origin)
                return r;
        live->changed = true;
        for (size_t i = 0; i < live->units.count; i++)
                if (live->units.items[i].daemon == SF_DAEMON_SLURMD)
                        live->units.items[i].in_prefix = takes;
        return r;
}

int sf_node_switch_place(struct sf_node_switch *live, const struct sf_node_move *move, struct sf_error *err)
{
        char before[128] = "", after[128] = "";
        int r = settle_for(move, ensure_recovery(live, err), err);

        if (r == 0)
                r = settle_for(move, place_unit(live, move, err), err);
        if (r == 0)
                r = settle_for(move, move_units(live, move, err), err);
        if (r < 0)
                return r;
        sf_activate_current(live->store, before, NULL);
        r = sf_activate_switch(live->store, move->to->directory, err);
        sf_activate_current(live->store, after, NULL);
        live->changed |= strcmp(before, after) != 0;
        /* Pointing there already, it only could not be synced. */
        if (r < 0 && move->back && strcmp(after, move->to->directory) == 0)
                r = settle_for(move, r, err);
        return r == 0 && live->bus ? settle_for(move, sf_service_reload(live->bus, err), err) : r;
}

void sf_node_switch_modules(const struct sf_node_switch *live, const char *directory)
{
        struct sf_error err = SF_ERROR_INIT;

        if (sf_lmod_write(live->store, directory, &err) < 0)
                sf_log_warning("the Lmod modules are not up to date: %s", err.text);
}

int sf_node_switch_busy(const struct sf_node_switch *live, char who[128])
{
        for (const struct sf_unit_of_node *u = NULL; (u = sf_units_next(&live->units, SF_DAEMON_SLURMD, u));)
                if (u->pid && sf_scripts_find(u->pid, who))
                        return 1;
        return 0;
}

int sf_node_switch_may_drain(const struct sf_node_switch *live, struct sf_error *err)
{
        const struct sf_config *config = live->config;

        return (config->drain || config->when_idle) && live->slurmd.main_pid && sf_drain_waits_for_itself()
                       ? sf_error_set(err, SF_ERR_BUSY,
                                      "this runs in a job of the node itself and would wait for its own end; start it "
                                      "from outside of Slurm, or without --drain and --when-idle")
                       : 0;
}

int sf_node_switch_drain(struct sf_node_switch *live, const char *reason, struct sf_error *err)
{
        const struct sf_config *config = live->config;
        _cleanup_free_ char *view = NULL;
        struct sf_drain drain = { .state = config->state,
                                  .slurm = sf_node_switch_client(live, &view),
                                  .node = live->node,
                                  .reason = reason,
                                  .drain = config->drain,
                                  .timeout = config->drain_timeout };

        if ((!config->drain && !config->when_idle) || !live->slurmd.main_pid)
                return 0;
        int r = sf_node_switch_may_drain(live, err);
        if (r < 0)
                return r;
        if (!*live->node)
                return sf_error_set(err, SF_ERR_NOT_FOUND, "slurmctld or slurmd does not say which node this is: %s",
                                    live->controller_error.text);
        return view ? sf_drain_begin(&drain, &live->before, err)
                    : sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
}

void sf_node_switch_resume(const struct sf_node_switch *live)
{
        /* It may never have been opened. */
        if (!live->bus)
                return;
        _cleanup_free_ char *view = NULL;
        struct sf_slurm slurm = sf_node_switch_client(live, &view);
        struct sf_error err = SF_ERROR_INIT;

        if (view && sf_drain_end(live->config->state, &slurm, &err) < 0)
                sf_log_warning("the node may still be drained by sf-node, the next run resumes it: %s", err.text);
}
