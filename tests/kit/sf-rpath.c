/* SPDX-License-Identifier: Apache-2.0 */
/* tests/kit/sf-rpath.c - not installed: rpath/ for scripts.
 *
 *     sf-rpath lint PREFIX TREE              one line per finding; exit 1 where there is one
 *     sf-rpath localize PREFIX TREE          RUNPATH entries inside PREFIX become relative to $ORIGIN, in place
 *     sf-rpath relocate PREFIX TO TREE OUT   copies the tree to the new directory OUT, PREFIX replaced by TO
 *                                            (padded in ELF files); each copy is read again, taken back and compared
 *     sf-rpath patch PREFIX TO TREE          replaces PREFIX by TO in the tree's ELF files, in place and unsynced: what
 *                                            bench/relocate-vs-patchelf.sh measures
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "rpath/elf.h"
#include "rpath/lint.h"
#include "rpath/relocate.h"
#include "rpath/runpath.h"

#define FILE_MAX ((size_t)1 << 30)

struct job {
        const char *prefix, *to, *tree, *out;
        int files, changed;
};

static void print_finding(void *ctx, const char *path, const char *reason)
{
        (void)ctx;
        printf("%s: %s\n", path, reason);
}

static int lint(struct job *job, struct sf_error *err)
{
        const struct sf_lint_options options = {
                .prefix = job->prefix, .trees = &job->tree, .tree_count = 1, .finding = print_finding
        };
        struct sf_lint *handle;
        int r = sf_lint_open(&options, &handle, err);

        if (r < 0)
                return r;
        r = sf_lint_trees(handle, err);
        sf_lint_close(handle);
        return r;
}

static int localize_file(void *ctx, int dirfd, const char *name, const char *path, const struct stat *st,
                         struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer content = SF_BUFFER_INIT;
        struct job *job = ctx;
        int r = S_ISREG(st->st_mode) ? sf_fs_read_at(dirfd, name, FILE_MAX, &content, err) : 0;

        if (r == 0 && content.len)
                r = sf_runpath_localize(content.data, content.len, path, job->prefix, 0, err);
        if (r > 0) {
                job->changed += r;
                r = sf_fs_write_at(dirfd, name, content.data, content.len, st->st_mode & 0777, err);
        }
        return r;
}

static int convert(const char *path, const struct sf_relocation *relocation, bool inverse, const struct sf_buffer *in,
                   struct sf_buffer *out, struct sf_error *err)
{
        struct sf_relocator relocator;

        sf_relocator_start(&relocator, relocation, inverse);
        int r = sf_relocator_feed(&relocator, path, in->data, in->len, out, err);
        return r < 0 ? r : sf_relocator_finish(&relocator, path, err);
}

/* Writes one file relocated, reads it again and takes it back. */
static int relocate_file(struct job *job, const char *path, const struct sf_buffer *content, mode_t mode,
                         const char *place, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer moved = SF_BUFFER_INIT, read = SF_BUFFER_INIT, back = SF_BUFFER_INIT;
        _cleanup_free_ uint64_t *offsets = NULL;
        struct sf_relocation relocation = { .from = job->prefix, .from_len = strlen(job->prefix) };
        char padded[4096];
        int r = relocation.from_len < sizeof padded ? 0 : sf_error_set(err, SF_ERR_LIMIT, "the prefix is too long");

        if (r == 0)
                r = sf_relocate_find(content->data, content->len, job->prefix, &offsets, &relocation.count, err);
        if (r == 0)
                r = sf_relocate_pad(job->to,
                                    sf_elf_is(content->data, content->len) ? relocation.from_len : strlen(job->to),
                                    padded, err);
        if (r < 0)
                return r;
        relocation.offsets = offsets;
        relocation.to = padded;
        relocation.to_len = strlen(padded);
        r = convert(path, &relocation, false, content, &moved, err);
        if (r == 0)
                r = sf_fs_write(place, sf_buffer_text(&moved), moved.len, mode, err);
        if (r == 0)
                r = sf_fs_read(place, FILE_MAX, &read, err);
        if (r == 0)
                r = convert(path, &relocation, true, &read, &back, err);
        if (r == 0 && (back.len != content->len || (back.len && memcmp(back.data, content->data, back.len) != 0)))
                r = sf_error_set(err, SF_ERR_FAILED, "%s: there and back is not the same", path);
        job->changed += relocation.count > 0;
        return r;
}

static int relocate_entry(void *ctx, int dirfd, const char *name, const char *path, const struct stat *st,
                          struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer content = SF_BUFFER_INIT;
        struct job *job = ctx;
        _cleanup_free_ char *source = sf_fs_join(job->tree, path), *place = sf_fs_join(job->out, path), *target = NULL;
        int r = source && place ? 0 : sf_error_set(err, SF_ERR_NOMEM, "no memory");

        if (r == 0 && S_ISDIR(st->st_mode))
                return sf_fs_mkdirs(place, st->st_mode & 0777, err);
        if (r == 0 && S_ISLNK(st->st_mode)) {
                r = sf_fs_readlink(source, &target, err);
                return r == 0 && symlink(target, place) < 0 ? sf_error_errno(err, "%s", place) : r;
        }
        job->files++;
        if (r == 0)
                r = sf_fs_read_at(dirfd, name, FILE_MAX, &content, err);
        return r < 0 ? r : relocate_file(job, path, &content, st->st_mode & 0777, place, err);
}

static int patch_file(void *ctx, int dirfd, const char *name, const char *path, const struct stat *st,
                      struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer content = SF_BUFFER_INIT;
        _cleanup_free_ uint64_t *offsets = NULL;
        struct job *job = ctx;
        size_t count = 0, len = strlen(job->prefix);
        int r = S_ISREG(st->st_mode) ? sf_fs_read_at(dirfd, name, FILE_MAX, &content, err) : 0;

        if (r == 0 && sf_elf_is(content.data, content.len))
                r = sf_relocate_find(content.data, content.len, job->prefix, &offsets, &count, err);
        if (r < 0 || count == 0)
                return r;
        _cleanup_close_ int fd = openat(dirfd, name, O_WRONLY | O_CLOEXEC);
        if (fd < 0)
                return sf_error_errno(err, "%s", path);
        for (size_t i = 0; r == 0 && i < count; i++)
                r = sf_fs_pwrite_all(fd, job->to, len, offsets[i], path, err);
        job->files++;
        job->changed += (int)count;
        return r;
}

static int patch(struct job *job, struct sf_error *err)
{
        char padded[4096];
        size_t len = strlen(job->prefix);
        int r = len < sizeof padded ? sf_relocate_pad(job->to, len, padded, err) : SF_ERR_LIMIT;

        job->to = padded;
        if (r == 0)
                r = sf_fs_walk(job->tree, patch_file, job, err);
        printf("%d places in %d files\n", job->changed, job->files);
        return r;
}

int main(int argc, char **argv)
{
        struct sf_error err = SF_ERROR_INIT;
        int r = SF_ERR_USAGE;

        if (argc == 4 && strcmp(argv[1], "lint") == 0) {
                struct job job = { .prefix = argv[2], .tree = argv[3] };
                r = lint(&job, &err);
        } else if (argc == 4 && strcmp(argv[1], "localize") == 0) {
                struct job job = { .prefix = argv[2], .tree = argv[3] };
                r = sf_fs_walk(job.tree, localize_file, &job, &err);
                printf("%d RUNPATH entries localized\n", job.changed);
        } else if (argc == 6 && strcmp(argv[1], "relocate") == 0) {
                struct job job = { .prefix = argv[2], .to = argv[3], .tree = argv[4], .out = argv[5] };
                r = sf_fs_mkdirs(job.out, 0755, &err);
                if (r == 0)
                        r = sf_fs_walk(job.tree, relocate_entry, &job, &err);
                printf("%d of %d files relocated\n", job.changed, job.files);
        } else if (argc == 5 && strcmp(argv[1], "patch") == 0) {
                struct job job = { .prefix = argv[2], .to = argv[3], .tree = argv[4] };
                r = patch(&job, &err);
        } else {
                fprintf(stderr, "usage: sf-rpath lint|localize PREFIX TREE | relocate PREFIX TO TREE OUT"
                                " | patch PREFIX TO TREE\n");
        }
        if (r < 0 && err.code)
                fprintf(stderr, "sf-rpath: %s\n", err.text);
        return r < 0 ? 2 : r > 0;
}
