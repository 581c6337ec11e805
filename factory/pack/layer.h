/* SPDX-License-Identifier: Apache-2.0 */
/* factory/pack/layer.h - one layer of a canonical tree as a blob: a tar file (ustar, pax records only where a name
 * needs them) in coarse zstd frames. Members start with opt/, opt/slurm/ and opt/slurm/view/; owner root:root, one
 * fixed time.
 */
#ifndef SF_FACTORY_PACK_LAYER_H
#define SF_FACTORY_PACK_LAYER_H

#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/error.h"
#include "factory/pack/frames.h"
#include "factory/pack/compose.h"

/* Frames are cut between members, once they hold MIN bytes: where the kind of file changes, or before a file that
 * would take them past MAX. Only a large file behind less than MIN makes a larger frame. Content that compresses
 * badly gains nothing from a long frame, and a node holds compressed frames whole: zstd -1 past GAUGE bytes ends a
 * frame at any length (level 19 leaves some 60 to 100 % of that). */
#define SF_FRAME_CONTENT_MIN (8ull << 20)
#define SF_FRAME_CONTENT_MAX (16ull << 20)
#define SF_FRAME_GAUGE_MAX   (4ull << 20)

struct sf_layer_blob {
        uint64_t size;
        struct sf_digest digest;  /* of the blob: its name */
        struct sf_digest diff_id; /* of the tar file inside, as OCI wants it */
        struct sf_frame_info *frames; /* owned: free() */
        size_t frame_count;
};

/* What becomes a layer: nodes first..first+count-1 of an ordered tree. Parts of one tree may be written side by
 * side. */
struct sf_layer_part {
        const char *name; /* of the layer */
        struct sf_compose *tree;
        size_t first, count;
        int64_t epoch; /* the time of every member, seconds since 1970 */
};

/* The digest of the tar file alone, diff_id, without compressing. */
int sf_layer_digest(const struct sf_layer_part *part, struct sf_digest *ret, struct sf_error *err);

/* Writes it to BLOBS/<sha256>. Each entry's `frame` becomes its frame's index in this layer. */
int sf_layer_write(const struct sf_layer_part *part, const char *blobs, struct sf_layer_blob *ret,
                   struct sf_error *err);

#endif
