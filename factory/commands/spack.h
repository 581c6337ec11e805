/* SPDX-License-Identifier: Apache-2.0 */
/* factory/commands/spack.h - a Spack environment that builds what our recipes build, or one that uses an installed
 * release. Source of the format: spack.readthedocs.io, "Environments" and "Package Settings" (packages.yaml).
 */
#ifndef SF_FACTORY_COMMANDS_SPACK_H
#define SF_FACTORY_COMMANDS_SPACK_H

#include "base/buffer.h"
#include "base/error.h"
#include "base/json.h"
#include "base/words.h"

struct sf_spack_query {
        const char *data;      /* recipes/, slurm/, profiles/, toolchains/ */
        const char *version;   /* of Slurm; "25.11" is the newest known 25.11 */
        const char *toolchain; /* one that has a file */
        const char *arch;      /* amd64, arm64 */
        const char *profile;   /* NULL = everything */
        const char *external;  /* where the release is installed, "/opt/slurm/view"; NULL = build from source */
        const struct sf_words *mirrors; /* of Spack's own kind: URLs, or directories */
};

/* *ret is the object that spack.yaml holds, a new reference. Appends to ret_notes lines for a comment: what it is, and
 * what Spack has no word for. No toolchain is run and `external` is not looked at: any machine can ask. */
int sf_spack_environment(const struct sf_spack_query *query, json_t **ret, struct sf_buffer *ret_notes,
                         struct sf_error *err);

#endif
