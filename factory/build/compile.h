/* SPDX-License-Identifier: Apache-2.0 */
/* factory/build/compile.h - applies a recipe's patches and runs its steps: a clean environment, no network, one log per
 * step, progress on the way.
 *
 * Builds are meant to be reproducible: fixed paths (factory/build/build_sandbox.h), LC_ALL=C, TZ=UTC, no HOME of the
 * user, SOURCE_DATE_EPOCH from the source, and nothing else from the caller's environment.
 */
#ifndef SF_FACTORY_BUILD_COMPILE_H
#define SF_FACTORY_BUILD_COMPILE_H

#include <stdint.h>

#include "base/error.h"
#include "factory/build/build_sandbox.h"
#include "factory/build/recipe.h"
#include "factory/build/toolchain.h"

struct sf_compile {
        const struct sf_recipe *recipe;
        const struct sf_toolchain *toolchain;
        const struct sf_build_sandbox
                *sandbox;    /* entered: its prefix holds the dependencies, its build the unpacked source */
        const char *patches; /* directory of patch files */
        const char *logs;    /* existing directory for <n>-<step>.log */
        int64_t epoch;       /* SOURCE_DATE_EPOCH */
        unsigned jobs;
        const char *makeflags; /* MAKEFLAGS of a job server that the steps share with others; may be NULL */
        /* Told each step before it runs; may be NULL. */
        void (*begin)(void *ctx, const char *step, size_t number, size_t count);
        void *begin_ctx;
};

/* Patches and all steps. SF_ERR_FAILED names the step, the failing line and the log; SF_ERR_CORRUPT a patch whose
 * digest is another. */
int sf_compile_run(const struct sf_compile *compile, struct sf_error *err);

#endif
