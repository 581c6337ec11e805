/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/bucket-files.c - all that lies in a bucket, for pruning: the copy has only what is offered now. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/parallel.h"
#include "base/stop.h"
#include "base/words.h"
#include "factory/publish/bucket-state.h"
#include "release/layout.h"

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

/* --- uploads that nobody finished ------------------------------------------------------------------------------- */

struct clearing {
        struct sf_words keys, ids;
        int64_t before;
};

static void clearing_free(struct clearing *c)
{
        sf_words_free(&c->keys);
        sf_words_free(&c->ids);
}

/* Without a date it may be anybody's that runs now. */
static int visit_upload(void *ctx, const char *key, const char *id, int64_t begun, struct sf_error *err)
{
        struct clearing *c = ctx;

        if (begun == 0 || begun >= c->before)
                return 0;
        int r = sf_words_append(&c->keys, key, err);
        return r < 0 ? r : sf_words_append(&c->ids, id, err);
}

int sf_bucket_clear_uploads(struct sf_bucket *bucket, int64_t before, size_t *ret_count, struct sf_error *err)
{
        _cleanup_(clearing_free) struct clearing clearing = { .before = before };
        struct sf_error why = SF_ERROR_INIT;
        int r = sf_s3_uploads(bucket->s3, SF_LAYOUT_BLOBS "/", visit_upload, &clearing, &why);

        *ret_count = 0;
        if (r == SF_ERR_UNSUPPORTED || r == SF_ERR_TRUST || r == SF_ERR_FAILED) {
                sf_log_warning(
                        "uploads in parts that nobody finished are not looked for: %s. Set the store's own rule for "
                        "them (AbortIncompleteMultipartUpload)",
                        why.text);
                return 0;
        }
        if (r < 0)
                return sf_error_set(err, r, "uploads in parts: %s", why.text);
        for (size_t i = 0; i < clearing.keys.count; i++) {
                if (!bucket->options.dry_run &&
                    ((r = sf_bucket_check_lock(bucket, err)) < 0 ||
                     (r = sf_s3_upload_abort(bucket->s3, clearing.keys.items[i], clearing.ids.items[i], err)) < 0))
                        return sf_error_prefix(err, "%s", clearing.keys.items[i]);
                *ret_count += 1;
        }
        return 0;
}
