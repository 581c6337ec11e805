/* SPDX-License-Identifier: Apache-2.0 */
/* factory/build/toolchain.h - what a layer is built with and for, and the placeholder prefix that follows from it.
 *
 * etc/toolchains/default.ini says how to compile; NAME.ini, where it exists, changes that for one distribution:
 *
 *     [toolchain]
 *     cc = gcc
 *     cxx = g++
 *     cflags = -O2 -g0
 *     cxxflags = ...
 *     ldflags = ...
 *     placeholder_length = 288
 *
 * The compiler's and the C library's versions are measured, not configured: they are part of every layer's key.
 */
#ifndef SF_FACTORY_BUILD_TOOLCHAIN_H
#define SF_FACTORY_BUILD_TOOLCHAIN_H

#include <stddef.h>

#include "base/conf.h"
#include "base/error.h"

/* Below 256 characters gcc splits copies of a literal into immediates that no string search finds. */
#define SF_TOOLCHAIN_PLACEHOLDER_MIN 256

struct sf_toolchain {
        char *name;                /* bookworm, noble, rockylinux9 */
        const char *arch;          /* amd64, arm64 */
        char *compiler;            /* "gcc 12.2.0" */
        char *libc;                /* "glibc 2.36" */
        const char *cc, *cxx, *cflags, *cxxflags, *ldflags;
        size_t placeholder_length; /* of the whole prefix */
        struct sf_conf conf;       /* private: owns the configured strings */
};

/* Reads DIRECTORY/default.ini and DIRECTORY/<name>.ini and asks the host. name NULL = the host's own. Another
 * distribution's toolchain is SF_ERR_INCOMPATIBLE: its layers must be built on it. */
int sf_toolchain_load(const char *directory, const char *name, struct sf_toolchain *ret, struct sf_error *err);
void sf_toolchain_free(struct sf_toolchain *toolchain);

/* A prefix below `base` of exactly placeholder_length characters: hexadecimal digits that depend on the toolchain's
 * name only, never repeat, and end in a token that occurs nowhere else. SF_ERR_USAGE where base leaves no room for
 * that. Owned by the caller. */
int sf_toolchain_placeholder(const struct sf_toolchain *toolchain, const char *base, char **ret, struct sf_error *err);

#endif
