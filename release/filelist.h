/* SPDX-License-Identifier: Apache-2.0 */
/* release/filelist.h - the signed list of what a release consists of.
 *
 * One text file per release, stored as a zstd blob. Lines end in LF, fields are separated by one space, the path comes
 * last and runs to the end of the line. The order of entries is the order of members in the layers' tar files, so that
 * unpacking walks both in lock-step and nothing unlisted can slip in.
 *
 *     sf-filelist 1
 *     release 24.11.5-bookworm-amd64
 *     prefix 288                          length of the prefix string inside binaries, in bytes
 *     layer deps <size> <sha256>          compressed blob; the layers in unpacking order
 *     frame <size> <content-size> <sha256> one zstd frame: compressed bytes, decoded tar bytes, digest of the former
 *     d 0755 bin
 *     f 0755 <size> <sha256> - bin/srun
 *     f 0755 <size> <sha256> b:1a20,130 lib/libslurmfull.so       see struct sf_map
 *     l <link-target-length> <target> <path>
 *
 * Sizes, counts and offsets are decimal except in maps. A directory may appear once per layer (with the same mode),
 * everything else exactly once; every entry lies in a directory listed before it. No entry is writable for everybody,
 * and links follow sf_path_link_stays. Each frame decodes to whole tar members; the first frame of a layer starts with
 * the members opt/, opt/slurm/ and opt/slurm/view/, the last one ends with the tar end marker. Neither is listed. The
 * SHA-256 of the text is the *tree digest*: the identity of a release's content.
 */
#ifndef SF_RELEASE_FILELIST_H
#define SF_RELEASE_FILELIST_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buffer.h"
#include "base/digest.h"
#include "base/error.h"

/* Where a file says the prefix. Offsets are byte positions in the canonical content, strictly ascending, and no
 * occurrence overlaps the next. In the text: a kind letter, ':', then each offset as the hexadecimal distance from the
 * one before it (the first from 0), separated by ','. An empty map is '-'. */
enum sf_map_kind {
        SF_MAP_NONE, /* '-' */
        SF_MAP_BINARY, /* 'b': the prefix padded with slashes to `prefix` bytes; replaced in place */
        SF_MAP_TEXT, /* 't': exactly "/opt/slurm/view"; replaced, the file changes its length */
        SF_MAP_VIEW, /* 'v': the same, replaced by PREFIX/view: for what outlives a release (mpicc, .pc, units) */
};

struct sf_map {
        enum sf_map_kind kind;
        uint64_t *offsets; /* owned by the file list */
        size_t count;
};

enum sf_entry_type { SF_ENTRY_DIRECTORY, SF_ENTRY_FILE, SF_ENTRY_SYMLINK };

struct sf_entry {
        enum sf_entry_type type;
        mode_t mode;             /* permission bits, without set-id and sticky; 0777 for links */
        uint32_t frame;          /* index into frames of the frame that holds this member */
        uint64_t size;           /* canonical content, bytes; 0 unless a file */
        struct sf_digest digest; /* of the canonical content; files only */
        struct sf_map map;       /* files only */
        const char *path;        /* relative to the prefix, plain (sf_fs_path_is_plain) */
        const char *target;      /* links only: relative, staying inside the prefix (base/path.h); else NULL */
};

struct sf_frame {
        uint32_t layer;          /* index into layers */
        uint64_t offset;         /* of the frame in its layer blob (derived) */
        uint64_t size;           /* compressed bytes */
        uint64_t content_size;   /* tar bytes it decodes to */
        struct sf_digest digest; /* of the compressed bytes */
        size_t first_entry, entry_count; /* (derived) */
};

struct sf_layer {
        const char *name;        /* "deps", "slurm": [a-z0-9]+ */
        uint64_t size;           /* of the blob, = sum of its frames */
        struct sf_digest digest; /* of the blob */
        size_t first_frame, frame_count; /* (derived) */
};

struct sf_filelist {
        const char *release;
        uint32_t prefix_length;
        struct sf_layer *layers;
        size_t layer_count;
        struct sf_frame *frames;
        size_t frame_count;
        struct sf_entry *entries;
        size_t entry_count;
        struct sf_digest tree; /* SHA-256 of the text */
        uint64_t content_size; /* sum of file sizes */
        size_t file_count;
        void *pool;            /* private: owns every string and array */
        size_t *by_path;       /* private: entry indices sorted by path, the first of equal directories */
        size_t by_path_count;
};

#define SF_CANONICAL_PREFIX "/opt/slurm/view"
#define SF_FILELIST_TEXT_MAX (64u << 20) /* a longer text is refused */
#define SF_FILELIST_ENTRIES_MAX 1000000u
#define SF_FILELIST_PREFIX_MAX 4096u     /* bytes; at least as long as the canonical prefix */

/* Parses and checks a text completely. SF_ERR_CORRUPT names `name` and the line. The text is copied. */
int sf_filelist_parse(const char *name, const void *text, size_t len, struct sf_filelist *ret, struct sf_error *err);
/* Appends the text of a list whose layers, frames and entries are set (derived members are ignored). The text is parsed
 * once before it is handed out: SF_ERR_CORRUPT where the list breaks a rule. */
int sf_filelist_write(const struct sf_filelist *list, struct sf_buffer *ret, struct sf_error *err);
void sf_filelist_free(struct sf_filelist *list);

/* The entry of a path, NULL where there is none. */
const struct sf_entry *sf_filelist_find(const struct sf_filelist *list, const char *path);

#endif
