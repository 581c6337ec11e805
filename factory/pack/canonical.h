/* SPDX-License-Identifier: Apache-2.0 */
/* factory/pack/canonical.h - one built file into canonical form: what lies in a layer, plus the map of where it says
 * the prefix.
 *
 * RUNPATH entries become $ORIGIN-relative; each remaining placeholder becomes SF_CANONICAL_PREFIX, padded with slashes
 * to the placeholder's length in binaries and as it is in texts (see release/filelist.h and rpath/relocate.h).
 */
#ifndef SF_FACTORY_PACK_CANONICAL_H
#define SF_FACTORY_PACK_CANONICAL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"
#include "base/error.h"
#include "release/filelist.h"

/* How a file's prefix is substituted where it has one: SF_MAP_BINARY for ELF files and whatever is not valid UTF-8
 * text, SF_MAP_VIEW for texts that outlive a release (compiler wrappers, .pc files, systemd units), SF_MAP_TEXT for
 * the others. `path` is relative to the prefix. A script is a text whatever it holds: the kernel cannot run a padded
 * "#!" line. */
enum sf_map_kind sf_canonical_kind(const char *path, const void *data, size_t len);

struct sf_canonical_rules {
        /* Whether a directory of the release holds a library (runpath.h). NULL = every element stays. */
        bool (*holds)(void *ctx, const char *directory, const char *library);
        /* Told of each RUNPATH element that was dropped because it is one of the dynamic linker's own directories;
         * may be NULL. */
        void (*dropped)(void *ctx, const char *element, size_t len);
        void *ctx;
};

/* Rewrites *content in place. ret_map->offsets is owned by the caller (free()); kind SF_MAP_NONE where nothing was
 * found. SF_ERR_NO_FIT where the placeholder is shorter than the canonical prefix. */
int sf_canonical_make(const char *path, const char *placeholder, struct sf_buffer *content,
                      const struct sf_canonical_rules *rules, struct sf_map *ret_map, struct sf_error *err);

#endif
