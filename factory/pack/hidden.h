/* SPDX-License-Identifier: Apache-2.0 */
/* factory/pack/hidden.h - placeholders where no relocation map can reach them: inside compressed files. */
#ifndef SF_FACTORY_PACK_HIDDEN_H
#define SF_FACTORY_PACK_HIDDEN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* Looks into gzip, bzip2, xz, zstd and zip files, one level deep (a compressed tar file's members included);
 * anything else hides nothing. What can not be decoded is taken as hiding nothing: it may only look compressed. */
int sf_hidden_find(const void *data, size_t len, const char *placeholder, bool *ret, struct sf_error *err);

#endif
