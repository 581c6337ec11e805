/* SPDX-License-Identifier: Apache-2.0 */
/* factory/build/toolchain.h - what a layer is built with and for, and the placeholder prefix that follows from it.
 *
 * etc/toolchains/NAME.ini describes one distribution's release. What several share stands in a family's file, which
 * `like` names, and what all share in default.ini; a later file wins:
 *
 *     [toolchain]
 *     like = debian            read debian.ini before this file
 *     cc = gcc
 *     cxx = g++
 *     cflags = -O2 -g0
 *     cxxflags = ...
 *     ldflags = ...
 *     cpu = x86-64             the least processor that the compiler's output runs on (a level of the psABI); for arm64
 *                              it is armv8-a whatever level of x86-64 stands here
 *     placeholder_length = 288
 *
 *     [expect]                 a root that is not this is refused; a prefix of the measured text up to a '.' or its end
 *     compiler = gcc 12
 *     libc = glibc 2.36
 *
 *     [root]                   where the root comes from and what goes into it (factory/build/root.h)
 *     image = debian:bookworm
 *     manager = apt            apt or dnf
 *     packages = build-essential ...
 *
 *     [os openssl]             a library that is the operating system's own; recipes name it in `os`
 *     package = libssl-dev     whose version is part of the key of every layer that uses it
 *     library = libssl.so.3    what a node must have; several names are separate words
 *
 * The versions of compiler, C library and packages are measured, not configured: they are part of every layer's key.
 */
#ifndef SF_FACTORY_BUILD_TOOLCHAIN_H
#define SF_FACTORY_BUILD_TOOLCHAIN_H

#include <stddef.h>

#include "base/buffer.h"
#include "base/conf.h"
#include "base/error.h"
#include "base/words.h"

/* Below 256 characters gcc splits copies of a literal into immediates that no string search finds: up to 255 on x86-64,
 * 8 on arm64 (gcc 12, clang 14; tests/scenario/check-literals.sh). */
#define SF_TOOLCHAIN_PLACEHOLDER_MIN 256

/* One library of the operating system. */
struct sf_toolchain_os {
        const char *name;    /* "openssl" */
        const char *package; /* "libssl-dev" */
        const char *library; /* "libssl.so.3 libcrypto.so.3", "" where none is said */
        char *version;       /* of the package, NULL where it is not installed */
};

/* Which system: all borrowed. */
struct sf_toolchain_place {
        const char *root; /* NULL or "" = this machine */
        const char *arch; /* NULL = this machine's */
};

struct sf_toolchain {
        char *name;       /* bookworm, noble, rockylinux9 */
        const char *arch; /* amd64, arm64 */
        char *compiler;   /* "gcc 12.2.0" */
        char *libc;       /* "glibc 2.36" */
        const char *cc, *cxx, *cflags, *cxxflags, *ldflags;
        const char *cpu;     /* x86-64, x86-64-v3, armv8-a */
        const char *manager; /* apt, dnf; "" where the toolchain has no file */
        const char *root;    /* where it lies; "" = this machine's own /. Borrowed */
        struct sf_toolchain_os *os;
        size_t os_count;
        struct sf_words missing;   /* packages that [root] lists and the system has not */
        size_t placeholder_length; /* of the whole prefix */
        struct sf_conf conf;       /* private: owns the configured strings */
};

/* Reads the toolchain's files in DIRECTORY and asks the system at `place` (NULL = this machine), whose programs must be
 * able to run. name NULL = what that system calls itself. A system with another name, another architecture, another
 * compiler or another C library than its file expects is SF_ERR_INCOMPATIBLE: its layers must be built on it. */
int sf_toolchain_load(const char *directory, const char *name, const struct sf_toolchain_place *place,
                      struct sf_toolchain *ret, struct sf_error *err);
/* Appends default.ini, the family's and the toolchain's own file where they exist. */
int sf_toolchain_load_conf(const char *directory, const char *name, struct sf_conf *conf, struct sf_error *err);
/* SF_ERR_USAGE where the toolchain does not list that library, SF_ERR_NOT_FOUND where its package is not installed: the
 * text also says what to do. */
int sf_toolchain_os(const struct sf_toolchain *toolchain, const char *name, const struct sf_toolchain_os **ret,
                    struct sf_error *err);
/* Appends what to do about all packages of `missing`, and `also` (a package, or NULL); nothing where none is. */
int sf_toolchain_advise(const struct sf_toolchain *toolchain, const char *also, struct sf_buffer *ret,
                        struct sf_error *err);
/* The command of a package manager that installs what is named behind it; NULL where `manager` is not known. */
const char *sf_toolchain_installer(const char *manager);
void sf_toolchain_free(struct sf_toolchain *toolchain);

/* A prefix below `base` of exactly placeholder_length characters: hexadecimal digits that depend on the toolchain's
 * name only, never repeat, and end in a token that occurs nowhere else. SF_ERR_USAGE where base leaves no room for
 * that. Owned by the caller. */
int sf_toolchain_placeholder(const struct sf_toolchain *toolchain, const char *base, char **ret, struct sf_error *err);

#endif
