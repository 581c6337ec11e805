/* SPDX-License-Identifier: Apache-2.0 */
/* agent/switch/checks.c - see checks.h. */
#include "agent/switch/checks.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "agent/node/libraries.h"
#include "agent/node/plugins.h"
#include "agent/node/process.h"
#include "agent/node/slurm.h"
#include "agent/node/slurm_conf.h"
#include "agent/node/spank.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "release/layout.h"

#define SPACE_NEED  (1u << 20) /* links, units, modules, records */
#define INODES_NEED 64
#define ASK_SECONDS 10
#define DAEMONS_MAX 128

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
                if (strncmp(*m, "lib/slurm/", 10) == 0 && file && sf_fs_exists(file))
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
        if (c->conf && sf_slurm_conf_load("", c->conf, &conf, &broken) == 0)
                plugins.conf = &conf;
        plugins.count = list_daemons(c, pids, names, DAEMONS_MAX);
        return sf_plugins_check(&plugins, ret, err);
}

/* The value of a key in slurm.conf or what it includes; "" where there is none. */
static int conf_value(const struct sf_checks *c, const char *key, char *out, size_t room, struct sf_error *err)
{
        _cleanup_(sf_slurm_conf_free) struct sf_slurm_conf conf = SF_SLURM_CONF_INIT;
        int r = sf_slurm_conf_load("", c->conf, &conf, err);
        const char *value = r == 0 ? sf_slurm_conf_get(&conf, key) : NULL;

        snprintf(out, room, "%s", value ? value : "");
        return r;
}

int sf_check_spank(const struct sf_checks *c, struct sf_buffer *ret, struct sf_error *err)
{
        char configured[4096];
        struct sf_version version;

        if (!*c->version || !sf_fs_exists(c->conf))
                return 0;
        int r = sf_version_parse(c->version, &version, err);
        if (r == 0)
                r = conf_value(c, "PlugStackConfig", configured, sizeof configured, err);
        if (r < 0)
                return r;
        _cleanup_free_ char *path = *configured ? sf_format("%s%s", c->root, configured)
                                                : sf_format("%.*splugstack.conf",
                                                            (int)(strrchr(c->conf, '/') + 1 - c->conf), c->conf);
        return path ? sf_spank_check(path, &version, ret, err)
                    : sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
}

int sf_check_plugin_dir(const struct sf_checks *c, struct sf_buffer *ret, struct sf_error *err)
{
        char value[4096];

        if (!sf_fs_exists(c->conf))
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

int sf_check_conf(const struct sf_checks *c, struct sf_buffer *ret, struct sf_error *err)
{
        struct sf_slurm slurm = { .tree = c->tree, .conf = c->conf, .timeout = ASK_SECONDS };

        return sf_fs_exists(c->conf) ? sf_slurm_check_conf(&slurm, ret, err) : 0;
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
                if (!sf_fs_exists(path))
                        continue;
                r = sf_fs_free_space(path, &bytes, &inodes, err);
                if (r == 0 && (bytes < SPACE_NEED || inodes < INODES_NEED))
                        r = sf_buffer_printf(ret, err, "%s is full: %llu bytes and %llu inodes left\n", path,
                                             (unsigned long long)bytes, (unsigned long long)inodes);
        }
        return r;
}
