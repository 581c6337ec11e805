/* SPDX-License-Identifier: Apache-2.0 */
/* factory/build/extract.h - unpacks a source archive (tar in any compression libarchive knows). */
#ifndef SF_FACTORY_BUILD_EXTRACT_H
#define SF_FACTORY_BUILD_EXTRACT_H

#include <stdint.h>

#include "base/error.h"

/* Unpacks into an existing directory, without the single top directory that source archives have. Members that would
 * leave the directory are refused. Times are kept: make decides by them. *ret_epoch is the time of the newest member,
 * the SOURCE_DATE_EPOCH of builds from it. */
int sf_extract(const char *archive, const char *directory, int64_t *ret_epoch, struct sf_error *err);

#endif
