/* SPDX-License-Identifier: Apache-2.0 */
/* factory/build/build_sandbox.h - the place a package is built at: the placeholder prefix and a build directory whose
 * paths are the same everywhere, and gone afterwards.
 *
 * The prefix is a path of several hundred characters that must exist while a package is built. As root, or where user
 * namespaces are allowed, the program moves into a private mount namespace and mounts the two directories there: nobody
 * else ever sees them, two builds never meet, and nothing is left behind however the program ends. The host's name is
 * the same everywhere, too: what packages write down of it neither differs nor tells who built them. Where that is
 * refused the paths lie in the cache directory for as long as the build takes, which makes them depend on it.
 *
 * The steps may run in another root than this machine's (factory/build/root.h): the same directories are then mounted
 * below it, and its own files are read-only.
 */
#ifndef SF_FACTORY_BUILD_BUILD_SANDBOX_H
#define SF_FACTORY_BUILD_BUILD_SANDBOX_H

#include <stdbool.h>

#include "base/error.h"
#include "factory/build/cache.h"
#include "factory/build/emulator.h"
#include "factory/build/toolchain.h"

/* What steps run in. */
struct sf_build_system {
        const char *root;            /* borrowed; "" = this machine's */
        struct sf_emulator emulator; /* what runs the root's programs where it is for another architecture */
};

struct sf_build_sandbox {
        char *root;      /* "" = this machine's; all other paths are seen from inside */
        char *prefix;    /* the placeholder, without a trailing slash */
        char *build;     /* where the source is unpacked and built */
        char *ccache;    /* ccache's directory, kept from build to build; NULL where the root has no ccache */
        char *compilers; /* the directory in which ccache stands in for the compilers; NULL without it */
        bool is_private; /* a mount namespace of its own */
        char *refusal;   /* why not, else NULL */
};

/* Moves this process (and with it all later children) into a namespace where it can. For another root than this
 * machine's a namespace is needed, and its refusal an error. */
int sf_build_sandbox_open(const struct sf_cache *cache, const struct sf_build_system *system,
                          struct sf_build_sandbox *ret, struct sf_error *err);
/* Chooses the paths that depend on the toolchain: prefix and ccache. */
int sf_build_sandbox_prepare(const struct sf_cache *cache, const struct sf_toolchain *toolchain,
                             struct sf_build_sandbox *sandbox, struct sf_error *err);
void sf_build_sandbox_close(struct sf_build_sandbox *sandbox);

/* Makes two existing, empty directories of the cache appear as prefix and build; leave undoes it, after which they
 * hold what was built. build_dir may be NULL. The caller must hold a lock against a second builder of the same cache
 * where not is_private. */
int sf_build_sandbox_enter(const struct sf_build_sandbox *sandbox, const char *prefix_dir, const char *build_dir,
                           struct sf_error *err);
int sf_build_sandbox_leave(const struct sf_build_sandbox *sandbox, const char *prefix_dir, const char *build_dir,
                           struct sf_error *err);

/* A child of this process gets mounts of its own, so that several packages may be built at the same paths at once. */
int sf_build_sandbox_split(const struct sf_build_sandbox *sandbox, struct sf_error *err);

#endif
