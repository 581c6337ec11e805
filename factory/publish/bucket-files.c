/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/bucket-files.c - all that lies in a bucket, for pruning: the copy has only what is offered now. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/parallel.h"
#include "base/stop.h"
#include "factory/publish/bucket-state.h"

/* The lock and the timestamp are looked at again after so many objects. */
#define BATCH 200

static int no_memory(struct sf_error *err)
{
        return sf_error_set(err, SF_ERR_NOMEM, "no memory for the files of a bucket");
}

static int walk(void *place, const char *under, sf_files_visit_fn *visit, void *ctx, struct sf_error *err)
{
        struct sf_bucket *b = place;
        _cleanup_free_ char *prefix = sf_format("%s/", under);

        return prefix ? sf_s3_list(b->s3, prefix, visit, ctx, err) : no_memory(err);
}

/* What the copy has, the bucket has too: it was fetched, or sent. */
static int read_file(void *place, const char *path, size_t max, struct sf_buffer *ret, struct sf_error *err)
{
        struct sf_bucket *b = place;
        _cleanup_free_ char *full = sf_fs_join(b->copy, path);

        if (!full)
                return no_memory(err);
        if (!sf_fs_path_is_plain(path))
                return sf_error_set(err, SF_ERR_TRUST, "%s names a file %s", b->options.url, path);
        return sf_fs_exists(full) ? sf_fs_read(full, max, ret, err) : sf_s3_get(b->s3, path, max, ret, err);
}

struct removal {
        struct sf_bucket *bucket;
        const char *const *paths;
};

static int remove_one(void *ctx, size_t i, struct sf_error *err)
{
        const struct removal *removal = ctx;
        struct sf_s3 *s3;
        int r;

        if (sf_stop_requested)
                return sf_error_set(err, SF_ERR_INTERRUPTED, "interrupted");
        if ((r = sf_bucket_connect(removal->bucket, &s3, err)) < 0)
                return r;
        r = sf_s3_delete(s3, removal->paths[i], err);
        sf_bucket_release(removal->bucket, s3);
        return r;
}

static int remove_files(void *place, const char *const *paths, size_t count, struct sf_error *err)
{
        struct sf_bucket *b = place;
        int r = 0;

        for (size_t done = 0; r == 0 && done < count; done += BATCH) {
                struct removal removal = { b, paths + done };
                size_t some = count - done < BATCH ? count - done : BATCH;
                if ((r = sf_bucket_check_unchanged(b, err)) == 0)
                        r = sf_parallel_each(some, SF_BUCKET_CONNECTIONS, remove_one, &removal, err);
        }
        return r;
}

void sf_bucket_files(struct sf_bucket *bucket, struct sf_files *ret)
{
        *ret = (struct sf_files){ walk, read_file, remove_files, bucket };
}
