/* SPDX-License-Identifier: Apache-2.0 */
/* factory/build/extract.h - unpacks a source archive (tar in any compression libarchive knows). */
#ifndef SF_FACTORY_BUILD_EXTRACT_H
#define SF_FACTORY_BUILD_EXTRACT_H

#include <stdint.h>

#include "base/error.h"

/* Unpacks into an existing directory, without the single top directory that source archives have. Members that would
 * leave the directory are refused. only = "3rd-party/x" takes just what lies below that directory of the archive and
 * drops its name too; "" takes all. Times are kept: make decides by them. *ret_epoch is the time of the newest
 * member, the SOURCE_DATE_EPOCH of builds from it. */
int sf_extract(const char *archive, const char *directory, const char *only, int64_t *ret_epoch, struct sf_error *err);

#endif
