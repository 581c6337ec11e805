/* SPDX-License-Identifier: Apache-2.0 */
/* factory/pack/tarball.h - the software tarballs of Slurm Factory's first generation.
 *
 *     slurm-<series>-<toolchain>-<arch>-software.tar.gz     since there are architectures
 *     slurm-<series>-<toolchain>-software.tar.gz            before
 *
 * with a detached signature beside it (.asc). The archive holds a Spack view in the directory view/, with hard links
 * where the view had symbolic ones; further directories (modules, examples) may lie beside it.
 */
#ifndef SF_FACTORY_PACK_TARBALL_H
#define SF_FACTORY_PACK_TARBALL_H

#include "base/error.h"

struct sf_tarball_name {
        char series[16];    /* "25.11", or a whole version */
        char toolchain[48]; /* "" where it is a compiler ("gcc13.4.0"): it says nothing of the system */
        char arch[16];      /* "" = not in the name */
};

/* What the last component of a path or URL says. SF_ERR_USAGE for any other name. */
int sf_tarball_name_parse(const char *path, struct sf_tarball_name *ret, struct sf_error *err);

/* Unpacks view/ into an existing directory, which then holds bin, lib, ...; *ret_others counts members beside it. A
 * member that would leave the directory, a damaged or cut off archive is SF_ERR_CORRUPT, as is one without view/. */
int sf_tarball_unpack(const char *path, const char *directory, unsigned long *ret_others, struct sf_error *err);

/* The version of the Slurm in a tree, from its header or its programs, which must be one of the series.
 * SF_ERR_NOT_FOUND where they do not say it, SF_ERR_INCOMPATIBLE for another series. */
int sf_tarball_version(const char *directory, const char *series, char ret[48], struct sf_error *err);

#endif
