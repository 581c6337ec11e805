/* SPDX-License-Identifier: Apache-2.0 */
/* delta/container.h - a content delta as it lies in a repository: which files it rebuilds, from what, and how.
 *
 * Both ends hold both file lists, so the container names no path and carries no digest of a file. The *changed set* is
 * derived: the digests of the new list's files that no file of the old list has, each represented by its first entry.
 * The *bases* are the old files that the delta needs; nothing else of the old tree is read.
 *
 *     "SFD" 0x02                    magic and version
 *     codec name                    length (1 byte) and as many bytes of [a-z0-9-]
 *     binding                       the first 8 bytes of SHA-256(tree digest of old, tree digest of new)
 *     plan length                   4 bytes, little-endian
 *     plan                          order and ancestors, see delta/change_set.h
 *     patch                         to the end, the codec's own
 */
#ifndef SF_DELTA_CONTAINER_H
#define SF_DELTA_CONTAINER_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "release/filelist.h"

#define SF_DELTA_CODEC_NAME_MAX 16

/* What a container says before anything is decoded. */
struct sf_delta_info {
        char codec[SF_DELTA_CODEC_NAME_MAX + 1];
        uint64_t memory;     /* bytes decoding needs, contents included */
        uint64_t old_size;   /* bytes of old files that will be read */
        uint64_t new_size;   /* bytes that will be rebuilt */
};

/* How apply reaches the installed tree and hands over what it rebuilt. */
struct sf_delta_io {
        /* Appends the canonical content of an old file (checked by the callee: sf_tree_read does). */
        int (*read)(void *ctx, const struct sf_entry *old_entry, struct sf_buffer *ret, struct sf_error *err);
        /* Takes one rebuilt file, its digest already checked. Called once for every entry of the new list whose
         * digest is in the changed set, in the order of the list. data is valid during the call. */
        int (*write)(void *ctx, const struct sf_entry *new_entry, const uint8_t *data, size_t len,
                     struct sf_error *err);
        void *ctx;
};

/* Reads the header and the plan. SF_ERR_CORRUPT where the blob is not a delta between these two lists,
 * SF_ERR_UNSUPPORTED for a codec or version this program does not know. */
int sf_delta_inspect(const struct sf_filelist *old, const struct sf_filelist *new, const void *blob, size_t len,
                     struct sf_delta_info *ret, struct sf_error *err);

/* The entries of the old list that applying would read; *ret is the caller's. Errors as above. */
int sf_delta_bases(const struct sf_filelist *old, const struct sf_filelist *new, const void *blob, size_t len,
                   size_t **ret, size_t *ret_count, struct sf_error *err);

/* Rebuilds the changed set. memory_budget in bytes (0 = no limit): SF_ERR_NOMEM before anything is read where the
 * delta needs more. Every rebuilt content is compared with its digest before any is written: SF_ERR_CORRUPT names
 * the path. */
int sf_delta_apply(const struct sf_filelist *old, const struct sf_filelist *new, const void *blob, size_t len,
                   uint64_t memory_budget, const struct sf_delta_io *io, struct sf_error *err);

/* Puts magic, codec, binding and plan in front of a codec's patch. */
struct sf_change_set;
int sf_delta_wrap(const struct sf_filelist *old, const struct sf_filelist *new, const struct sf_change_set *plan,
                  const char *codec, const struct sf_buffer *patch, struct sf_buffer *ret, struct sf_error *err);

#endif
