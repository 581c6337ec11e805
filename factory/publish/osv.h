/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/osv.h - security advisories in OSV's format (ossf.github.io/osv-schema, 1.x), and whether one
 * concerns a package of a given version.
 *
 * A package is meant by its name, or by the name in its purl, whatever the letters' case. Entries of ecosystems of
 * programming languages (npm, PyPI, crates.io, ...) never mean ours: "lua" there is another package. Distributions'
 * entries are judged by their versions without the epoch, so that a fix of theirs counts only from the version after
 * the one that they patched: this errs on the side of telling.
 *
 * Ranges: SEMVER by semver.org's order; ECOSYSTEM by the order of Slurm's own versions for Slurm, else by dpkg's, in
 * which "rc", "alpha", "beta", "pre" and "dev" come before the release. GIT ranges name commits, which a version says
 * nothing about: where nothing else is said the verdict is SF_OSV_UNCLEAR. */
#ifndef SF_FACTORY_PUBLISH_OSV_H
#define SF_FACTORY_PUBLISH_OSV_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

#define SF_OSV_TEXT_MAX ((size_t)256 << 20)

/* One advisory, a list of them, or an object with a list "vulns": *ret is the list, a new reference. Every element has
 * an id. SF_ERR_CORRUPT names what is wrong and where. */
int sf_osv_parse(const char *name, const void *text, size_t len, json_t **ret, struct sf_error *err);

/* Borrowed. */
const char *sf_osv_id(const json_t *advisory);
bool sf_osv_is_withdrawn(const json_t *advisory);

enum sf_osv_verdict { SF_OSV_OTHER, SF_OSV_UNAFFECTED, SF_OSV_UNCLEAR, SF_OSV_AFFECTED };

/* SF_OSV_OTHER: it is about other packages. *ret_fixed is a version that a range names as fixed and that is newer, ""
 * where there is none; borrowed from the advisory. SF_ERR_CORRUPT names the member that is malformed. */
int sf_osv_judge(const json_t *advisory, const char *package, const char *version, enum sf_osv_verdict *ret,
                 const char **ret_fixed, struct sf_error *err);

/* <0, 0, >0 in the order above; semver: that of SEMVER ranges. */
int sf_osv_compare(const char *package, bool semver, const char *a, const char *b);

#endif
