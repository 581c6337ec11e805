/* SPDX-License-Identifier: Apache-2.0 */
/* rpath/lint.h - what must not be in a tree that is to run at any prefix.
 *
 * Looks at trees as they were built (or already localized, see runpath.h) and reports: a RUNPATH element outside the
 * prefix, relative to the working directory, or leaving the tree from $ORIGIN; a fragment of the placeholder that no
 * relocation map would hold; a symbolic link that is absolute or may lead out of the tree; a DT_NEEDED that neither the
 * file's own RUNPATH inside the tree nor the host's library directories resolve (unless the host is unknown); an ELF
 * file that can not be read; a plugin that is bound at once when it is loaded (-z now) and needs what only one of
 * the daemons has.
 */
#ifndef SF_RPATH_LINT_H
#define SF_RPATH_LINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* All borrowed, and valid until sf_lint_close. */
struct sf_lint_options {
        const char *prefix;       /* what the files were built for: the placeholder, no slash at its end */
        const char *canonical;    /* what a relocation map has put in its place: also the prefix; NULL = nothing */
        const char *const *trees; /* directories that together make the prefix: where libraries are looked for */
        size_t tree_count;
        const char *sysroot; /* where the host's libraries are: NULL = this machine */
        bool foreign;        /* built for a system that is not at hand: nobody can say which libraries it has */
        /* Told each finding: the path relative to its tree, and the reason in one line. */
        void (*finding)(void *ctx, const char *path, const char *reason);
        void *ctx;
};

struct sf_lint; /* opaque */

int sf_lint_open(const struct sf_lint_options *options, struct sf_lint **ret, struct sf_error *err);
void sf_lint_close(struct sf_lint *lint);

/* One file's content, which need not be what lies on the disk. Returns the number of findings, or an error that has
 * nothing to do with the file. */
int sf_lint_file(struct sf_lint *lint, const char *path, const void *data, size_t len, struct sf_error *err);
/* Everything in all trees; returns like sf_lint_file. */
int sf_lint_trees(struct sf_lint *lint, struct sf_error *err);

#endif
