/* SPDX-License-Identifier: Apache-2.0 */
/* installer/file_writer.c - see file_writer.h. The only code that gives an installed file its content, owner and
 * mode. */
#include "installer/file_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/digest.h"
#include "base/fs.h"
#include "rpath/relocate.h"

#define PIECE      (64u << 10) /* bytes hashed, relocated and written at once */
#define DIRECT_MIN (64u << 10) /* smaller files are better off in the page cache, where writeback gathers them */

struct sf_file_writer {
        const struct sf_tree *tree;
        bool replace;
        struct sf_direct_writer *writer;     /* of whole files; NULL = they are written at once */
        struct sf_direct_writer_batch batch; /* what it has of this files's */
        const uint8_t *lent;                 /* memory that it may borrow from, and ... */
        size_t lent_len;
        struct sf_digester *digester;
        char *from, *to;              /* room for the padded strings of the current relocation */
        struct sf_buffer out;         /* relocated bytes on their way to the file */
        const struct sf_entry *entry; /* being written; NULL between files */
        int fd, parent;               /* of the file and its directory */
        const char *base;             /* last component of entry->path */
        char name[64];                /* what the file is called until it is complete; "" = base */
        uint64_t seen;                /* canonical bytes */
        uint64_t borrowed;            /* bytes that the writer has */
        atomic_ullong *written;       /* NULL = nobody counts */
        struct sf_relocation relocation;
        struct sf_relocator relocator;
};

int sf_file_writer_open(const struct sf_tree *tree, bool replace, struct sf_file_writer **ret, struct sf_error *err)
{
        _cleanup_file_writer_ struct sf_file_writer *p = calloc(1, sizeof *p);
        size_t room = (size_t)tree->list->prefix_length + 1;

        if (!p)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory to write files");
        p->tree = tree;
        p->replace = replace;
        p->fd = p->parent = -1;
        p->from = malloc(room);
        p->to = malloc(room);
        if (!p->from || !p->to)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory to write files");
        int r = sf_digester_new(&p->digester, err);
        if (r < 0)
                return r;
        *ret = sf_steal_pointer(p);
        return 0;
}

void sf_file_writer_lend(struct sf_file_writer *p, struct sf_direct_writer *writer, const void *memory, size_t len)
{
        p->writer = writer;
        p->lent = memory;
        p->lent_len = len;
}

void sf_file_writer_count(struct sf_file_writer *p, atomic_ullong *written)
{
        p->written = written;
}

static void count(struct sf_file_writer *p, uint64_t bytes)
{
        if (p->written)
                atomic_fetch_add_explicit(p->written, bytes, memory_order_relaxed);
}

static bool may_borrow(const struct sf_file_writer *p, const uint8_t *bytes, size_t len)
{
        return p->writer && !p->replace && !p->relocation.count && len >= DIRECT_MIN && bytes >= p->lent &&
               len <= p->lent_len && bytes <= p->lent + (p->lent_len - len);
}

static const char *current_name(const struct sf_file_writer *p)
{
        return *p->name ? p->name : p->base;
}

/* Forgets the current file; one that is not complete is removed. */
static void drop(struct sf_file_writer *p, bool complete)
{
        if (p->fd >= 0) {
                close(p->fd);
                if (!complete)
                        unlinkat(p->parent, current_name(p), 0);
        }
        if (p->parent >= 0)
                close(p->parent);
        p->fd = p->parent = -1;
        p->entry = NULL;
}

void sf_file_writer_close(struct sf_file_writer *p)
{
        if (!p)
                return;
        if (p->writer)
                sf_direct_writer_wait(p->writer, &p->batch, NULL);
        drop(p, false);
        sf_digester_free(p->digester);
        sf_buffer_free(&p->out);
        free(p->from);
        free(p->to);
        free(p);
}

/* The directory that holds path, and path's last component. */
static int open_parent(const struct sf_tree *tree, const char *path, const char **ret_base, struct sf_error *err)
{
        const char *slash = strrchr(path, '/');
        char directory[4096];

        *ret_base = slash ? slash + 1 : path;
        if (!slash) {
                int fd = openat(tree->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                return fd >= 0 ? fd : sf_error_errno(err, "release directory");
        }
        snprintf(directory, sizeof directory, "%.*s", (int)(slash - path), path);
        return sf_fs_open_beneath(tree->dirfd, directory, O_RDONLY | O_DIRECTORY, 0, err);
}

/* What a file or link is called until it replaces another. One per entry, so that threads do not meet. */
static void temporary_name(const struct sf_tree *tree, const struct sf_entry *entry, char out[64])
{
        snprintf(out, 64, ".sf-repair-%zu", (size_t)(entry - tree->list->entries));
}

/* Opens the directory and settles the name. */
static int begin_name(struct sf_file_writer *p, const struct sf_entry *entry, struct sf_error *err)
{
        int r = open_parent(p->tree, entry->path, &p->base, err);

        if (r < 0)
                return r;
        p->parent = r;
        p->entry = entry;
        *p->name = '\0';
        if (p->replace) {
                temporary_name(p->tree, entry, p->name);
                unlinkat(p->parent, p->name, 0);
        }
        return 0;
}

static int create(struct sf_file_writer *p, struct sf_error *err)
{
        p->fd = openat(p->parent, current_name(p), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (p->fd >= 0)
                return 0;
        int r = sf_error_errno(err, "%s", p->entry->path);
        drop(p, true);
        return r;
}

int sf_file_writer_begin(struct sf_file_writer *p, const struct sf_entry *entry, struct sf_error *err)
{
        int r = sf_tree_relocation(p->tree, entry, p->from, p->to, &p->relocation, err);

        if (r == 0)
                r = begin_name(p, entry, err);
        if (r == 0)
                r = create(p, err);
        if (r < 0)
                return r;
        p->seen = 0;
        sf_relocator_start(&p->relocator, &p->relocation, false);
        return 0;
}

static int feed(struct sf_file_writer *p, const void *canonical, size_t len, struct sf_error *err)
{
        const char *path = p->entry->path;

        if (len > p->entry->size - p->seen)
                return sf_error_set(err, SF_ERR_CORRUPT, "%s: longer than the listed %" PRIu64 " bytes", path,
                                    p->entry->size);
        p->seen += len;
        sf_digester_update(p->digester, canonical, len);
        if (!p->relocation.count)
                return sf_fs_write_all(p->fd, canonical, len, path, err);
        p->out.len = 0;
        int r = sf_relocator_feed(&p->relocator, path, canonical, len, &p->out, err);
        return r < 0 ? r : sf_fs_write_all(p->fd, p->out.data, p->out.len, path, err);
}

/* root:root even below a set-gid directory; as another user everything already is that user's. */
static int set_owner_and_mode(int fd, const struct sf_entry *entry, struct sf_error *err)
{
        struct stat st;

        if (fstat(fd, &st) < 0)
                return sf_error_errno(err, "%s", entry->path);
        if (geteuid() == 0 && (st.st_uid != 0 || st.st_gid != 0) && fchown(fd, 0, 0) < 0)
                return sf_error_errno(err, "%s: cannot give it to root", entry->path);
        if (fchmod(fd, entry->mode) < 0)
                return sf_error_errno(err, "%s: cannot set its mode", entry->path);
        return 0;
}

/* What is in the way of a repair is not what the list says, so it goes. */
static int rename_over(int parent, const char *from, const char *to, struct sf_error *err)
{
        if (renameat(parent, from, parent, to) == 0)
                return 0;
        if (errno == EISDIR && sf_fs_remove_tree_at(parent, to, err) == 0 && renameat(parent, from, parent, to) == 0)
                return 0;
        return sf_error_errno(err, "%s: cannot replace it", to);
}

/* The last step of replacing: durable content, then the name. */
static int reveal(struct sf_file_writer *p, struct sf_error *err)
{
        if (fsync(p->fd) < 0)
                return sf_error_errno(err, "%s: cannot sync it", p->entry->path);
        int r = rename_over(p->parent, p->name, p->base, err);
        if (r == 0 && fsync(p->parent) < 0)
                r = sf_error_errno(err, "%s: cannot sync its directory", p->entry->path);
        return r;
}

/* What follows the last byte: the name, or of a file that has it already the way to the disk, so that the sync at the
 * end finds little to wait for. A hint: where the file system does not know it, the sync does all the work. */
static int conclude(struct sf_file_writer *p, struct sf_error *err)
{
        if (p->replace)
                return reveal(p, err);
        (void)sync_file_range(p->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
        return 0;
}

static int finish(struct sf_file_writer *p, struct sf_error *err)
{
        const char *path = p->entry->path;
        struct sf_digest digest;
        int r;

        if (p->seen != p->entry->size)
                return sf_error_set(err, SF_ERR_CORRUPT, "%s: %" PRIu64 " bytes instead of %" PRIu64, path, p->seen,
                                    p->entry->size);
        sf_digester_finish(p->digester, &digest);
        if (!sf_digest_equal(&digest, &p->entry->digest))
                return sf_error_set(err, SF_ERR_CORRUPT, "%s: sha256 mismatch", path);
        if (p->relocation.count && (r = sf_relocator_finish(&p->relocator, path, err)) < 0)
                return r;
        r = set_owner_and_mode(p->fd, p->entry, err);
        return r < 0 ? r : conclude(p, err);
}

/* After a failure the digester holds half a file. */
static int fail(struct sf_file_writer *p, int code)
{
        struct sf_digest unused;

        sf_digester_finish(p->digester, &unused);
        drop(p, false);
        return code;
}

int sf_file_writer_feed(struct sf_file_writer *p, const void *canonical, size_t len, struct sf_error *err)
{
        const uint8_t *bytes = canonical;

        /* In pieces that are still in the processor's cache when they are written after being hashed. */
        while (len) {
                size_t n = len < PIECE ? len : PIECE;
                int r = feed(p, bytes, n, err);
                if (r < 0)
                        return fail(p, r);
                bytes += n;
                len -= n;
        }
        return 0;
}

int sf_file_writer_finish(struct sf_file_writer *p, struct sf_error *err)
{
        int r = finish(p, err);
        if (r < 0)
                return fail(p, r);
        count(p, p->entry->size);
        drop(p, true);
        return 0;
}

/* Relocated, in pieces that stay in the processor's cache, or as it is. */
static int write_content(struct sf_file_writer *p, const uint8_t *bytes, size_t len, struct sf_error *err)
{
        const char *path = p->entry->path;
        int r = 0;

        if (!p->relocation.count)
                return sf_fs_write_all(p->fd, bytes, len, path, err);
        for (size_t n; r == 0 && len; bytes += n, len -= n) {
                n = len < PIECE ? len : PIECE;
                p->out.len = 0;
                r = sf_relocator_feed(&p->relocator, path, bytes, n, &p->out, err);
                if (r == 0)
                        r = sf_fs_write_all(p->fd, p->out.data, p->out.len, path, err);
        }
        return r < 0 ? r : sf_relocator_finish(&p->relocator, path, err);
}

int sf_file_writer_put(struct sf_file_writer *p, const struct sf_entry *entry, const void *canonical,
                       struct sf_error *err)
{
        struct sf_digest digest;

        sf_digester_update(p->digester, canonical, entry->size);
        sf_digester_finish(p->digester, &digest);
        if (!sf_digest_equal(&digest, &entry->digest))
                return sf_error_set(err, SF_ERR_CORRUPT, "%s: sha256 mismatch", entry->path);
        int r = sf_file_writer_begin(p, entry, err);
        if (r == 0)
                r = set_owner_and_mode(p->fd, entry, err);
        if (r == 0 && may_borrow(p, canonical, entry->size)) {
                r = sf_direct_writer_put(p->writer, &p->batch, p->fd, canonical, entry->size, entry->path, err);
                p->fd = -1;
                p->borrowed += entry->size;
        } else {
                if (r == 0)
                        r = write_content(p, canonical, entry->size, err);
                if (r == 0)
                        r = conclude(p, err);
                if (r == 0)
                        count(p, entry->size);
        }
        drop(p, r == 0);
        return r;
}

int sf_file_writer_settle(struct sf_file_writer *p, struct sf_error *err)
{
        int r = p->writer ? sf_direct_writer_wait(p->writer, &p->batch, err) : 0;

        p->lent = NULL;
        p->lent_len = 0;
        count(p, p->borrowed);
        p->borrowed = 0;
        return r;
}

static int clone(struct sf_file_writer *p, int source, atomic_bool *no_clones, struct sf_error *err)
{
        int r = create(p, err);

        if (r < 0)
                return r;
        if (ioctl(p->fd, FICLONE, source) < 0) {
                *no_clones = true;
                drop(p, false);
                return 0;
        }
        r = set_owner_and_mode(p->fd, p->entry, err);
        if (r == 0 && p->replace)
                r = reveal(p, err);
        drop(p, r == 0);
        return r < 0 ? r : 1;
}

/* The owner and mode of a link are those of the file: they must be the listed ones already. */
static bool may_link(const struct stat *st, const struct sf_entry *entry)
{
        bool root = geteuid() == 0;

        return S_ISREG(st->st_mode) && (st->st_mode & 07777) == entry->mode &&
               (!root || (st->st_uid == 0 && st->st_gid == 0));
}

int sf_file_writer_share(struct sf_file_writer *p, const struct sf_entry *entry, int source_dirfd,
                         const char *source_path, atomic_bool *no_clones, bool *ret_linked, struct sf_error *err)
{
        struct stat st;
        int r = 0;

        *ret_linked = false;
        if (!*no_clones) {
                _cleanup_close_ int source = sf_fs_open_beneath(source_dirfd, source_path, O_RDONLY | O_NOFOLLOW, 0,
                                                                err);
                r = source < 0 ? source : begin_name(p, entry, err);
                if (r == 0)
                        r = clone(p, source, no_clones, err);
        }
        if (r != 0 || p->replace || fstatat(source_dirfd, source_path, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
            !may_link(&st, entry))
                return r;
        r = begin_name(p, entry, err);
        if (r == 0 && linkat(source_dirfd, source_path, p->parent, p->base, 0) == 0) {
                *ret_linked = true;
                r = 1;
        }
        drop(p, true);
        return r;
}

/* The listed mode at once: it is root who then writes into a directory that denies it. */
static int make_directory(const struct sf_tree *tree, const struct sf_entry *entry, bool replace, struct sf_error *err)
{
        const char *base;
        _cleanup_close_ int parent = open_parent(tree, entry->path, &base, err);
        struct stat st;
        int r;

        if (parent < 0)
                return parent;
        if (fstatat(parent, base, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(st.st_mode)) {
                if (!replace)
                        return sf_error_set(err, SF_ERR_EXISTS, "%s: something else is where a directory belongs",
                                            entry->path);
                r = sf_fs_remove_tree_at(parent, base, err);
                if (r < 0)
                        return r;
        }
        if (mkdirat(parent, base, 0700) < 0 && errno != EEXIST)
                return sf_error_errno(err, "%s", entry->path);
        _cleanup_close_ int fd = openat(parent, base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        return fd < 0 ? sf_error_errno(err, "%s", entry->path) : set_owner_and_mode(fd, entry, err);
}

static int make_link(const struct sf_tree *tree, const struct sf_entry *entry, bool replace, struct sf_error *err)
{
        const char *base;
        _cleanup_close_ int parent = open_parent(tree, entry->path, &base, err);
        char name[64];

        if (parent < 0)
                return parent;
        if (!replace)
                return symlinkat(entry->target, parent, base) == 0 ? 0 : sf_error_errno(err, "%s", entry->path);
        temporary_name(tree, entry, name);
        unlinkat(parent, name, 0);
        if (symlinkat(entry->target, parent, name) < 0)
                return sf_error_errno(err, "%s: cannot replace it", entry->path);
        int r = rename_over(parent, name, base, err);
        if (r == 0 && fsync(parent) < 0)
                r = sf_error_errno(err, "%s: cannot sync its directory", entry->path);
        return r;
}

int sf_file_writer_skeleton(const struct sf_tree *tree, const uint8_t *wanted, bool replace, struct sf_error *err)
{
        const struct sf_filelist *list = tree->list;
        int r;

        /* Links last: a listed path can then never lead through one. */
        for (size_t i = 0; i < list->entry_count; i++)
                if (list->entries[i].type == SF_ENTRY_DIRECTORY && (!wanted || wanted[i]) &&
                    (r = make_directory(tree, &list->entries[i], replace, err)) < 0)
                        return r;
        for (size_t i = 0; i < list->entry_count; i++)
                if (list->entries[i].type == SF_ENTRY_SYMLINK && (!wanted || wanted[i]) &&
                    (r = make_link(tree, &list->entries[i], replace, err)) < 0)
                        return r;
        return 0;
}

int sf_file_writer_write(const struct sf_tree *tree, bool replace, const struct sf_entry *entry, const void *canonical,
                         size_t len, struct sf_error *err)
{
        _cleanup_file_writer_ struct sf_file_writer *files = NULL;
        int r = sf_file_writer_open(tree, replace, &files, err);

        if (r == 0)
                r = sf_file_writer_begin(files, entry, err);
        if (r == 0)
                r = sf_file_writer_feed(files, canonical, len, err);
        return r < 0 ? r : sf_file_writer_finish(files, err);
}
