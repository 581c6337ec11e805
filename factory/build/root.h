/* SPDX-License-Identifier: Apache-2.0 */
/* factory/build/root.h - roots: other distributions' systems, unpacked in the cache, that packages are built in.
 *
 *     CACHE/roots/NAME/tree/       the system; of another architecture than this machine's in roots/NAME-ARCH
 *     CACHE/roots/NAME/packages    "name version" of every package in it
 *     CACHE/roots/NAME/origin      what it was made from, for an image its digest; the packages that were asked for
 *
 * A root is a copy of a directory (mmdebstrap's, say), an unpacked tarball, or an OCI image that skopeo copies and
 * umoci unpacks. The packages that its toolchain's file names are installed into it with its own package manager: that
 * needs root and the network, once. Afterwards the root is only read (factory/build/build_sandbox.h), and nothing of
 * slurm-factory lies in it.
 */
#ifndef SF_FACTORY_BUILD_ROOT_H
#define SF_FACTORY_BUILD_ROOT_H

#include <stdbool.h>

#include "base/error.h"
#include "factory/build/cache.h"
#include "factory/build/emulator.h"

struct sf_root {
        /* all borrowed */
        const struct sf_cache *cache;
        const char *toolchains; /* directory of toolchain files */
        const char *name;       /* the toolchain */
        /* directory, tarball, or an image with its transport ("docker://...", "oci:DIR:TAG"); NULL = ... */
        const char *from;
        const char *registry; /* ... this and the toolchain's `image` */
        struct sf_emulator emulator;
        bool bare; /* install nothing: everything is there */
};

/* Makes the root, in place of an older one; one that was made from an image of the same digest, with the same packages,
 * is kept as it is. *ret_path is owned. SF_ERR_INCOMPATIBLE where the result is not what the toolchain's file expects;
 * the older root stays then. SF_ERR_USAGE where the toolchain has no file. */
int sf_root_prepare(const struct sf_root *root, char **ret_path, struct sf_error *err);

/* The tree of a prepared root, "" where there is none or name is NULL: then this machine's own. *ret is owned. Of
 * another architecture than this machine's (arch, NULL = this one) there has to be one, else SF_ERR_NOT_FOUND. */
int sf_root_find(const struct sf_cache *cache, const char *name, const char *arch, char **ret, struct sf_error *err);

#endif
