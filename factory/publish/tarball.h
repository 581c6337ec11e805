/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/tarball.h - releases as tar files (pack/export.h) in a repository, at addresses that scripts know:
 *
 *     REPO/<toolchain>/<series>/<arch>/slurm-<series>-<toolchain>-<arch>-software.tar.gz      and .asc beside it
 *
 * One file per series: it holds the newest release that was published with one.
 */
#ifndef SF_FACTORY_PUBLISH_TARBALL_H
#define SF_FACTORY_PUBLISH_TARBALL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

struct sf_tarballs {
        const char *repository;      /* directory */
        const char *builds;          /* CACHE/builds */
        const char *const *releases; /* which, see sf_build_open */
        size_t release_count;
        const char *gpg_key; /* NULL = not signed */
        bool dry_run;
};

/* A release is left out, with a word, where the repository or the list has a newer one of its series, toolchain,
 * architecture and build. */
int sf_tarballs_write(const struct sf_tarballs *tarballs, struct sf_error *err);

#endif
