/* factory/deltas.c - why: what joins the published bytes of two releases to the codecs, which know neither. */
#include "factory/deltas.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"
#include "delta/listpatch.h"
#include "delta/make.h"
#include "factory/contents.h"
#include "factory/repo.h"
#include "release/layout.h"

struct pair {
        struct sf_contents old, new;
};

static void pair_close(struct pair *pair)
{
        sf_contents_close(&pair->old);
        sf_contents_close(&pair->new);
}

static int read_old(void *ctx, const struct sf_entry *entry, struct sf_buffer *ret, struct sf_error *err)
{
        return sf_contents_read(&((struct pair *)ctx)->old, entry, ret, err);
}

static int read_new(void *ctx, const struct sf_entry *entry, struct sf_buffer *ret, struct sf_error *err)
{
        return sf_contents_read(&((struct pair *)ctx)->new, entry, ret, err);
}

static int put_list(const char *repository, const struct pair *pair, struct sf_index_delta *delta, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer patch = SF_BUFFER_INIT;
        int r = sf_listpatch_make(pair->old.text.data, pair->old.text.len, pair->new.text.data, pair->new.text.len,
                                  &patch, err);

        return r < 0 ? r : sf_repo_put(repository, patch.data, patch.len, &delta->filelist, err);
}

static int put_content(const char *repository, struct pair *pair, uint64_t memory_budget, struct sf_index_delta *delta,
                       struct sf_error *err)
{
        struct sf_delta_make job = { .old = &pair->old.list,
                                     .new = &pair->new.list,
                                     .read_old = read_old,
                                     .read_new = read_new,
                                     .ctx = pair,
                                     .memory_budget = memory_budget };
        _cleanup_(sf_delta_result_free) struct sf_delta_result result = { 0 };
        int r = sf_delta_make(&job, &result, err);

        if (r < 0)
                return r;
        for (size_t i = 0; i < result.attempt_count; i++)
                sf_log_detail("  %-8s %10llu bytes, %llu bytes of memory, %.1f s%s%s", result.attempts[i].codec,
                              (unsigned long long)result.attempts[i].bytes,
                              (unsigned long long)result.attempts[i].memory, result.attempts[i].seconds,
                              result.attempts[i].chosen ? " (chosen) " : " ", result.attempts[i].failure);
        snprintf(delta->codec, sizeof delta->codec, "%s", result.codec);
        delta->memory = result.memory;
        return sf_repo_put(repository, result.blob.data, result.blob.len, &delta->content, err);
}

int sf_deltas_make(const char *repository, const struct sf_index_release *old, const struct sf_index_release *new,
                   uint64_t memory_budget, struct sf_index_delta *ret, struct sf_error *err)
{
        _cleanup_(pair_close) struct pair pair = { SF_CONTENTS_INIT, SF_CONTENTS_INIT };
        _cleanup_free_ char *blobs = sf_fs_join(repository, SF_LAYOUT_BLOBS);
        struct sf_index_delta delta = { .from = old->tree };
        int r;

        if (!blobs)
                return sf_error_set(err, SF_ERR_NOMEM, "out of memory");
        r = sf_contents_open(blobs, old, &pair.old, err);
        if (r == 0)
                r = sf_contents_open(blobs, new, &pair.new, err);
        if (r == 0)
                r = put_list(repository, &pair, &delta, err);
        if (r == 0)
                r = put_content(repository, &pair, memory_budget, &delta, err);
        if (r < 0)
                return sf_error_prefix(err, "delta %s -> %s", old->name.text, new->name.text);
        *ret = delta;
        return 0;
}
