/* SPDX-License-Identifier: Apache-2.0 */
/* factory/build/run_paths.h - run paths that lead nowhere.
 *
 * A program whose run path names PREFIX/lib64, where nothing is, was linked with a library of the build machine: a
 * configure script that looks there first found the system's library of that name. On a machine without it the same
 * script takes PREFIX/lib, and the bytes differ.
 */
#ifndef SF_FACTORY_BUILD_RUN_PATHS_H
#define SF_FACTORY_BUILD_RUN_PATHS_H

#include "base/error.h"

/* Tells every ELF file below `tree` whose run path names a directory below `prefix` that `tree`, which lies there, does
 * not have. Returns how many were told. */
int sf_run_paths_check(const char *tree, const char *prefix, void (*told)(void *ctx, const char *text), void *ctx,
                       struct sf_error *err);

#endif
