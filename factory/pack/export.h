/* SPDX-License-Identifier: Apache-2.0 */
/* factory/pack/export.h - a release as one tar file with the top directory view/, for people who unpack it by hand.
 *
 *     view/relocate.sh             makes the extracted tree name its own directory; needs a POSIX shell only
 *     view/.relocate/description   lines "release NAME", "canonical /opt/slurm/view", "room BYTES"
 *     view/.relocate/map           what relocate.sh changes; it describes the format
 *     view/...                     the release's files in canonical form (release/filelist.h), as its layers hold them
 *
 * Owner root:root, one fixed time: the same release, libarchive, zlib and zstd give the same bytes.
 */
#ifndef SF_FACTORY_PACK_EXPORT_H
#define SF_FACTORY_PACK_EXPORT_H

#include <stdint.h>

#include "base/digest.h"
#include "base/error.h"
#include "factory/pack/builds.h"

enum sf_export_format { SF_EXPORT_TAR_GZ, SF_EXPORT_TAR_ZST, SF_EXPORT_OCI };

/* "tar.gz", "tar.zst", "oci". SF_ERR_USAGE for another name. */
int sf_export_format_parse(const char *text, enum sf_export_format *ret, struct sf_error *err);

/* slurm-<series>-<toolchain>-<arch>[-<build>]-software.<format>: "slurm-25.11-noble-amd64-software.tar.gz". Owned by
 * the caller, NULL only without memory. */
char *sf_export_name(const struct sf_release_name *name, enum sf_export_format format);

struct sf_export_result {
        uint64_t size;
        struct sf_digest digest;
        size_t file_count, relocated; /* files of the release, and how many of them hold the prefix */
};

/* Writes `path`, which appears complete or not at all. Every file is checked against the release's list on the way.
 * format is a tar one. */
int sf_export_tar(const struct sf_build *build, enum sf_export_format format, const char *path,
                  struct sf_export_result *ret, struct sf_error *err);

/* Detached armored signature beside the file: PATH.asc, by gpg, with the caller's environment. key NULL: an old
 * PATH.asc is removed, for it would not fit. */
int sf_export_sign(const char *path, const char *key, struct sf_error *err);

#endif
