/* SPDX-License-Identifier: Apache-2.0 */
/* factory/build/prefix.h - trees of installed files: put several into one prefix, and take one package's share out
 * again. */
#ifndef SF_FACTORY_BUILD_PREFIX_H
#define SF_FACTORY_BUILD_PREFIX_H

#include <stdbool.h>

#include "base/error.h"
#include "base/words.h"

/* Copies everything in `from` into the existing directory `to`, keeping modes, times and links. A file that is there
 * already is SF_ERR_EXISTS: two packages may not install the same path. */
int sf_prefix_add(const char *from, const char *to, struct sf_error *err);

/* Takes out of `tree` what sf_prefix_add had put there from `base`: files of the same size and time, links of the same
 * target, and the directories left empty. A file that differs is SF_ERR_CORRUPT: a package changed its dependency. */
int sf_prefix_subtract(const char *tree, const char *base, struct sf_error *err);

/* Deletes the files and links whose path matches one of the patterns (fnmatch(3); '*' also matches '/'). */
int sf_prefix_remove(const char *tree, const struct sf_words *patterns, struct sf_error *err);

/* Runs "strip --strip-unneeded" over the ELF files: the strip of `root` ("" = this machine), where the tree lies at
 * `at`. */
int sf_prefix_strip(const char *tree, const char *root, const char *at, struct sf_error *err);

#endif
