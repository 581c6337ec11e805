/* SPDX-License-Identifier: Apache-2.0 */
/* installer/store.h - the releases that are on this node's disk.
 *
 * PREFIX/releases/<version>-<toolchain>[-<build>]/ is one tree per release. A tree gets its name only when it is
 * complete and its own files are synced; until then it is releases/.incoming-<directory>, which a later run may clear
 * or continue. A tree that has its name is never replaced: processes may run from it. The same release published again
 * with other content becomes releases/<version>-<toolchain>[-<build>]+<start of the tree digest>/. Inside each tree,
 * .sf-release/ holds the file list (filelist), release.json (name, tree digest, prefix it was relocated to, unit type)
 * and seen (installer/stat_record.h): a release directory describes itself, whichever node or image it is copied to.
 *
 * What something else installed and sf-node took over is a directory foreign-<date>: a hand-made view itself
 * (installer/activate.h), or, for programs that lie elsewhere, symbolic links to them and .sf-release/adopted.json
 * (installer/adopted.h).
 */
#ifndef SF_INSTALLER_STORE_H
#define SF_INSTALLER_STORE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"
#include "base/error.h"
#include "installer/stat_record.h"
#include "release/filelist.h"
#include "release/version.h"

struct sf_store {
        char *root;                   /* "" or the --root directory, without a trailing slash */
        char *prefix;                 /* "/opt/slurm" */
        char *base;                   /* root + prefix */
        char *releases;               /* base + "/releases" */
        struct sf_store_known *known; /* what sf_store_list has read; opaque */
};

struct sf_store_release {
        struct sf_release_name name;
        char directory[128];   /* name below releases/ */
        struct sf_digest tree; /* of its file list */
        char unit[16];         /* slurmd's unit Type */
        unsigned sequence;     /* tells trees of one name apart: the one that came last has the highest */
        bool foreign;          /* adopted, or its record is damaged: without a file list */
        char origin[256];      /* where an adopted one really lies, "/usr"; "" for trees of their own */
};

int sf_store_open(const char *root, const char *prefix, struct sf_store *ret, struct sf_error *err);
void sf_store_close(struct sf_store *store);

/* The complete releases, newest first; *ret is one allocation (free()). Read from the disk once per store: what this
 * process changes itself is seen, what others change only after sf_store_forget(). */
int sf_store_list(const struct sf_store *store, struct sf_store_release **ret, size_t *ret_count, struct sf_error *err);
void sf_store_forget(const struct sf_store *store);
/* What a user means by `wanted` (any unambiguous prefix). Of several trees with one name, the one that came last. */
int sf_store_choose(const struct sf_store *store, const char *wanted, struct sf_store_release *ret,
                    struct sf_error *err);
/* The release in exactly this directory, or with exactly this content. SF_ERR_NOT_FOUND. */
int sf_store_find(const struct sf_store *store, const char *directory, struct sf_store_release *ret,
                  struct sf_error *err);
int sf_store_find_tree(const struct sf_store *store, const struct sf_release_name *name, const struct sf_digest *tree,
                       struct sf_store_release *ret, struct sf_error *err);
/* The directory name a release gets: the name without its architecture. out: 128 bytes; "" where it does not fit. */
void sf_store_directory(const struct sf_release_name *name, char out[128]);
/* Where a tree of this name and content goes: that name, or with a part of the digest behind it where it is taken.
 * Fills directory and sequence of `release`, whose name and tree are set. SF_ERR_LIMIT where the name is too long. */
int sf_store_assign(const struct sf_store *store, struct sf_store_release *release, struct sf_error *err);
/* The directory below releases/ that an absolute path of this system lies in, also where PREFIX is a symbolic link
 * and the path says where that leads (as /proc does). False where it lies elsewhere. */
bool sf_store_locate(const struct sf_store *store, const char *path, char out[128]);
/* releases/<directory> as /proc shows it: symbolic links above it resolved. Owned by the caller. */
char *sf_store_resolved(const struct sf_store *store, const char *directory);
/* The file list of an installed release: its text, whose digest is the one that release.json names (appended), or
 * parsed. */
int sf_store_filelist_text(const struct sf_store *store, const struct sf_store_release *release, struct sf_buffer *ret,
                           struct sf_error *err);
int sf_store_filelist(const struct sf_store *store, const struct sf_store_release *release, struct sf_filelist *ret,
                      struct sf_error *err);
/* A descriptor of releases/<directory>, for sf_tree. Owned by the caller. */
int sf_store_open_release(const struct sf_store *store, const char *directory, int *ret_fd, struct sf_error *err);
/* The path its files say: PREFIX/releases/<directory> (without root). Owned by the caller. */
char *sf_store_installed_prefix(const struct sf_store *store, const char *directory);

/* A tree being made. */
struct sf_staging {
        int dirfd; /* releases/.incoming-<directory> */
        char directory[128];
        char *path;     /* for messages */
        bool continued; /* an interrupted run left something in it: see installer/resume.h */
        const struct sf_stat_record
                *seen; /* borrowed; per entry what is known already (installer/reuse.h); NULL = nothing */
};
/* Clears what interrupted runs left and makes the staging directory; what one left of this release stays, unless others
 * could write to it. Nothing visible changes. */
int sf_store_resume(const struct sf_store *store, const char *directory, struct sf_staging *ret, struct sf_error *err);
/* Only clears. */
int sf_store_clear(const struct sf_store *store, struct sf_error *err);
/* Writes .sf-release/, syncs what `seen` does not know to be durable, renames. SF_ERR_EXISTS where something has
 * that name already (sf_store_assign chose it when it was free). */
int sf_store_commit(const struct sf_store *store, struct sf_staging *staging, const struct sf_filelist *list,
                    const void *list_text, size_t list_len, const struct sf_store_release *release,
                    struct sf_error *err);
/* Lets go of the staging directory, which stays on the disk for a later run to continue; or removes it. */
void sf_store_leave(struct sf_staging *staging);
void sf_store_abort(const struct sf_store *store, struct sf_staging *staging);
/* Removes a complete release: renamed out of sight first. The caller has made sure that nothing uses it. */
int sf_store_remove(const struct sf_store *store, const char *directory, struct sf_error *err);

#endif
