/* SPDX-License-Identifier: Apache-2.0 */
/* factory/commands/matrix.c - see matrix.h. */
#include "factory/commands/matrix.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/conf.h"
#include "base/fs.h"
#include "base/words.h"
#include "factory/build/emulator.h"
#include "factory/build/toolchain.h"
#include "factory/publish/repo.h"
#include "release/host.h"

/* What is known while the rows are made. */
struct making {
        struct sf_matrix *matrix;
        const struct sf_cache *cache;
        const char *data;
        const struct sf_matrix_query *query;
        char *host;                                          /* this machine's toolchain */
        struct sf_words versions, toolchains, architectures; /* that have files */
        struct sf_conf selection;                            /* matrix.ini */
};

static void making_free(struct making *m)
{
        free(m->host);
        sf_words_free(&m->versions);
        sf_words_free(&m->toolchains);
        sf_words_free(&m->architectures);
        sf_conf_free(&m->selection);
}

static int no_memory(struct sf_error *err)
{
        return sf_error_set(err, SF_ERR_NOMEM, "matrix");
}

static bool has_word(const struct sf_words *words, const char *word)
{
        for (size_t i = 0; i < words->count; i++)
                if (strcmp(words->items[i], word) == 0)
                        return true;
        return false;
}

/* The row of a release; a new one where there is none yet. NULL = no memory. */
static struct sf_matrix_row *row_of(struct sf_matrix *m, const struct sf_release_name *name)
{
        struct sf_matrix_row *grown;

        for (size_t i = 0; i < m->count; i++)
                if (strcmp(m->rows[i].name.text, name->text) == 0)
                        return &m->rows[i];
        grown = realloc(m->rows, (m->count + 1) * sizeof *grown);
        if (!grown)
                return NULL;
        m->rows = grown;
        m->rows[m->count] = (struct sf_matrix_row){ .name = *name };
        return &m->rows[m->count++];
}

/* --- what has files --------------------------------------------------------------------------------------------- */

/* Calls visit with every name in a directory; a missing directory has none. */
static int each_name(const char *directory, int (*visit)(struct making *m, const char *name, struct sf_error *err),
                     struct making *m, struct sf_error *err)
{
        DIR *dir = opendir(directory);
        const struct dirent *entry;
        int r = 0;

        while (dir && r == 0 && (entry = readdir(dir)))
                if (entry->d_name[0] != '.')
                        r = visit(m, entry->d_name, err);
        if (dir)
                closedir(dir);
        return r;
}

/* The name of an INI file without its suffix; NULL for another file. Owned by the caller. */
static char *stem_of(const char *file)
{
        size_t length = strlen(file);

        return length > 4 && strcmp(file + length - 4, ".ini") == 0 ? strndup(file, length - 4) : NULL;
}

static int visit_version(struct making *m, const char *file, struct sf_error *err)
{
        _cleanup_free_ char *version = stem_of(file);
        struct sf_version parsed;

        return version && sf_version_parse(version, &parsed, NULL) == 0 ? sf_words_append(&m->versions, version, err)
                                                                        : 0;
}

/* Only a distribution's own file names an image; families' files and default.ini do not. */
static int visit_toolchain(struct making *m, const char *file, struct sf_error *err)
{
        _cleanup_free_ char *name = stem_of(file), *path = sf_format("%s/toolchains/%s", m->data, file);
        _cleanup_(sf_conf_free) struct sf_conf conf = SF_CONF_INIT;
        int r;

        if (!path)
                return no_memory(err);
        if (!name || has_word(&m->toolchains, name))
                return 0;
        if ((r = sf_conf_load(&conf, path, err)) < 0)
                return r;
        return sf_conf_get(&conf, "root", "image") ? sf_words_append(&m->toolchains, name, err) : 0;
}

static int find_files(struct making *m, struct sf_error *err)
{
        _cleanup_free_ char *slurm = sf_fs_join(m->data, "slurm"), *toolchains = sf_fs_join(m->data, "toolchains");
        _cleanup_free_ char *selection = sf_fs_join(m->data, "matrix.ini");
        int r;

        if (!slurm || !toolchains || !selection)
                return no_memory(err);
        if ((r = sf_host_toolchain(NULL, &m->host, err)) < 0 || (r = sf_words_append(&m->toolchains, m->host, err)) < 0)
                return r;
        if (sf_fs_exists(selection) && (r = sf_conf_load(&m->selection, selection, err)) < 0)
                return r;
        if ((r = each_name(slurm, visit_version, m, err)) < 0 ||
            (r = each_name(toolchains, visit_toolchain, m, err)) < 0 ||
            (r = sf_words_append(&m->architectures, sf_host_arch(), err)) < 0)
                return r;
        return 0;
}

/* --- what is meant to be offered ------------------------------------------------------------------------------- */

/* Whole versions for series: the newest that has a file. */
static int resolve_series(const struct making *m, struct sf_words *versions, struct sf_error *err)
{
        for (size_t i = 0; i < versions->count; i++) {
                struct sf_version wanted, is, best = { 0 };
                const char *newest = NULL;

                if (sf_version_parse(versions->items[i], &wanted, NULL) < 0 || wanted.has_micro)
                        continue;
                for (size_t v = 0; v < m->versions.count; v++) {
                        if (sf_version_parse(m->versions.items[v], &is, NULL) < 0 ||
                            !sf_version_same_series(&is, &wanted) || (newest && sf_version_compare(&is, &best) < 0))
                                continue;
                        best = is;
                        newest = m->versions.items[v];
                }
                if (!newest)
                        continue;
                free(versions->items[i]);
                if (!(versions->items[i] = strdup(newest)))
                        return no_memory(err);
        }
        return 0;
}

/* The words of a key of [matrix]; those that have files where the key is absent. */
static int chosen(struct making *m, const char *key, const struct sf_words *all, struct sf_words *ret,
                  struct sf_error *err)
{
        const struct sf_conf_entry *entry = NULL;
        int r = 0;

        while (r == 0 && (entry = sf_conf_next(&m->selection, "matrix", key, entry)))
                r = sf_words_split(ret, entry->value, err);
        for (size_t i = 0; r == 0 && !sf_conf_get(&m->selection, "matrix", key) && i < all->count; i++)
                r = sf_words_append(ret, all->items[i], err);
        return r;
}

static int add_row(struct making *m, const char *version, const char *toolchain, const char *arch, bool selected,
                   struct sf_error *err)
{
        struct sf_release_name name;
        struct sf_matrix_row *row;

        if (sf_release_name_make(version, toolchain, arch, "", &name, NULL) < 0)
                return 0;
        if (!(row = row_of(m->matrix, &name)))
                return no_memory(err);
        row->has_recipe = has_word(&m->versions, version) && has_word(&m->toolchains, toolchain);
        row->is_selected = row->is_selected || selected;
        return 0;
}

static int add_product(struct making *m, const struct sf_words *versions, const struct sf_words *toolchains,
                       const struct sf_words *architectures, bool selected, struct sf_error *err)
{
        int r = 0;

        for (size_t v = 0; v < versions->count; v++)
                for (size_t t = 0; t < toolchains->count; t++)
                        for (size_t a = 0; a < architectures->count && r == 0; a++)
                                r = add_row(m, versions->items[v], toolchains->items[t], architectures->items[a],
                                            selected, err);
        return r;
}

/* What is selected must have a file: a misspelt word would otherwise never be missed. */
static int check_known(const struct making *m, const char *key, const struct sf_words *chosen_words,
                       const struct sf_words *known, struct sf_error *err)
{
        for (size_t i = 0; i < chosen_words->count; i++)
                if (!has_word(known, chosen_words->items[i]))
                        return sf_error_set(err, SF_ERR_USAGE, "%s/matrix.ini: %s: there is no file for \"%s\"",
                                            m->data, key, chosen_words->items[i]);
        return 0;
}

static int add_planned(struct making *m, struct sf_error *err)
{
        _cleanup_(sf_words_free) struct sf_words versions = SF_WORDS_INIT, toolchains = SF_WORDS_INIT;
        _cleanup_(sf_words_free) struct sf_words architectures = SF_WORDS_INIT;
        int r;

        if ((r = chosen(m, "versions", &m->versions, &versions, err)) < 0 ||
            (r = resolve_series(m, &versions, err)) < 0 ||
            (r = chosen(m, "toolchains", &m->toolchains, &toolchains, err)) < 0 ||
            (r = chosen(m, "architectures", &m->architectures, &architectures, err)) < 0 ||
            (r = check_known(m, "versions", &versions, &m->versions, err)) < 0 ||
            (r = check_known(m, "toolchains", &toolchains, &m->toolchains, err)) < 0 ||
            (r = sf_conf_check_used(&m->selection, err)) < 0)
                return r;
        /* What has a file and was not chosen is still there to be seen. */
        if ((r = add_product(m, &m->versions, &m->toolchains, &architectures, false, err)) < 0)
                return r;
        return add_product(m, &versions, &toolchains, &architectures, true, err);
}

/* --- how far it has come --------------------------------------------------------------------------------------- */

static int visit_build(struct making *m, const char *directory, struct sf_error *err)
{
        _cleanup_free_ char *tested = sf_format("%s/builds/%s/tested", m->cache->root, directory);
        struct sf_release_name name;
        struct sf_matrix_row *row;

        if (!tested)
                return no_memory(err);
        if (sf_release_name_parse(directory, &name, NULL) < 0)
                return 0;
        if (!(row = row_of(m->matrix, &name)))
                return no_memory(err);
        row->is_built = true;
        row->is_tested = sf_fs_exists(tested);
        return 0;
}

/* True where the text has this line. */
static bool has_line(const char *text, const char *line)
{
        size_t length = strlen(line);

        for (const char *at = text; (at = strstr(at, line)); at++)
                if ((at == text || at[-1] == '\n') && (at[length] == '\n' || at[length] == '\0'))
                        return true;
        return false;
}

/* "slurm-<version>-<key>": its key's text says version and toolchain. */
static int visit_layer(struct making *m, const char *directory, struct sf_error *err)
{
        _cleanup_free_ char *path = sf_format("%s/buildcache/%s/key", m->cache->root, directory);
        _cleanup_(sf_buffer_free) struct sf_buffer key = SF_BUFFER_INIT;

        if (!path)
                return no_memory(err);
        if (strncmp(directory, "slurm-", strlen("slurm-")) != 0 || sf_fs_read(path, 1u << 20, &key, NULL) < 0)
                return 0;
        for (size_t i = 0; i < m->matrix->count; i++) {
                struct sf_matrix_row *row = &m->matrix->rows[i];
                _cleanup_free_ char *package = sf_format("package slurm %s", row->name.version);
                _cleanup_free_ char *toolchain = sf_format("toolchain %s %s", row->name.toolchain, row->name.arch);

                if (!package || !toolchain)
                        return no_memory(err);
                if (has_line(sf_buffer_text(&key), package) && has_line(sf_buffer_text(&key), toolchain))
                        row->is_cached = true;
        }
        return 0;
}

static int add_published(struct making *m, struct sf_error *err)
{
        _cleanup_free_ struct sf_release_name *names = NULL;
        size_t count = 0;
        int r = m->query->repository ? sf_repo_releases(m->query->repository, &names, &count, err) : 0;

        for (size_t i = 0; i < count && r == 0; i++) {
                struct sf_matrix_row *row = row_of(m->matrix, &names[i]);

                if (!row)
                        return no_memory(err);
                row->is_published = true;
        }
        return r;
}

/* --- and why no further ---------------------------------------------------------------------------------------- */

static int read_image(const struct making *m, struct sf_matrix_row *row, struct sf_error *err)
{
        _cleanup_free_ char *directory = sf_fs_join(m->data, "toolchains");
        _cleanup_(sf_conf_free) struct sf_conf conf = SF_CONF_INIT;
        int r = directory ? sf_toolchain_load_conf(directory, row->name.toolchain, &conf, err) : no_memory(err);

        if (r < 0)
                return r;
        const char *image = sf_conf_get(&conf, "root", "image");
        snprintf(row->image, sizeof row->image, "%s", image ? image : "");
        return 0;
}

static void explain_unbuilt(struct sf_matrix_row *row, bool foreign, bool has_root)
{
        const char *toolchain = row->name.toolchain;
        const struct sf_emulator emulator = { .arch = row->name.arch };
        int other = sf_emulator_is_needed(&emulator, NULL);

        if (!row->has_recipe)
                snprintf(row->why, sizeof row->why, "there is no slurm/%s.ini or no toolchains/%s.ini",
                         row->name.version, toolchain);
        else if (other < 0)
                snprintf(row->why, sizeof row->why, "needs an %s machine", row->name.arch);
        else if (other && !has_root)
                snprintf(row->why, sizeof row->why, "needs an %s machine, or here: slurm-factory root %s --arch %s",
                         row->name.arch, toolchain, row->name.arch);
        else if (foreign && !has_root)
                snprintf(row->why, sizeof row->why, "no root: slurm-factory root %s", toolchain);
        else if (row->is_cached)
                snprintf(row->why, sizeof row->why, "not packed: its layers are cached, or those of another profile");
        else
                snprintf(row->why, sizeof row->why, "not built yet");
}

static int explain(const struct making *m, struct sf_matrix_row *row, struct sf_error *err)
{
        bool foreign = strcmp(row->name.toolchain, m->host) != 0;
        bool other = strcmp(row->name.arch, sf_host_arch()) != 0;
        _cleanup_free_ char *root = sf_format("%s/roots/%s%s%s/tree", m->cache->root, row->name.toolchain,
                                              other ? "-" : "", other ? row->name.arch : "");
        int r;

        if (!root)
                return no_memory(err);
        if ((r = read_image(m, row, err)) < 0)
                return r;
        bool has_root = sf_fs_exists(root);
        row->is_buildable = row->has_recipe && ((!foreign && !other) || has_root);
        if (!row->is_built && !row->is_published)
                explain_unbuilt(row, foreign, has_root);
        else if (m->query->repository && !row->is_published)
                snprintf(row->why, sizeof row->why, "not published");
        else if (!row->is_built)
                snprintf(row->why, sizeof row->why, "published from elsewhere");
        else if (!row->is_tested)
                snprintf(row->why, sizeof row->why, "not tested: no note of it in its build");
        return 0;
}

/* A misspelt word, or recipes that lie elsewhere, must not look like a matrix that lacks nothing. */
static int check_asked(const struct making *m, struct sf_error *err)
{
        const struct sf_matrix_query *q = m->query;

        if (!m->versions.count)
                return sf_error_set(err, SF_ERR_USAGE, "there is no recipe of a Slurm version in %s/slurm (--data DIR)",
                                    m->data);
        if (q->version || q->toolchain || q->arch)
                return sf_error_set(
                        err, SF_ERR_USAGE, "nothing is known of%s%s%s%s%s%s: no recipe, no build, no published release",
                        q->version ? " version " : "", q->version ? q->version : "", q->toolchain ? " toolchain " : "",
                        q->toolchain ? q->toolchain : "", q->arch ? " arch " : "", q->arch ? q->arch : "");
        return 0;
}

/* --- all of it -------------------------------------------------------------------------------------------------- */

static bool is_asked_for(const struct sf_matrix_query *query, const struct sf_release_name *name)
{
        struct sf_version wanted, is;

        if ((query->toolchain && strcmp(query->toolchain, name->toolchain) != 0) ||
            (query->arch && strcmp(query->arch, name->arch) != 0))
                return false;
        if (!query->version || strcmp(query->version, name->version) == 0)
                return true;
        return sf_version_parse(query->version, &wanted, NULL) == 0 && !wanted.has_micro &&
               sf_version_parse(name->version, &is, NULL) == 0 && sf_version_same_series(&wanted, &is);
}

static int by_name(const void *a, const void *b)
{
        const struct sf_matrix_row *row_a = a, *row_b = b;

        return sf_release_name_compare(&row_a->name, &row_b->name);
}

int sf_matrix_make(const struct sf_cache *cache, const char *data, const struct sf_matrix_query *query,
                   struct sf_matrix *ret, struct sf_error *err)
{
        _cleanup_(sf_matrix_free) struct sf_matrix matrix = { NULL, 0 };
        _cleanup_(making_free) struct making m = {
                .matrix = &matrix, .cache = cache, .data = data, .query = query, .selection = SF_CONF_INIT
        };
        _cleanup_free_ char *builds = sf_cache_path(cache, "builds", NULL);
        _cleanup_free_ char *layers = sf_cache_path(cache, "buildcache", NULL);
        size_t kept = 0;
        int r;

        if (!builds || !layers)
                return no_memory(err);
        if ((r = find_files(&m, err)) < 0 || (r = add_planned(&m, err)) < 0 ||
            (r = each_name(builds, visit_build, &m, err)) < 0 || (r = add_published(&m, err)) < 0)
                return r;
        for (size_t i = 0; i < matrix.count; i++)
                if (is_asked_for(query, &matrix.rows[i].name))
                        matrix.rows[kept++] = matrix.rows[i];
        matrix.count = kept;
        if (!kept && (r = check_asked(&m, err)) < 0)
                return r;
        if ((r = each_name(layers, visit_layer, &m, err)) < 0)
                return r;
        for (size_t i = 0; i < matrix.count; i++)
                if ((r = explain(&m, &matrix.rows[i], err)) < 0)
                        return r;
        if (matrix.count)
                qsort(matrix.rows, matrix.count, sizeof *matrix.rows, by_name);
        *ret = matrix;
        matrix = (struct sf_matrix){ NULL, 0 };
        return 0;
}

void sf_matrix_free(struct sf_matrix *matrix)
{
        free(matrix->rows);
        *matrix = (struct sf_matrix){ NULL, 0 };
}

bool sf_matrix_is_missing(const struct sf_matrix_row *row)
{
        return row->is_selected && row->has_recipe && !row->is_built && !row->is_published;
}
