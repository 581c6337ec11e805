/* SPDX-License-Identifier: Apache-2.0 */
/* factory/build/compile.h - runs a recipe's steps: a clean environment, one log per step, progress on the way.
 *
 * Builds are meant to be reproducible: fixed paths (factory/build/build_sandbox.h), LC_ALL=C, TZ=UTC, no HOME of the
 * user, SOURCE_DATE_EPOCH from the source, and nothing else from the caller's environment.
 */
#ifndef SF_FACTORY_BUILD_COMPILE_H
#define SF_FACTORY_BUILD_COMPILE_H

#include <stdint.h>

#include "base/error.h"
#include "factory/build/recipe.h"
#include "factory/build/toolchain.h"

struct sf_compile {
        const struct sf_recipe *recipe;
        const struct sf_toolchain *toolchain;
        const char *prefix; /* install here; holds the dependencies */
        const char *source; /* the unpacked source */
        const char *logs;   /* existing directory for <n>-<step>.log */
        int64_t epoch;      /* SOURCE_DATE_EPOCH */
        unsigned jobs;
};

/* Runs all steps. SF_ERR_FAILED names the step, the failing line and the log. */
int sf_compile_steps(const struct sf_compile *compile, struct sf_error *err);

#endif
