/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/checks.c - see checks.h. */
#include "agent/switch/checks.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "agent/node/auth.h"
#include "agent/node/libraries.h"
#include "agent/node/plugins.h"
#include "agent/node/plugin_dir.h"
#include "agent/node/process.h"
#include "agent/node/slurm.h"
#include "agent/node/slurm_conf.h"
#include "agent/node/slurm_node.h"
#include "agent/node/spank.h"
#include "agent/switch/conf_trial.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/words.h"
#include "release/layout.h"

#define SPACE_NEED    (1u << 20) /* links, units, modules, records */
#define INODES_NEED   64
#define ASK_SECONDS   10
#define TRIAL_SECONDS 60
#define DAEMONS_MAX   128

bool sf_check_has_conf(const struct sf_checks *c)
{
        _cleanup_free_ char *path = sf_format("%s%s", c->root, c->conf);

        return path && sf_fs_exists(path);
}

int sf_check_note(const struct sf_checks *c, const struct sf_buffer *lines, struct sf_error *err)
{
        return c->notes && lines->len ? sf_buffer_append(c->notes, lines->data, lines->len, err) : 0;
}

int sf_check_unit(const struct sf_checks *c, struct sf_buffer *ret, struct sf_error *err)
{
        int r = 0;

        for (size_t i = 0; r == 0 && c->units && i < c->units->count; i++)
                r = sf_units_judge(&c->units->items[i], c->root, c->prefix, c->unit_type ? c->unit_type : "", ret, err);
        return r;
}

/* Calls the loader for one file of the release, if it is there. */
static int check_file(const char *loader, const char *tree, const char *path, struct sf_buffer *ret,
                      struct sf_error *err)
{
        _cleanup_free_ char *file = sf_fs_join(tree, path);

        if (!file)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        return sf_fs_exists(file) ? sf_libraries_check(loader, tree, path, ret, err)
                                  : sf_buffer_printf(ret, err, "%s: missing from the release\n", path);
}

int sf_check_libraries(const struct sf_checks *c, struct sf_buffer *ret, struct sf_error *err)
{
        static const char *const programs[] = { "sbin/slurmd", "sbin/slurmstepd", "bin/scontrol", "bin/srun" };
        _cleanup_free_ char *loader = NULL;
        char **mapped = NULL;
        int r = sf_libraries_loader(c->tree, &loader, err);

        for (size_t i = 0; r == 0 && i < sizeof programs / sizeof *programs; i++)
                r = check_file(loader, c->tree, programs[i], ret, err);
        if (r == 0 && c->unit && c->unit->main_pid && c->old_tree)
                r = sf_process_mapped(c->unit->main_pid, c->old_tree, &mapped, err);
        for (char **m = mapped; m && *m && r == 0; m++) {
                _cleanup_free_ char *file = sf_fs_join(c->tree, *m);
                if (sf_plugin_dir_length(*m) && file && sf_fs_exists(file))
                        r = sf_libraries_check(loader, c->tree, *m, ret, err);
        }
        sf_process_free_names(mapped);
        return r;
}

struct every {
        const char *loader, *tree;
        struct sf_buffer *ret;
};

static int check_if_elf(void *ctx, int dirfd, const char *name, const char *path, const struct stat *st,
                        struct sf_error *err)
{
        struct every *e = ctx;
        char magic[4];

        if (!S_ISREG(st->st_mode))
                return 0;
        _cleanup_close_ int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0 || read(fd, magic, sizeof magic) != (ssize_t)sizeof magic || memcmp(magic, "\177ELF", 4) != 0)
                return 0;
        return sf_libraries_check(e->loader, e->tree, path, e->ret, err);
}

int sf_check_all_libraries(const struct sf_checks *c, struct sf_buffer *ret, struct sf_error *err)
{
        _cleanup_free_ char *loader = NULL;
        struct every e = { .tree = c->tree, .ret = ret };
        int r = sf_libraries_loader(c->tree, &loader, err);

        e.loader = loader;
        return r < 0 ? r : sf_fs_walk(c->tree, check_if_elf, &e, err);
}

/* The daemons that run from the old tree, by name. */
static size_t list_daemons(const struct sf_checks *c, pid_t *pids, const char **names, size_t room)
{
        size_t count = 0;

        for (size_t i = 0; c->units && i < c->units->count && count < room; i++) {
                const struct sf_unit_of_node *u = &c->units->items[i];
                if (!u->pid || u->daemon == SF_DAEMON_OTHER)
                        continue;
                pids[count] = u->pid;
                names[count++] = sf_daemon_name(u->daemon);
        }
        return count;
}

int sf_check_plugins(const struct sf_checks *c, struct sf_buffer *ret, struct sf_error *err)
{
        _cleanup_(sf_slurm_conf_free) struct sf_slurm_conf conf = SF_SLURM_CONF_INIT;
        pid_t pids[DAEMONS_MAX];
        const char *names[DAEMONS_MAX];
        struct sf_plugins plugins = { .old_tree = c->old_tree, .new_tree = c->tree, .pids = pids, .daemons = names };
        struct sf_error broken = SF_ERROR_INIT;

        if (!c->old_tree)
                return 0;
        /* A configuration that cannot be read is another check's finding. */
        if (c->conf && sf_slurm_conf_load(c->root, c->conf, &conf, &broken) == 0)
                plugins.conf = &conf;
        plugins.count = list_daemons(c, pids, names, DAEMONS_MAX);
        return sf_plugins_check(&plugins, ret, err);
}

/* The value of a key in slurm.conf or what it includes; "" where there is none. */
static int conf_value(const struct sf_checks *c, const char *key, char *out, size_t room, struct sf_error *err)
{
        _cleanup_(sf_slurm_conf_free) struct sf_slurm_conf conf = SF_SLURM_CONF_INIT;
        int r = sf_slurm_conf_load(c->root, c->conf, &conf, err);
        const char *value = r == 0 ? sf_slurm_conf_get(&conf, key) : NULL;

        snprintf(out, room, "%s", value ? value : "");
        return r;
}

/* Where the release will look for plugins: PluginDir with view standing for the release itself, else its own
 * directory. */
static int plugin_dirs(const struct sf_checks *c, const struct sf_slurm_conf *conf, struct sf_words *ret,
                       struct sf_error *err)
{
        const char *value = sf_slurm_conf_get(conf, "PluginDir");
        _cleanup_free_ char *view = sf_format("%s/" SF_NODE_VIEW, c->prefix);
        size_t len = view ? strlen(view) : 0;
        int r = view ? 0 : sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");

        if (!value && r == 0)
                r = sf_words_printf(ret, err, "%s/%s", c->tree, sf_plugin_dir(c->tree));
        for (const char *d = value; d && *d && r == 0; d += strcspn(d, ":"), d += *d == ':') {
                int part = (int)strcspn(d, ":");
                bool through_view = strncmp(d, view, len) == 0 && (d[len] == '/' || (size_t)part == len);
                r = through_view ? sf_words_printf(ret, err, "%s%.*s", c->tree, part - (int)len, d + len)
                                 : sf_words_printf(ret, err, "%s%.*s", c->root, part, d);
        }
        return r;
}

int sf_check_spank(const struct sf_checks *c, struct sf_buffer *ret, struct sf_error *err)
{
        _cleanup_(sf_slurm_conf_free) struct sf_slurm_conf conf = SF_SLURM_CONF_INIT;
        _cleanup_(sf_buffer_free) struct sf_buffer notes = SF_BUFFER_INIT;
        _cleanup_(sf_words_free) struct sf_words dirs = SF_WORDS_INIT;
        struct sf_version version, before;

        if (!*c->version || !sf_check_has_conf(c))
                return 0;
        int r = sf_version_parse(c->version, &version, err);
        if (r == 0)
                r = sf_slurm_conf_load(c->root, c->conf, &conf, err);
        if (r == 0)
                r = plugin_dirs(c, &conf, &dirs, err);
        if (r < 0)
                return r;
        const char *configured = sf_slurm_conf_get(&conf, "PlugStackConfig");
        _cleanup_free_ char *path = sf_slurm_conf_beside(&conf, configured ? configured : "plugstack.conf");
        struct sf_spank spank = {
                .root = c->root,
                .plugstack = path,
                .plugin_dirs = sf_words_argv(&dirs),
                .version = &version,
                .before = c->old_version && sf_version_parse(c->old_version, &before, NULL) == 0 ? &before : NULL,
        };
        r = path ? sf_spank_check(&spank, ret, &notes, err) : sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        return r < 0 ? r : sf_check_note(c, &notes, err);
}

int sf_check_plugin_dir(const struct sf_checks *c, struct sf_buffer *ret, struct sf_error *err)
{
        char value[4096];

        if (!sf_check_has_conf(c))
                return 0;
        int r = conf_value(c, "PluginDir", value, sizeof value, err);
        if (r < 0 || !*value)
                return r;
        _cleanup_free_ char *view = sf_format("%s/" SF_NODE_VIEW "/", c->prefix);
        if (!view)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        if (c->old_steps && strstr(value, view))
                return sf_buffer_printf(
                        ret, err,
                        "%s sets PluginDir=%s and steps of the old release are running: they would load the new "
                        "release's plugins and fail; take the line out (each release finds its own)\n",
                        c->conf, value);
        if (!c->old_tree && strstr(value, c->prefix))
                return sf_buffer_printf(ret, err,
                                        "%s sets PluginDir=%s: a release finds its own plugins; take the line out\n",
                                        c->conf, value);
        return 0;
}

/* The new client says what it does not understand. What the running release's client says too, and yet goes on, is the
 * site's to live with. */
static int check_client(const struct sf_checks *c, struct sf_buffer *ret, struct sf_error *err)
{
        _cleanup_free_ char *conf = sf_format("%s%s", c->root, c->conf);
        struct sf_slurm slurm = { .tree = c->tree, .conf = conf, .timeout = ASK_SECONDS };

        return conf ? sf_slurm_check_conf(&slurm, ret, err) : sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
}

/* slurmd itself is asked on a copy, the running release's as well: for whom would be there to go back to? */
static int check_trial(const struct sf_checks *c, const struct sf_slurm_conf *conf, const char *node,
                       struct sf_buffer *ret, struct sf_error *err)
{
        struct sf_conf_trial trial = { .prefix = c->prefix,
                                       .conf = conf,
                                       .node = node,
                                       .version = c->version,
                                       .directory = "/run",
                                       .timeout = TRIAL_SECONDS,
                                       .pid = (int)c->unit->main_pid };
        struct sf_conf_trial old_trial = trial;
        struct sf_error why = SF_ERROR_INIT, old_why = SF_ERROR_INIT;
        _cleanup_(sf_buffer_free) struct sf_buffer note = SF_BUFFER_INIT, sockets = SF_BUFFER_INIT;
        int r = sf_conf_trial_slurmd(&trial, c->tree, &why);
        old_trial.version = c->old_version ? c->old_version : "";
        int old = c->old_tree ? sf_conf_trial_slurmd(&old_trial, c->old_tree, &old_why) : 0;

        /* slurmd's own words for a munge that does not answer do not say so. */
        if (r == SF_ERR_USAGE && sf_check_sockets(c, &sockets, NULL) == 0 && sockets.len)
                return sf_buffer_printf(ret, err, "slurmd %s would not start: %s", c->version,
                                        sf_buffer_text(&sockets));
        if (r == SF_ERR_USAGE)
                return sf_buffer_printf(
                        ret, err, "slurmd %s would not start with %s: %s%s\n", c->version, c->conf, why.text,
                        old == SF_ERR_USAGE ? "; neither would the running release, if it were restarted" : "");
        if (r < 0)
                r = sf_buffer_printf(&note, err, "whether slurmd would start with %s could not be tried: %s\n", c->conf,
                                     why.text);
        else if (old == SF_ERR_USAGE)
                r = sf_buffer_printf(&note, err,
                                     "the running release would not start again with %s, so there is no way back: %s\n",
                                     c->conf, old_why.text);
        return r < 0 ? r : sf_check_note(c, &note, err);
}

/* The name that the node's slurmd has; "" where it is in no file (slurmd -Z) or not known. */
static void name_node(const struct sf_checks *c, const struct sf_slurm_conf *conf, char *ret, size_t room)
{
        char **hosts = sf_slurm_node_hosts(true);
        struct sf_slurm_node node;

        snprintf(ret, room, "%s", c->node ? c->node : "");
        if (!*ret && sf_slurm_node_find(conf, NULL, (const char *const *)hosts, &node, NULL) == 0)
                snprintf(ret, room, "%s", node.name);
        sf_slurm_node_hosts_free(hosts);
}

/* A release with sysconfdir inside of the prefix looks for slurm.conf in its own tree, unless it is told where. */
static int check_default_conf(const struct sf_checks *c, struct sf_buffer *ret, struct sf_error *err)
{
        char path[1024] = "";

        for (size_t i = 0; c->units && i < c->units->count; i++) {
                const struct sf_unit_of_node *u = &c->units->items[i];
                if (!u->running || !u->in_prefix || u->daemon == SF_DAEMON_OTHER || u->daemon == SF_DAEMON_SLURMDBD ||
                    *u->words.conf || *u->words.server || !sf_fs_exists(u->conf))
                        continue;
                if (!*path)
                        sf_daemon_default_conf(c->tree, path, sizeof path);
                if (*path && !sf_fs_exists(path))
                        return sf_buffer_printf(ret, err,
                                                "%s is not told where slurm.conf is, and %s looks for it at %s, where "
                                                "there is none: set SLURM_CONF=%s in the unit and for users\n",
                                                u->name, c->version, path, u->conf);
        }
        return 0;
}

static int check_one_conf(const struct sf_checks *c, struct sf_buffer *ret, struct sf_error *err)
{
        _cleanup_(sf_slurm_conf_free) struct sf_slurm_conf conf = SF_SLURM_CONF_INIT;
        struct sf_error why = SF_ERROR_INIT;
        char node[256];

        if (!sf_check_has_conf(c))
                return 0;
        if (sf_slurm_conf_load(c->root, c->conf, &conf, &why) < 0)
                return sf_buffer_printf(ret, err, "%s\n", why.text);
        int r = check_default_conf(c, ret, err);
        if (r == 0)
                r = check_client(c, ret, err);
        name_node(c, &conf, node, sizeof node);
        if (r < 0 || ret->len || *c->root || !*node || !c->unit || !c->unit->main_pid)
                return r;
        return check_trial(c, &conf, node, ret, err);
}

/* Further slurmd of this host may have another slurm.conf, and be of another cluster. */
int sf_check_conf(const struct sf_checks *c, struct sf_buffer *ret, struct sf_error *err)
{
        int r = check_one_conf(c, ret, err);

        for (const struct sf_unit_of_node *u = NULL;
             r == 0 && c->units && (u = sf_units_next_cluster(c->units, c->conf, u));) {
                struct sf_checks other = *c;
                other.conf = u->conf;
                other.node = *u->words.node ? u->words.node : NULL;
                other.unit = &u->service;
                r = check_one_conf(&other, ret, err);
        }
        return r;
}

static int load_conf(const struct sf_checks *c, struct sf_slurm_conf *ret)
{
        return *c->root ? SF_ERR_UNSUPPORTED : sf_slurm_conf_load("", c->conf, ret, NULL);
}

/* A slurm.conf that is missing or wrong is sf_check_conf()'s to tell. */
int sf_check_keys(const struct sf_checks *c, struct sf_buffer *ret, struct sf_error *err)
{
        _cleanup_(sf_slurm_conf_free) struct sf_slurm_conf conf = SF_SLURM_CONF_INIT;

        if (!c->units || load_conf(c, &conf) < 0)
                return 0;
        int r = sf_auth_check_keys(&conf, c->units, ret, err);
        return r < 0 ? r : sf_auth_check_directory(&conf, c->units, ret, err);
}

int sf_check_sockets(const struct sf_checks *c, struct sf_buffer *ret, struct sf_error *err)
{
        _cleanup_(sf_slurm_conf_free) struct sf_slurm_conf conf = SF_SLURM_CONF_INIT;

        return load_conf(c, &conf) == 0 ? sf_auth_check_sockets(&conf, ret, err) : 0;
}

int sf_check_space(const struct sf_checks *c, struct sf_buffer *ret, struct sf_error *err)
{
        const char *const below[] = { c->prefix, "/var/lib", "/etc" };
        int r = 0;

        for (size_t i = 0; r == 0 && i < sizeof below / sizeof *below; i++) {
                _cleanup_free_ char *path = sf_format("%s%s", c->root, below[i]);
                uint64_t bytes, inodes;
                if (!path)
                        return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
                /* What is read-only has no room to speak of; a switch that has to write there says so. */
                if (access(path, F_OK) < 0 || sf_fs_is_read_only(path))
                        continue;
                r = sf_fs_free_space(path, &bytes, &inodes, err);
                if (r == 0 && (bytes < SPACE_NEED || inodes < INODES_NEED))
                        r = sf_buffer_printf(ret, err, "%s is full: %llu bytes and %llu inodes left\n", path,
                                             (unsigned long long)bytes, (unsigned long long)inodes);
        }
        return r;
}
