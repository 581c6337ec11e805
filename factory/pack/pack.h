/* SPDX-License-Identifier: Apache-2.0 */
/* factory/pack/pack.h - from built trees to a release: a directory that holds every blob and all that publish needs to
 * know.
 *
 *     BUILDS/<release>/release.json          an index (release/index.h) with this one release: the entry publish adds
 *     BUILDS/<release>/filelist              text of the file list (release/filelist.h), for people and for deltas
 *     BUILDS/<release>/blobs/sha256/<hex>    layers (tar+zstd), file list (zstd), OCI config, OCI manifest,
 *                                            bill of materials (SPDX), provenance statement (in-toto)
 *
 * The same trees and options always give the same bytes, whatever the files' times, owners, modes or inode order.
 * The release directory appears complete or not at all; an older one of the same name is replaced.
 */
#ifndef SF_FACTORY_PACK_PACK_H
#define SF_FACTORY_PACK_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "factory/pack/leave_out.h"
#include "factory/pack/prefixes.h"
#include "factory/pack/static_archive.h"
#include "release/index.h"

struct sf_pack_layer {
        const char *name;      /* "deps", "slurm" */
        const char *directory; /* holds the prefix's contents (bin, lib, ...), built for the placeholder; only read */
};

struct sf_pack {
        const struct sf_release_name *name;
        /* In unpacking order: deps first. What a later tree shares with an earlier one (same path, same canonical
         * content) is left out of the later layer, so the second directory may well be the whole prefix. The same path
         * with another content is a finding. */
        const struct sf_pack_layer *layers;
        size_t layer_count;
        const char *placeholder; /* the prefix the trees were built for, at least SF_PLACEHOLDER_MIN characters */
        /* The prefixes of a tree that was built for several, the placeholder being the last; NULL = only that one. */
        const struct sf_prefixes *prefixes;
        struct sf_leave_out *leave_out; /* NULL = everything is taken (import) */
        enum sf_static_archive static_archives;
        bool force;        /* accept a shorter placeholder, and only warn of what rpath/lint.h finds (import --force) */
        bool follow_links; /* symbolic links that leave their tree are replaced by what they point to (import) */
        const char *agent; /* the oldest sf-node that understands it (release/index.h); NULL = SF_AGENTS_NEEDED */
        const char *cpu;   /* the least processor (release/index.h); NULL = not known */
        const char *sysroot; /* the system it was built in, whose libraries are looked at; NULL = this machine, where
                                  * its name fits */
        const char *builds;  /* directory of releases, made where missing: CACHE/builds */
        int64_t epoch;       /* time stamp of members and of the OCI config: sf_pack_epoch() */
        /* Text of the bill of materials; NULL = none. */
        const struct sf_buffer *sbom;
        /* Appends the provenance statement of the finished release: its manifest and layers are known. NULL = none. */
        int (*describe)(void *ctx, const struct sf_index_release *release, struct sf_buffer *ret, struct sf_error *err);
        void *describe_ctx;
        /* Told every reason to refuse, one line each without LF; may be NULL. */
        void (*finding)(void *ctx, const char *text);
        /* Told what is worth a line but no reason to refuse (import); may be NULL. */
        void (*note)(void *ctx, const char *text);
        void *finding_ctx;
};

struct sf_pack_result {
        char *directory;    /* BUILDS/<release>, owned: free with sf_pack_result_free */
        uint64_t download;  /* bytes of all layers */
        uint64_t installed; /* bytes of all files */
        size_t file_count;
        size_t relocated; /* files with a relocation map */
        size_t frame_count;
};

/* Canonicalizes, lints, packs. Findings make it fail with SF_ERR_CORRUPT ("N findings", after all were reported); a
 * short placeholder is SF_ERR_USAGE. ret may be NULL. */
int sf_pack_release(const struct sf_pack *pack, struct sf_pack_result *ret, struct sf_error *err);
void sf_pack_result_free(struct sf_pack_result *result);

/* SOURCE_DATE_EPOCH where it is set and a number, else 0. */
int64_t sf_pack_epoch(void);

#endif
