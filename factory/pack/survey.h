/* SPDX-License-Identifier: Apache-2.0 */
/* factory/pack/survey.h - what a site should know about the tree it imports: what a release does not carry, and what
 * it had better not. Told through sf_compose_note and sf_compose_finding.
 */
#ifndef SF_FACTORY_PACK_SURVEY_H
#define SF_FACTORY_PACK_SURVEY_H

#include <sys/stat.h>

#include "base/buffer.h"
#include "base/error.h"
#include "factory/pack/compose.h"

/* One file as it lies in the site's tree: set-id bits and capabilities are not part of a release, nor are
 * permissions that keep others from reading; keys and passwords are a finding. */
void sf_survey_file(struct sf_compose *tree, int dirfd, const char *name, const char *path, mode_t mode);

/* One canonical file with its map: whether Slurm looks for slurm.conf inside the prefix. */
void sf_survey_content(struct sf_compose *tree, const char *path, const struct sf_buffer *content,
                       const struct sf_map *map);

/* The whole tree, sorted by path or not: names that differ in case only, names that are not UTF-8, no slurmd. */
int sf_survey_tree(struct sf_compose *tree, struct sf_error *err);

#endif
