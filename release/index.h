/* SPDX-License-Identifier: Apache-2.0 */
/* release/index.h - the releases on offer for one toolchain and architecture: the TUF target
 * index/<toolchain>-<arch>.json, signed by the `releases` role. It names everything else by digest.
 *
 *     { "index": 1, "toolchain": "bookworm", "arch": "amd64",
 *       "releases": [ { "name": "24.11.5-bookworm-amd64", "created": "2026-11-23T12:00:00Z",
 *                       "tree": "<sha256 of the file list's text>", "download": 5000000, "installed": 24000000,
 *                       "unit": "notify",
 *                       "requires": {"libc": "2.34", "cpu": "x86-64", "libraries": ["libc.so.6", "libssl.so.3"]},
 *                       "manifest": {"sha256": "...", "size": 1234}, "filelist": {"sha256": "...", "size": 20000},
 *                       "sbom": {"sha256": "...", "size": 9000}, "provenance": {"sha256": "...", "size": 7000},
 *                       "deltas": [ {"from": "<tree digest>", "codec": "elf", "memory": 90000000,
 *                                    "filelist": {"sha256": "...", "size": 4000},
 *                                    "content": {"sha256": "...", "size": 24060}} ] } ] }
 *
 * Unknown members are ignored, so that older agents read newer indexes; a higher "index" number is refused.
 */
#ifndef SF_RELEASE_INDEX_H
#define SF_RELEASE_INDEX_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/digest.h"
#include "base/error.h"
#include "release/version.h"

/* A blob under blobs/sha256/. */
struct sf_blob {
        struct sf_digest digest;
        uint64_t size;
};

struct sf_index_delta {
        struct sf_digest from;   /* tree digest of the release it starts from */
        char codec[24];          /* the codec of the content, see delta/container.h */
        uint64_t memory;         /* bytes the decoder needs beyond the two trees' changed files */
        struct sf_blob filelist; /* patch: the old file list's text -> the new one's (zstd with prefix) */
        struct sf_blob content;  /* container: the changed and added files */
};

/* What a node must have, as far as it is known. */
struct sf_index_requires {
        char libc[16];        /* the newest version of glibc's symbols that a file of the release needs; "" = unknown */
        char cpu[16];         /* the psABI's level, "x86-64-v2", or "armv8-a"; "" = unknown */
        char agent[64];       /* the oldest sf-node that understands the release; "" = any */
        char libraries[8192]; /* names of shared libraries that are not in the release, single spaces between them */
};

struct sf_index_release {
        struct sf_release_name name;
        char created[32];      /* RFC 3339, UTC */
        struct sf_digest tree; /* tree digest, see filelist.h */
        uint64_t download;     /* bytes of all layers */
        uint64_t installed;    /* bytes of all files */
        char unit[16];         /* slurmd's unit Type: "notify" or "simple" */
        struct sf_index_requires requires;
        struct sf_blob manifest;       /* OCI image manifest */
        struct sf_blob filelist;       /* zstd frame of the file list */
        struct sf_blob sbom;           /* SPDX 2.3 JSON; size 0 = none */
        /* in-toto statement: as it is in a build, in a DSSE envelope in a repository; size 0 = none */
        struct sf_blob provenance;
        struct sf_index_delta *deltas; /* owned */
        size_t delta_count;
};

struct sf_index {
        char toolchain[48];
        char arch[16];
        struct sf_index_release *releases; /* owned; newest first */
        size_t release_count;
};

#define SF_INDEX_TEXT_MAX (4u << 20)

int sf_index_parse(const char *name, const void *text, size_t len, struct sf_index *ret, struct sf_error *err);
/* Compact JSON with sorted members and releases, one LF at the end: the same index always gives the same bytes. */
int sf_index_write(const struct sf_index *index, struct sf_buffer *ret, struct sf_error *err);
void sf_index_free(struct sf_index *index);

/* Adds a copy, replacing the release of the same name. */
int sf_index_put(struct sf_index *index, const struct sf_index_release *release, struct sf_error *err);
/* Takes the release of this name out, if there is one. Pointers to releases of the index are void after. */
void sf_index_remove(struct sf_index *index, const char *name);
const struct sf_index_release *sf_index_find(const struct sf_index *index, const char *name);
/* The release that `wanted` means (sf_release_name_choose). */
int sf_index_choose(const struct sf_index *index, const char *wanted, const struct sf_index_release **ret,
                    struct sf_error *err);

#endif
