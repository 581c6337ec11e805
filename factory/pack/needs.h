/* SPDX-License-Identifier: Apache-2.0 */
/* factory/pack/needs.h - what the files of a release need from the system they will run on (release/index.h). */
#ifndef SF_FACTORY_PACK_NEEDS_H
#define SF_FACTORY_PACK_NEEDS_H

#include "base/error.h"
#include "factory/pack/compose.h"
#include "release/index.h"

/* Reads every staged ELF file: fills `libc` and `libraries`. SF_ERR_LIMIT where the names do not fit. */
int sf_needs_collect(const struct sf_compose *tree, struct sf_index_requires *ret, struct sf_error *err);

#endif
