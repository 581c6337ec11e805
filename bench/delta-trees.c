/* SPDX-License-Identifier: Apache-2.0 */
/* bench/delta-trees.c - makes and applies deltas between two directories that hold releases in canonical form, without
 * a repository: what bench/delta-vs-public.sh and a developer of delta/ measure with.
 *
 *     delta-trees OLD NEW [CODEC [FILE]]     FILE receives the container
 *     delta-trees OLD NEW apply FILE         applies that, perhaps one that another build has made
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "delta/container.h"
#include "delta/listpatch.h"
#include "delta/encode/make.h"
#include "release/filelist.h"

#define FILE_MAX   (SIZE_MAX / 4)
#define PREFIX_MIN 256

struct tree {
        const char *root;
        struct sf_filelist list;
        struct sf_buffer text;
};

static int add_entry(void *ctx, int dirfd, const char *name, const char *path, const struct stat *st,
                     struct sf_error *err)
{
        struct tree *tree = ctx;
        _cleanup_(sf_buffer_free) struct sf_buffer content = SF_BUFFER_INIT;
        struct sf_digest digest;
        char hex[SF_DIGEST_HEX + 1];

        if (S_ISDIR(st->st_mode))
                return sf_buffer_printf(&tree->text, err, "d 0755 %s\n", path);
        if (!S_ISREG(st->st_mode))
                return 0;
        int r = sf_fs_read_at(dirfd, name, FILE_MAX, &content, err);
        if (r < 0)
                return r;
        sf_digest_of(content.data, content.len, &digest);
        return sf_buffer_printf(&tree->text, err, "f 0%o %zu %s - %s\n", st->st_mode & 0777, content.len,
                                sf_digest_hex(&digest, hex), path);
}

static int load(struct tree *tree, struct sf_error *err)
{
        static const char zeros[] = "0000000000000000000000000000000000000000000000000000000000000000";
        int r = sf_buffer_printf(
                &tree->text, err,
                "sf-filelist 1\nrelease 1.0.0-bench-amd64\nprefix %d\nlayer slurm 1 %s\nframe 1 1099511627776 %s\n",
                PREFIX_MIN, zeros, zeros);

        if (r < 0 || (r = sf_fs_walk(tree->root, add_entry, tree, err)) < 0)
                return r;
        return sf_filelist_parse(tree->root, tree->text.data, tree->text.len, &tree->list, err);
}

struct pair {
        struct tree old, new;
        uint64_t written;
};

static int read_entry(const struct tree *tree, const struct sf_entry *entry, struct sf_buffer *ret,
                      struct sf_error *err)
{
        _cleanup_free_ char *path = sf_fs_join(tree->root, entry->path);

        return path ? sf_fs_read(path, FILE_MAX, ret, err) : sf_error_set(err, SF_ERR_NOMEM, "no memory");
}

static int read_old(void *ctx, const struct sf_entry *entry, struct sf_buffer *ret, struct sf_error *err)
{
        return read_entry(&((struct pair *)ctx)->old, entry, ret, err);
}

static int read_new(void *ctx, const struct sf_entry *entry, struct sf_buffer *ret, struct sf_error *err)
{
        return read_entry(&((struct pair *)ctx)->new, entry, ret, err);
}

static int count_written(void *ctx, const struct sf_entry *entry, const uint8_t *data, size_t len, struct sf_error *err)
{
        (void)entry;
        (void)data;
        (void)err;
        ((struct pair *)ctx)->written += len;
        return 0;
}

static double now(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int apply(struct pair *pair, const struct sf_buffer *blob, struct sf_error *err)
{
        struct sf_delta_io io = { read_old, count_written, pair };
        double start = now();
        int r = sf_delta_apply(&pair->old.list, &pair->new.list, blob->data, blob->len, 0, &io, err);

        if (r == 0)
                printf("apply    %10llu bytes %8.2f s\n", (unsigned long long)pair->written, now() - start);
        return r;
}

static int apply_file(struct pair *pair, const char *file, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer blob = SF_BUFFER_INIT;
        struct sf_delta_info info;
        int r = sf_fs_read(file, FILE_MAX, &blob, err);

        if (r < 0 || (r = sf_delta_inspect(&pair->old.list, &pair->new.list, blob.data, blob.len, &info, err)) < 0)
                return r;
        printf("%-8s %10zu bytes %12llu memory\n", info.codec, blob.len, (unsigned long long)info.memory);
        return apply(pair, &blob, err);
}

static int measure(struct pair *pair, const char *codec, const char *file, struct sf_error *err)
{
        _cleanup_(sf_delta_result_free) struct sf_delta_result result = { 0 };
        _cleanup_(sf_buffer_free) struct sf_buffer patch = SF_BUFFER_INIT;
        struct sf_delta_make job = { .old = &pair->old.list,
                                     .new = &pair->new.list,
                                     .read_old = read_old,
                                     .read_new = read_new,
                                     .ctx = pair,
                                     .codec = codec };
        int r = sf_delta_make(&job, &result, err);

        if (r < 0)
                return r;
        printf("%llu files, %llu bytes changed\n", (unsigned long long)result.changed_files,
               (unsigned long long)result.changed_bytes);
        for (size_t i = 0; i < result.attempt_count; i++)
                printf("%-8s %10llu bytes %8.2f s %12llu memory %s%s\n", result.attempts[i].codec,
                       (unsigned long long)result.attempts[i].bytes, result.attempts[i].seconds,
                       (unsigned long long)result.attempts[i].memory, result.attempts[i].chosen ? "chosen" : "",
                       result.attempts[i].failure);
        if ((r = apply(pair, &result.blob, err)) < 0 ||
            (r = sf_listpatch_make(pair->old.text.data, pair->old.text.len, pair->new.text.data, pair->new.text.len,
                                   &patch, err)) < 0)
                return r;
        printf("list     %10zu bytes\n", patch.len);
        return file ? sf_fs_write(file, result.blob.data, result.blob.len, 0644, err) : 0;
}

int main(int argc, char **argv)
{
        struct pair pair = { 0 };
        struct sf_error err = SF_ERROR_INIT;

        if (argc < 3 || argc > 5) {
                fprintf(stderr, "usage: delta-trees OLD NEW [CODEC [FILE]], or delta-trees OLD NEW apply FILE\n");
                return 2;
        }
        pair.old.root = argv[1];
        pair.new.root = argv[2];
        int r = load(&pair.old, &err);
        if (r == 0)
                r = load(&pair.new, &err);
        if (r == 0 && argc == 5 && strcmp(argv[3], "apply") == 0)
                r = apply_file(&pair, argv[4], &err);
        else if (r == 0)
                r = measure(&pair, argc > 3 && strcmp(argv[3], "all") != 0 ? argv[3] : NULL, argc > 4 ? argv[4] : NULL,
                            &err);
        if (r < 0)
                fprintf(stderr, "delta-trees: %s\n", err.text);
        sf_filelist_free(&pair.old.list);
        sf_filelist_free(&pair.new.list);
        sf_buffer_free(&pair.old.text);
        sf_buffer_free(&pair.new.text);
        return r < 0;
}
