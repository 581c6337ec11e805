/* SPDX-License-Identifier: Apache-2.0 */
/* release/version.h - Slurm versions, release names, and which versions may talk to each other.
 *
 * Slurm numbers releases MAJOR.MINOR.MICRO where MAJOR.MINOR ("25.11") is what SchedMD calls a major release.
 */
#ifndef SF_RELEASE_VERSION_H
#define SF_RELEASE_VERSION_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

struct sf_version {
        unsigned major, minor, micro;
        bool has_micro;  /* false for "25.11", which stands for its newest micro release */
        unsigned build;  /* SchedMD's RELEASE of META: 1 where the version does not say; 25.11.1-2: 2; -0rc1: 0 */
        char suffix[24]; /* what follows the numbers, e.g. "rc1"; usually "" */
};

/* Reads what Slurm calls itself: "24.11", "24.11.5", "25.11.1-2" (released again), "25.11.0-0rc1", and "25.11.0rc1"
 * of packages. "24.11.5-1" is refused: Slurm never says it, and it would be a second name for 24.11.5. */
int sf_version_parse(const char *text, struct sf_version *ret, struct sf_error *err);
/* <0, 0, >0: 25.11.0-0rc1 < 25.11.0 < 25.11.0-2; a suffix sorts before none. A missing micro counts as 0. */
int sf_version_compare(const struct sf_version *a, const struct sf_version *b);
/* Do two texts name one version? "25.11.0rc1" of a package is the "25.11.0-0rc1" that its daemon answers. */
bool sf_version_is_same(const char *a, const char *b);
bool sf_version_same_series(const struct sf_version *a, const struct sf_version *b); /* same major.minor */
/* "24.11" for "24.11.5"; "" where the text is no version. */
void sf_version_series(const char *text, char out[8]);
/* <0, 0, >0 by series alone; 0 also where one of the texts is no version. */
int sf_version_compare_series(const char *a, const char *b);

/* <version>-<toolchain>-<arch>[-<build>], e.g. 25.11.6-noble-amd64. Each part is [a-z0-9.+_]+; build may hold '-',
 * and so may a version that Slurm gives itself: 25.11.1-2-noble-amd64, 25.11.0-0rc1-noble-amd64. A toolchain of that
 * shape (digits, or digits and "rc" with digits) is therefore none. */
struct sf_release_name {
        char text[160]; /* the whole name */
        char version[48];
        char toolchain[48];
        char arch[16];
        char build[48]; /* "" where there is none */
};

int sf_release_name_parse(const char *text, struct sf_release_name *ret, struct sf_error *err);
int sf_release_name_make(const char *version, const char *toolchain, const char *arch, const char *build,
                         struct sf_release_name *ret, struct sf_error *err);
/* Newest version first, then by text. */
int sf_release_name_compare(const struct sf_release_name *a, const struct sf_release_name *b);
/* The version at the start of a release's name or directory ("25.11.1-2-noble"): its length, 0 where there is none. */
size_t sf_release_name_version_length(const char *text);
/* Does `wanted` name this release as exactly as a version does: the version, the name, or its beginning up to a '-'
 * that says more than the version? Series do not. `name` may be "". */
bool sf_release_name_is_exact(const char *wanted, const char *name, const char *version);
/* Picks what `wanted` means among names: an exact name; else that exact version; else the newest version that
 * matches. Two matches of the same version that differ in toolchain, architecture or build are ambiguous:
 * SF_ERR_USAGE listing them. Nothing matches: SF_ERR_NOT_FOUND. */
int sf_release_name_choose(const struct sf_release_name *names, size_t count, const char *wanted, size_t *ret_index,
                           struct sf_error *err);

/* One row of SchedMD's table: `series` accepts peers of each of `peers` (and of itself). Strings are "25.11". */
struct sf_window_row {
        char series[8];
        char peers[6][8]; /* "" ends the list */
};
/* The rows known when this program was built, ended by an empty series. */
extern const struct sf_window_row sf_window_builtin[];
/* True where a daemon of `server` accepts a peer of the older `client`; false also for unknown series. */
bool sf_window_accepts(const struct sf_window_row *rows, const struct sf_version *server,
                       const struct sf_version *client);

#endif
