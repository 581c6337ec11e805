/* SPDX-License-Identifier: Apache-2.0 */
/* factory/pack/export-layers.h - the files of a built release, read from its layers one after the other. */
#ifndef SF_FACTORY_PACK_EXPORT_LAYERS_H
#define SF_FACTORY_PACK_EXPORT_LAYERS_H

#include "base/error.h"
#include "factory/pack/builds.h"
#include "release/filelist.h"

/* Called for each entry in the list's order; a directory that several layers have comes once. content is the file's
 * canonical content (entry->size bytes), checked against entry->digest; NULL unless it is a file with content. */
typedef int sf_export_member_fn(void *ctx, const struct sf_entry *entry, const void *content, struct sf_error *err);
/* SF_ERR_CORRUPT where a layer is not what the list says. */
int sf_export_members(const struct sf_build *build, const struct sf_filelist *list, sf_export_member_fn *put, void *ctx,
                      struct sf_error *err);

#endif
