/* SPDX-License-Identifier: Apache-2.0 */
/* factory/pack/static_archive.h - static libraries (ar(5)) that a tree brings along. Their debug information holds
 * paths and changes with every build, which makes deltas large.
 */
#ifndef SF_FACTORY_PACK_STATIC_ARCHIVE_H
#define SF_FACTORY_PACK_STATIC_ARCHIVE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"
#include "base/error.h"

enum sf_static_archive { SF_STATIC_KEEP, SF_STATIC_STRIP, SF_STATIC_DROP };

/* "keep", "strip", "drop"; else SF_ERR_USAGE. */
int sf_static_archive_parse(const char *text, enum sf_static_archive *ret, struct sf_error *err);

bool sf_static_archive_is(const void *data, size_t len);
bool sf_static_archive_has_debug(const void *data, size_t len);

/* Takes the debug information out, with binutils' strip. `scratch` is a path at which a file may be made and is
 * removed again. */
int sf_static_archive_strip(const char *path, const char *scratch, struct sf_buffer *content, struct sf_error *err);

#endif
