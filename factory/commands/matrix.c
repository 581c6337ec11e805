/* SPDX-License-Identifier: Apache-2.0 */
/* factory/commands/matrix.c - see matrix.h. */
#include "factory/commands/matrix.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "factory/publish/repo.h"
#include "release/host.h"

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

/* Calls visit with every name in a directory; a missing directory has none. */
static int each_name(const char *directory, int (*visit)(void *ctx, const char *name, struct sf_error *err), void *ctx,
                     struct sf_error *err)
{
        DIR *dir = opendir(directory);
        const struct dirent *entry;
        int r = 0;

        while (dir && r == 0 && (entry = readdir(dir)))
                if (entry->d_name[0] != '.')
                        r = visit(ctx, entry->d_name, err);
        if (dir)
                closedir(dir);
        return r;
}

/* What the visits below share. */
struct making {
        struct sf_matrix *matrix;
        const char *toolchain; /* the host's */
        struct sf_matrix_row *row;
};

static int visit_recipe(void *ctx, const char *file, struct sf_error *err)
{
        struct making *making = ctx;
        size_t length = strlen(file);
        _cleanup_free_ char *version = length > 4 && strcmp(file + length - 4, ".ini") == 0 ? strndup(file, length - 4)
                                                                                            : NULL;
        struct sf_release_name name;
        struct sf_matrix_row *row;

        if (!version || sf_release_name_make(version, making->toolchain, sf_host_arch(), "", &name, NULL) < 0)
                return 0;
        if (!(row = row_of(making->matrix, &name)))
                return sf_error_set(err, SF_ERR_NOMEM, "matrix");
        row->has_recipe = true;
        return 0;
}

static int visit_build(void *ctx, const char *directory, struct sf_error *err)
{
        struct making *making = ctx;
        struct sf_release_name name;
        struct sf_matrix_row *row;

        if (sf_release_name_parse(directory, &name, NULL) < 0)
                return 0;
        if (!(row = row_of(making->matrix, &name)))
                return sf_error_set(err, SF_ERR_NOMEM, "matrix");
        row->is_built = true;
        return 0;
}

/* "slurm-<version>-<key>"; a version may hold '-' (25.11.1-2), a key does not */
static int visit_layer(void *ctx, const char *directory, struct sf_error *err)
{
        struct making *making = ctx;
        const char *version = making->row->name.version;

        (void)err;
        if (strncmp(directory, "slurm-", 6) == 0 && strncmp(directory + 6, version, strlen(version)) == 0 &&
            directory[6 + strlen(version)] == '-' && !strchr(directory + 7 + strlen(version), '-'))
                making->row->is_cached = true;
        return 0;
}

static int add_published(struct sf_matrix *m, const char *repository, struct sf_error *err)
{
        _cleanup_free_ struct sf_release_name *names = NULL;
        size_t count = 0;
        int r = sf_repo_releases(repository, &names, &count, err);

        for (size_t i = 0; i < count && r == 0; i++) {
                struct sf_matrix_row *row = row_of(m, &names[i]);

                if (!row)
                        return sf_error_set(err, SF_ERR_NOMEM, "matrix");
                row->is_published = true;
        }
        return r;
}

static int by_name(const void *a, const void *b)
{
        const struct sf_matrix_row *row_a = a, *row_b = b;

        return sf_release_name_compare(&row_a->name, &row_b->name);
}

int sf_matrix_make(const struct sf_cache *cache, const char *data, const char *repository, struct sf_matrix *ret,
                   struct sf_error *err)
{
        _cleanup_(sf_matrix_free) struct sf_matrix m = { NULL, 0 };
        _cleanup_free_ char *recipes = sf_fs_join(data, "slurm"), *builds = sf_cache_path(cache, "builds", NULL);
        _cleanup_free_ char *layers = sf_cache_path(cache, "buildcache", NULL), *toolchain = NULL;
        int r;

        if (!recipes || !builds || !layers)
                return sf_error_set(err, SF_ERR_NOMEM, "matrix");
        if ((r = sf_host_toolchain(NULL, &toolchain, err)) < 0)
                return r;
        struct making making = { .matrix = &m, .toolchain = toolchain };
        if ((r = each_name(recipes, visit_recipe, &making, err)) < 0 ||
            (r = each_name(builds, visit_build, &making, err)) < 0 ||
            (repository && (r = add_published(&m, repository, err)) < 0))
                return r;
        for (size_t i = 0; i < m.count; i++) {
                making.row = &m.rows[i];
                /* The cache's layers are all this host's. */
                if (strcmp(m.rows[i].name.toolchain, toolchain) == 0 &&
                    (r = each_name(layers, visit_layer, &making, err)) < 0)
                        return r;
        }
        if (m.count)
                qsort(m.rows, m.count, sizeof *m.rows, by_name);
        *ret = m;
        m = (struct sf_matrix){ NULL, 0 };
        return 0;
}

void sf_matrix_free(struct sf_matrix *matrix)
{
        free(matrix->rows);
        *matrix = (struct sf_matrix){ NULL, 0 };
}
