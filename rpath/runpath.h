/* SPDX-License-Identifier: Apache-2.0 */
/* rpath/runpath.h - DT_RUNPATH and DT_RPATH entries rewritten relative to $ORIGIN, in place, without moving a byte.
 *
 * ld.so(8) expands $ORIGIN to the directory of the object, so such a file works at every prefix and needs no relocation
 * map. The new string is never longer than the old one, the room left over is cleared, and strings that the linker
 * merged into the old one's tail (.dynstr suffix merging) are left intact.
 */
#ifndef SF_RPATH_RUNPATH_H
#define SF_RPATH_RUNPATH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

enum sf_runpath_place {
        SF_RUNPATH_INSIDE,   /* a directory of the tree: below the prefix, or below $ORIGIN and in the tree */
        SF_RUNPATH_FOREIGN,  /* anywhere else, or not to be told ($LIB, $PLATFORM) */
        SF_RUNPATH_RELATIVE, /* empty or without a leading slash: ld.so takes it from the process's working directory */
};

/* Where one element of a RUNPATH of the file `path` (relative to the prefix) points. For INSIDE, appends the directory
 * relative to the prefix to ret_directory; ".." stays in it as it is written ("" = the prefix itself). */
int sf_runpath_resolve(const char *element, size_t len, const char *path, const char *prefix,
                       enum sf_runpath_place *ret_place, struct sf_buffer *ret_directory, struct sf_error *err);

/* What becomes of a file's search lists. */
struct sf_runpath_rules {
        bool drop_foreign; /* elements outside the prefix go (an empty list is "", which ld.so ignores) */
        /* Elements that are directories of the dynamic linker's own (ld.so(8): /lib, /usr/lib, and /lib64,
         * /usr/lib64 or Debian's multiarch directories) go: they are searched last in any case. */
        bool drop_default;
        void (*dropped)(void *ctx, const char *element, size_t len); /* told of each such one; may be NULL */
        /* Tells whether a directory, relative to the prefix, holds a library. Elements inside the prefix whose
         * directory holds nothing that the file needs (DT_NEEDED) go: ld.so would also search them for modules of
         * others that the file loads. NULL = all stay. */
        bool (*holds)(void *ctx, const char *directory, const char *library);
        void *ctx;
        /* DT_RPATH: searched before LD_LIBRARY_PATH, also for what the file's libraries need. DT_RUNPATH: after it, for
         * the file alone. 0 = as it is. */
        int64_t tag;
};

/* Whether an element is one of those directories. */
bool sf_runpath_is_default(const char *element, size_t len);

/* Rewrites every element of every RUNPATH/RPATH of the file in `data` that lies in `prefix` (an element equal to it
 * or below it; no slash at its end). `path` is the file's own path relative to the prefix
 * ("lib/slurm/auth_munge.so"), also used in errors. An element that stands in the list twice is kept once. Elements
 * that do not lie inside the prefix are dropped where drop_foreign says so (an empty list is the empty string, which
 * ld.so ignores). A string stays as it is where it can not be rewritten in place: the new one is longer (a very
 * short prefix), or something else uses the same bytes. It then holds the prefix and is found by sf_relocate_find
 * like any other. Returns the number of dynamic entries changed (0 for a file that is not ELF or not dynamic), or an
 * error. */
int sf_runpath_localize(uint8_t *data, uint64_t size, const char *path, const char *prefix, int drop_foreign,
                        struct sf_error *err);
/* The same by rules. Where a file has both kinds of list, the RUNPATH, which counts, also becomes the other's. */
int sf_runpath_apply(uint8_t *data, uint64_t size, const char *path, const char *prefix,
                     const struct sf_runpath_rules *rules, struct sf_error *err);

#endif
