/* SPDX-License-Identifier: Apache-2.0 */
/* factory/commands/matrix.h - what there is: versions × toolchains × architectures, how far each has come, and why no
 * further.
 *
 * Rows are every combination of DATA/slurm/VERSION.ini, DATA/toolchains/NAME.ini (files with [root] image, and this
 * host's own) and the architectures, and whatever else is built or published. DATA/matrix.ini, where it exists, says
 * which combinations are meant to be offered; the others are never missing:
 *
 *     [matrix]
 *     versions = 24.11 25.11.6    whole versions; a series stands for its newest version
 *     toolchains = bookworm noble
 *     architectures = amd64 arm64
 *
 * A release is tested when CACHE/builds/RELEASE/tested exists: whoever tests writes there what was run. Packing the
 * release anew takes it away.
 */
#ifndef SF_FACTORY_COMMANDS_MATRIX_H
#define SF_FACTORY_COMMANDS_MATRIX_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "factory/build/cache.h"
#include "release/version.h"

struct sf_matrix_row {
        struct sf_release_name name;
        bool has_recipe;   /* of version and toolchain */
        bool is_selected;  /* by matrix.ini; every row with a recipe where there is no such file */
        bool is_cached;    /* a layer of that version is in the build cache */
        bool is_built;     /* CACHE/builds/<release> */
        bool is_published; /* in the repository */
        bool is_tested;    /* CACHE/builds/<release>/tested */
        bool is_buildable; /* on this machine, as it is */
        char image[128];   /* the container image of the toolchain; "" = unknown */
        char why[160];     /* why it has come no further, "" where nothing is left */
};

struct sf_matrix {
        struct sf_matrix_row *rows; /* newest version first; owned */
        size_t count;
};

/* What is to be shown; all borrowed, NULL = any. */
struct sf_matrix_query {
        const char *repository; /* NULL = do not look at one */
        const char *version;    /* a whole one, or a series */
        const char *toolchain, *arch;
};

int sf_matrix_make(const struct sf_cache *cache, const char *data, const struct sf_matrix_query *query,
                   struct sf_matrix *ret, struct sf_error *err);
void sf_matrix_free(struct sf_matrix *matrix);

/* Meant to be offered, and neither built here nor published. */
bool sf_matrix_is_missing(const struct sf_matrix_row *row);

#endif
