/* installer/unpack.h - layers to files: one pass from the fetched bytes to a relocated tree.
 *
 * For each layer in order: frame by frame, check its digest, decode, and walk the tar members in lock-step with the signed
 * file list. A member that is not the next listed entry in every respect (path, type, mode, size, target) ends the
 * install before it touches the disk. Content is hashed in canonical form and relocated as it is written.
 */
#ifndef SF_INSTALLER_UNPACK_H
#define SF_INSTALLER_UNPACK_H

#include <stdint.h>

#include "base/error.h"
#include "base/stream.h"
#include "release/filelist.h"

struct sf_unpack {
        const struct sf_filelist *list;
        int dirfd;                    /* empty staging directory */
        const char *installed_prefix; /* what files will say: PREFIX/releases/<directory> */
        const char *view_prefix;      /* PREFIX/view */
        /* Opens layer `index` from byte `offset` to its end. Called once per layer (offset 0). */
        int (*open_layer)(void *ctx, size_t index, uint64_t offset, struct sf_stream **ret, struct sf_error *err);
        void *ctx;
        /* Told the compressed bytes consumed so far; may be NULL. */
        void (*progress)(void *ctx, uint64_t done);
        unsigned threads;             /* decoders; 0 = as many as there are processors, at most 8 */
};

/* Blocks and inodes that a full unpack of the list needs, checked against the file system of dirfd.
 * SF_ERR_NO_SPACE names what is missing and how much. */
int sf_unpack_check_space(const struct sf_filelist *list, int dirfd, struct sf_error *err);

/* A prefix that does not fit: SF_ERR_NO_FIT, by name and length, before anything is fetched. */
int sf_unpack_check_prefix(const struct sf_filelist *list, const char *installed_prefix, struct sf_error *err);

/* Unpacks everything. On error the staging directory holds a part that the caller removes. Files are written, not yet
 * synced (sf_store_commit does that). */
int sf_unpack_run(const struct sf_unpack *unpack, struct sf_error *err);

#endif
