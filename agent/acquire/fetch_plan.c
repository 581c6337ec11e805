/* SPDX-License-Identifier: Apache-2.0 */
/* agent/acquire/fetch_plan.c - see fetch_plan.h. Deltas are found by tree digest, so it does not matter what the
 * installed release is called. */
#include "agent/acquire/fetch_plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/stream.h"
#include "delta/listpatch.h"
#include "installer/unpack.h"

#define LIST_WINDOW_LOG 27

const char *sf_fetch_plan_way_name(enum sf_fetch_plan_way way)
{
        static const char *const names[] = { "nothing", "delta", "ranges", "full" };

        return names[way];
}

uint64_t sf_fetch_plan_way_bytes(const struct sf_fetch_plan *plan, enum sf_fetch_plan_way way)
{
        switch (way) {
        case SF_FETCH_PLAN_DELTA:
                return plan->delta_bytes;
        case SF_FETCH_PLAN_RANGES:
                return plan->ranges_bytes;
        case SF_FETCH_PLAN_FULL:
                return plan->full_bytes;
        case SF_FETCH_PLAN_NOTHING:
        default:
                return 0;
        }
}

uint64_t sf_fetch_plan_bytes(const struct sf_fetch_plan *plan)
{
        return sf_fetch_plan_way_bytes(plan, plan->way);
}

void sf_fetch_plan_free(struct sf_fetch_plan *plan)
{
        sf_reuse_close(plan->installed);
        sf_filelist_free(&plan->list);
        sf_buffer_free(&plan->list_text);
        free(plan->wanted);
        *plan = (struct sf_fetch_plan){ 0 };
}

const struct sf_index_delta *sf_fetch_plan_find_delta(const struct sf_config *config,
                                                      const struct sf_index_release *release,
                                                      const struct sf_store_release *installed, size_t count,
                                                      size_t *ret_base)
{
        const struct sf_index_delta *found = NULL;

        for (size_t d = 0; d < release->delta_count; d++) {
                const struct sf_index_delta *delta = &release->deltas[d];
                if (delta->memory > config->delta_memory) {
                        sf_log_detail("a delta of %llu bytes needs %llu bytes of memory, more than delta_memory allows",
                                      (unsigned long long)delta->content.size, (unsigned long long)delta->memory);
                        continue;
                }
                for (size_t i = 0; i < count; i++) {
                        if (installed[i].foreign || !sf_digest_equal(&installed[i].tree, &delta->from))
                                continue;
                        if (found && found->content.size <= delta->content.size)
                                continue;
                        found = delta;
                        *ret_base = i;
                }
        }
        return found;
}

/* The new list's text from the base's by its patch. The result is as good as its digest. */
static int list_from_patch(struct sf_repository *rp, const struct sf_store *store, struct sf_fetch_plan *plan,
                           struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer patch = SF_BUFFER_INIT, old = SF_BUFFER_INIT;
        int r = sf_store_filelist_text(store, &plan->base, &old, err);

        if (r == 0)
                r = sf_repository_blob(rp, &plan->delta->filelist, "file list patch", &patch, err);
        if (r == 0)
                r = sf_listpatch_apply(old.data, old.len, patch.data, patch.len, SF_FILELIST_TEXT_MAX, &plan->list_text,
                                       err);
        return r;
}

static int list_from_blob(struct sf_repository *rp, struct sf_fetch_plan *plan, struct sf_error *err)
{
        _cleanup_(sf_buffer_free) struct sf_buffer blob = SF_BUFFER_INIT;
        _cleanup_stream_ struct sf_stream *decoded = NULL;
        struct sf_stream *packed;
        int r = sf_repository_blob(rp, &plan->release->filelist, "file list", &blob, err);

        if (r == 0)
                r = sf_stream_from_memory(blob.data, blob.len, &packed, err);
        if (r < 0)
                return r;
        r = sf_stream_zstd(packed, LIST_WINDOW_LOG, &decoded, err);
        if (r < 0) {
                sf_stream_close(packed);
                return r;
        }
        r = sf_stream_read_all(decoded, SF_FILELIST_TEXT_MAX, &plan->list_text, err);
        return r < 0 ? sf_error_prefix(err, "file list") : 0;
}

/* The text must be the one that the signed index names. */
static int check_list(struct sf_fetch_plan *plan, struct sf_error *err)
{
        struct sf_digest got;

        sf_digest_of(plan->list_text.data, plan->list_text.len, &got);
        if (!sf_digest_equal(&got, &plan->release->tree))
                return sf_error_set(err, SF_ERR_CORRUPT, "file list: sha256 mismatch with the signed index");
        int r = sf_filelist_parse("file list", plan->list_text.data, plan->list_text.len, &plan->list, err);
        if (r < 0)
                return r;
        if (strcmp(plan->list.release, plan->release->name.text) != 0)
                return sf_error_set(err, SF_ERR_CORRUPT, "file list: is for release %s, not %s", plan->list.release,
                                    plan->release->name.text);
        return 0;
}

static int load_list(struct sf_repository *rp, const struct sf_store *store, struct sf_fetch_plan *plan,
                     struct sf_error *err)
{
        if (plan->delta) {
                struct sf_error why = SF_ERROR_INIT;
                int r = list_from_patch(rp, store, plan, &why);
                if (r == 0)
                        r = check_list(plan, &why);
                if (r == 0)
                        return 0;
                if (r == SF_ERR_NETWORK || r == SF_ERR_TIMEOUT || r == SF_ERR_INTERRUPTED || r == SF_ERR_NOMEM) {
                        *err = why;
                        return r;
                }
                sf_log_warning("the delta from %s is not usable (%s); planning without it", plan->base.name.text,
                               why.text);
                sf_filelist_free(&plan->list);
                sf_buffer_free(&plan->list_text);
                plan->delta = NULL;
                plan->delta_bytes = SF_FETCH_PLAN_IMPOSSIBLE;
        }
        int r = list_from_blob(rp, plan, err);
        return r < 0 ? r : check_list(plan, err);
}

/* The cheapest open way; full is always open. */
static void choose_way(struct sf_fetch_plan *plan)
{
        plan->way = SF_FETCH_PLAN_FULL;
        if (plan->ranges_bytes < plan->full_bytes)
                plan->way = SF_FETCH_PLAN_RANGES;
        if (plan->delta_bytes < sf_fetch_plan_bytes(plan))
                plan->way = SF_FETCH_PLAN_DELTA;
}

int sf_fetch_plan_next_way(struct sf_fetch_plan *plan, struct sf_error *err)
{
        if (plan->way == SF_FETCH_PLAN_DELTA)
                plan->delta_bytes = SF_FETCH_PLAN_IMPOSSIBLE;
        else if (plan->way == SF_FETCH_PLAN_RANGES)
                plan->ranges_bytes = SF_FETCH_PLAN_IMPOSSIBLE;
        else
                return sf_error_set(err, SF_ERR_FAILED, "no other way is left");
        choose_way(plan);
        return 0;
}

static int check_prefix(const struct sf_store *store, const struct sf_fetch_plan *plan, struct sf_error *err)
{
        _cleanup_free_ char *installed = sf_store_installed_prefix(store, plan->target.directory);

        if (!installed)
                return sf_error_set(err, SF_ERR_NOMEM, "no memory for a path");
        return sf_unpack_check_prefix(&plan->list, installed, err);
}

/* Where the release goes, or is already. */
static int find_target(const struct sf_store *store, struct sf_fetch_plan *plan, bool *ret_installed,
                       struct sf_error *err)
{
        const struct sf_index_release *release = plan->release;

        *ret_installed = sf_store_find_tree(store, &release->name, &release->tree, &plan->target, NULL) == 0;
        if (*ret_installed)
                return 0;
        plan->target = (struct sf_store_release){ .name = release->name, .tree = release->tree };
        snprintf(plan->target.unit, sizeof plan->target.unit, "%s", release->unit);
        return sf_store_assign(store, &plan->target, err);
}

static int compare_ways(const struct sf_config *config, struct sf_repository *rp, const struct sf_store *store,
                        const struct sf_store_release *installed, size_t count, struct sf_fetch_plan *plan,
                        struct sf_error *err)
{
        _cleanup_free_ struct sf_unpack_range *ranges = NULL;
        size_t range_count;

        bool is_installed;
        int r = find_target(store, plan, &is_installed, err);
        if (r < 0 || is_installed)
                return r;
        size_t base;
        plan->delta = sf_fetch_plan_find_delta(config, plan->release, installed, count, &base);
        if (plan->delta) {
                plan->base = installed[base];
                plan->delta_bytes = plan->delta->content.size;
        }
        r = load_list(rp, store, plan, err);
        if (r == 0)
                r = check_prefix(store, plan, err);
        if (r == 0)
                r = sf_reuse_open(store, &plan->installed, err);
        if (r == 0)
                r = sf_reuse_plan(plan->installed, &plan->list, &plan->wanted, err);
        if (r == 0 && count)
                r = sf_unpack_plan(&plan->list, plan->wanted, &ranges, &range_count, &plan->ranges_bytes, err);
        if (r == 0)
                choose_way(plan);
        return r;
}

int sf_fetch_plan_make(const struct sf_config *config, struct sf_repository *repository, const struct sf_store *store,
                       const struct sf_index_release *release, struct sf_fetch_plan *ret, struct sf_error *err)
{
        _cleanup_free_ struct sf_store_release *installed = NULL;
        struct sf_fetch_plan plan = {
                .way = SF_FETCH_PLAN_NOTHING,
                .release = release,
                .delta_bytes = SF_FETCH_PLAN_IMPOSSIBLE,
                .ranges_bytes = SF_FETCH_PLAN_IMPOSSIBLE,
                .full_bytes = release->download,
        };
        size_t count;
        int r = sf_store_list(store, &installed, &count, err);

        if (r == 0)
                r = compare_ways(config, repository, store, installed, count, &plan, err);
        if (r < 0) {
                sf_fetch_plan_free(&plan);
                return r;
        }
        *ret = plan;
        return 0;
}
