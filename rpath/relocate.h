/* SPDX-License-Identifier: Apache-2.0 */
/* rpath/relocate.h - finding, applying and inverting a file's relocation map.
 *
 * Built files say a placeholder; the factory turns it into the canonical prefix (/opt/slurm/view, padded with slashes
 * to the placeholder's length in binaries) and records where. A node replaces it by the release's own directory at
 * those offsets, without searching. Same length with slash padding in binaries: compilers fold string lengths into
 * code, so a shorter string with NUL padding breaks real programs. Text files change their length.
 */
#ifndef SF_RPATH_RELOCATE_H
#define SF_RPATH_RELOCATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

#define SF_PLACEHOLDER_MIN 256 /* below this gcc may expand copies of a literal into constants that no search finds */

/* Finds every occurrence of the placeholder in data. *ret_offsets is allocated (free()), positions in the given bytes,
 * ascending; NULL when there are none. Returns 0. */
int sf_relocate_find(const void *data, size_t len, const char *placeholder, uint64_t **ret_offsets, size_t *ret_count,
                     struct sf_error *err);

/* The leftover fragment with the lowest offset: any 8-byte window of the placeholder's unique part outside the
 * listed occurrences (a compiler may have cut a copy of the string into constants that no search for the whole
 * finds). The unique part starts at the first path component of at least 32 characters; a placeholder without one
 * (the prefix of an imported tree) has no fragment. Returns 1 and *ret_offset when there is one, 0 when not, or
 * SF_ERR_NOMEM. */
int sf_relocate_find_fragment(const void *data, size_t len, const char *placeholder, const uint64_t *offsets,
                              size_t count, uint64_t *ret_offset);

/* One substitution: what stands in the canonical content and what in the relocated one. */
struct sf_relocation {
        const uint64_t *offsets; /* in the canonical content, ascending */
        size_t count;
        const char *from; /* canonical string: in binaries padded to its full length, in text as it is; not empty */
        size_t from_len;
        const char *to;          /* installed string: in binaries padded to from_len; not empty */
        size_t to_len;           /* == from_len in binaries */
};

/* Pads `prefix` with slashes to `length` bytes into out (length + 1 bytes). SF_ERR_NO_FIT names prefix and both
 * lengths. */
int sf_relocate_pad(const char *prefix, size_t length, char *out, struct sf_error *err);

/* Size of the relocated content for a canonical size, and the other way round. */
uint64_t sf_relocated_size(const struct sf_relocation *relocation, uint64_t canonical_size);

/* A streaming substitution: canonical bytes go in, relocated bytes come out, or the reverse. State is a few words:
 * bytes are checked (what stands at an offset must be the expected string, else SF_ERR_CORRUPT) and replaced as they
 * pass. */
struct sf_relocator {
        const struct sf_relocation *relocation;
        bool inverse;       /* false: canonical -> relocated */
        uint64_t position;  /* bytes consumed */
        size_t next;        /* next occurrence */
        size_t matched;     /* bytes of the current occurrence already checked */
};

void sf_relocator_start(struct sf_relocator *r, const struct sf_relocation *relocation, bool inverse);
/* Consumes len bytes and appends what comes out to ret. `name` is for errors. */
int sf_relocator_feed(struct sf_relocator *r, const char *name, const void *bytes, size_t len, struct sf_buffer *ret,
                      struct sf_error *err);
/* SF_ERR_CORRUPT where the content ended before the last occurrence. */
int sf_relocator_finish(const struct sf_relocator *r, const char *name, struct sf_error *err);

/* In-place form for binaries (from_len == to_len): data is the whole file. Nothing is changed on error. */
int sf_relocate_in_place(uint8_t *data, size_t len, const char *name, const struct sf_relocation *relocation,
                         bool inverse, struct sf_error *err);

#endif
