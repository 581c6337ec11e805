/* SPDX-License-Identifier: Apache-2.0 */
/* factory/publish/deltas.c - why: what joins the published bytes of two releases to the codecs, which know neither. */
#include "factory/publish/deltas.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/progress.h"
#include "delta/listpatch.h"
#include "factory/pack/contents.h"
#include "factory/publish/repo.h"
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

static void show_progress(void *ctx, uint64_t done, uint64_t total)
{
        (void)ctx;
        sf_progress_show("delta", done, total);
}

int sf_deltas_try(const struct sf_delta_end *old, const struct sf_delta_end *new, uint64_t memory_budget,
                  struct sf_delta_result *ret, struct sf_buffer *ret_list, struct sf_error *err)
{
        _cleanup_(pair_close) struct pair pair = { SF_CONTENTS_INIT, SF_CONTENTS_INIT };
        struct sf_delta_make job = { .old = &pair.old.list,
                                     .new = &pair.new.list,
                                     .read_old = read_old,
                                     .read_new = read_new,
                                     .ctx = &pair,
                                     .memory_budget = memory_budget,
                                     .progress = show_progress };
        int r = sf_contents_open(old->blobs, old->release, &pair.old, err);

        if (r == 0)
                r = sf_contents_open(new->blobs, new->release, &pair.new, err);
        if (r == 0)
                r = sf_listpatch_make(pair.old.text.data, pair.old.text.len, pair.new.text.data, pair.new.text.len,
                                      ret_list, err);
        if (r == 0)
                r = sf_delta_make(&job, ret, err);
        return r < 0 ? sf_error_prefix(err, "delta %s -> %s", old->release->name.text, new->release->name.text) : 0;
}

int sf_deltas_make(const char *repository, const struct sf_index_release *old, const struct sf_index_release *new,
                   uint64_t memory_budget, struct sf_index_delta *ret, struct sf_error *err)
{
        _cleanup_(sf_delta_result_free) struct sf_delta_result result = { 0 };
        _cleanup_(sf_buffer_free) struct sf_buffer list = SF_BUFFER_INIT;
        _cleanup_free_ char *blobs = sf_fs_join(repository, SF_LAYOUT_BLOBS);
        const struct sf_delta_end from = { blobs, old }, to = { blobs, new };
        struct sf_index_delta delta = { .from = old->tree };
        int r = blobs ? sf_deltas_try(&from, &to, memory_budget, &result, &list, err)
                      : sf_error_set(err, SF_ERR_NOMEM, "out of memory");

        if (r == 0)
                r = sf_repo_put(repository, list.data, list.len, &delta.filelist, err);
        if (r == 0)
                r = sf_repo_put(repository, result.blob.data, result.blob.len, &delta.content, err);
        if (r < 0)
                return r;
        memcpy(delta.codec, result.codec, sizeof delta.codec);
        delta.memory = result.memory;
        if (result.cheaper)
                sf_log_warning("delta %s -> %s: %llu parts take a codec that needs less memory to make them",
                               old->name.text, new->name.text, (unsigned long long)result.cheaper);
        *ret = delta;
        return 0;
}
