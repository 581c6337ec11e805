/* SPDX-License-Identifier: Apache-2.0 */
/* factory/commands/matrix.h - what there is: versions × toolchains × architectures, and how far each has come. */
#ifndef SF_FACTORY_COMMANDS_MATRIX_H
#define SF_FACTORY_COMMANDS_MATRIX_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "factory/build/cache.h"
#include "release/version.h"

struct sf_matrix_row {
        struct sf_release_name name;
        bool has_recipe; /* DATA/slurm/<version>.ini, for the host's toolchain and architecture */
        bool is_cached;  /* a layer of that version is in the build cache */
        bool is_built;   /* CACHE/builds/<release> */
        bool is_published;
};

struct sf_matrix {
        struct sf_matrix_row *rows; /* newest version first; owned */
        size_t count;
};

/* repository NULL = do not look at one. */
int sf_matrix_make(const struct sf_cache *cache, const char *data, const char *repository, struct sf_matrix *ret,
                   struct sf_error *err);
void sf_matrix_free(struct sf_matrix *matrix);

#endif
