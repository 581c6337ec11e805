/* SPDX-License-Identifier: Apache-2.0 */
/* factory/pack/devel.h - Slurm's headers and libslurm by themselves, for compilers of users.
 *
 *     share/slurm/devel/include/slurm           link to include/slurm
 *     share/slurm/devel/lib/libslurm.so*        links to lib/libslurm.so*
 *     share/slurm/devel/lib/pkgconfig/slurm.pc  as Slurm's own, but for these directories
 *
 * include/ and lib/ of a release also hold hwloc, libevent and others, which a user's build must not find instead of
 * the system's. pkg-config(1) has ${pcfiledir}: the headers are those of the release whose slurm.pc was asked.
 */
#ifndef SF_FACTORY_PACK_DEVEL_H
#define SF_FACTORY_PACK_DEVEL_H

#include "base/error.h"
#include "factory/pack/compose.h"

struct sf_devel {
        const char *version; /* of Slurm */
        const char *scratch; /* a directory that is made and removed */
};

/* To be called after a layer was added to the tree: where that brought slurm.h, the directory comes with it. Nothing is
 * done where the tree has such a directory. */
int sf_devel_add(struct sf_compose *tree, unsigned layer, const struct sf_devel *devel, struct sf_error *err);

#endif
