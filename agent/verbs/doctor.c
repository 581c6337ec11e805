/* SPDX-License-Identifier: Apache-2.0 */
/* agent/verbs/doctor.c - the verb doctor: everything that would hurt Slurm on this node one day, asked today. Needs
 * neither network nor slurmctld. */
#include "agent/verbs/verbs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent/node/active.h"
#include "agent/switch/checks.h"
#include "agent/switch/node_switch.h"
#include "agent/switch/security.h"
#include "agent/node/report.h"
#include "agent/node/slurm_node.h"
#include "agent/node/unit.h"
#include "agent/node/unit_text.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/output.h"
#include "base/json.h"
#include "rpath/elf.h"

#define PROGRAM_MAX    (256u << 20)
#define WORDS_MAX      (1u << 20) /* a process's command line */
#define SLURMD_TIMEOUT 60         /* seconds; below, a switch that goes wrong may cost jobs */

struct patient {
        const struct sf_config *config;
        const struct sf_store *store;
        const struct sf_store_release *active;
        const struct sf_node_switch *live;
        struct sf_checks checks;
};

static int check_links(const struct patient *p, struct sf_buffer *ret, struct sf_error *err)
{
        return sf_check_all_libraries(&p->checks, ret, err);
}

struct leftover {
        const char *prefix;
        struct sf_buffer *ret;
};

/* A search path that exists nowhere is where the release was built, or a door for whoever creates it. */
static int check_runpath(const struct leftover *l, const char *path, const char *runpath, struct sf_error *err)
{
        int r = 0;

        for (const char *c = runpath; *c && r == 0; c += strcspn(c, ":"), c += *c == ':') {
                _cleanup_free_ char *entry = strndup(c, strcspn(c, ":"));
                if (!entry)
                        return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
                if (entry[0] == '$' || strncmp(entry, l->prefix, strlen(l->prefix)) == 0)
                        continue;
                if (entry[0] != '/' || !sf_fs_exists(entry))
                        r = sf_buffer_printf(l->ret, err, "%s searches libraries in %s\n", path, entry);
        }
        return r;
}

static int look_for_leftovers(void *ctx, int dirfd, const char *name, const char *path, const struct stat *st,
                              struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer file = SF_BUFFER_INIT;
        struct leftover *l = ctx;
        struct sf_elf elf;
        int r = 0;

        if (!S_ISREG(st->st_mode))
                return 0;
        r = sf_fs_read_at(dirfd, name, PROGRAM_MAX, &file, err);
        if (r < 0 || !sf_elf_is(file.data, file.len) || sf_elf_open(file.data, file.len, path, &elf, NULL) < 0)
                return r;
        for (uint64_t i = 0; r == 0 && i < elf.dynamic_count; i++) {
                Elf64_Dyn d = sf_elf_dynamic(&elf, i);
                const char *text = d.d_tag == DT_RUNPATH || d.d_tag == DT_RPATH ? sf_elf_dynstr(&elf, d.d_un.d_val)
                                                                                : NULL;
                if (text)
                        r = check_runpath(l, path, text, err);
        }
        return r;
}

static int check_leftovers(const struct patient *p, struct sf_buffer *ret, struct sf_error *err)
{
        struct leftover l = { p->config->prefix, ret };

        return sf_fs_walk(p->checks.tree, look_for_leftovers, &l, err);
}

/* slurmdbd alone needs none, and a client may fetch its own. */
static bool uses_slurm_conf(const struct patient *p)
{
        for (size_t i = 0; p->checks.units && i < p->checks.units->count; i++) {
                const struct sf_unit_of_node *u = &p->checks.units->items[i];
                if (u->running && u->daemon != SF_DAEMON_OTHER && u->daemon != SF_DAEMON_SLURMDBD)
                        return true;
        }
        return false;
}

static int check_plugin_dir(const struct patient *p, struct sf_buffer *ret, struct sf_error *err)
{
        return sf_check_plugin_dir(&p->checks, ret, err);
}

static int check_conf(const struct patient *p, struct sf_buffer *ret, struct sf_error *err)
{
        if (!sf_check_has_conf(&p->checks) && uses_slurm_conf(p))
                return sf_buffer_printf(ret, err,
                                        "%s, where this node's daemons and commands look for their configuration, is "
                                        "missing\n",
                                        p->checks.conf);
        int r = sf_check_conf(&p->checks, ret, err);
        return r < 0 ? r : sf_check_slurmdbd(&p->checks, ret, err);
}

static int check_spank(const struct patient *p, struct sf_buffer *ret, struct sf_error *err)
{
        return sf_check_spank(&p->checks, ret, err);
}

static int check_space(const struct patient *p, struct sf_buffer *ret, struct sf_error *err)
{
        return sf_check_space(&p->checks, ret, err);
}

static int check_security(const struct patient *p, struct sf_buffer *ret, struct sf_error *err)
{
        return *p->config->root ? 0 : sf_security_check(p->config->prefix, ret, err);
}

/* slurmd ends at once on a host that slurm.conf does not know, unless it is told its name or is a dynamic node. */
static int check_slurmd_name(const struct patient *p, const struct sf_unit_of_node *u, struct sf_buffer *ret,
                             struct sf_error *err)
{
        _cleanup_(sf_slurm_conf_free) struct sf_slurm_conf conf = SF_SLURM_CONF_INIT;
        const char *wanted = *u->words.node ? u->words.node : p->config->node_name;
        char **hosts = sf_slurm_node_hosts(true);
        struct sf_error why = SF_ERROR_INIT;
        struct sf_slurm_node node;
        int r = sf_slurm_conf_load("", *u->conf ? u->conf : p->checks.conf, &conf, &why);

        if (r == 0)
                r = sf_slurm_node_find(&conf, wanted, (const char *const *)hosts, &node, &why);
        sf_slurm_node_hosts_free(hosts);
        return r < 0 ? sf_buffer_printf(ret, err, "%s: %s\n", u->name, why.text) : 0;
}

static int check_node(const struct patient *p, struct sf_buffer *ret, struct sf_error *err)
{
        int r = 0;

        for (size_t i = 0; p->checks.units && r == 0 && i < p->checks.units->count; i++) {
                const struct sf_unit_of_node *u = &p->checks.units->items[i];
                if (u->daemon == SF_DAEMON_SLURMD && strcmp(u->service.load_state, "loaded") == 0 && !u->words.dynamic)
                        r = check_slurmd_name(p, u, ret, err);
        }
        return r;
}

static int check_auth(const struct patient *p, struct sf_buffer *ret, struct sf_error *err)
{
        int r = sf_check_sockets(&p->checks, ret, err);

        return r < 0 ? r : sf_check_keys(&p->checks, ret, err);
}

/* A wrapper's own name does not matter, but the one that it gives to the daemon: seen where that runs. */
static int check_argv0(const struct sf_unit_of_node *u, struct sf_buffer *ret, struct sf_error *err)
{
        static const char why[] = "an absolute argv[0] changes releases on 'scontrol reconfigure'";
        const char *daemon = sf_daemon_name(u->daemon), *command = u->service.command;
        const char *base = strrchr(command, '/');
        _cleanup_(sf_buffer_free) struct sf_buffer words = SF_BUFFER_INIT;
        char path[64];

        if (!base || strcmp(base + 1, daemon) == 0)
                return u->service.argv0[0] != '/'
                               ? 0
                               : sf_buffer_printf(ret, err, "%s starts %s as %s: %s; write ExecStart=@%s %s ...\n",
                                                  u->name, daemon, u->service.argv0, why, command, daemon);
        snprintf(path, sizeof path, "/proc/%d/cmdline", (int)u->pid);
        if (!u->pid || sf_fs_read(path, WORDS_MAX, &words, NULL) < 0 || sf_buffer_text(&words)[0] != '/')
                return 0;
        return sf_buffer_printf(ret, err, "%s: %s starts %s as %s: %s; let it end with exec -a %s (bash)\n", u->name,
                                command, daemon, sf_buffer_text(&words), why, daemon);
}

static int check_one_unit(const struct patient *p, const struct sf_unit_of_node *u, struct sf_buffer *ret,
                          struct sf_error *err)
{
        const struct sf_service *service = &u->service;
        _cleanup_(sf_buffer_free) struct sf_buffer drop_in = SF_BUFFER_INIT;
        struct sf_error why = SF_ERROR_INIT;
        int r = 0;

        if (sf_units_check_command(u, p->config->prefix, *p->active->unit ? p->active->unit : "notify", &drop_in,
                                   &why) < 0)
                r = sf_buffer_printf(ret, err, "%s\n", why.text);
        if (r == 0 && (u->daemon == SF_DAEMON_SLURMD || u->daemon == SF_DAEMON_SLURMCTLD))
                r = check_argv0(u, ret, err);
        if (r == 0 && strncmp(service->file_state, "enabled", 7) != 0 && (u->running || u->daemon == SF_DAEMON_SLURMD))
                r = sf_buffer_printf(ret, err, "%s is %s: it will not start at boot (systemctl enable %s)\n", u->name,
                                     *service->file_state ? service->file_state : "not installed", u->name);
        if (r == 0 && service->stale)
                r = sf_buffer_printf(ret, err, "%s changed on disk since systemd read it: systemctl daemon-reload\n",
                                     u->name);
        return r;
}

/* A node that runs none of the daemons has clients only, and needs no unit. */
static int check_unit(const struct patient *p, struct sf_buffer *ret, struct sf_error *err)
{
        const struct sf_units *units = p->checks.units;
        int r = units ? sf_check_unit(&p->checks, ret, err) : 0;

        for (size_t i = 0; units && r == 0 && i < units->count; i++) {
                const struct sf_unit_of_node *u = &units->items[i];
                if (strcmp(u->service.load_state, "loaded") == 0)
                        r = check_one_unit(p, u, ret, err);
                else if (u->configured && strcmp(u->name, SF_UNIT_SLURMD) != 0)
                        r = sf_buffer_printf(ret, err, "[service] unit names %s, which systemd does not find (%s)\n",
                                             u->name, u->service.load_state);
        }
        return r;
}

static int check_timeout(const struct patient *p, struct sf_buffer *ret, struct sf_error *err)
{
        uint64_t timeout = p->live->controller.slurmd_timeout;

        if (!*p->live->controller.version || !timeout || timeout >= SLURMD_TIMEOUT)
                return 0;
        return sf_buffer_printf(ret, err, "SlurmdTimeout is %llu s: a switch that has to come back may take longer\n",
                                (unsigned long long)timeout);
}

static const struct question {
        const char *name;
        int (*ask)(const struct patient *p, struct sf_buffer *ret, struct sf_error *err);
        bool runs_it; /* starts programs of the release: not asked where the first finds that none can run */
} questions[] = {
        { "noexec", check_security, false },
        { "libraries", check_links, true },
        { "build paths", check_leftovers, false },
        { "PluginDir", check_plugin_dir, false },
        { "slurm.conf", check_conf, true },
        { "SPANK", check_spank, false },
        { "node name", check_node, false },
        { "authentication", check_auth, false },
        { "unit", check_unit, false },
        { "space", check_space, false },
        { "SlurmdTimeout", check_timeout, false },
};

/* "slurmd.service.d/x.conf sets KillMode, ExecStart": the file and its keys, each once. */
static int note_drop_in(const struct patient *p, const struct sf_unit_text *text, const char *file,
                        struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer keys = SF_BUFFER_INIT;
        const char *last = "";
        int r = 0;

        for (size_t i = 0; r == 0 && i < text->count; i++) {
                const struct sf_unit_setting *s = &text->settings[i];
                if (strcmp(s->file, file) != 0 || strcmp(s->key, last) == 0)
                        continue;
                r = sf_buffer_printf(&keys, err, "%s%s", keys.len ? ", " : "", s->key);
                last = s->key;
        }
        return r < 0 ? r
                     : sf_buffer_printf(p->checks.notes, err, "%s: %s sets %s\n", text->unit, file,
                                        keys.len ? sf_buffer_text(&keys) : "nothing");
}

/* A site's drop-ins win over what we write: who reads this should know of them. */
static int note_drop_ins(const struct patient *p, struct sf_error *err)
{
        const struct sf_units *units = p->checks.units;
        int r = 0;

        for (size_t i = 0; units && r == 0 && i < units->count; i++) {
                _cleanup_(sf_unit_text_free) struct sf_unit_text text = SF_UNIT_TEXT_INIT;
                if (sf_unit_text_load("", units->items[i].name, &text, NULL) < 0)
                        continue;
                for (size_t d = 0; r == 0 && d < text.drop_in_count; d++)
                        r = note_drop_in(p, &text, text.drop_ins[d], err);
        }
        return r;
}

static void tell_notes(struct sf_buffer *notes, bool json, json_t *list)
{
        char *saved = NULL;

        for (char *line = notes->len ? strtok_r((char *)notes->data, "\n", &saved) : NULL; line;
             line = strtok_r(NULL, "\n", &saved)) {
                json_array_append_new(list, sf_json_text(line));
                if (!json)
                        sf_output_line("%-14s %s", "note", line);
        }
}

/* One line per question, or one per finding. Returns the number of findings. */
static size_t tell(const char *name, struct sf_buffer *findings, bool json, json_t *list)
{
        char *saved = NULL;
        size_t count = 0;

        for (char *line = findings->len ? strtok_r((char *)findings->data, "\n", &saved) : NULL; line;
             line = strtok_r(NULL, "\n", &saved), count++) {
                json_array_append_new(list, json_pack("{s:s,s:o}", "check", name, "finding", sf_json_text(line)));
                if (!json)
                        sf_output_line("%-14s %s", name, line);
        }
        if (!count && !json)
                sf_output_line("%-14s ok", name);
        return count;
}

static int examine(const struct patient *p, bool json, json_t *list, size_t *ret_count, struct sf_error *err)
{
        bool noexec = false;
        int r = 0;

        *ret_count = 0;
        for (size_t i = 0; r == 0 && i < sizeof questions / sizeof *questions; i++) {
                _cleanup_(sf_buffer_free) struct sf_buffer findings = SF_BUFFER_INIT;
                if (questions[i].runs_it && noexec)
                        continue;
                r = questions[i].ask(p, &findings, err);
                if (r < 0)
                        sf_error_prefix(err, "%s", questions[i].name);
                else
                        *ret_count += tell(questions[i].name, &findings, json, list);
                noexec |= i == 0 && *ret_count;
        }
        return r;
}

int sf_verb_doctor(const struct sf_config *config, const struct sf_command_line *line)
{
        _cleanup_json_ json_t *details = json_object();
        json_t *list = json_array();
        struct sf_error err = SF_ERROR_INIT;
        struct sf_store_release active;
        struct sf_store store = { 0 };
        struct sf_node_switch live = { 0 };
        _cleanup_(sf_buffer_free) struct sf_buffer noted = SF_BUFFER_INIT;
        json_t *notes = json_array();
        struct sf_report report;
        size_t findings = 0;

        (void)line;
        sf_report_start(&report, "doctor");
        report.step = SF_STEP_DOCTOR;
        report.details = details;
        json_object_set_new(details, "findings", list);
        json_object_set_new(details, "notes", notes);
        int r = sf_store_open(config->root, config->prefix, &store, &err);
        if (r == 0) {
                sf_active_note(&store, &report);
                r = sf_active_find(&store, &active, &err);
        }
        if (r == 0)
                r = sf_node_switch_open(config, &store, &live, &err);
        if (r == 0) {
                sf_node_switch_ask(&live, false); /* SlurmdTimeout; whoever does not answer has no finding */
                _cleanup_free_ char *tree = sf_node_switch_tree(&live, active.directory);
                struct patient p = { .config = config,
                                     .store = &store,
                                     .active = &active,
                                     .live = &live,
                                     .checks = { .root = config->root,
                                                 .prefix = config->prefix,
                                                 .tree = tree,
                                                 .version = active.foreign ? "" : active.name.version,
                                                 .conf = config->slurm_conf,
                                                 .node = config->node_name,
                                                 .notes = &noted,
                                                 .unit = live.bus ? &live.slurmd : NULL,
                                                 .units = live.bus ? &live.units : NULL,
                                                 .unit_type = active.unit } };
                r = examine(&p, sf_output_is_json(), list, &findings, &err);
                if (r == 0)
                        r = note_drop_ins(&p, &err);
                tell_notes(&noted, sf_output_is_json(), notes);
                sf_node_switch_close(&live);
        }
        sf_store_close(&store);
        if (r == 0 && findings)
                r = sf_error_set(&err, SF_ERR_FAILED, "%zu finding%s", findings, findings == 1 ? "" : "s");
        return r < 0 ? sf_report_failed(&report, 0, &err) : sf_report_done(&report, NULL);
}
