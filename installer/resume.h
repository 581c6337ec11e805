/* SPDX-License-Identifier: Apache-2.0 */
/* installer/resume.h - what an interrupted run left of a release, made fit to be continued.
 */
#ifndef SF_INSTALLER_RESUME_H
#define SF_INSTALLER_RESUME_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "installer/tree.h"

/* Goes through a staging tree (sf_store_resume). A listed file is kept if it has the listed mode, is ours alone and,
 * read through the inverse map, has the listed digest: its mark in `missing` (one byte per entry) is taken away.
 * Listed directories stay. Everything else is removed: files that are not whole or wrong, links (they are made anew,
 * and cost nothing), hard links to installed releases, what is not listed. *ret_kept says how many files stayed. */
int sf_resume_tree(const struct sf_tree *tree, uint8_t *missing, size_t *ret_kept, struct sf_error *err);

#endif
