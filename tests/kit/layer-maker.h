/* SPDX-License-Identifier: Apache-2.0 */
/* tests/kit/layer-maker.h - releases made in memory, honest or not: raw tar members on one side, the list on the other,
 * so that a test can let them disagree in exactly one respect.
 */
#ifndef SF_TESTS_KIT_LAYER_MAKER_H
#define SF_TESTS_KIT_LAYER_MAKER_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/stream.h"
#include "release/filelist.h"

#define MAKER_LAYERS 2
#define MAKER_PREFIX 64 /* length of the padded prefix in binaries */

/* One tar header as it goes into the layer; zero members are the usual thing. */
struct maker_member {
        const char *name; /* the whole member name */
        char type;        /* '0' file, '5' directory, '2' link, ... */
        unsigned mode;
        unsigned uid, gid;
        const char *target;
        const void *data;
        size_t size;        /* bytes that follow */
        size_t stated_size; /* what the header says; 0 = size */
};

struct maker {
        int level;                            /* of compression; 0 = zstd's default */
        struct sf_buffer tar;                 /* members of the frame being made */
        struct sf_buffer blobs[MAKER_LAYERS]; /* compressed layers */
        struct sf_filelist list;              /* made by hand; pointers are owned by the maker */
        void **pool;
        size_t pool_count;
};

void maker_free(struct maker *m);

/* The layer's tar only. */
void maker_tar(struct maker *m, const struct maker_member *member);
/* The list only. content is what the digest is computed from. */
struct sf_entry *maker_list(struct maker *m, enum sf_entry_type type, const char *path, unsigned mode,
                            const char *target, const void *content, size_t size);
/* Both, in agreement. */
void maker_directory(struct maker *m, const char *path);
struct sf_entry *maker_file(struct maker *m, const char *path, unsigned mode, const void *content, size_t size);
void maker_link(struct maker *m, const char *path, const char *target);
void maker_map(struct maker *m, struct sf_entry *entry, enum sf_map_kind kind, const uint64_t *offsets, size_t count);

void maker_layer(struct maker *m, const char *name); /* begins a layer: opt/, opt/slurm/, opt/slurm/view/ */
struct sf_frame *maker_cut(struct maker *m);         /* compresses what was added since the last cut */
struct sf_frame *maker_end_layer(struct maker *m);   /* end marker and cut */
/* The listed digests of everything in the blobs are computed: after tampering with compressed bytes, leave it away. */
void maker_seal(struct maker *m);

/* A complete honest release of two layers and five frames. */
void maker_honest(struct maker *m, const char *release);

/* open_range of struct sf_unpack for a maker as ctx. */
int maker_open_range(void *ctx, size_t layer, uint64_t offset, uint64_t length, struct sf_stream **ret,
                     struct sf_error *err);

#endif
