/* SPDX-License-Identifier: Apache-2.0 */
/* agent/node/plugins.c - see plugins.h. */
#include "agent/node/plugins.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent/node/plugin_dir.h"
#include "agent/node/process.h"
#include "base/cleanup.h"
#include "base/fs.h"

#define LIBRARY     "libslurmfull.so"
#define LIBRARY_MAX (256u << 20)
#define NAME_MAX_   128

/* Keys whose values may leave the type out: "JobSubmitPlugins=lua" is job_submit/lua. slurm.conf(5). */
static const struct {
        const char *key, *type;
} short_keys[] = {
        { "JobSubmitPlugins", "job_submit" },
        { "CliFilterPlugins", "cli_filter" },
        { "GresTypes", "gres" },
        { "MpiDefault", "mpi" },
        { "TaskPlugin", "task" },
        { "TopologyPlugin", "topology" },
        { "MCSPlugin", "mcs" },
        { "NodeFeaturesPlugins", "node_features" },
        { "PrEpPlugins", "prep" },
        { "JobContainerType", "job_container" },
        { "NamespaceType", "namespace" },
};

/* Types of which slurmctld loads every plugin that there is, for other clusters' sake: plugin_get_plugins_of_type() in
 * src/interfaces/select.c (to 24.11) and switch.c. 23.11 has those of Cray, 24.05 has not. */
static const char *const loaded_whole[] = { "select", "switch" };

/* What the new release's library says, read once. */
struct judge {
        const struct sf_plugins *plugins;
        struct sf_buffer library;
        struct sf_buffer *ret;
        struct sf_buffer told; /* "type/name\n" that were judged already */
};

static int file_of(const char *tree, const char *type, const char *name, char **ret, struct sf_error *err)
{
        *ret = sf_format("%s/%s/%s_%s.so", tree, sf_plugin_dir(tree), type, name);
        return *ret ? 0 : sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
}

static bool has(const char *tree, const char *type, const char *name)
{
        char *path = NULL;

        if (file_of(tree, type, name, &path, NULL) < 0)
                return true;
        bool there = sf_fs_exists(path);
        free(path);
        return there;
}

/* A text of the release's library: a literal ends in NUL, the linker may have merged its beginning into a longer
 * one. */
static bool says(const struct judge *j, const char *text)
{
        return j->library.len && memmem(j->library.data, j->library.len, text, strlen(text) + 1) != NULL;
}

/* Does the new tree have a file of this pattern, and one that the old tree lacks? name NULL: <type>_*.so; type NULL:
 * *_<name>.so. */
struct found {
        bool any, fresh;
};

static bool matches(const char *file, const char *type, const char *name)
{
        size_t len = strlen(file), want = strlen(type ? type : name);

        if (len < 4 || strcmp(file + len - 3, ".so") != 0 || strncmp(file, "lib", 3) == 0)
                return false;
        if (type)
                return strncmp(file, type, want) == 0 && file[want] == '_';
        return len > want + 4 && file[len - want - 4] == '_' && strncmp(file + len - want - 3, name, want) == 0;
}

static struct found find(const struct sf_plugins *p, const char *type, const char *name)
{
        _cleanup_free_ char *directory = sf_fs_join(p->new_tree, sf_plugin_dir(p->new_tree));
        struct found found = { 0 };
        DIR *dir = directory ? opendir(directory) : NULL;

        for (struct dirent *e; dir && (e = readdir(dir));) {
                if (!matches(e->d_name, type, name))
                        continue;
                _cleanup_free_ char *old = sf_format("%s/%s/%s", p->old_tree, sf_plugin_dir(p->old_tree), e->d_name);
                found.any = true;
                found.fresh |= old && !sf_fs_exists(old);
        }
        if (dir)
                closedir(dir);
        return found;
}

/* Named by the configuration. */
static bool knows_name(const struct judge *j, const char *type, const char *name)
{
        _cleanup_free_ char *whole = sf_format("%s/%s", type, name);
        _cleanup_free_ char *prefix = sf_format("%s/", type);

        if (!whole || !prefix)
                return true;
        if (says(j, whole) && find(j->plugins, type, NULL).fresh)
                return true;
        return says(j, prefix) && find(j->plugins, NULL, name).fresh;
}

/* Loaded without being named. */
static bool is_replaced(const struct judge *j, const char *type)
{
        struct found found = find(j->plugins, type, NULL);

        for (size_t i = 0; i < sizeof loaded_whole / sizeof *loaded_whole; i++)
                if (strcmp(type, loaded_whole[i]) == 0 && found.any)
                        return true;
        return !found.any || found.fresh;
}

static bool was_told(struct judge *j, const char *type, const char *name)
{
        _cleanup_free_ char *line = sf_format("%s/%s\n", type, name);

        if (!line || (j->told.len && strstr(sf_buffer_text(&j->told), line)))
                return true;
        sf_buffer_puts(&j->told, line, NULL);
        return false;
}

/* "type/name" in a value of slurm.conf; the type may be the key's. Both are written in small letters in file names. */
static bool split_value(const char *key, const char *word, size_t len, char type[NAME_MAX_], char name[NAME_MAX_])
{
        char text[NAME_MAX_];
        char *slash;

        if (len == 0 || len >= sizeof text)
                return false;
        for (size_t i = 0; i < len; i++) {
                text[i] = (char)tolower((unsigned char)word[i]);
                if (!isalnum((unsigned char)text[i]) && !strchr("_/.-", text[i]))
                        return false;
        }
        text[len] = '\0';
        if ((slash = strchr(text, '/'))) {
                *slash = '\0';
                snprintf(type, NAME_MAX_, "%s", text);
                snprintf(name, NAME_MAX_, "%s", slash + 1);
                return *type && *name && !strchr(name, '/');
        }
        for (size_t i = 0; i < sizeof short_keys / sizeof *short_keys; i++)
                if (strcasecmp(key, short_keys[i].key) == 0) {
                        snprintf(type, NAME_MAX_, "%s", short_keys[i].type);
                        snprintf(name, NAME_MAX_, "%s", text);
                        return true;
                }
        return false;
}

/* Where the configuration names a plugin; NULL where it does not. */
static const struct sf_slurm_conf_line *find_named(const struct judge *j, const char *type, const char *name)
{
        const struct sf_slurm_conf *conf = j->plugins->conf;
        char a[NAME_MAX_], b[NAME_MAX_];

        for (size_t i = 0; conf && i < conf->count; i++) {
                const struct sf_slurm_conf_pair *pair = &conf->lines[i].pairs[0];
                for (const char *word = pair->value; *word;) {
                        size_t len = strcspn(word, ", ");
                        if (split_value(pair->key, word, len, a, b) && strcmp(a, type) == 0 && strcmp(b, name) == 0)
                                return &conf->lines[i];
                        word += len + (word[len] != '\0');
                }
        }
        return NULL;
}

/* One plugin that the old release has and the new one lacks. who: "slurmd", NULL = nobody has it loaded. */
static int judge_one(struct judge *j, const char *type, const char *name, const char *who, struct sf_error *err)
{
        const struct sf_slurm_conf_line *named = find_named(j, type, name);
        const char *dir = sf_plugin_dir(j->plugins->old_tree);

        if (was_told(j, type, name) || (named ? knows_name(j, type, name) : is_replaced(j, type)))
                return 0;
        if (!named)
                return sf_buffer_printf(j->ret, err, "the running %s uses %s/%s_%s.so, which the release lacks\n", who,
                                        dir, type, name);
        return sf_buffer_printf(j->ret, err, "%s%s%s%s/%s_%s.so, which the release lacks (%s:%u: %s=%s)\n",
                                who ? "the running " : "", who ? who : "", who ? " uses " : "", dir, type, name,
                                named->file, named->number, named->pairs[0].key, named->pairs[0].value);
}

/* data_parser_v0_0_42.so calls itself "data_parser/v0.0.42". */
static bool has_dotted(const struct sf_buffer *file, const char *text, const char *slash)
{
        _cleanup_free_ char *dotted = strdup(text);

        for (char *c = dotted ? dotted + (slash - text) : NULL; c && (c = strchr(c, '_'));)
                *c = '.';
        return dotted && memmem(file->data, file->len, dotted, strlen(dotted) + 1) != NULL;
}

/* What a plugin calls itself: of all ways to cut its file's name in two the one that stands in the file. */
static bool read_type(const char *path, char *stem, char type[NAME_MAX_], char name[NAME_MAX_])
{
        _cleanup_(sf_buffer_free) struct sf_buffer file = SF_BUFFER_INIT;

        if (strlen(stem) >= NAME_MAX_ || sf_fs_read(path, LIBRARY_MAX, &file, NULL) < 0)
                return false;
        for (char *c = stem; (c = strchr(c, '_')); c++) {
                *c = '/';
                bool it = memmem(file.data, file.len, stem, strlen(stem) + 1) != NULL || has_dotted(&file, stem, c);
                *c = '_';
                if (!it)
                        continue;
                snprintf(type, NAME_MAX_, "%.*s", (int)(c - stem), stem);
                snprintf(name, NAME_MAX_, "%s", c + 1);
                return true;
        }
        return false;
}

static int judge_mapped(struct judge *j, const char *mapped, const char *who, struct sf_error *err)
{
        size_t skip = sf_plugin_dir_length(mapped);
        const char *base = mapped + skip;
        size_t len = strlen(mapped);
        char type[NAME_MAX_], name[NAME_MAX_];

        if (!skip || strncmp(base, "lib", 3) == 0 || strchr(base, '/') || len < 4 ||
            strcmp(mapped + len - 3, ".so") != 0)
                return 0;
        _cleanup_free_ char *old = sf_fs_join(j->plugins->old_tree, mapped);
        _cleanup_free_ char *new = sf_format("%s/%s/%s", j->plugins->new_tree, sf_plugin_dir(j->plugins->new_tree),
                                             base);
        _cleanup_free_ char *stem = strndup(base, strlen(base) - 3);
        if (!old || !new || !stem)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        if (sf_fs_exists(new))
                return 0;
        if (!read_type(old, stem, type, name))
                return sf_buffer_printf(j->ret, err, "the running %s uses %s, which the release lacks\n", who, mapped);
        return judge_one(j, type, name, who, err);
}

static int judge_process(struct judge *j, size_t index, struct sf_error *err)
{
        char **mapped = NULL;
        int r = sf_process_mapped(j->plugins->pids[index], j->plugins->old_tree, &mapped, err);

        for (char **m = mapped; m && *m && r == 0; m++)
                r = judge_mapped(j, *m, j->plugins->daemons[index], err);
        sf_process_free_names(mapped);
        return r;
}

/* What the configuration names and nobody has loaded yet: job_submit in a slurmctld elsewhere, mpi in a step. */
static int judge_conf(struct judge *j, struct sf_error *err)
{
        const struct sf_plugins *p = j->plugins;
        char type[NAME_MAX_], name[NAME_MAX_];
        int r = 0;

        for (size_t i = 0; p->conf && i < p->conf->count && r == 0; i++) {
                const struct sf_slurm_conf_pair *pair = &p->conf->lines[i].pairs[0];
                for (const char *word = pair->value; *word && r == 0;) {
                        size_t len = strcspn(word, ", ");
                        if (split_value(pair->key, word, len, type, name) && has(p->old_tree, type, name) &&
                            !has(p->new_tree, type, name))
                                r = judge_one(j, type, name, NULL, err);
                        word += len + (word[len] != '\0');
                }
        }
        return r;
}

int sf_plugins_check(const struct sf_plugins *plugins, struct sf_buffer *ret, struct sf_error *err)
{
        struct judge j = { .plugins = plugins, .ret = ret };
        _cleanup_free_ char *library = sf_format("%s/%s/" LIBRARY, plugins->new_tree, sf_plugin_dir(plugins->new_tree));
        int r = library ? 0 : sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");

        /* Without its library the release does not run at all, which other checks say. */
        if (r == 0 && sf_fs_exists(library))
                r = sf_fs_read(library, LIBRARY_MAX, &j.library, err);
        for (size_t i = 0; r == 0 && i < plugins->count; i++)
                r = judge_process(&j, i, err);
        if (r == 0)
                r = judge_conf(&j, err);
        sf_buffer_free(&j.library);
        sf_buffer_free(&j.told);
        return r;
}
