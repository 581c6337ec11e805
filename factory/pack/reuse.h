/* SPDX-License-Identifier: Apache-2.0 */
/* factory/pack/reuse.h - layers that another build in the same directory has already compressed.
 *
 * Compressing takes most of the time of packing, and of two versions of Slurm on one toolchain only the layer `slurm`
 * differs. A build notes beside its blobs, in the text file `packed`, how its layers were compressed and what is in
 * them:
 *
 *     sf-packed 1 zstd 1.5.4              the way of cutting and compressing frames: another line, other bytes
 *     layer deps <diff-id> <sha256>       digests of the tar file and of the blob that it was compressed to
 *
 * Equal tar files that were compressed in the same way are equal blobs: taking one changes nothing but the time.
 */
#ifndef SF_FACTORY_PACK_REUSE_H
#define SF_FACTORY_PACK_REUSE_H

#include "base/buffer.h"
#include "base/digest.h"
#include "base/error.h"
#include "factory/pack/layer.h"

#define SF_REUSE_FILE "packed"

/* Appends the first line of `packed` as it stands for this program. */
int sf_reuse_describe(struct sf_buffer *ret, struct sf_error *err);
/* Appends the line of one layer. */
int sf_reuse_note(struct sf_buffer *ret, const char *layer, const struct sf_layer_blob *blob, struct sf_error *err);

/* Looks through BUILDS/<release> for a layer of part's name whose tar file has part's diff_id, and copies it to
 * BLOBS/<sha256>. It is decompressed and compared with diff_id first. 1 with *ret and the entries' frames set as
 * sf_layer_write sets them, or 0: there is none, or it could not be read, which the caller compresses anew. */
int sf_reuse_layer(const char *builds, const struct sf_layer_part *part, const struct sf_digest *diff_id,
                   const char *blobs, struct sf_layer_blob *ret);

#endif
