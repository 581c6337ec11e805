/* SPDX-License-Identifier: Apache-2.0 */
/* installer/unpack.h - layers to files: one pass from the fetched bytes to a relocated tree.
 *
 * Directories and symbolic links come straight from the signed list. Then, frame by frame, the digest is checked, the
 * frame decoded and its tar members walked in lock-step with the list. A member that is not the next listed entry in
 * every respect (path, type, mode, owner, size, target) ends the install before it touches the disk. Content is hashed
 * in canonical form before it is written, or for frames that do not fit into memory while it is, and relocated on its
 * way. The calling thread fetches; decoders work on whole frames beside it, a writer (installer/direct_writer.h) beside
 * them.
 *
 * Memory: each decoder holds its window: the content of a frame up to 32 MiB, for larger ones what zstd's frame header
 * asks for, at most 128 MiB. Beside the windows there are SF_UNPACK_QUEUE bytes of compressed frames, which leave it as
 * soon as they are decoded (a frame that is larger itself waits in a nameless file of the staging directory), and for
 * each thread what libarchive, zstd and a file that is being relocated need, some 200 KiB.
 */
#ifndef SF_INSTALLER_UNPACK_H
#define SF_INSTALLER_UNPACK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/stream.h"
#include "installer/tree.h"
#include "release/filelist.h"

#define SF_UNPACK_QUEUE (27u << 18) /* bytes, 6.75 MiB: as a rule two of the factory's frames */

/* A run of neighbouring frames, fetched in one request. */
struct sf_unpack_range {
        uint32_t layer;
        size_t first_frame, frame_count; /* indices into list->frames */
        uint64_t offset, length;         /* bytes of the layer's blob */
};

struct sf_unpack {
        struct sf_tree tree; /* list, descriptor of the staging directory, prefixes */
        /* Opens bytes [offset, offset + length) of a layer; called from the calling thread, one stream at a time. A
         * full unpack asks once per layer, for all of it; so does another one after the answer SF_ERR_UNSUPPORTED. */
        int (*open_range)(void *ctx, size_t layer, uint64_t offset, uint64_t length, struct sf_stream **ret,
                          struct sf_error *err);
        void *ctx;
        /* Told the compressed bytes received so far, from the calling thread; may be NULL. */
        void (*progress)(void *ctx, uint64_t done);
        /* Told, from when everything is received until it is unpacked, how many bytes of how many the files have: ten
         * times a second or more, from the calling thread; may be NULL. */
        void (*unpacked)(void *ctx, uint64_t done, uint64_t total);
        unsigned threads;      /* decoders; 0 = as many as there are processors, at most 8 */
        const uint8_t *wanted; /* one byte per entry, non-zero = to be written; NULL = all. See installer/reuse.h */
        bool replace;          /* repair of a visible tree: files are written beside, synced and renamed */
};

/* Blocks and inodes that the wanted entries need (one byte per entry; NULL = all), checked against the file system
 * of dirfd. SF_ERR_NO_SPACE names what is missing and how much. */
int sf_unpack_check_space(const struct sf_filelist *list, const uint8_t *wanted, int dirfd, struct sf_error *err);

/* A prefix that does not fit: SF_ERR_NO_FIT, by name and length, before anything is fetched. */
int sf_unpack_check_prefix(const struct sf_filelist *list, const char *installed_prefix, struct sf_error *err);

/* The ranges that hold the wanted files, in order, joined as transport/ranges.h says. *ret is one allocation (free());
 * *ret_bytes is their sum, never more than all layers. wanted NULL = everything:
 * one range per layer. */
int sf_unpack_plan(const struct sf_filelist *list, const uint8_t *wanted, struct sf_unpack_range **ret,
                   size_t *ret_count, uint64_t *ret_bytes, struct sf_error *err);

/* True where a wanted file lies in the frame (with wanted NULL: always). */
bool sf_unpack_frame_wanted(const struct sf_filelist *list, size_t frame, const uint8_t *wanted);

/* All directories and links of the list, in an empty tree: what sf_unpack_run begins with, for those who fill a tree by
 * other means (installer/reuse.h, deltas). */
int sf_unpack_skeleton(const struct sf_tree *tree, struct sf_error *err);

/* Unpacks everything that is wanted. On error the staging directory holds a part that the caller removes. Files are
 * written, not yet synced (sf_store_commit does that). What is checked are frames and files, not the digest of a
 * whole layer. */
int sf_unpack_run(const struct sf_unpack *unpack, struct sf_error *err);

#endif
