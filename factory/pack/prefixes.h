/* SPDX-License-Identifier: Apache-2.0 */
/* factory/pack/prefixes.h - the prefixes that one tree was built for.
 *
 * A Spack view holds packages of which each was built for a prefix of its own:
 * "<root>/<architecture>/<name>-<version>-<hash of 32 base32 characters>" (Spack, "Install tree"). A release has one
 * prefix. The shortest of them becomes the placeholder; each other one is replaced by it, in binaries padded with
 * slashes to the same length. What follows (canonical.h) then knows the one placeholder only.
 */
#ifndef SF_FACTORY_PACK_PREFIXES_H
#define SF_FACTORY_PACK_PREFIXES_H

#include <stddef.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/words.h"

/* Absolute paths without a slash at the end, each once, the longest first; the last is the placeholder. */
struct sf_prefixes {
        struct sf_words words;
};

/* Adds a prefix that is not known yet. */
int sf_prefixes_add(struct sf_prefixes *prefixes, const char *prefix, size_t len, struct sf_error *err);
/* Adds every Spack prefix that the bytes hold. */
int sf_prefixes_find_spack(struct sf_prefixes *prefixes, const void *data, size_t len, struct sf_error *err);
/* Adds every Spack prefix that the files of a tree hold, and those of the files that its symbolic links lead to. */
int sf_prefixes_find_spack_in_tree(struct sf_prefixes *prefixes, const char *directory, struct sf_error *err);
/* The placeholder; NULL while there is no prefix. */
const char *sf_prefixes_placeholder(const struct sf_prefixes *prefixes);
/* What follows one of the prefixes in an absolute path (link.h, sf_link_below), else NULL. */
const char *sf_prefixes_below(const struct sf_prefixes *prefixes, const char *path);

/* Replaces each prefix by the placeholder. A script that starts another script by Spack's "sbang", which lies
 * outside of the tree, gets the "#!" line behind it: it was too long for the kernel only where it was built. */
int sf_prefixes_unify(const struct sf_prefixes *prefixes, const char *path, struct sf_buffer *content,
                      struct sf_error *err);

void sf_prefixes_free(struct sf_prefixes *prefixes);

#endif
