/* SPDX-License-Identifier: Apache-2.0 */
/* factory/build/provenance.h - what a release was made from and by what: an in-toto statement, version 1, with the
 * predicate SLSA provenance v1 (slsa.dev/spec/v1.0/provenance). Unsigned: publishing signs it (factory/publish/dsse.h).
 *
 * The predicate's buildType is "https://slurm-factory.invalid/build-slurm/v1":
 *     externalParameters    slurm-version, toolchain, arch, profile: what was asked for
 *     internalParameters    compiler, libc, flags and the placeholder prefix
 *     resolvedDependencies  every source archive and patch with its SHA-256; recipe/NAME, the digest of what the
 *                           recipe says; os/NAME, packages of the system with version; root/NAME, the digest of the
 *                           list of all packages of a prepared root
 * Nothing in it tells when, where or by whom it was built: two builds give the same bytes. */
#ifndef SF_FACTORY_BUILD_PROVENANCE_H
#define SF_FACTORY_BUILD_PROVENANCE_H

#include "base/buffer.h"
#include "base/digest.h"
#include "base/error.h"
#include "factory/build/plan.h"

/* release: its whole name; manifest: digest of its OCI manifest, the statement's subject. Appends compact JSON with
 * sorted members. */
int sf_provenance_write(const struct sf_plan *plan, const char *release, const struct sf_digest *manifest,
                        struct sf_buffer *ret, struct sf_error *err);

#endif
