/* SPDX-License-Identifier: Apache-2.0 */
/* factory/pack/import.h - a release from a prefix that something else filled: plain make install, a Spack view,
 * EasyBuild. */
#ifndef SF_FACTORY_PACK_IMPORT_H
#define SF_FACTORY_PACK_IMPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "factory/pack/pack.h"

struct sf_import {
        const char *directory;     /* holds bin, lib, ...; becomes the layer "slurm" */
        const char *const *layers; /* "deps=DIR2", unpacked before it, in this order; NULL-terminated; may be NULL */
        /* The prefixes that it was built for, NULL-terminated; none = the Spack prefixes that its files hold. */
        const char *const *placeholders;
        const char *const *exclude; /* patterns (leave_out.h), NULL-terminated; may be NULL */
        enum sf_static_archive static_archives;
        const char *version; /* of Slurm */
        const char *toolchain;
        const char *arch;
        const char *build;                            /* "" or NULL = none */
        const char *agent;                            /* as in pack.h: the oldest sf-node that understands it */
        const char *builds;                           /* CACHE/builds */
        bool force;                                   /* as in pack.h: a short placeholder, findings of the lint */
        void (*finding)(void *ctx, const char *text); /* as in pack.h */
        void (*note)(void *ctx, const char *text);
        void *finding_ctx;
};

/* Links that leave their directory are replaced by what they point to. Errors as sf_pack_release; SF_ERR_NOT_FOUND
 * where the directory holds no program of Slurm; SF_ERR_USAGE where no prefix was given or found. *ret_name is
 * filled as soon as the name is known. */
int sf_import_run(const struct sf_import *import, struct sf_release_name *ret_name, struct sf_pack_result *ret,
                  struct sf_error *err);

#endif
